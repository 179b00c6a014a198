"""A server built with the official x402 package, paid by ours: over real sockets, verified by the official code.

What settles is the official facilitator too; in the place of a chain stands a book of nonces and balances.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import attrs
import httpx
import pytest
import uvicorn
from eth_account import Account
from fastapi import FastAPI, Request, Response
from x402 import x402Facilitator, x402ResourceServer
from x402.http.middleware.fastapi import payment_middleware
from x402.http.utils import decode_payment_signature_header
from x402.mechanisms.evm.exact.facilitator import ExactEvmScheme as Facilitates
from x402.mechanisms.evm.exact.server import ExactEvmScheme as Serves
from x402.mechanisms.evm.exact.v1.facilitator import ExactEvmSchemeV1 as FacilitatesV1
from x402.mechanisms.evm.types import TransactionReceipt
from x402.schemas.v1 import PaymentRequiredV1, PaymentRequirementsV1

from support.run402_wallet import ADDRESS, KEY, OTHER_ADDRESS
from tollkit.run402.errors import PaymentNotMadeError
from tollkit.run402.payments import MemoryJournal, SpendingPolicy, X402Payer
from tollkit.run402.signer import AccountSigner, PrivateKeySigner
from tollkit.run402.x402 import BASE, BASE_SEPOLIA


@attrs.define
class Chain:
    """What the official facilitator asks a node; transfers are carried out once."""

    balance: int = 10_000_000
    nonces: list[str] = attrs.field(factory=list[str])

    def get_addresses(self) -> list[str]:
        return [OTHER_ADDRESS]

    def get_code(self, address: str) -> bytes:
        return b"" if address.lower() == ADDRESS.lower() else b"\x60"

    def get_chain_id(self) -> int:
        return 84532

    def get_balance(self, address: str, token_address: str) -> int:
        return self.balance

    def read_contract(self, address: str, abi: Any, function_name: str, *args: Any) -> Any:
        if function_name == "transferWithAuthorization":
            self._check(args)
            return None
        if function_name == "balanceOf":
            return self.balance
        raise RuntimeError(f"execution reverted: {function_name}")

    def _check(self, args: Any) -> None:
        if args[5].hex() in self.nonces:
            raise RuntimeError("execution reverted: FiatTokenV2: authorization is used or canceled")
        if args[2] > self.balance:
            raise RuntimeError("execution reverted: ERC20: transfer amount exceeds balance")

    def write_contract(self, address: str, abi: Any, function_name: str, *args: Any, **_more: Any) -> str:
        self._check(args)
        self.nonces.append(args[5].hex())
        self.balance -= args[2]
        return "0x" + f"{len(self.nonces):064x}"

    def wait_for_transaction_receipt(self, tx_hash: str) -> TransactionReceipt:
        return TransactionReceipt(status=1, block_number=1, tx_hash=tx_hash, logs=None)


def routes(**prices: Any) -> dict[str, Any]:
    return {
        f"POST /{name}": {
            "accepts": [
                {"scheme": "exact", "payTo": OTHER_ADDRESS, "price": price, "network": network}
                for network, price in offers
            ],
            "description": f"This is {name}",
        }
        for name, offers in prices.items()
    }


@attrs.define
class Shop:
    """The running server."""

    url: str
    chain: Chain
    facilitator: Any
    seen: list[dict[str, str]]


@pytest.fixture(scope="module")
def running() -> Iterator[Shop]:
    chain = Chain()
    facilitator = x402Facilitator()
    facilitator.register([BASE_SEPOLIA, BASE], Facilitates(chain))
    facilitator.register_v1(["base-sepolia"], FacilitatesV1(chain))
    server = x402ResourceServer(facilitator)
    server.register(BASE_SEPOLIA, Serves())
    server.register(BASE, Serves())
    app = FastAPI()
    seen: list[dict[str, str]] = []
    sold = routes(
        cheap=[(BASE_SEPOLIA, "$0.01")],
        either=[(BASE, "$0.01"), (BASE_SEPOLIA, "$0.02")],
        dear=[(BASE_SEPOLIA, "$5.00")],
        broken=[(BASE_SEPOLIA, "$0.01")],
    )
    guard = payment_middleware(sold, server)

    @app.middleware("http")
    async def paid(request: Request, call_next: Any) -> Any:
        seen.append(dict(request.headers))
        return await guard(request, call_next)

    @app.post("/broken")
    async def broken() -> Any:
        return Response(status_code=500)

    @app.post("/{name}")
    async def thing(name: str, request: Request) -> Any:
        return {"name": name, "body": (await request.body()).decode()}

    listening = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    socket = listening.config.bind_socket()
    thread = threading.Thread(target=listening.run, kwargs={"sockets": [socket]})
    thread.start()
    yield Shop(f"http://127.0.0.1:{socket.getsockname()[1]}", chain, facilitator, seen)
    listening.should_exit = True
    thread.join()
    socket.close()


@pytest.fixture
def shop(running: Shop) -> Shop:
    running.chain.balance = 10_000_000
    running.chain.nonces.clear()
    running.seen.clear()
    return running


def payer(**changes: Any) -> X402Payer:
    return X402Payer(**{"signer": PrivateKeySigner(KEY), "journal": MemoryJournal(), **changes})


def post(paying: X402Payer, url: str, **told: Any) -> httpx.Response:
    with httpx.Client(transport=paying.transport(allow_insecure_http=True)) as client:
        return client.post(url, **told)


@pytest.mark.parametrize("signer", [PrivateKeySigner(KEY), AccountSigner(Account.from_key(KEY))], ids=repr)
def test_ours_pays_a_server_of_theirs(shop: Shop, signer: Any) -> None:
    paying = payer(signer=signer)
    response = post(paying, f"{shop.url}/cheap", content=b"hello")
    assert (response.status_code, response.json()) == (200, {"name": "cheap", "body": "hello"})
    record = response.extensions["x402"]
    assert (record.state, record.amount, record.payee) == ("settled", 10_000, OTHER_ADDRESS)
    assert [f"0x{nonce}" for nonce in shop.chain.nonces] == [record.nonce]
    assert (len(shop.seen), shop.chain.balance) == (2, 9_990_000)
    theirs = decode_payment_signature_header(shop.seen[1]["payment-signature"])
    assert theirs.payload["authorization"]["nonce"] == record.nonce
    assert [kept.transaction for kept in paying.journal.payments()] == [record.transaction]


def test_ours_pays_a_server_of_theirs_from_coroutines(shop: Shop) -> None:
    async def go() -> list[httpx.Response]:
        transport = payer().async_transport(allow_insecure_http=True)
        async with httpx.AsyncClient(transport=transport) as client:
            return await asyncio.gather(*(client.post(f"{shop.url}/cheap") for _ in range(8)))

    answers = asyncio.run(go())
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.extensions["x402"].nonce for answer in answers}) == len(shop.chain.nonces) == 8


def test_the_one_that_can_be_afforded(shop: Shop) -> None:
    balances = SimpleNamespace(balance=lambda network, _asset, _address: 0 if network == BASE else 20_000)
    response = post(payer(balances=balances), f"{shop.url}/either")
    record = response.extensions["x402"]
    assert (record.network, record.amount, record.state) == (BASE_SEPOLIA, 20_000, "settled")


def test_the_policy_reads_what_theirs_asks(shop: Shop) -> None:
    asked: list[Any] = []
    paying = payer(policy=SpendingPolicy(ask=lambda one: bool(asked.append(one))))
    with pytest.raises(PaymentNotMadeError, match="5 USDC"):
        post(paying, f"{shop.url}/dear")
    assert (asked[0].amount, asked[0].description) == (5_000_000, "This is dear")
    assert len(shop.seen) == 1


def test_theirs_refuses_what_is_not_covered(shop: Shop) -> None:
    shop.chain.balance = 5
    response = post(payer(), f"{shop.url}/cheap")
    assert (response.status_code, len(shop.seen)) == (402, 2)
    record = response.extensions["x402"]
    assert (record.state, bool(record.reason)) == ("refused", True)


def test_theirs_refuses_what_is_too_old(shop: Shop) -> None:
    response = post(payer(clock=lambda: 1_000_000.0), f"{shop.url}/cheap")
    assert (response.status_code, response.extensions["x402"].state) == (402, "refused")
    assert "valid_before" in response.extensions["x402"].reason


def test_theirs_fails_after_the_payment(shop: Shop) -> None:
    response = post(payer(), f"{shop.url}/broken")
    assert (response.status_code, len(shop.seen)) == (500, 2)
    assert response.extensions["x402"].state == "uncertain"
    assert not shop.chain.nonces


def test_what_was_paid_cannot_be_paid_again(shop: Shop) -> None:
    """The proof that an error carries is worth nothing once it was carried out."""
    response = post(payer(), f"{shop.url}/cheap")
    proof = response.extensions["x402"].proof
    again = httpx.post(f"{shop.url}/cheap", headers={proof.header: str(proof.value)})
    assert (again.status_code, len(shop.chain.nonces)) == (402, 1)


def test_their_facilitator_takes_version_1(shop: Shop) -> None:
    wanted = PaymentRequirementsV1(
        scheme="exact",
        network="base-sepolia",
        max_amount_required="10000",
        resource=f"{shop.url}/cheap",
        pay_to=OTHER_ADDRESS,
        max_timeout_seconds=60,
        asset="0x036CbD53842c5426634e7929541eC2318f3dCF7e",
        extra={"name": "USDC", "version": "2"},
    )
    asked = PaymentRequiredV1(error="pay", accepts=[wanted]).model_dump(by_alias=True, exclude_none=True)
    taken: list[Any] = []

    def till(request: httpx.Request) -> httpx.Response:
        header = request.headers.get("x-payment")
        if header is None:
            return httpx.Response(402, json=asked)
        taken.append(decode_payment_signature_header(header))
        return httpx.Response(200)

    with httpx.Client(transport=payer().transport(httpx.MockTransport(till))) as client:
        assert client.get("https://shop.test/cheap").status_code == 200
    verified = asyncio.run(shop.facilitator.verify(taken[0], wanted))
    assert (verified.is_valid, verified.payer) == (True, ADDRESS)
    settled = asyncio.run(shop.facilitator.settle(taken[0], wanted))
    assert (settled.success, len(shop.chain.nonces)) == (True, 1)
