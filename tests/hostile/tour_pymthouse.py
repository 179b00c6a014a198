"""Every method of PymtHouse's client, and of the OpenID client beneath it, called in the sandbox."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import attrs
from takes import Take, Tape

from support.pymthouse import arguments
from support.tokenite import QUICK
from tollkit import AsyncPymtHouse, PymtHouse
from tollkit.errors import TollkitError
from tollkit.oidc import AsyncOidcClient, OidcClient, urns
from tollkit.pymthouse import PmtHouseError
from tollkit.sandbox import PymtHouseSandbox, Sandbox

SECRET = "pmth_cs_sentinel0123456789abcdef"
_TOKEN = re.compile(r"eyJ|pmth_|[\w-]{43}\Z")


@attrs.define
class Tour:
    """Calls methods and keeps what came."""

    place: PymtHouseSandbox
    tape: Tape
    takes: list[Take] = attrs.field(factory=list)

    def call(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the platform's client: `name`, or `name [what is special]`."""
        given = arguments(self.place, max_retries=0)

        def client(http: Any, asynchronous: bool) -> Any:
            return (AsyncPymtHouse if asynchronous else PymtHouse)(**given, http_client=http)

        return self._called("pymthouse", client, PmtHouseError, name, args, kwargs)

    def oidc(self, name: str, /, *args: Any, client: str | None = None, **kwargs: Any) -> Any:
        """Call a method of an OpenID client: the confidential one, unless another is told."""
        who = (client,) if client else (self.place.m2m_client_id, SECRET)
        given: Any = {"allow_insecure_http": True, "max_retries": 0, "connection": QUICK}

        def made(http: Any, asynchronous: bool) -> Any:
            kind = AsyncOidcClient if asynchronous else OidcClient
            return kind(self.place.issuer_url, *who, **given, http_client=http)

        return self._called("oidc", made, TollkitError, name, args, kwargs)

    def _called(
        self,
        kind: str,
        client: Callable[[Any, bool], Any],
        family: type[TollkitError],
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        def called(made: Any) -> Any:
            return getattr(made, name.partition(" [")[0])(*args, **kwargs)

        result = called(client(self.tape, False))
        answers = self.tape.taken()
        sent = [each for each in (*args, *kwargs.values()) if isinstance(each, str) and _TOKEN.match(each)]
        self.takes.append(Take(f"{kind}.{name}", client, called, answers, family, (SECRET, *sent)))
        return result


def takes(sandbox: Sandbox) -> list[Take]:
    """All calls."""
    place = sandbox.pymthouse
    place.app.m2m_client_secret = SECRET
    place.demo_data(month="2026-05")
    place.set_manifest(excluded=[("llm", "*")])
    tape = Tape()
    tour = Tour(place, tape)
    _builder(tour)
    _tokens(tour)
    _devices(tour)
    tape.close()
    return tour.takes


def _builder(at: Tour) -> None:
    call = at.call
    profile = at.place.add_discovery_profile("Fast", {"topN": 3, "sortBy": "latency"}, capabilities=[("llm", "m")])
    call("list_app_users")
    call("upsert_app_user", "alice", email="a@example.com")
    call("update_app_user", "alice", status="active")
    call("delete_app_user", "bob")
    call("get_usage", group_by="user")
    call("get_usage [by model]", group_by="pipeline_model")
    call("get_usage_rows", group_by="user")
    call("fetch_usage_for_external_user", "alice")
    manifest = call("get_app_manifest")
    call("get_app_manifest [unchanged]", if_none_match=manifest.etag)
    for name in ("get_app", "get_billing", "list_plans", "list_discovery_profiles"):
        call(name)
    call("get_discovery_profile", profile.id)
    call("get_eth_usd_price")
    call("get_pipeline_catalog")


def _tokens(at: Tour) -> None:
    call = at.call
    call("get_discovery")
    minted = call("mint_user_access_token", "alice").access_token.reveal()
    machine = call("issue_machine_access_token").access_token.reveal()
    call("exchange_for_signer_session", minted)
    call("mint_user_signer_session_token", "alice")
    call("create_signer_session_token", minted)
    call("mint_signer_session_for_external_user", "alice")
    call("verify_access_token", machine)
    at.oidc("discover")
    at.oidc("client_credentials", scope="sign:job")
    at.oidc("exchange_token", minted, requested_token_type=urns.ACCESS_TOKEN_TYPE, resource=at.place.issuer_url)
    at.oidc("verify_access_token", machine, audience=at.place.issuer_url)


def _devices(at: Tour) -> None:
    call, place = at.call, at.place
    public = place.public_client_id
    recording = [True]

    def approve(shown: Any) -> None:
        if recording:
            place.approve_device(shown.user_code)

    call("poll_device_token", approve, scope="openid sign:job")
    logged_in = at.oidc("device_login", approve, scope="openid offline_access sign:job", client=public)
    begun = at.oidc("start_device_authorization", scope="openid offline_access sign:job", client=public)
    minted = call("mint_user_access_token [again]", "alice").access_token.reveal()
    call("complete_device_approval", user_jwt=minted, user_code=begun.user_code)
    call("approve_device_login", "alice", begun.user_code)
    at.oidc("poll_device_token", begun.device_code.reveal(), client=public)
    refreshed = at.oidc("refresh", logged_in.refresh_token.reveal(), client=public)
    at.oidc("introspect", refreshed.refresh_token.reveal(), client=public)
    at.oidc("revoke", refreshed.refresh_token.reveal(), client=public)
    recording.clear()
