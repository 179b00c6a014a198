"""Users: provisioning, ids of every kind, and what is refused before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest

from support.pymthouse import Side
from tollkit.errors import ArgumentError, AuthenticationError, NotFoundError
from tollkit.pymthouse import PmtHouseError
from tollkit.sandbox import PymtHouseSandbox

USERS = "/api/v1/apps/*/users"
ODD_IDS = [
    "user-42",
    "a/b",
    "/",
    "tenant/../42",
    "...",
    "ünïcødé",
    "用户",
    "🦊🦊",
    "e\u0301",  # an accent of its own
    "100%",
    "%2F",
    "%2e%2e",
    "a+b",
    "a b",
    "?#",
    "a?b#c&d=e",
    "a:b@c;d,e",
    "!~*'()",
    "-._",
    '"quoted"\\',
    "<script>",
    "line\nbreak",
    "tab\there",
    "\u200b",  # invisible, yet no white space
    "x" * 500,
]
UNUSABLE = {
    "nothing": ("", "must not be empty"),
    "blank": (" \t\n", "must not be empty"),
    "NUL": ("a\0b", "must not contain NUL"),
    "half a surrogate pair": ("\ud83e", "must not contain half a surrogate pair"),
    "None": (None, "must be text, not NoneType"),
    "number": (42, "must be text, not int"),
    "bytes": (b"user", "must be text, not bytes"),
}


@pytest.fixture
def client(side: Side, pymthouse_sandbox: PymtHouseSandbox) -> Any:
    return side.client(pymthouse_sandbox)


def test_a_user_is_created_then_updated(side: Side, client: Any) -> None:
    made = side.do(client.upsert_app_user("user-42", email="ada@example.com"))
    assert (made.external_user_id, made.email, made.status, made.role) == (
        "user-42",
        "ada@example.com",
        "active",
        "user",
    )
    assert made.client_id == client.public_client_id
    assert made.created_at.utcoffset() is not None

    again = side.do(client.upsert_app_user("user-42", status="inactive"))
    assert (again.id, again.email, again.status) == (made.id, "ada@example.com", "inactive")
    assert again.to_dict()["createdAt"] == made.to_dict()["createdAt"]


def test_nothing_said_and_empty_texts_are_left_out(
    side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox
) -> None:
    side.do(client.upsert_app_user("user-42", email="", status=""))
    side.do(client.upsert_app_user("user-42", email=None, status=None))
    assert [sent.json for sent in pymthouse_sandbox.requests] == [{"externalUserId": "user-42"}] * 2


def test_users_are_listed(side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox) -> None:
    assert side.do(client.list_app_users()).users == []
    pymthouse_sandbox.seed_user("alice", email="alice@example.com")
    pymthouse_sandbox.seed_user("bob", status="inactive")
    found = side.do(client.list_app_users())
    assert [(user.external_user_id, user.email, user.status) for user in found.users] == [
        ("alice", "alice@example.com", "active"),
        ("bob", None, "inactive"),
    ]
    assert found.to_dict()["users"][1]["externalUserId"] == "bob"


def test_a_user_is_changed(side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox) -> None:
    pymthouse_sandbox.seed_user("alice", email="alice@example.com")
    assert side.do(client.update_app_user("alice", email="")).success is True
    assert pymthouse_sandbox.app.users["alice"].email == ""
    assert side.do(client.update_app_user("alice", status="inactive")).success is True
    assert pymthouse_sandbox.app.users["alice"].status == "inactive"
    assert pymthouse_sandbox.app.users["alice"].email == ""
    with pytest.raises(NotFoundError) as caught:
        side.do(client.update_app_user("nobody", status="active"))
    assert (caught.value.code, caught.value.kind) == ("User not found", "not_found")


def test_a_user_is_deactivated_as_often_as_you_like(
    side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox
) -> None:
    pymthouse_sandbox.seed_user("alice")
    for _ in range(2):
        gone = side.do(client.delete_app_user("alice"))
        assert gone.success is True
    assert pymthouse_sandbox.app.users["alice"].status == "inactive"
    with pytest.raises(NotFoundError):
        side.do(client.delete_app_user("nobody"))


@pytest.mark.parametrize("user", ODD_IDS)
def test_ids_of_every_kind_arrive_as_they_are(
    side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox, user: str
) -> None:
    assert side.do(client.upsert_app_user(user)).external_user_id == user
    assert list(pymthouse_sandbox.app.users) == [user]
    assert side.do(client.update_app_user(user, email="a@example.com")).success
    assert side.do(client.mint_user_access_token(user)).subject_type == "app_user"
    assert side.do(client.delete_app_user(user)).success
    assert pymthouse_sandbox.app.users[user].status == "inactive"
    assert pymthouse_sandbox.requests[-1].value("externalUserId") == user
    assert {sent.status for sent in pymthouse_sandbox.requests} <= {200, 201}


@pytest.mark.parametrize("user", [".", ".."])
def test_ids_that_would_change_the_path_are_refused(
    side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox, user: str
) -> None:
    pymthouse_sandbox.seed_user(user)
    with pytest.raises(ArgumentError, match=r"external_user_id.*path") as caught:
        side.do(client.mint_user_access_token(user))
    assert caught.value.argument == "external_user_id"
    assert len(pymthouse_sandbox.requests) == 0
    # where the id is no part of the path there is nothing wrong with it
    assert side.do(client.upsert_app_user(user)).external_user_id == user
    assert side.do(client.delete_app_user(user)).success


@pytest.mark.parametrize("case", UNUSABLE)
@pytest.mark.parametrize(
    "method",
    [
        "upsert_app_user",
        "update_app_user",
        "delete_app_user",
        "mint_user_access_token",
        "mint_user_signer_session_token",
        "mint_signer_session_for_external_user",
        "approve_device_login",
        "fetch_usage_for_external_user",
    ],
)
def test_unusable_ids_are_refused_before_anything_is_sent(
    side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox, method: str, case: str
) -> None:
    user, problem = UNUSABLE[case]
    rest = ("BCDF-GHJK",) if method == "approve_device_login" else ()
    with pytest.raises(ArgumentError) as caught:
        side.do(getattr(client, method)(user, *rest))
    assert caught.value.argument == "external_user_id"
    assert caught.value.problem == problem
    assert isinstance(caught.value, PmtHouseError)
    assert isinstance(caught.value, ValueError)
    assert len(pymthouse_sandbox.requests) == 0


@pytest.mark.parametrize("method", ["upsert_app_user", "update_app_user"])
@pytest.mark.parametrize("argument", ["email", "status"])
def test_other_arguments_must_be_text(
    side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox, method: str, argument: str
) -> None:
    with pytest.raises(ArgumentError) as caught:
        side.do(getattr(client, method)("alice", **{argument: 5}))
    assert caught.value.argument == argument
    assert len(pymthouse_sandbox.requests) == 0


def test_a_user_may_be_called_by_keyword(side: Side, client: Any) -> None:
    assert side.do(client.upsert_app_user(external_user_id="alice")).external_user_id == "alice"
    assert side.do(client.delete_app_user(external_user_id="alice")).success


def test_wrong_credentials_are_told_plainly(side: Side, pymthouse_sandbox: PymtHouseSandbox) -> None:
    client = side.client(pymthouse_sandbox, m2m_client_secret="pmth_cs_wrong")
    with pytest.raises(AuthenticationError) as caught:
        side.do(client.list_app_users())
    error = caught.value
    assert (error.kind, error.code, error.status) == ("unauthorized", "Unauthorized", 401)
    assert error.hint is not None
    assert "secret" in error.hint
    assert str(error).startswith(error.hint.rstrip("."))
    assert error.context["operation"] == "listAppUsers"
    assert not error.retryable
    assert "pmth_cs_wrong" not in f"{error!s}{error!r}{error.to_dict()}"
    assert len(pymthouse_sandbox.requests) == 1


def test_a_client_without_the_scope_is_refused(side: Side, pymthouse_sandbox: PymtHouseSandbox) -> None:
    pymthouse_sandbox.configure_app(m2m_scopes=["users:token"])
    client = side.client(pymthouse_sandbox)
    for call in (client.list_app_users, lambda: client.upsert_app_user("a"), lambda: client.delete_app_user("a")):
        with pytest.raises(AuthenticationError, match=r"users:(read|write)"):
            side.do(call())


def test_another_app_is_refused(side: Side, pymthouse_sandbox: PymtHouseSandbox) -> None:
    other = pymthouse_sandbox.create_app()
    client = side.client(pymthouse_sandbox, public_client_id=other.public_client_id)
    with pytest.raises(AuthenticationError):
        side.do(client.upsert_app_user("alice"))
    assert other.users == {}
