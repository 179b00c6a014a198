"""Device logins begun by others: what passes, what does not, and that hostile input gets nowhere."""

from __future__ import annotations

import contextlib
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

from tollkit.core.weburl import parse_http_url
from tollkit.errors import ArgumentError
from tollkit.pymthouse import device_initiate as initiate
from tollkit.pymthouse.errors import PmtHouseError

ISSUER = "https://issuer.example/api/v1/oidc"
TARGET = "https://issuer.example/oidc/device?user_code=abcd-efgh&client_id=app_1"
PAGE = "https://issuer.example/oidc/device"
DEVICE = "/oidc/device?user_code=A&client_id=b"
QUERY = urlencode({"iss": ISSUER, "target_link_uri": TARGET})
hostile = st.text(max_size=60) | st.text(alphabet="htps:/\\@?#[].%a0\t\n&=", max_size=40).map(
    "https://issuer.example".__add__
)


@pytest.mark.parametrize(
    "query",
    [QUERY, f"?{QUERY}", f"https://app.example/approve?{QUERY}#x", dict(parse_qsl(QUERY)), parse_qs(QUERY),
     parse_qsl(QUERY), iter(parse_qsl(QUERY)), QueryParams(QUERY)],
    ids=lambda query: type(query).__name__,
)  # fmt: skip
def test_every_form_of_a_query(query: Any) -> None:
    found = initiate.parse_device_approval_redirect(ISSUER, query)
    assert found == initiate.ParsedDeviceApprovalRedirect(
        issuer=ISSUER, target_link_uri=TARGET, user_code="ABCDEFGH", client_id="app_1"
    )


def test_the_first_value_counts_in_every_framework() -> None:
    """One that reads the last would check another issuer than the one shown."""
    twice = f"{QUERY}&iss=https%3A%2F%2Fevil.example"
    for query in (twice, parse_qs(twice), parse_qsl(twice), QueryParams(twice)):
        assert initiate.parse_device_approval_redirect(ISSUER, query).issuer == ISSUER
    with pytest.raises(ArgumentError, match="Issuer mismatch"):
        initiate.parse_device_approval_redirect(ISSUER, QueryParams(f"iss=https%3A%2F%2Fevil.example&{QUERY}"))


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({}, "invalid_request"),
        ({"iss": None, "target_link_uri": TARGET}, "invalid_request"),
        ({"iss": [], "target_link_uri": [TARGET]}, "invalid_request"),
        ({"iss": 5, "target_link_uri": TARGET}, "invalid_request"),
        ({"iss": ISSUER.upper(), "target_link_uri": TARGET}, "invalid_issuer"),
        ({"iss": ISSUER, "target_link_uri": "oidc/device"}, "invalid_target"),
        ({"iss": ISSUER, "target_link_uri": "javascript:alert(1)"}, "invalid_target"),
        ({"iss": ISSUER, "target_link_uri": f"https://issuer.example@evil.example{DEVICE}"}, "invalid_target"),
        ({"iss": ISSUER, "target_link_uri": f"https://evil.example\\@issuer.example{DEVICE}"}, "invalid_target"),
        ({"iss": ISSUER, "target_link_uri": "https://issuer.example/oidc%2Fdevice?user_code=A"}, "invalid_target"),
    ],
)  # fmt: skip
def test_refused_queries(query: Any, code: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        initiate.parse_device_approval_redirect(ISSUER, query)
    assert isinstance(caught.value, PmtHouseError)
    assert (caught.value.code, caught.value.status) == (code, 400)
    assert str(caught.value).startswith("query must ")


def test_an_issuer_that_is_no_address_is_the_callers_mistake() -> None:
    with pytest.raises(ArgumentError, match="issuer_url"):
        initiate.parse_device_approval_redirect("nope", {"iss": "nope", "target_link_uri": TARGET})


@given(hostile, hostile)
def test_hostile_queries_get_our_errors_or_the_issuers_device_page(iss: str, target: str) -> None:
    for query in ({"iss": iss, "target_link_uri": target}, {"iss": ISSUER, "target_link_uri": target}, iss):
        found = None
        with contextlib.suppress(PmtHouseError):
            found = initiate.parse_device_approval_redirect(ISSUER, query)
        if found:
            url = parse_http_url(found.target_link_uri)
            assert url is not None
            assert (url.origin, url.path) == ("https://issuer.example", "/oidc/device")


def test_validation_compares_addresses_and_not_texts() -> None:
    found = initiate.validate_device_initiate_login(
        expected_issuer_url=" HTTPS://Issuer.Example:443/api/v1/oidc// ",
        iss=f"{ISSUER}/",
        target_link_uri=f"{TARGET}#",
    )
    assert found.ok
    assert bool(found)
    assert found.return_url == f"{TARGET}#"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"expected_issuer_url": "nope"}, "server_not_configured"),
        ({"expected_issuer_url": "foo:bar", "iss": "foo:bar"}, "server_not_configured"),
        ({"iss": None}, "iss_mismatch"),
        ({"iss": "https://issuer.example/api/v1"}, "iss_mismatch"),
        ({"target_link_uri": None}, "bad_target_uri"),
        ({"target_link_uri": "//issuer.example/oidc/device"}, "bad_target_uri"),
        ({"target_link_uri": "javascript:alert(1)"}, "target_origin_mismatch"),
        ({"target_link_uri": "blob:https://issuer.example/oidc/device"}, "target_origin_mismatch"),
        ({"target_link_uri": "http://issuer.example/oidc/device"}, "target_origin_mismatch"),
        ({"target_link_uri": "https://issuer.example/oidc/device/"}, "target_path_mismatch"),
        ({"target_link_uri": f"{TARGET}#x"}, "target_has_hash"),
    ],
)
def test_refused_logins_are_false(changes: dict[str, Any], reason: str) -> None:
    login = {"expected_issuer_url": ISSUER, "iss": ISSUER, "target_link_uri": TARGET} | changes
    found = initiate.validate_device_initiate_login(**login)
    assert not found
    assert found.to_dict() == {"ok": False, "reason": reason}


@given(hostile)
def test_a_return_url_never_leaves_the_issuer(target: str) -> None:
    found = initiate.validate_device_initiate_login(expected_issuer_url=ISSUER, iss=ISSUER, target_link_uri=target)
    if found.ok:
        url = parse_http_url(found.return_url)
        assert url is not None
        assert (url.origin, url.path, url.href) == ("https://issuer.example", "/oidc/device", found.return_url)


@pytest.mark.parametrize(
    ("href", "options", "error"),
    [
        ("nope", {}, "bad_target_uri"),
        ("mailto:a@b", {}, "target_path_mismatch"),
        (TARGET, {"expected_issuer_url": "https://other.example"}, "target_origin_mismatch"),
        ("mailto:a@b", {"expected_issuer_url": ISSUER}, "target_origin_mismatch"),
        ("https://issuer.example/OIDC/device", {}, "target_path_mismatch"),
        (TARGET, {}, "invalid_user_code"),
        ("https://issuer.example/oidc/device?USER_CODE=ABCD&CLIENT_ID=app_1", {}, "invalid_user_code"),
        ("https://issuer.example/oidc/device?user_code=ABCD%0A-&client_id=app_1", {}, "invalid_user_code"),
        ("https://issuer.example/oidc/device?user_code=ABCD&client_id=m2m_1", {}, "invalid_client_id"),
        ("https://issuer.example/oidc/device?user_code=ABCD", {}, "invalid_client_id"),
        (f"{PAGE}?user_code=ABCD&client_id=app_1", {"expected_public_client_id": "app_2"}, "client_id_mismatch"),
    ],
)  # fmt: skip
def test_addresses_that_approve_nothing(href: str, options: dict[str, Any], error: str) -> None:
    found = initiate.extract_device_approval_from_target_link(href, **options)
    assert not found
    assert found.to_dict() == {"error": error}


def test_an_approval_from_an_address() -> None:
    found = initiate.extract_device_approval_from_target_link(
        "https://issuer.example/oidc/device?user_code=+ABCD-12+&client_id=%20app_&user_code=ZZZZ#x",
        expected_issuer_url=ISSUER,
        expected_public_client_id="app_",
    )
    assert found
    assert found.error is None
    assert found.to_dict() == {"userCode": "ABCD-12", "publicClientId": "app_"}


@given(hostile)
def test_extracting_never_raises(href: str) -> None:
    found = initiate.extract_device_approval_from_target_link(href, expected_issuer_url=ISSUER)
    assert bool(found) is (found.error is None)


def test_a_line_break_is_no_part_of_a_user_code() -> None:
    assert initiate.USER_CODE_RE.search("ABCD")
    assert not initiate.USER_CODE_RE.search("ABCD\n")
    assert not initiate.USER_CODE_RE.search("-----")


def test_issuers_are_compared_letter_by_letter() -> None:
    assert initiate.verify_issuer(f"{ISSUER}/", f"\ufeff {ISSUER}// ")
    assert not initiate.verify_issuer(ISSUER, ISSUER.replace("https", "HTTPS"))
    assert not initiate.verify_issuer(ISSUER, f"{ISSUER}\x00")
