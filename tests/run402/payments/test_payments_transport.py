"""Any client of httpx pays, over a real server: what is sent, what comes back, and what breaks when."""

from __future__ import annotations

import asyncio
import gzip
import json
import pickle
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import httpx
import pytest
import trio

from support.run402_wallet import ADDRESS
from support.scripted_http import Reply
from support.server import Answer, Half, Reset, Seen, Server, closed_port
from support.x402_till import SET, TRANSACTION, Till, challenge, coded, offer, on_base, payer, settled, wallet
from tollkit.run402 import AsyncRun402, MemoryCredentials, Run402
from tollkit.run402.errors import (
    PaymentNotMadeError,
    PaymentUncertainError,
    Run402Error,
    is_retryable_run402_error,
)
from tollkit.run402.payments import MemoryJournal, SpendingPolicy, X402Payer
from tollkit.run402.x402 import BASE, BASE_SEPOLIA
from tollkit_api.run402.v1_57.api.tier import tier_set
from tollkit_api.runtime.client import Client


class BlockingHttp:
    """`httpx.Client`."""

    name = "blocking"

    def __init__(self, paying: X402Payer, **settings: Any) -> None:
        transport = paying.transport(settings.pop("inner", None), allow_insecure_http=settings.pop("insecure", True))
        self.client = httpx.Client(transport=transport, **settings)
        self.request_: httpx.Request | None = None

    def request(self, method: str, url: str, **told: Any) -> httpx.Response:
        return self.client.request(method, url, **told)

    def streamed(self, url: str) -> tuple[httpx.Response, bytes]:
        with self.client.stream("POST", url) as response:
            return response, b"".join(response.iter_bytes())

    def sent(self, url: str, times: int) -> list[httpx.Response]:
        request = self.client.build_request("POST", url)
        return [self.client.send(request) for _ in range(times)]

    def again(self, url: str) -> httpx.Response:
        self.request_ = self.request_ or self.client.build_request("POST", url)
        return self.client.send(self.request_)

    def raw(self, url: str) -> bytes:
        with self.client.stream("POST", url) as response:
            return b"".join(response.iter_raw())

    def body(self, pieces: list[bytes]) -> Iterator[bytes]:
        yield from pieces

    def close(self) -> None:
        self.client.close()


class AsyncHttp:
    """`httpx.AsyncClient`."""

    name = "async"

    def __init__(self, paying: X402Payer, **settings: Any) -> None:
        inner = settings.pop("inner", None)
        transport = paying.async_transport(inner, allow_insecure_http=settings.pop("insecure", True))
        self.client = httpx.AsyncClient(transport=transport, **settings)
        self.request_: httpx.Request | None = None
        self.runner = asyncio.Runner()

    def request(self, method: str, url: str, **told: Any) -> httpx.Response:
        return self.runner.run(self.client.request(method, url, **told))

    def streamed(self, url: str) -> tuple[httpx.Response, bytes]:
        async def go() -> tuple[httpx.Response, bytes]:
            async with self.client.stream("POST", url) as response:
                return response, b"".join([piece async for piece in response.aiter_bytes()])

        return self.runner.run(go())

    def sent(self, url: str, times: int) -> list[httpx.Response]:
        async def go() -> list[httpx.Response]:
            request = self.client.build_request("POST", url)
            return [await self.client.send(request) for _ in range(times)]

        return self.runner.run(go())

    def again(self, url: str) -> httpx.Response:
        self.request_ = self.request_ or self.client.build_request("POST", url)
        return self.runner.run(self.client.send(self.request_))

    def raw(self, url: str) -> bytes:
        async def go() -> bytes:
            async with self.client.stream("POST", url) as response:
                return b"".join([piece async for piece in response.aiter_raw()])

        return self.runner.run(go())

    async def body(self, pieces: list[bytes]) -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    def close(self) -> None:
        self.runner.run(self.client.aclose())
        self.runner.close()


@pytest.fixture(params=[BlockingHttp, AsyncHttp], ids=lambda kind: kind.name)
def http(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Makes clients."""
    opened: list[Any] = []

    def make(paying: X402Payer, **settings: Any) -> Any:
        opened.append(request.param(paying, **settings))
        return opened[-1]

    make.kind = request.param.name  # type: ignore[attr-defined]
    yield make
    for one in opened:
        one.close()


@pytest.mark.parametrize("version", [1, 2])
def test_a_request_is_paid_once_and_the_answer_tells(http: Any, version: int) -> None:
    till = Till(challenge(version=version))
    paying = payer()
    with Server(default=till.step) as server:
        response = http(paying, headers={"x-own": "1"}).request(
            "POST", f"{server.url}/a?b=c", json={"d": "é"}, headers={"accept": "x/y"}
        )
        first, second = server.seen
    assert (response.status_code, response.json()) == (200, SET)
    assert response.request.headers.get("payment-signature") is None
    record = response.extensions["x402"]
    assert (record.state, record.transaction, record.payer) == ("settled", TRANSACTION, ADDRESS)
    assert (record.settlement.transaction, record.url) == (TRANSACTION, f"{server.url}/a")
    assert record.proof.value not in repr(response.extensions)
    assert [kept.nonce for kept in paying.journal.payments()] == [record.nonce]
    assert (first.target, first.body) == (second.target, second.body) == ("/a?b=c", '{"d":"é"}'.encode())
    added = {name for name, _ in second.fields} - {name for name, _ in first.fields}
    assert {name.lower() for name in added} == {"payment-signature" if version == 2 else "x-payment"}
    assert [value for name, value in second.fields if name.lower() == "x-own"] == ["1"]


def test_what_costs_nothing_goes_through_as_it_is(http: Any) -> None:
    with Server(Answer(204), Answer.json({"no": "challenge"}, 402), default=Answer(200, b"x" * 9)) as server:
        client = http(payer())
        free = client.request("GET", server.url)
        assert (free.status_code, "x402" in free.extensions) == (204, False)
        assert client.request("GET", server.url).json() == {"no": "challenge"}
        assert client.streamed(server.url)[1] == b"x" * 9
        assert len(server.seen) == 3


def test_a_body_that_is_made_while_it_is_sent(http: Any) -> None:
    till = Till()
    with Server(default=till.step) as server:
        client = http(payer())
        response = client.request(
            "POST", server.url, content=client.body([b"a", b"b"]), headers={"content-length": "2"}
        )
    assert (response.status_code, till.bodies) == (200, [b"ab", b"ab"])


def test_an_answer_that_is_streamed(http: Any) -> None:
    with Server(default=Till(then=[settled({"long": "x" * 100_000})]).step) as server:
        response, body = http(payer()).streamed(server.url)
    assert (len(body), response.extensions["x402"].state) == (100_012, "settled")


@pytest.mark.parametrize("rail", [None, "mpp"])
def test_the_local_wallet_pays_when_none_is_told(http: Any, rail: str | None) -> None:
    from tollkit.run402.local import LocalCredentials

    found = wallet(rail=rail).read_allowance()
    assert found is not None
    LocalCredentials().save_allowance(found)
    with Server(default=Till().step) as server:
        client = http(X402Payer())
        if rail is None:
            assert client.request("POST", server.url).extensions["x402"].payer == ADDRESS
        else:
            with pytest.raises(PaymentNotMadeError, match="mpp"):
                client.request("POST", server.url)


def test_without_a_wallet_the_402_comes_back(http: Any) -> None:
    with Server(default=Till().step) as server:
        assert http(X402Payer(journal=MemoryJournal())).request("POST", server.url).status_code == 402
        assert len(server.seen) == 1


def test_credentials_of_ones_own(http: Any) -> None:
    with Server(default=Till().step) as server:
        paying = X402Payer(credentials=wallet(), journal=MemoryJournal())
        assert http(paying).request("POST", server.url).extensions["x402"].state == "settled"


def test_plain_http_is_not_paid_unless_told(http: Any) -> None:
    with Server(default=Till().step) as server:
        with pytest.raises(PaymentNotMadeError, match="plain http"):
            http(payer(), insecure=False).request("POST", server.url)
        assert len(server.seen) == 1


def test_the_policy_holds(http: Any) -> None:
    with Server(default=Till().step) as server:
        with pytest.raises(PaymentNotMadeError, match="payee"):
            http(payer(policy=SpendingPolicy(recipients=[ADDRESS]))).request("POST", server.url)
        assert len(server.seen) == 1


@pytest.mark.parametrize("broken", [Reset(), Half(), Half(Answer.json({"no": "settlement" * 1000}))])
def test_a_connection_that_breaks_after_the_payment(http: Any, broken: Any) -> None:
    paying = payer()
    with Server(default=Till(then=[broken]).step) as server:
        with pytest.raises(PaymentUncertainError) as caught:
            http(paying).request("GET", server.url)
        assert len(server.seen) == 2
    error = caught.value
    assert (error.payment.state, error.safe_to_retry) == ("uncertain", False)
    assert error.proof is not None
    assert [(kept.nonce, kept.state) for kept in paying.journal.payments()] == [(error.payment.nonce, "uncertain")]


def test_an_answer_that_breaks_after_it_told_of_the_settlement(http: Any) -> None:
    whole = settled({"long": "x" * 10_000})
    paying = payer()
    with (
        Server(default=Till(then=[Half(Answer(200, whole.content, dict(whole.headers)))]).step) as server,
        pytest.raises(PaymentUncertainError, match=TRANSACTION) as caught,
    ):
        http(paying).request("GET", server.url)
    assert caught.value.payment.state == "settled"
    assert [kept.state for kept in paying.journal.payments()] == ["settled"]


def test_a_connection_that_breaks_before_is_the_clients_own_error(http: Any) -> None:
    client = http(payer())
    with pytest.raises(httpx.ConnectError):
        client.request("GET", f"http://127.0.0.1:{closed_port()}")
    with Server(Reset()) as server, pytest.raises(httpx.HTTPError):
        client.request("GET", server.url)


@pytest.mark.parametrize("status", [402, 500])
def test_errors_after_the_payment_come_back_with_it(http: Any, status: int) -> None:
    with Server(default=Till(then=[Reply.json({"e": 1}, status)]).step) as server:
        response = http(payer()).request("GET", server.url)
        assert len(server.seen) == 2
    assert (response.status_code, response.json()) == (status, {"e": 1})
    assert response.extensions["x402"].state == ("refused" if status == 402 else "uncertain")


def test_a_redirect_is_not_paid_for_again(http: Any) -> None:
    """One call, one payment: where a paid answer leads to may ask for as much as it likes."""
    till = Till(then=[Reply(307, {"location": "/elsewhere"}), settled()])
    with Server(default=till.step) as server:
        response = http(payer(), follow_redirects=True).request("POST", server.url)
        assert [seen.target for seen in server.seen] == ["/", "/", "/elsewhere"]
        assert "payment-signature" not in server.seen[2].headers
    assert (response.status_code, len(till.payments)) == (402, 1)


def test_the_same_request_is_paid_for_once(http: Any) -> None:
    till = Till()
    with Server(default=till.step) as server:
        assert [one.status_code for one in http(payer()).sent(server.url, 2)] == [200, 402]
    assert len(till.payments) == 1


@pytest.mark.parametrize("broken", [Reset(), Half()])
def test_the_same_request_is_not_paid_again_after_a_failure(http: Any, broken: Any) -> None:
    till = Till(then=[broken, settled()])
    paying = payer()
    with Server(default=till.step) as server:
        client = http(paying)
        with pytest.raises(PaymentUncertainError) as caught:
            client.again(server.url)
        answer = client.again(server.url)
    assert (answer.status_code, len(till.payments)) == (402, 1)
    assert answer.extensions["x402"].nonce == caught.value.payment.nonce


def test_what_is_no_coding_after_the_payment_is_told_with_it(http: Any) -> None:
    body = settled()
    garbage = Answer(200, b"no gzip at all", {**dict(body.headers), "content-encoding": "gzip"})
    with Server(default=Till(then=[garbage]).step) as server:
        for read in ("request", "streamed"):
            client = http(payer())
            with pytest.raises(PaymentUncertainError, match="DecodingError") as caught:
                client.request("POST", server.url) if read == "request" else client.streamed(server.url)
            assert caught.value.payment.transaction == TRANSACTION


def test_an_answer_that_was_paid_for_is_decoded_as_ever(http: Any) -> None:
    body = settled()
    packed = Answer(200, gzip.compress(body.content), {**dict(body.headers), "content-encoding": "gzip"})
    with Server(default=Till(then=[packed]).step) as server:
        assert http(payer()).request("POST", server.url).json() == SET
        assert json.loads(http(payer()).streamed(server.url)[1]) == SET


def test_a_402_is_looked_at_without_taking_it_away(http: Any) -> None:
    short = Answer.json({"no": "challenge"}, 402)
    long = Answer(402, b"x" * 3_000_000)
    packed = Answer(402, gzip.compress(b"y" * 9), {"content-encoding": "gzip"})
    with Server(short, short, long, packed) as server:
        client = http(payer())
        assert client.request("POST", server.url).json() == {"no": "challenge"}
        assert client.raw(server.url) == short.body
        assert client.streamed(server.url)[1] == long.body
        assert client.request("POST", server.url).content == b"y" * 9


def test_a_402_that_inflates_without_end_takes_no_memory(http: Any) -> None:
    bomb = gzip.compress(json.dumps({"x402Version": 1, "accepts": ["0" * 200_000_000]}).encode())
    assert len(bomb) < 1_000_000
    with Server(Answer(402, bomb, {"content-encoding": "gzip"})) as server:
        client = http(payer())
        tracemalloc.start()
        assert client.raw(server.url) == bomb
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert most < 20_000_000


def test_a_challenge_in_a_coding_that_httpx_alone_knows(http: Any) -> None:
    """Several at once here; with its extras, brotli and zstandard too."""
    asked = challenge(version=1)
    twice = gzip.compress(gzip.compress(asked.content))
    coded_twice = Reply(402, {**asked.headers, "content-encoding": "gzip, gzip"}, twice)
    with Server(default=Till(coded_twice).step) as server:
        assert http(payer()).request("POST", server.url).json() == SET


def test_one_connection_is_enough(http: Any) -> None:
    limits = httpx.Limits(max_connections=1)
    with Server(default=Till().step) as server:
        for _ in range(3):
            inner = (
                httpx.HTTPTransport(limits=limits)
                if http.kind == "blocking"
                else httpx.AsyncHTTPTransport(limits=limits)
            )
            client = http(payer(), inner=inner, timeout=httpx.Timeout(20, pool=3))
            for _ in range(3):
                assert client.request("POST", server.url).json() == SET
        assert server.accepted == 3


def test_a_402_longer_than_any_challenge_is_not_paid(http: Any) -> None:
    long = attrs.evolve(challenge(), content=b" " * 3_000_000)
    till = Till(long)
    with Server(default=till.step) as server:
        answer = http(payer()).request("POST", server.url)
    assert (answer.status_code, len(answer.content), till.payments) == (402, 3_000_000, [])


def test_an_inner_transport_that_has_read_the_answer(http: Any) -> None:
    till = Till(challenge(version=1))

    def handle(request: httpx.Request) -> httpx.Response:
        found = till.step(Seen("POST", "/", tuple(request.headers.multi_items()), request.content, 1))
        return httpx.Response(found.status, headers=dict(found.headers), content=found.body)

    answer = http(payer(), inner=httpx.MockTransport(handle)).request("POST", "https://x.test/")
    assert (answer.json(), answer.extensions["x402"].state, len(till.payments)) == (SET, "settled", 1)


def _read_before(response: httpx.Response) -> httpx.Response:
    response.read()
    return response


async def _read_before_async(response: httpx.Response) -> httpx.Response:
    await response.aread()
    return response


class _Drops(httpx.BaseTransport):
    """As transports that count bytes do it: the body is gone before anyone has looked at it."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = httpx.Response(402, stream=httpx.ByteStream(b"{}"))
        for _ in answer.iter_raw():
            pass
        return answer


def test_a_402_whose_body_is_gone_comes_back_as_it_is() -> None:
    client = httpx.Client(transport=payer().transport(_Drops()))
    answer = client.send(client.build_request("GET", "https://x.test/"), stream=True)
    assert answer.status_code == 402
    with pytest.raises(httpx.StreamConsumed):
        answer.read()


class _Reads(httpx.HTTPTransport):
    """As transports that log or cache do it."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return _read_before(super().handle_request(request))


class _ReadsAsync(httpx.AsyncHTTPTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await _read_before_async(await super().handle_async_request(request))


@pytest.mark.parametrize("version", [1, 2])
def test_a_transport_below_that_reads_whole_answers(http: Any, version: int) -> None:
    with Server(default=Till(challenge(version=version)).step) as server:
        client = http(payer(), inner=_Reads() if http.kind == "blocking" else _ReadsAsync(), timeout=5)
        answer = client.request("POST", server.url)
    assert (answer.json(), answer.extensions["x402"].state) == (SET, "settled")


def test_two_at_once_of_the_same_request_are_paid_for_once() -> None:
    till = Till()

    async def go(url: str) -> list[httpx.Response]:
        transport = payer().async_transport(allow_insecure_http=True)
        async with httpx.AsyncClient(transport=transport) as client:
            request = client.build_request("POST", url)
            return list(await asyncio.gather(*(client.send(request) for _ in range(5))))

    with Server(default=till.step) as server:
        answers = asyncio.run(go(server.url))
    assert sorted(answer.status_code for answer in answers) == [200, 402, 402, 402, 402]
    assert len(till.payments) == 1


def test_what_was_not_paid_can_be_tried_again(http: Any) -> None:
    """The policy says no, then yes: the same request."""
    answers = iter([False, True])
    policy = SpendingPolicy(ask_above=1, ask=lambda _one: next(answers))
    till = Till()
    with Server(default=till.step) as server:
        client = http(payer(policy=policy))
        with pytest.raises(PaymentNotMadeError):
            client.again(server.url)
        assert client.again(server.url).json() == SET
    assert len(till.payments) == 1


def test_where_a_paid_answer_leads_the_payment_is_told(http: Any) -> None:
    till = Till(then=[Reply(303, {"location": "/free"})])
    with Server(default=lambda seen: Answer(200) if seen.target == "/free" else till.step(seen)) as server:
        answer = http(payer(), follow_redirects=True).request("POST", server.url)
    assert (answer.status_code, answer.extensions["x402"].amount) == (200, 100_000)


def test_a_paid_answer_that_is_pickled_leaves_the_proof_behind(http: Any) -> None:
    with Server(default=Till().step) as server:
        answer = http(payer()).request("POST", server.url)
    proof = answer.extensions["x402"].proof.value
    kept = pickle.dumps(answer)
    assert str.__str__(proof).encode() not in kept
    assert pickle.loads(kept).json() == SET


def test_a_call_that_is_given_up_while_its_end_is_written_frees_its_connection() -> None:
    class Slow(MemoryJournal):
        def end(self, payment: Any) -> None:
            time.sleep(0.3)

    async def go(url: str) -> int:
        inner = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=1))
        transport = payer(journal=Slow()).async_transport(inner, allow_insecure_http=True)
        async with httpx.AsyncClient(transport=transport, timeout=httpx.Timeout(10, pool=2)) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.15):
                    await client.post(url)
            return (await client.post(url)).status_code

    with Server(default=Till(then=[settled({"long": "x" * 300_000})]).step) as server:
        assert asyncio.run(go(server.url)) == 200


def test_a_download_over_a_client_that_pays_is_paid_for_once(tmp_path: Path) -> None:
    till = Till(then=[Reply.json({"e": 1}, 503)])
    with Server(default=till.step) as server:
        below = BlockingHttp(payer())
        keys = {"prj_1": {"anon_key": "ANON", "service_key": "SVC"}}
        credentials = MemoryCredentials(keys)
        run402 = Run402(
            api_base=server.url, credentials=credentials, allow_insecure_http=True, http_client=below.client
        )
        with pytest.raises(Run402Error) as caught:
            run402.blobs.download("prj_1", "a.txt", tmp_path / "a.txt")
        below.close()
    assert len(till.payments) == 1
    assert caught.value.payment is not None
    assert not is_retryable_run402_error(caught.value)


@pytest.mark.parametrize("extensions", [None, [], {"x402": {"nonce": "0x"}}, {"x402": object()}, {}])
def test_what_others_call_extensions_is_no_payment(extensions: Any) -> None:
    class Own:
        def request(self, _method: str, _url: str, **_told: Any) -> Any:
            quote = {"tiers": {}}
            headers = {"content-type": "application/json"}
            content = json.dumps(quote).encode()
            return SimpleNamespace(status_code=200, headers=headers, content=content, extensions=extensions)

        def close(self) -> None:
            pass

    run402 = Run402(api_base="https://x.test", credentials=wallet(), http_client=Own())
    assert run402.projects.get_quote().tiers is not None


@pytest.mark.parametrize("then", [settled(), Reply.json({"e": 1}, 402), Reply.json({"e": 1}, 503)])
def test_a_client_that_pays_below_is_not_paid_for_above(http: Any, then: Reply) -> None:
    """Run402 over an HTTP client that pays by itself: one payment, and nothing is sent again after it."""
    till = Till(then=[then])
    paying = payer()
    with Server(default=till.step) as server:
        below = http(paying)
        options: Any = {
            "api_base": server.url,
            "credentials": wallet(),
            "allow_insecure_http": True,
            "http_client": below.client,
            "payments": paying,
        }

        def go() -> Any:
            if below.name == "blocking":
                return Run402(**options).projects.get_quote()
            return below.runner.run(AsyncRun402(**options).projects.get_quote())

        with pytest.raises(Run402Error) as caught:  # the answer is no quote
            go()
    assert len(till.payments) == len([*paying.journal.payments()]) == 1
    record = caught.value.payment
    assert record is not None
    assert record.state == {200: "settled", 402: "refused", 503: "uncertain"}[then.status_code]
    assert not is_retryable_run402_error(caught.value)


@pytest.mark.parametrize("offers", [1, 2])
def test_a_client_on_trio(offers: int) -> None:
    till = Till(challenge(*[offer(), on_base()][:offers]))
    held = SimpleNamespace(balance=lambda network, _asset, _address: 0 if network == BASE_SEPOLIA else 10**9)
    paying = payer(balances=held) if offers == 2 else payer()

    async def go(url: str) -> httpx.Response:
        async with httpx.AsyncClient(transport=paying.async_transport(allow_insecure_http=True)) as client:
            return await client.post(url)

    with Server(default=till.step) as server:
        answer = trio.run(go, server.url)
    assert (answer.json(), len(till.payments)) == (SET, 1)
    assert answer.extensions["x402"].network == (BASE_SEPOLIA if offers == 1 else BASE)


def test_generated_functions_over_the_plain_client(http: Any) -> None:
    with Server(default=Till().step) as server:
        made = http(payer(), base_url=server.url)
        if made.name == "blocking":
            client = Client(base_url=server.url).set_httpx_client(made.client)
            answer = tier_set.sync_detailed("hobby", body={}, client=client)
        else:
            client = Client(base_url=server.url).set_async_httpx_client(made.client)
            answer = made.runner.run(tier_set.asyncio_detailed("hobby", body={}, client=client))
    assert (answer.status_code, answer.parsed.action) == (200, "upgrade")


def test_only_some_addresses() -> None:
    with Server(default=Till().step) as one, Server(default=Till().step) as other:
        mounts = {one.url: payer().transport(httpx.HTTPTransport(), allow_insecure_http=True)}
        with httpx.Client(mounts=mounts) as client:
            assert client.get(one.url).status_code == 200
            assert client.get(other.url).status_code == 402


def test_malformed_challenges_come_back_as_they_are(http: Any) -> None:
    odd = [coded(5), coded({"x402Version": 2}), "%%%", coded({"x402Version": 3, "accepts": []}), "é", ""]
    answers = [Answer(402, b"[" * 50_000, {"payment-required": value}) for value in odd]
    with Server(*answers) as server:
        client = http(payer())
        assert {client.request("GET", server.url).status_code for _ in odd} == {402}
