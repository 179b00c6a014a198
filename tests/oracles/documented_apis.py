"""The documents under specs/ with what the sandbox needs for each of their operations: a request that succeeds.

The sandbox's own tests know a way to each operation's success. Such a way is walked here as far as its last request,
which is held back: the sandbox is then in the state that the operation needs, and the request tells ids, credentials
and a body that fit. What schemathesis makes is mixed with these, for a made-up id alone leads nowhere.
"""

from __future__ import annotations

import base64
import json
import re
import ssl
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import attrs
import httpx
import yaml

from tollkit.sandbox import Sandbox, TokeniteSandbox

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "sandbox"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "sandbox" / "run402"))

import cases_rest
import test_sandbox_follows_specs as pymthouse
import test_sandbox_tokenite_follows_specs as tokenite
from run402_answers import all_cases
from run402_caller import OTHER, SIGNER
from run402_caller import Caller as Run402Caller
from sandbox_caller import Caller as PymtHouseCaller
from test_sandbox_run402_ci import exchange
from tokenite_flow import Visitor

from tollkit.run402.signer import Signer
from tollkit.run402.siwx import HEADER
from tollkit.run402.x402 import read_challenge

ROOT = Path(__file__).resolve().parents[2]
Way = Callable[[Sandbox, httpx.Client], object]
METHODS = ("get", "put", "post", "delete", "options", "head", "patch")
# What a request says of itself, and not of the call.
_PLUMBING = {"host", "accept", "accept-encoding", "connection", "user-agent", "content-length", "cookie"}
_TRUSTS_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_CREDENTIALS = {"authorization", "apikey", HEADER.lower()}


class Held(Exception):
    """The request that a way would have succeeded with."""

    def __init__(self, request: httpx.Request) -> None:
        super().__init__(f"held back: {request.method} {request.url}")
        self.request = request


@attrs.frozen
class Request:
    """A request that succeeds, in the parts that a document names.

    Attributes:
        credentials: One set of headers for each way to be let in.
    """

    path: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: object
    credentials: Sequence[Mapping[str, str]]


@attrs.frozen
class Operation:
    """An operation of a document, and the way to its success."""

    api: str
    id: str
    method: str
    path: str
    base: Callable[[Sandbox], str]
    way: Way
    may_be_open: bool
    """Whether it answers without credentials."""

    def prepare(self, sandbox: Sandbox) -> Request:
        """Bring a sandbox that has been reset into the state that the operation needs."""
        base = self.base(sandbox)
        pattern = re.compile(_pattern(urlsplit(base).path + self.path))

        def hold(request: httpx.Request) -> None:
            if request.method.lower() == self.method and pattern.fullmatch(_raw_path(request)):
                raise Held(request)

        with plain_client(sandbox, event_hooks={"request": [hold]}) as http:
            try:
                self.way(sandbox, http)
            except Held as held:
                found = held.request
            else:
                raise AssertionError(f"the way to {self.id} did not call it")
        matched = pattern.fullmatch(_raw_path(found))
        assert matched
        sent = {name: value for name, value in found.headers.items() if name not in _PLUMBING}
        credentials = {name: value for name, value in sent.items() if name in _CREDENTIALS}
        return Request(
            path={name: unquote(value) for name, value in matched.groupdict().items()},
            query=dict(parse_qsl(found.url.query.decode("ascii"), keep_blank_values=True)),
            headers={name: value for name, value in sent.items() if name not in _CREDENTIALS},
            body=_body(found),
            credentials=[credentials, *self._alternatives(sandbox, credentials)],
        )

    def _alternatives(self, sandbox: Sandbox, usual: Mapping[str, str]) -> list[dict[str, str]]:
        """Credentials of the other schemes: a user's token at PymtHouse, a workflow's session at Run402."""
        if self.api == "builder" and self.path.endswith("/users"):
            with plain_client(sandbox) as http:
                caller = PymtHouseCaller(http, sandbox.pymthouse)
                sandbox.pymthouse.seed_user("carol")
                scope = "users:read users:write"
                token = caller.post("/users/carol/token", json={"scope": scope}).json()["access_token"]
            return [{"authorization": f"Bearer {token}"}]
        if self.api == "run402" and self.path.startswith(("/deploy/v2/plans", "/deploy/v2/operations/", "/content/")):
            with plain_client(sandbox) as http:
                caller = Run402Caller(http, sandbox.run402)
                project = sandbox.run402.gateway.projects_of(SIGNER.address)[0]
                sandbox.run402.ci.bind(project.id, "repo:octo-org/octo-repo:*")
                told = exchange(caller, project.id, sandbox.run402.github.token()).json()
            return [{"authorization": f"Bearer {told['access_token']}"}]
        return []


def plain_client(sandbox: Sandbox, **options: Any) -> httpx.Client:
    """A client of the sandbox; it reads no certificates, which takes longer than most calls here."""
    return httpx.Client(base_url=sandbox.url, verify=_TRUSTS_NOBODY, trust_env=False, **options)


def fresh(credentials: Mapping[str, str], sandbox: Sandbox, url: str) -> dict[str, str]:
    """Credentials for a request: a wallet signs for each path anew, and each signature is good once."""
    found = dict(credentials)
    if (signed := found.pop(HEADER.lower(), None)) is not None:
        with plain_client(sandbox) as http:
            path = url.removeprefix(sandbox.run402.api_base)
            found |= Run402Caller(http, sandbox.run402).signed(path, _signer(signed))
    return found


def payment(sandbox: Sandbox, status: int, headers: Mapping[str, str], content: bytes) -> dict[str, str]:
    """The headers that pay a price that was asked; none when none was."""
    if status != 402 or read_challenge(headers, content) is None:
        return {}
    sandbox.run402.fund(SIGNER.address, 5_000_000)
    with plain_client(sandbox) as http:
        return Run402Caller(http, sandbox.run402).payment(httpx.Response(402, headers=headers, content=content))


def _signer(signed: str) -> Signer:
    told = json.loads(base64.b64decode(signed))
    return next(one for one in (SIGNER, OTHER) if told["address"] == one.address)


def _pattern(path: str) -> str:
    return re.sub(
        r"\\\{(\w+)\\\}",
        lambda name: f"(?P<{name[1]}>{'.+' if name[1] in ('key', 'path') else '[^/]+'})",
        re.escape(path),
    )


def _raw_path(request: httpx.Request) -> str:
    return request.url.raw_path.decode("ascii").partition("?")[0]


def _body(request: httpx.Request) -> object:
    content = request.content
    if not content:
        return None
    try:
        return json.loads(content)
    except ValueError:
        return content.decode("utf-8")


# ---------------------------------------------------------------- the ways


def _pymthouse_ways() -> dict[str, Way]:
    def walk(sandbox: Sandbox, http: httpx.Client, way: pymthouse.Way) -> None:
        platform = sandbox.pymthouse
        platform.demo_data()
        platform.add_discovery_profile("Fast", {"topN": 3, "sortBy": "latency"}, capabilities=[("llm", "m")])
        way(pymthouse.Provoker(PymtHouseCaller(http, platform)))

    found: dict[str, Way] = {}
    for name, ways in pymthouse.WAYS.items():
        way = ways["200"][0]
        found[name] = lambda sandbox, http, way=way: walk(sandbox, http, way)  # type: ignore[misc]
    return found


@attrs.frozen
class _Desk:
    """The admin API of Tokenite, with a key."""

    http: httpx.Client
    platform: TokeniteSandbox

    def send(self, method: str, path: str, body: object = None, account: str | None = None) -> Any:
        headers = {"authorization": f"Bearer {self.platform.api_key}"}
        if account is not None:
            headers["x-account-id"] = account
        answer = self.http.request(method, self.platform.proxy_base + path, json=body, headers=headers)
        return answer.json() if answer.content else None

    def business(self) -> str:
        return str(self.send("POST", "/api/accounts", {"name": "Engines"})["id"])

    def with_account(self, method: str, tail: str = "", body: object = None) -> None:
        account = self.business()
        self.send(method, f"/api/accounts/{account}{tail}", body, account)

    def invited(self, account: str) -> Any:
        body = {"email": "grace@example.com", "role": "member"}
        return self.send("POST", f"/api/accounts/{account}/invitations", body, account)

    def with_invitation(self, method: str) -> None:
        account = self.business()
        self.send(method, f"/api/accounts/{account}/invitations/{self.invited(account)['id']}", None, account)

    def member(self, account: str) -> tuple[str, str]:
        """A further member: its id, and its key."""
        joined = {"email": "grace@example.com", "password": "correct horse battery"}
        session = self.http.post(f"{self.platform.proxy_base}/api/auth/register", json=joined).json()
        token = urlsplit(self.invited(account)["claimUrl"]).query.removeprefix("token=")
        headers = {"authorization": f"Bearer {session['token']}"}
        url = f"{self.platform.proxy_base}/api/invitations/claim"
        assert self.http.post(url, json={"token": token}, headers=headers).is_success
        return session["userId"], session["token"]

    def with_member(self, method: str, body: object = None) -> None:
        account = self.business()
        self.send(method, f"/api/accounts/{account}/members/{self.member(account)[0]}", body, account)

    def leave(self) -> None:
        account = self.business()
        headers = {"authorization": f"Bearer {self.member(account)[1]}", "x-account-id": account}
        self.http.post(f"{self.platform.proxy_base}/api/accounts/{account}/leave", headers=headers)

    def claim(self) -> None:
        joined = {"email": "grace@example.com", "password": "correct horse battery"}
        session = self.http.post(f"{self.platform.proxy_base}/api/auth/register", json=joined).json()
        token = urlsplit(self.invited(self.business())["claimUrl"]).query.removeprefix("token=")
        headers = {"authorization": f"Bearer {session['token']}"}
        self.http.post(f"{self.platform.proxy_base}/api/invitations/claim", json={"token": token}, headers=headers)

    def sign_in(self, path: str, email: str, password: str) -> None:
        self.http.post(f"{self.platform.proxy_base}/api/auth/{path}", json={"email": email, "password": password})

    def with_token(self, method: str) -> None:
        self.send(method, "/api/auth/tokens/" + self.send("POST", "/api/auth/tokens", {"name": "deploy"})["id"])

    def with_app(self, method: str, tail: str = "", body: object = None) -> None:
        self.send(method, f"/api/apps/{self.platform.client_id}{tail}", body)

    def with_key(self, method: str) -> None:
        made = self.send("POST", "/api/keys", {"provider": "openai", "apiKey": "sk-secret"})
        self.send(method, f"/api/keys/{made['id']}")

    def with_connection(self, method: str, tail: str = "", body: object = None) -> None:
        self.platform.demo_data()
        token = self.platform.grant()
        self.platform.spend(token, cost="0.10")
        self.send(method, f"/api/connections/{self.platform.connection(token).id}{tail}", body)

    def spending(self) -> None:
        self.platform.demo_data()
        self.send("GET", "/api/spending")


_APP = {"name": "Poems", "callbackUrl": "https://poems.example/back"}
_DESK: dict[str, Callable[[_Desk], object]] = {
    "register": lambda at: at.sign_in("register", "grace@example.com", "correct horse battery"),
    "login": lambda at: at.sign_in("login", at.platform.owner_email, "sandbox-password"),
    "getMe": lambda at: at.send("GET", "/api/auth/me"),
    "createToken": lambda at: at.send("POST", "/api/auth/tokens", {"name": "deploy"}),
    "listTokens": lambda at: at.send("GET", "/api/auth/tokens"),
    "revokeToken": lambda at: at.with_token("DELETE"),
    "listAccounts": lambda at: at.send("GET", "/api/accounts"),
    "createAccount": lambda at: at.send("POST", "/api/accounts", {"name": "Engines"}),
    "getAccount": lambda at: at.with_account("GET"),
    "updateAccount": lambda at: at.with_account("PATCH", body={"poolBudgetLimitUsd": 50}),
    "deleteAccount": lambda at: at.with_account("DELETE"),
    "inviteMember": lambda at: at.with_account("POST", "/invitations", {"email": "a@example.com", "role": "member"}),
    "listInvitations": lambda at: at.with_account("GET", "/invitations"),
    "cancelInvitation": lambda at: at.with_invitation("DELETE"),
    "listMembers": lambda at: at.with_account("GET", "/members"),
    "updateMember": lambda at: at.with_member("PATCH", {"monthlyCapUsd": 25}),
    "removeMember": lambda at: at.with_member("DELETE"),
    "leaveAccount": lambda at: at.leave(),
    "claimInvitation": lambda at: at.claim(),
    "createApp": lambda at: at.send("POST", "/api/apps", _APP),
    "listApps": lambda at: at.send("GET", "/api/apps"),
    "getApp": lambda at: at.with_app("GET"),
    "updateApp": lambda at: at.with_app("PATCH", body={"name": "Odes"}),
    "deleteApp": lambda at: at.with_app("DELETE"),
    "rotateAppSecret": lambda at: at.with_app("POST", "/rotate-secret"),
    "addKey": lambda at: at.send("POST", "/api/keys", {"provider": "openai", "apiKey": "sk-secret"}),
    "listKeys": lambda at: at.send("GET", "/api/keys"),
    "removeKey": lambda at: at.with_key("DELETE"),
    "authorizeApp": lambda at: at.send(
        "POST",
        "/api/oauth/authorize",
        {"client_id": at.platform.client_id, "redirect_uri": at.platform.redirect_uri, "budget_limit": 5},
    ),
    "listConnections": lambda at: at.platform.demo_data() and at.send("GET", "/api/connections"),
    "getConnectionStats": lambda at: at.with_connection("GET", "/stats"),
    "setConnectionBudget": lambda at: at.with_connection("PATCH", "/budget", {"budgetLimit": 7}),
    "suspendConnection": lambda at: at.with_connection("POST", "/suspend"),
    "resumeConnection": lambda at: at.with_connection("POST", "/resume"),
    "revokeConnection": lambda at: at.with_connection("DELETE"),
    "listSpending": lambda at: at.spending(),
}


def _tokenite_ways(version: str) -> dict[str, Way]:
    found: dict[str, Way] = {}
    for name, ways in tokenite.WAYS.items():
        way = ways["200"][0]

        def visit(sandbox: Sandbox, http: httpx.Client, way: tokenite.Way = way) -> None:
            sandbox.tokenite.set_access_context_version(version)  # type: ignore[arg-type]
            way(Visitor(http, sandbox.tokenite))

        found[name] = visit
    for name, call in _DESK.items():
        found[name] = lambda sandbox, http, call=call: call(_Desk(http, sandbox.tokenite))  # type: ignore[misc]
    return found


def _run402_ways() -> dict[str, Way]:
    found: dict[str, Way] = {}
    for name, status, way in all_cases():
        if status < 300 and name not in found:
            chosen = cases_rest.USUAL.get(name, way)
            found[name] = lambda sandbox, http, way=chosen: way(Run402Caller(http, sandbox.run402))  # type: ignore[misc]
    return found


# ---------------------------------------------------------------- the documents

# Of 1.0 the sandbox has the access context; everything else is as in 2.4, and shown there.
DOCUMENTS: dict[str, tuple[str, Callable[[Sandbox], str], Mapping[str, Way]]] = {
    "builder": ("builder/v2026_05", lambda sandbox: sandbox.url, _pymthouse_ways()),
    "usage": ("usage/v2026_05", lambda sandbox: sandbox.url, _pymthouse_ways()),
    "tokenite": ("tokenite/v2_4", lambda sandbox: sandbox.tokenite.proxy_base, _tokenite_ways("2.4")),
    "tokenite_1": ("tokenite/v1_0", lambda sandbox: sandbox.tokenite.proxy_base, _tokenite_ways("1.0")),
    "run402": ("run402/v1_57", lambda sandbox: sandbox.run402.api_base, _run402_ways()),
}
_SHOWN_OF_1_0 = {"getAccessContext"}
# The pages are of Tokenite's own origin, which is not the proxy's.
_PAGES = {"getAuthorizePage", "getTopUpPage", "exchangeCode"}


@cache
def document(api: str) -> dict[str, Any]:
    """The document of an API, its open enumerations open: "Others pass as texts", which JSON Schema cannot say."""
    text = (ROOT / "specs" / f"{DOCUMENTS[api][0]}.yaml").read_text("utf-8")
    loaded: dict[str, Any] = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    for schema in loaded["components"]["schemas"].values():
        if "Others pass as texts." in schema.get("description", ""):
            del schema["enum"]
    return loaded


def operations() -> list[Operation]:
    """Every operation of every document that the sandbox serves."""
    found: list[Operation] = []
    for api, (_, base, ways) in DOCUMENTS.items():
        told = document(api)
        for path, item in told["paths"].items():
            for method in METHODS:
                if method not in item or (api == "tokenite_1" and item[method]["operationId"] not in _SHOWN_OF_1_0):
                    continue
                name = item[method]["operationId"]
                security = item[method].get("security", told.get("security", []))
                of_pages: Callable[[Sandbox], str] = lambda sandbox: sandbox.tokenite.base_url  # noqa: E731
                at = of_pages if name in _PAGES else base
                found.append(Operation(api, name, method, path, at, ways[name], not security or {} in security))
    return found
