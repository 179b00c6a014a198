"""Web addresses as browsers and Node read them (WHATWG URL Standard), without a base.

Two parsers that read one address differently make holes: a check passes for one host and the browser goes to
another. Addresses that come from outside are therefore read here as the standard says, and what cannot be read
that way for certain is refused.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address
from itertools import groupby
from urllib.parse import quote, unquote, unquote_to_bytes

import attrs

__all__ = ["WebUrl", "is_absolute_url", "parse_http_url", "query_pairs"]

_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443, "ftp": 21}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):")
_EDGES = "".join(map(chr, range(0x21)))
_SURROGATE = re.compile("[\ud800-\udfff]")

# What is not percent-encoded in each place, beside letters, digits and `-._~`, which `quote` always leaves alone.
_SAFE_USER = "!$%&'()*+,"
_SAFE_PATH = "!$%&'()*+,/:;=@[\\]^|"
_SAFE_QUERY = "!$%&()*+,/:;=?@[\\]^`{|}"
_SAFE_FRAGMENT = "!#$%&'()*+,/:;=?@[\\]^{|}"

_FORBIDDEN_HOST = re.compile(r"[\x00\t\n\r #/:<>?@\[\\\]^|]")
_FORBIDDEN_DOMAIN = re.compile(r"[\x00-\x20\x7f#%/:<>?@\[\\\]^|]")
_DRIVE = re.compile(r"[A-Za-z][:|]")


@attrs.frozen(kw_only=True)
class WebUrl:
    """An address in its normal form.

    Attributes:
        scheme: `http` or `https`.
        userinfo: `user:password` as encoded; empty when there is none.
        host: Lower case, ASCII (`xn--` for other scripts); an IPv6 address in brackets.
        port: `None` for the scheme's own.
        path: Encoded, dot segments resolved; begins with `/`.
        query: Encoded, without `?`; `None` when there is no `?`.
        fragment: Encoded, without `#`; `None` when there is no `#`.
    """

    scheme: str
    userinfo: str
    host: str
    port: int | None
    path: str
    query: str | None
    fragment: str | None

    @property
    def origin(self) -> str:
        """Scheme, host and port: what must be equal for two addresses to be one site."""
        return f"{self.scheme}://{self.host}" + (f":{self.port}" if self.port is not None else "")

    @property
    def href(self) -> str:
        """The whole address."""
        user = f"{self.userinfo}@" if self.userinfo else ""
        query = f"?{self.query}" if self.query is not None else ""
        fragment = f"#{self.fragment}" if self.fragment is not None else ""
        return f"{self.origin.replace('://', f'://{user}', 1)}{self.path}{query}{fragment}"


def parse_http_url(text: str) -> WebUrl | None:
    """An absolute `http` or `https` address in its normal form.

    Returns:
        `None` when the text is no such address, or may be one but cannot be read for certain.

    Source: WHATWG URL Standard, section 4.4. Host names are stricter: those that IDNA 2008 refuses are refused.
    """
    scheme, rest = _scheme(text)
    return _special(scheme, rest) if scheme in {"http", "https"} else None


def is_absolute_url(text: str) -> bool:
    """Whether the text is an absolute address of any scheme, as `new URL(text)` tells."""
    scheme, rest = _scheme(text)
    if scheme is None:
        return False
    if scheme in _PORTS:
        return _special(scheme, rest) is not None
    rest = re.split(r"[?#]", rest, maxsplit=1)[0]
    if scheme == "file":
        named = re.match(r"[/\\]{2}([^/\\]*)", rest)
        return not named or not named[1] or bool(_DRIVE.fullmatch(named[1])) or _host(named[1]) is not None
    if not rest.startswith("//"):
        return True
    found = _authority(rest[2:].partition("/")[0])
    if found is None:
        return False
    userinfo, host, port = found
    if not host:
        return not userinfo and port is None
    return _ipv6(host) is not None if host.startswith("[") else not _FORBIDDEN_HOST.search(host)


def query_pairs(query: str) -> list[tuple[str, str]]:
    """The names and values of a query or form (WHATWG URL Standard, section 5.1)."""
    pairs: list[tuple[str, str]] = []
    for part in query.split("&"):
        if part:
            name, _, value = part.replace("+", " ").partition("=")
            pairs.append((unquote(name, errors="replace"), unquote(value, errors="replace")))
    return pairs


def _scheme(text: str) -> tuple[str | None, str]:
    text = _SURROGATE.sub("\ufffd", text).strip(_EDGES)
    text = text.replace("\t", "").replace("\n", "").replace("\r", "")
    found = _SCHEME.match(text)
    return (found[1].lower(), text[found.end() :]) if found else (None, "")


def _special(scheme: str, rest: str) -> WebUrl | None:
    rest, hash_mark, fragment = rest.partition("#")
    rest, question_mark, query = rest.partition("?")
    authority, path = _split(rest.lstrip("/\\"))
    found = _authority(authority)
    if found is None:
        return None
    userinfo, name, port = found
    host = _host(name)
    if not host:
        return None
    return WebUrl(
        scheme=scheme,
        userinfo=userinfo,
        host=host,
        port=None if port == _PORTS[scheme] else port,
        path=_path(path),
        query=quote(query, safe=_SAFE_QUERY) if question_mark else None,
        fragment=quote(fragment, safe=_SAFE_FRAGMENT) if hash_mark else None,
    )


def _split(rest: str) -> tuple[str, str]:
    end = re.search(r"[/\\]|$", rest)
    at = end.start() if end else len(rest)
    return rest[:at], rest[at:]


def _authority(authority: str) -> tuple[str, str, int | None] | None:
    """User information (encoded), host (as it stands) and port."""
    credentials, at_sign, host_port = authority.rpartition("@")
    user, _, password = credentials.partition(":")
    userinfo = quote(user, safe=_SAFE_USER)
    if password:
        userinfo += f":{quote(password, safe=_SAFE_USER)}"
    host, colon, port = host_port, "", ""
    if not host_port.endswith("]"):
        head, colon, port = host_port.rpartition(":")
        if colon and "[" not in port:
            host = head
        else:
            colon, port = "", ""
    if (at_sign and not host) or (colon and not host):
        return None
    if not port:
        return userinfo, host, None
    if not (port.isascii() and port.isdigit()) or len(port.lstrip("0")) > 5 or int(port) > 0xFFFF:
        return None
    return userinfo, host, int(port)


def _path(path: str) -> str:
    segments: list[str] = []
    parts = re.split(r"[/\\]", path)[1:] or [""]
    for index, part in enumerate(parts):
        dots = part.lower().replace("%2e", ".")
        if dots == "..":
            if segments:
                segments.pop()
        elif dots != ".":
            segments.append(quote(part, safe=_SAFE_PATH))
            continue
        if index == len(parts) - 1:
            segments.append("")
    return "/" + "/".join(segments)


@lru_cache(maxsize=256)
def _host(name: str) -> str | None:
    """The host of an address that has a domain name or an IP address there."""
    if name.startswith("["):
        return _ipv6(name)
    decoded = unquote_to_bytes(name).decode("utf-8", errors="replace")
    host = _ascii_domain(decoded)
    if not host or _FORBIDDEN_DOMAIN.search(host):
        return None
    last = host.removesuffix(".").rpartition(".")[2]
    if last and (last.isdigit() or re.fullmatch(r"0x[0-9a-f]*", last)):
        return _ipv4(host)
    return host


def _ascii_domain(name: str) -> str | None:
    labels = name.lower().split(".")
    if name.isascii() and not any(label.startswith("xn--") for label in labels):
        return ".".join(labels)
    if "\u1e9e" in name:
        return None  # a capital sharp s is `ss` to one release of a browser and `\u00df` to the next

    import idna  # comes with httpx, and is rarely needed

    try:
        labels = idna.uts46_remap(name, std3_rules=False).split(".")
        shown = [idna.ulabel(label) if label.startswith("xn--") else label for label in labels]
        if any(unicodedata.bidirectional(character) in {"R", "AL", "AN"} for label in shown for character in label):
            for label in filter(None, shown):
                idna.check_bidi(label, check_ltr=True)
        return ".".join(label if label.isascii() else idna.alabel(label).decode("ascii") for label in labels)
    except (idna.IDNAError, UnicodeError):
        return None


def _ipv4(host: str) -> str | None:
    parts = host.removesuffix(".").split(".")
    if len(parts) > 4:
        return None
    numbers: list[int] = []
    for part in parts:
        if re.fullmatch(r"0x[0-9a-f]*", part):
            numbers.append(int(part[2:] or "0", 16))
        elif re.fullmatch(r"0[0-7]*", part):
            numbers.append(int(part, 8))
        elif re.fullmatch(r"[1-9][0-9]{0,9}", part):
            numbers.append(int(part))
        else:
            return None
    *heads, last = numbers
    if any(number > 255 for number in heads) or last >= 256 ** (5 - len(numbers)):
        return None
    address = last + sum(number << (8 * (3 - index)) for index, number in enumerate(heads))
    return ".".join(str(address >> shift & 255) for shift in (24, 16, 8, 0))


def _ipv6(host: str) -> str | None:
    if not host.endswith("]") or "%" in host:
        return None
    try:
        pieces = [int(piece, 16) for piece in IPv6Address(host[1:-1]).exploded.split(":")]
    except AddressValueError:
        return None
    return f"[{_compressed(pieces)}]"


def _compressed(pieces: list[int]) -> str:
    """RFC 5952: the first of the longest runs of two or more zeros is left out."""
    best_at, best = 0, 1
    at = 0
    for is_zero, run in groupby(pieces, key=lambda piece: piece == 0):
        length = len(list(run))
        if is_zero and length > best:
            best_at, best = at, length
        at += length
    text = [f"{piece:x}" for piece in pieces]
    if best == 1:
        return ":".join(text)
    return f"{':'.join(text[:best_at])}::{':'.join(text[best_at + best :])}"
