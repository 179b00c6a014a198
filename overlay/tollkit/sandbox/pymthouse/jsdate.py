"""Which texts JavaScript's `Date.parse` accepts, as V8 does it.

The usage route validates its dates with `Date.parse` and then compares them as text, so only acceptance matters:
no date is computed here. ISO forms (ECMA-262 section 21.4.1.32) come first; what is left goes by V8's rules for
older formats, in which numbers make a day, `n:n` a time, and words are month names, zones or (before the first
number) ignored.
"""

from __future__ import annotations

import re

__all__ = ["is_js_date"]

_ISO = re.compile(
    r"(?:\d{4}|\+\d{6}|-(?!000000)\d{6})"
    r"(?:-(?P<month>\d\d)(?:-(?P<day>\d\d))?)?"
    r"(?:T(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.\d+)?)?(?:Z|[+-](?P<zone>\d\d:?\d\d))?)?",
    re.IGNORECASE,
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_ZONES = {"utc", "ut", "gmt", "z", "est", "edt", "cst", "cdt", "mst", "mdt", "pst", "pdt"}
_LAST_YEAR = 275_760
_TOKEN = re.compile(r"(?P<number>\d+)|(?P<word>[^\W\d_]+)|(?P<space>\s+)|(?P<symbol>.)", re.DOTALL)


def is_js_date(text: str) -> bool:
    """Whether `Date.parse(text)` is a number, e.g. for `2026-05-28`, `May 28 2026` and `0`."""
    iso = _ISO.fullmatch(text)
    if iso is not None and _in_range(iso):
        return True
    return _Legacy(text).accepts()


def _in_range(match: re.Match[str]) -> bool:
    month, day, hour, minute, second = (
        int(match[name] or default)
        for name, default in (("month", 1), ("day", 1), ("hour", 0), ("minute", 0), ("second", 0))
    )
    whole_day = hour == 24 and minute == 0 and second == 0 and not re.search(r"\.0*[1-9]", match[0])
    return 1 <= month <= 12 and 1 <= day <= 31 and (hour <= 23 or whole_day) and minute <= 59 and second <= 59


class _Legacy:
    """V8's reader of dates that are not ISO."""

    def __init__(self, text: str) -> None:
        self._tokens = [(str(match.lastgroup), match[0]) for match in _TOKEN.finditer(text)]
        self._at = 0
        self._days: list[int] = []
        self._month: int | None = None
        self._time: list[int] = []
        self._time_done = False
        self._after_noon: int | None = None
        self._zone_word = False
        self._zone_open = False

    def accepts(self) -> bool:
        read_number = False
        while self._at < len(self._tokens):
            kind, text = self._next()
            if kind == "number":
                read_number = True
                if not self._number(int(text)):
                    return False
            elif kind == "word":
                if not self._word(text.lower()[:3] if len(text) >= 3 else text.lower(), text, read_number):
                    return False
            elif text in "+-" and (self._zone_word or self._time):
                if not self._offset():
                    return False
                read_number = True
            elif text in "+-)" and read_number:
                return False
            elif text == "(":
                self._skip_parentheses()
        return self._day_holds() and self._time_holds()

    def _next(self) -> tuple[str, str]:
        self._at += 1
        return self._tokens[self._at - 1]

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")

    def _skip(self, symbol: str) -> bool:
        if self._peek() == ("symbol", symbol):
            self._at += 1
            return True
        return False

    def _expects_time(self, number: int) -> bool:
        return bool(self._time) and not self._time_done and len(self._time) < 4 and number < 60

    def _number(self, number: int) -> bool:
        if self._skip(":"):
            if self._skip(":"):
                if self._time:
                    return False
                self._time += [number, 0]
                return True
            if len(self._time) >= 4:
                return False
            self._time.append(number)
            self._skip(".")
            return True
        if self._peek() == ("symbol", ".") and self._expects_time(number):
            self._at += 1
            self._time.append(number)
            if self._peek()[0] != "number":
                return False
            self._at += 1
            self._time_done = True
            return True
        if self._zone_open:
            self._zone_open = False
            return True
        if self._expects_time(number):
            self._time.append(number)
            self._time_done = True
            kind, text = self._peek()
            return kind in ("end", "space") or text in ("+", "-") or text.lower() == "z"
        self._skip(".")
        if len(self._days) >= 3:
            return False
        self._days.append(number)
        self._skip("-")
        return True

    def _word(self, short: str, text: str, read_number: bool) -> bool:
        if text.lower() in ("am", "pm") and self._time:
            self._after_noon = 12 if short == "pm" else 0
        elif short in _MONTHS:
            self._month = _MONTHS.index(short) + 1
            self._skip("-")
        elif short in _ZONES and text.lower() in _ZONES and read_number:
            self._zone_word = True
        elif read_number or self._peek()[0] == "number":
            return False
        return True

    def _offset(self) -> bool:
        length = 0
        if self._peek()[0] == "number":
            length = len(self._next()[1])
        if self._peek() == ("symbol", ":"):
            self._at += 1
            self._zone_open = True
            return True
        return 1 <= length <= 4

    def _skip_parentheses(self) -> None:
        depth = 1
        while depth and self._at < len(self._tokens):
            _, text = self._next()
            depth += {"(": 1, ")": -1}.get(text, 0)

    def _day_holds(self) -> bool:
        if not self._days:
            return False
        first, second, third = [*self._days, 1, 1][:3]
        if self._month is not None:
            year, month, day = (first, self._month, second) if not _is_day(first) else (second, self._month, first)
        else:
            year, month, day = (first, second, third) if not _is_day(first) else (third, first, second)
        return year <= _LAST_YEAR and 1 <= month <= 12 and _is_day(day)

    def _time_holds(self) -> bool:
        hour, minute, second = [*self._time, 0, 0, 0][:3]
        if self._after_noon is not None:
            if not 0 <= hour <= 12:
                return False
            hour = hour % 12 + self._after_noon
        whole_day = hour == 24 and minute == 0 and second == 0
        return (hour <= 23 or whole_day) and minute <= 59 and second <= 59


def _is_day(number: int) -> bool:
    return 1 <= number <= 31
