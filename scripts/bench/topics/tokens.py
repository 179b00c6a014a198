"""The issuer: its document and a token, cold and warm; tokens checked; a manifest that has not changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
from joserfc import jwt
from joserfc.jwk import KeySet
from scripts.bench import peers
from scripts.bench.figures import Aim, Figure, ratio_of
from scripts.bench.measure import Compared, Sizes, medians, repeated

from tollkit import Connection, PymtHouse
from tollkit.sandbox import Sandbox

METHOD = "CPU time of the client's process; both take turns in each round; median of the rounds"
BARE = "bare httpx"
TWENTY = ratio_of(1.20, "<= 1.20 of bare httpx")


def figures(sizes: Sizes) -> Iterator[Figure]:
    """All of them."""
    with peers.fixed_server() as origin:
        yield from _tokens(origin, sizes)
        yield _manifest(origin, sizes)
    yield _verification(sizes)


def _figure(
    name: str, title: str, unit: str, scale: float, found: Compared, method: str, aim: Aim | None = None
) -> Figure:
    return Figure(
        topic="tokens", name=name, title=title, unit=unit, ours=found["ours"] * scale, peer_name=BARE,
        peer=found["peer"] * scale, ratio=found.ratio("ours", "peer"), aim=aim, method=method,
    )  # fmt: skip


def _client(origin: str) -> PymtHouse:
    return PymtHouse(**peers.settings(origin), connection=Connection(engine="httpx"))


def _ask(client: httpx.Client, url: str) -> Any:
    form = {"grant_type": "client_credentials", "scope": "sign:job"}
    return client.post(url, data=form, auth=(peers.M2M, peers.SECRET)).json()


def _tokens(origin: str, sizes: Sizes) -> Iterator[Figure]:
    document = f"{origin}/api/v1/oidc/.well-known/openid-configuration"

    def cold() -> None:
        with _client(origin) as client:
            client.issue_machine_access_token()

    def cold_peer() -> None:
        with httpx.Client() as client:
            _ask(client, client.get(document).json()["token_endpoint"])

    starts = max(1, sizes.calls // 20)
    found = medians({"ours": repeated(cold, starts), "peer": repeated(cold_peer, starts)}, sizes.rounds)
    yield _figure(
        "cold", "new client, discovery and token", "ms", 1e3 / starts, found,
        f"{METHOD}; a client made and closed each time, which for both is mostly certificates",
    )  # fmt: skip
    with _client(origin) as client, httpx.Client() as bare:
        endpoint = bare.get(document).json()["token_endpoint"]
        works = {
            "ours": repeated(lambda: client.issue_machine_access_token(force=True), sizes.calls),
            "peer": repeated(lambda: _ask(bare, endpoint), sizes.calls),
        }
        found = medians(works, sizes.rounds)
        yield _figure("warm", "token asked anew, issuer known", "µs", 1e6 / sizes.calls, found, METHOD)
        kept = medians({"ours": repeated(client.issue_machine_access_token, sizes.calls)}, sizes.rounds)
    yield Figure(
        topic="tokens", name="kept", title="token that is kept", unit="µs", ours=kept["ours"] / sizes.calls * 1e6,
        method="CPU time of the client's process; nothing is sent; median of the rounds",
    )  # fmt: skip


def _manifest(origin: str, sizes: Sizes) -> Figure:
    etag = '"bench-manifest"'
    url = f"{origin}/api/v1/apps/{peers.APP}/manifest"
    with _client(origin) as client, httpx.Client(auth=(peers.M2M, peers.SECRET)) as bare:
        assert client.get_app_manifest(if_none_match=etag).not_modified
        works = {
            "ours": repeated(lambda: client.get_app_manifest(if_none_match=etag), sizes.calls),
            "peer": repeated(lambda: bare.get(url, headers={"If-None-Match": etag}).status_code, sizes.calls),
        }
        found = medians(works, sizes.rounds)
    return _figure("manifest", "manifest that has not changed (304)", "µs", 1e6 / sizes.calls, found, METHOD, TWENTY)


def _verification(sizes: Sizes) -> Figure:
    """Tokens a second with the issuer's keys at hand, against the JOSE library alone."""
    with Sandbox() as sandbox, PymtHouse.from_env(sandbox.pymthouse.env()) as client:
        token = client.issue_machine_access_token().access_token
        audience = client.issuer_url
        client.verify_access_token(token)
        document = httpx.get(f"{client.issuer_url}/.well-known/openid-configuration").json()
        keys = KeySet.import_key_set(httpx.get(document["jwks_uri"]).json())
        claims = jwt.JWTClaimsRegistry(
            iss={"essential": True, "value": client.issuer_url}, aud={"essential": True, "value": audience}
        )
        algorithms = [jwt_algorithm(token)]

        def bare() -> None:
            claims.validate(jwt.decode(token, keys, algorithms=algorithms).claims)

        works = {
            "ours": repeated(lambda: client.verify_access_token(token), sizes.calls),
            "peer": repeated(bare, sizes.calls),
        }
        found = medians(works, sizes.rounds)
    return Figure(
        topic="tokens",
        name="verification",
        title="access token checked, keys at hand",
        unit="/s",
        ours=sizes.calls / found["ours"],
        peer_name="bare joserfc",
        peer=sizes.calls / found["peer"],
        ratio=1 / found.ratio("ours", "peer"),
        method=f"tokens a second of CPU; the peer checks signature, issuer, audience and expiry; {METHOD}",
    )


def jwt_algorithm(token: str) -> str:
    """The algorithm of a token's header."""
    from joserfc.jws import extract_compact

    return str(extract_compact(token.encode()).headers()["alg"])
