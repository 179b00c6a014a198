"""Mistakes that both type checkers find; each line tells the error it must have. Nothing runs it."""

from __future__ import annotations

from tollkit import AsyncPymtHouse, Connection, PymtHouse, Timeout
from tollkit.oidc import OidcClient
from tollkit.pymthouse import DeviceApproval, ManifestCache, MemoryEtagStore
from tollkit_api.usage.v2026_05.api.usage import get_usage

PymtHouse(issuer_url="https://id.example", public_client_id="app_1")  # E: mypy[call-arg] / pyright[reportCallIssue]
PymtHouse.from_env().with_options(time_out=3)  # E: mypy[call-arg] / pyright[reportCallIssue]
AsyncPymtHouse.from_env().with_options(retries=1)  # E: mypy[call-arg] / pyright[reportCallIssue]
PymtHouse("https://id.example", "app_1", "m2m_1", "secret")  # E: mypy[call-arg] / pyright[reportCallIssue]
Connection(verify="/etc/ssl/ca.pem")  # E: mypy[arg-type] / pyright[reportArgumentType]
Connection(engine="curl")  # E: mypy[arg-type] / pyright[reportArgumentType]
Timeout(connect="5")  # E: mypy[arg-type] / pyright[reportArgumentType]
Timeout(5)  # E: mypy[call-arg] / pyright[reportCallIssue]
OidcClient("https://id.example", "app", auth="basic")  # E: mypy[arg-type] / pyright[reportArgumentType]


def blocking(client: PymtHouse) -> None:
    client.upsert_app_user()  # E: mypy[call-arg] / pyright[reportCallIssue]
    client.upsert_app_user("user-1", mail="a@example.com")  # E: mypy[call-arg] / pyright[reportCallIssue]
    client.upsert_app_user(5)  # E: mypy[arg-type] / pyright[reportArgumentType]
    client.upsert_user("user-1")  # E: mypy[attr-defined] / pyright[reportAttributeAccessIssue]
    client.mint_user_access_token("user-1", "sign:job")  # E: mypy[call-arg] / pyright[reportCallIssue]
    client.get_usage(start_date=20260501)  # E: mypy[arg-type] / pyright[reportArgumentType]
    client.get_usage.raw(since="2026-05-01")  # E: mypy[call-arg] / pyright[reportCallIssue]
    print(client.get_usage.raw().totals)  # E: mypy[attr-defined] / pyright[reportAttributeAccessIssue]
    print(client.get_usage().totals.requests)  # E: mypy[attr-defined] / pyright[reportAttributeAccessIssue]
    client.with_options(proxy="http://proxy")  # E: mypy[call-arg] / pyright[reportCallIssue]
    client.issuer_url = "https://other.example"  # E: mypy[misc] / pyright[reportAttributeAccessIssue]
    get_usage.sync("app_1")  # E: mypy[call-arg] / pyright[reportCallIssue]
    get_usage.sync("app_1", client=client)  # E: mypy[arg-type] / pyright[reportArgumentType]
    age: int = client.list_app_users()  # E: mypy[assignment] / pyright[reportAssignmentType]
    print(age)
    manifest = client.get_app_manifest()
    print(manifest.manifest.capabilities)  # E: mypy[union-attr] / pyright[reportOptionalMemberAccess]
    ManifestCache(AsyncPymtHouse.from_env(), MemoryEtagStore())  # E: mypy[arg-type] / pyright[reportArgumentType]


async def asynchronous(client: AsyncPymtHouse) -> None:
    client.upsert_app_user("user-1")  # E: mypy[unused-coroutine] / pyright[reportUnusedCoroutine]
    user = client.upsert_app_user("user-1")
    print(user.status)  # E: mypy[attr-defined] / pyright[reportAttributeAccessIssue]
    with client:  # E: mypy[attr-defined] / pyright[reportGeneralTypeIssues]
        pass
    async with client as same:
        await same.close()  # E: mypy[attr-defined] / pyright[reportAttributeAccessIssue]
    await client.delete_app_user(external_id="user-1")  # E: mypy[call-arg] / pyright[reportCallIssue]


def changed(approval: DeviceApproval) -> None:
    approval.user_code = "AB-CD"  # E: mypy[misc] / pyright[reportAttributeAccessIssue]
