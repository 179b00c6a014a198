"""Answers a 402: chooses how to pay, asks who must be asked, writes it down, signs, sends once."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import attrs

from tollkit.core import answers, events
from tollkit.core.flows import Flow, Offload, Wire, call, gather, offload
from tollkit.errors import ArgumentError, TollkitError
from tollkit.oidc.json_values import is_object
from tollkit.run402.address import checked_address, checksum_address
from tollkit.run402.credentials import AllowanceData, ask, wallet_of
from tollkit.run402.eip3009 import new_nonce
from tollkit.run402.errors import PaymentNotMadeError, PaymentUncertainError, raised
from tollkit.run402.payments.balances import Balances, RpcBalances
from tollkit.run402.payments.journal import Journal, SqliteJournal
from tollkit.run402.payments.record import PaymentRecord, Proof
from tollkit.run402.payments.spending import Asset, PaymentRequest, SpendingPolicy
from tollkit.run402.signer import Signer
from tollkit.run402.x402 import (
    Challenge,
    Requirement,
    asks_for_payment,
    payment_header,
    payment_payload,
    read_challenge,
    read_settlement,
)

if TYPE_CHECKING:
    from tollkit.core.events import Event
    from tollkit.core.transports import AsyncPayingTransport, PayingTransport
    from tollkit_api.runtime import HttpResponse

__all__ = ["Paid", "X402Payer"]

_log = logging.getLogger("tollkit.run402")
_HEADERS = frozenset({"payment-signature", "x-payment"})
_LATELY = 60.0
"""Seconds for which a balance may not show a payment yet."""


@attrs.frozen
class Paid:
    """An answer that was paid for, or refused although it was.

    Attributes:
        response: The answer.
        record: The payment.
    """

    response: HttpResponse
    record: PaymentRecord

    def concerning(self, error: TollkitError) -> None:
        """Let an error that came of the answer say that a payment had left: nothing may be sent again."""
        told_of(error, self.record)

    def broken(self, failure: Exception) -> PaymentUncertainError:
        """The error for an answer that broke while its body was read."""
        return PaymentUncertainError(self.record, type(failure).__name__)


def told_of(error: TollkitError, record: PaymentRecord) -> None:
    """Let an error say that a payment had left before it."""
    branded: Any = raised(error)
    branded.payment = record
    error.retryable = error.safe_to_retry = False
    reason = f" ({record.reason})" if record.reason else ""
    if record.state == "settled":
        error.hint = (
            f"This call was paid for (transaction {record.transaction}); do not pay again before you know why"
        )
    elif record.state == "refused":
        error.hint = f"The payment was refused{reason}; it was not paid again"
    else:
        error.hint = "A payment left, and nobody said what became of it; look for its nonce before you pay again"


class X402Payer:
    """Pays what 402 answers ask for (x402, versions 1 and 2, scheme `exact`, EIP-3009), within a policy.

    One for a program; safe to share between threads, tasks and clients.

    Args:
        signer: The wallet.
        credentials: Where the wallet is, when there is no signer: a provider with the attribute `signer`, or with
            `read_allowance`. Without either, a client's own credentials; in transports, the files of the platform's
            tools.
        policy: What may be paid; `SpendingPolicy()` when nothing is said.
        journal: Where payments are written down; `SqliteJournal()` when nothing is said.
        balances: Asked before each payment. When nothing is said, public nodes (`RpcBalances()`) are, and only where
            there is more than one way to pay.
        on_event: Called with `PaymentLeft`, `PaymentSettled`, `PaymentRefused` and `PaymentUncertain`
            (`tollkit.core.events`); what it raises is logged and dropped.
        clock: Seconds since 1970.

    Raises:
        ArgumentError: Both a signer and credentials are told.
        MissingExtraError: The extra `payments` is not installed.
    """

    def __init__(
        self,
        signer: Signer | None = None,
        *,
        credentials: object | None = None,
        policy: SpendingPolicy | None = None,
        journal: Journal | None = None,
        balances: Balances | None = None,
        on_event: Callable[[Event], None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if signer is not None and credentials is not None:
            raise raised(ArgumentError("credentials", "must not be told together with a signer"))
        self.signer = signer
        """The wallet, when it was told."""
        self.journal: Journal = SqliteJournal() if journal is None else journal
        """Where payments are written down."""
        self._policy = policy
        self._credentials = credentials
        self._balances = balances
        self._public: Balances = RpcBalances()
        self._on_event = on_event
        self._clock = clock

    @property
    def policy(self) -> SpendingPolicy:
        """What may be paid."""
        # made when it is needed: its addresses are checked with a library that a program without a wallet may lack
        if self._policy is None:
            self._policy = SpendingPolicy()
        return self._policy

    def transport(self, inner: Any = None, *, allow_insecure_http: bool = False) -> PayingTransport:
        """A transport for `httpx.Client(transport=...)`, or for some addresses: `mounts={"https://...": ...}`.

        Answers that were paid for have the payment in `response.extensions["x402"]`. Bodies that are made while they
        are sent are read whole before, since a request may have to be sent twice.

        Args:
            inner: What sends; `httpx.HTTPTransport()` when nothing is said.
            allow_insecure_http: Pay over plain http too, where anybody on the way can put in another payee.
        """
        from tollkit.core.transports import PayingTransport

        return PayingTransport(inner, functools.partial(self._of_transport, insecure=allow_insecure_http))

    def async_transport(self, inner: Any = None, *, allow_insecure_http: bool = False) -> AsyncPayingTransport:
        """`transport` for `httpx.AsyncClient`; without `inner`, an `httpx.AsyncHTTPTransport()` sends."""
        from tollkit.core.transports import AsyncPayingTransport

        return AsyncPayingTransport(inner, functools.partial(self._of_transport, insecure=allow_insecure_http))

    def _of_transport(
        self, wire: Wire, response: HttpResponse, leaving: Callable[[PaymentRecord], object], *, insecure: bool
    ) -> Flow[Paid | None]:
        credentials = self._credentials
        if self.signer is None and credentials is None:
            from tollkit.run402.local import LocalCredentials

            credentials = LocalCredentials()
        return (yield from self.answer(wire, response, credentials=credentials, insecure=insecure, leaving=leaving))

    def answer(
        self,
        wire: Wire,
        response: HttpResponse,
        *,
        credentials: object | None = None,
        insecure: bool = False,
        watch: Callable[[Event], None] | None = None,
        leaving: Callable[[PaymentRecord], object] | None = None,
    ) -> Flow[Paid | None]:
        """Pay for a request whose answer was a 402, and send it once more; it is called once for a call.

        Args:
            wire: The request as it was sent.
            response: The 402.
            credentials: Where the wallet is, when this payer was not told.
            insecure: Whether to pay over plain http.
            watch: Called with events too.
            leaving: Called when the payment is about to leave; what it raises stops it.

        Returns:
            The answer; `None` when the 402 asks for no x402 payment, there is no wallet, or the request carried a
            payment already: nothing was sent then.

        Raises:
            PaymentNotMadeError: The policy, a balance or a person said no, or nothing that is offered can be met.
            PaymentUncertainError: The payment left, and no answer came.
            LocalError: The journal or the wallet cannot be used; nothing was paid.
        """
        if any(name.lower() in _HEADERS for name in wire.headers):
            return None
        if not asks_for_payment(response.headers, response.content):
            return None
        challenge = read_challenge(response.headers, response.content)
        no = _No(wire, response, challenge)
        signer = yield from self._wallet(credentials, no)
        if challenge is None or signer is None:
            return None
        payer = checked_address("signer", signer.address)
        if not insecure and not wire.url.lower().startswith("https:"):
            raise no("https", "it would go over plain http", "Use https, or allow_insecure_http=True in development")
        requirement, asset = yield from self._chosen(challenge, payer, no)
        record, proof = yield from self._journaled(challenge, requirement, asset, signer, payer, wire, no)
        if leaving is not None:
            leaving(record)
        told = _Told(record, self._on_event, watch)
        told(events.PaymentLeft)
        paying = attrs.evolve(wire, headers={**wire.headers, proof.header: proof.value})
        ended: PaymentRecord | None = None  # stays so when the program ends or the task is cancelled meanwhile
        try:
            answer: HttpResponse = yield paying
            ended = known = _ended(record, answer)
        except Exception as failure:
            said = failure.message if isinstance(failure, TollkitError) else type(failure).__name__
            ended = lost = attrs.evolve(record, state="uncertain", reason=said)
            yield from self._kept(lost)
            raise PaymentUncertainError(lost, said) from failure
        finally:
            told.end(ended)
        yield from self._kept(known)
        return Paid(answer, known)

    def _wallet(self, credentials: object | None, no: _No) -> Flow[Signer | None]:
        if self.signer is not None:
            return self.signer
        provider = self._credentials if self._credentials is not None else credentials
        signs = getattr(provider, "signer", None)
        if isinstance(signs, Signer):  # a wallet of which nobody has the key, such as a KMS
            return signs
        found: AllowanceData | None = yield from ask(provider, "read_allowance")
        if found is None:
            return None
        if found.rail == "mpp":
            raise no(
                "rail", "the wallet pays by mpp, and only x402 is supported", 'Set "rail" of the allowance to x402'
            )
        allowance = found
        return (yield from offload(lambda: wallet_of(allowance)))

    def _chosen(self, challenge: Challenge, payer: str, no: _No) -> Flow[tuple[Requirement, Asset]]:
        """The first that can be met, is allowed and can be afforded; those of unknown balance come last.

        A balance may be older than the last payments: what suffices for them too comes first.
        """
        allowed: list[tuple[Requirement, Asset]] = []
        for one in challenge.accepts:
            forbidden = ("unusable", one.unusable) if one.unusable else self.policy.forbids(one)
            if forbidden:
                no.because(*forbidden)
            else:
                allowed.extend((one, asset) for asset in self.policy.assets if asset.is_of(one))
        if challenge.unread:
            no.because("unusable", f"{challenge.unread} of the offers could not be read")
        if not allowed:
            if not challenge.accepts and not challenge.unread:
                no.because("unusable", "nothing is offered")
            raise no.of_reasons()
        if self._balances is None and len(allowed) == 1:
            return allowed[0]
        held = yield from self._held(allowed, payer)
        lately = yield from self._lately(payer)
        likely: tuple[Requirement, Asset] | None = None
        unknown: tuple[Requirement, Asset] | None = None
        for requirement, asset in allowed:
            token = asset.network, asset.address
            balance = held[token]
            if balance is None:
                unknown = unknown or (requirement, asset)
            elif balance - lately.get(token, 0) >= requirement.amount:
                return requirement, asset
            elif balance >= requirement.amount:
                likely = likely or (requirement, asset)
            else:
                needed, there = asset.told(requirement.amount), asset.told(balance)
                no.because("balance", f"{needed} on {asset.network} is needed, and {payer} has {there}")
        found = likely or unknown
        if found is None:
            raise no.of_reasons()
        return found

    def _lately(self, payer: str) -> Flow[dict[tuple[str, str], int]]:
        """What this wallet has spent of each token within the last minute."""

        def read() -> dict[tuple[str, str], int]:
            found: dict[tuple[str, str], int] = {}
            for one in self.journal.payments(since=self._clock() - _LATELY):
                if one.payer == payer:
                    token = one.network, one.asset
                    found[token] = found.get(token, 0) + one.amount
            return found

        return (yield from offload(read))

    def _held(
        self, allowed: Sequence[tuple[Requirement, Asset]], payer: str
    ) -> Flow[dict[tuple[str, str], int | None]]:
        balances = self._balances or self._public
        assets = list(dict.fromkeys((asset.network, asset.address) for _, asset in allowed))

        def read(network: str, address: str) -> Flow[int | None]:
            try:
                return (yield from offload(lambda: balances.balance(network, address, payer)))
            except Exception as problem:  # noqa: BLE001 - a balance that could not be read is not a balance of zero
                _log.info("the balance on %s could not be read (%s)", network, type(problem).__name__)
                return None

        found = yield from gather([read(*asset) for asset in assets])
        return dict(zip(assets, found, strict=True))

    def _journaled(
        self,
        challenge: Challenge,
        requirement: Requirement,
        asset: Asset,
        signer: Signer,
        payer: str,
        wire: Wire,
        no: _No,
    ) -> Flow[tuple[PaymentRecord, Proof]]:
        """Ask where it must be asked, sign, and write it down within the limits of the day.

        Signing comes before writing: what cannot be signed never leaves, and takes nothing of the day.
        """
        per_day = self.policy.limit("per_day", asset)
        unasked = self.policy.limit("unasked_per_day", asset)
        ask_above = self.policy.limit("ask_above", asset)
        amount = requirement.amount
        spent: int = yield from offload(
            lambda: self.journal.spent(payer, asset.network, asset.address, now=self._clock())
        )
        asked = False
        while True:
            if per_day is not None and spent + amount > per_day:
                most, had = asset.told(per_day), asset.told(spent)
                raise no("per_day", f"{asset.told(amount)} on top of {had} is more than {most} for a day")
            because = None
            if ask_above is not None and amount > ask_above:
                because = "ask_above"
            elif unasked is not None and spent + amount > unasked:
                because = "unasked_per_day"
            if because and not asked:
                yield from self._asked(challenge, requirement, asset, payer, wire, spent, because, no)
                asked = True
            payload, now = yield from offload(lambda: self._signed(challenge, requirement, signer))
            record = _record(payload, now, asset, wire)
            limits = [one for one in (per_day, None if asked else unasked) if one is not None]
            begin = functools.partial(self.journal.begin, record, at_most=min(limits, default=None))
            over = yield from offload(begin)
            if over is None:
                name, value = payment_header(payload)
                proof = Proof(name, value)
                return attrs.evolve(record, proof=proof), proof
            spent = over  # others have paid meanwhile

    def _signed(self, challenge: Challenge, requirement: Requirement, signer: Signer) -> tuple[dict[str, Any], float]:
        now = self._clock()
        return payment_payload(challenge, requirement, signer, now=int(now), nonce=new_nonce()), now

    def _asked(
        self,
        challenge: Challenge,
        requirement: Requirement,
        asset: Asset,
        payer: str,
        wire: Wire,
        spent: int,
        because: str,
        no: _No,
    ) -> Flow[None]:
        hook = self.policy.ask
        request = PaymentRequest(
            amount=requirement.amount,
            asset=asset,
            payer=payer,
            payee=checksum_address(requirement.pay_to),
            method=wire.method,
            url=_address(wire.url),
            description=_description(challenge, requirement),
            spent=spent,
            because=because,
        )
        if hook is None:
            hint = f"Give SpendingPolicy(ask=...) to decide, or raise {because}"
            raise no(because, f"{request} must be asked about, and there is nobody to ask", hint)
        # a `True` alone pays: what a function forgot to return does not
        if (yield from call("ask", lambda: hook(request))) is not True:
            raise no("ask", f"{request} was declined")

    def _kept(self, record: PaymentRecord) -> Generator[Any, Any, None]:
        try:
            yield Offload(lambda: self.journal.end(record))
        except Exception:  # noqa: BLE001 - the answer that was paid for counts more; the journal still says `left`
            _log.exception("the journal could not keep what became of a payment")

    def __repr__(self) -> str:
        return f"X402Payer({self.signer!r}, policy={self._policy!r}, journal={self.journal!r})"


class _No:
    """Makes the error of a payment that is not made."""

    def __init__(self, wire: Wire, response: HttpResponse, challenge: Challenge | None) -> None:
        self._wire = wire
        self._response = response
        self._offers = challenge.accepts if challenge else ()
        self._reasons: list[tuple[str, str]] = []

    def because(self, setting: str, reason: str) -> None:
        """Keep why one of the offers is not met."""
        self._reasons.append((setting, reason))

    def of_reasons(self) -> PaymentNotMadeError:
        """The error for all that was kept."""
        setting = self._reasons[0][0]
        return self(setting, "; ".join(dict.fromkeys(reason for _, reason in self._reasons)), _HINTS.get(setting))

    def __call__(self, setting: str, reason: str, hint: str | None = None) -> PaymentNotMadeError:
        body = answers.json_body(self._response)
        return PaymentNotMadeError(
            f"A payment is asked for and was not made: {reason}",
            setting=setting,
            offers=self._offers,
            body=body,
            hint=hint or _HINTS.get(setting),
            request_id=answers.request_id(self._response, body),
            context={"method": self._wire.method, "url": _address(self._wire.url)},
        )


_HINTS = {
    "balance": "Fund the wallet",
    **{
        name: f"Change SpendingPolicy({name}=...) if it should be paid"
        for name in ("per_call", "per_day", "assets", "networks", "recipients", "longest")
    },
}


class _Told:
    """Tells what becomes of a payment; no event holds what was signed."""

    def __init__(self, record: PaymentRecord, *watchers: Callable[[Event], None] | None) -> None:
        self._record = record
        self._watchers = [watch for watch in watchers if watch is not None]

    def __call__(self, kind: type[events.PaymentEvent], **more: Any) -> None:
        if not self._watchers:
            return
        record = self._record
        told = {field.name: getattr(record, field.name) for field in attrs.fields(events.PaymentEvent)}
        event: Any = kind(**told, **more)
        for watch in self._watchers:
            try:
                watch(event)
            except Exception:  # noqa: BLE001 - an observer must not break what it observes
                _log.exception("on_event raised")

    def end(self, record: PaymentRecord | None) -> None:
        """The event of how it ended; `None` when the call was given up."""
        if record is None:
            self(events.PaymentUncertain, reason="the call was given up")
        elif record.state == "settled":
            self(events.PaymentSettled, transaction=record.transaction or "")
        elif record.state == "refused":
            self(events.PaymentRefused, reason=record.reason)
        else:
            self(events.PaymentUncertain, reason=record.reason)


def _record(payload: Mapping[str, Any], now: float, asset: Asset, wire: Wire) -> PaymentRecord:
    signed: dict[str, str] = payload["payload"]["authorization"]
    return PaymentRecord(
        nonce=signed["nonce"],
        state="left",
        amount=int(signed["value"]),
        asset=asset.address,
        network=asset.network,
        payer=signed["from"],
        payee=signed["to"],
        valid_before=int(signed["validBefore"]),
        left_at=now,
        method=wire.method,
        url=_address(wire.url),
    )


def _ended(record: PaymentRecord, answer: HttpResponse) -> PaymentRecord:
    """What an answer says about the payment that its request carried."""
    settlement = read_settlement(answer.headers)
    if settlement is None:
        if answer.status_code != 402:
            reason = f"the answer ({answer.status_code}) says nothing about it"
            return attrs.evolve(record, state="uncertain", reason=reason)
        again = read_challenge(answer.headers, answer.content)
        return attrs.evolve(record, state="refused", reason=again.error if again else None)
    if not settlement.success:
        return attrs.evolve(record, state="refused", reason=settlement.error_reason, settlement=settlement)
    return attrs.evolve(record, state="settled", transaction=settlement.transaction, settlement=settlement)


def _address(url: str) -> str:
    """Without query, which may hold signatures, and without a password."""
    parts = urlsplit(url.partition("?")[0])
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="").geturl()


def _description(challenge: Challenge, requirement: Requirement) -> str | None:
    about = challenge.resource if is_object(challenge.resource) else requirement.wire
    found = about.get("description")
    return found if isinstance(found, str) and found else None
