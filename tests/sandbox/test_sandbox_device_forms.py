"""The device pages without a browser: forgery, the hops of third-party login, headers."""

from __future__ import annotations

import re

import httpx
import pytest
from sandbox_caller import Caller

from tollkit.sandbox import PymtHouseSandbox, Sandbox


def csrf_of(page: httpx.Response) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert found
    return found[1]


def test_a_form_needs_the_token_of_its_page(caller: Caller) -> None:
    started = caller.start_device()
    page = caller.http.get("/oidc/device")
    decision = {"user_code": started["user_code"], "action": "approve", "user": "other", "other_user": "alice"}
    for path, form in (("/oidc/device", {"user_code": "X"}), ("/oidc/device/decision", decision)):
        assert caller.http.post(path, data=form).status_code == 403
        assert caller.http.post(path, data={**form, "csrf": "é"}).status_code == 403
    caller.http.cookies.clear()
    forged = caller.http.post("/oidc/device/decision", data={**decision, "csrf": csrf_of(page)})
    assert forged.status_code == 403
    assert caller.poll(started["device_code"]).json()["error"] == "authorization_pending"


def test_the_token_is_kept_over_pages_and_the_page_is_guarded(caller: Caller) -> None:
    first = caller.http.get("/oidc/device")
    assert "HttpOnly; SameSite=Strict" in first.headers["set-cookie"]
    assert "frame-ancestors 'none'" in first.headers["content-security-policy"]
    assert first.headers["cache-control"] == "no-store"
    assert "<script" not in first.text
    second = caller.http.get("/oidc/device")
    assert csrf_of(second) == csrf_of(first)
    assert "set-cookie" not in second.headers


def test_a_code_that_is_decided_meanwhile(caller: Caller, platform: PymtHouseSandbox) -> None:
    started = caller.start_device()
    page = caller.http.get(started["verification_uri_complete"])
    platform.deny_device(started["user_code"])
    form = {"csrf": csrf_of(page), "user_code": started["user_code"], "action": "approve", "other_user": "a"}
    answer = caller.http.post("/oidc/device/decision", data=form)
    assert answer.status_code == 400
    assert "used already" in answer.text


def test_two_hops_to_the_app(caller: Caller, platform: PymtHouseSandbox) -> None:
    platform.configure_app(initiate_login_uri="https://app.example/login?tenant=7")
    started = caller.start_device()
    page = started["verification_uri_complete"]
    first = caller.http.get(page)
    assert first.status_code == 307
    second = caller.http.get(first.headers["location"] + "&login_hint=alice")
    assert second.status_code == 302
    target = httpx.URL(second.headers["location"])
    assert str(target).startswith("https://app.example/login?tenant=7&iss=")
    assert target.params["target_link_uri"] == page
    assert target.params["iss"] == platform.issuer_url
    assert target.params["login_hint"] == "alice"
    cookie = second.headers["set-cookie"].partition(";")[0]
    assert caller.http.get(page, headers={"Cookie": cookie}).status_code == 200


@pytest.mark.parametrize(
    "target", ["https://evil.example/oidc/device", "{url}/elsewhere", "{url}/oidc/device#fragment", ""]
)
def test_targets_that_are_refused(caller: Caller, platform: PymtHouseSandbox, sandbox: Sandbox, target: str) -> None:
    platform.configure_app(initiate_login_uri="https://app.example/login")
    answer = caller.http.get(
        "/oidc/device/initiate-login",
        params={"client_id": platform.public_client_id, "target_link_uri": target.format(url=sandbox.url)},
    )
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_no_hop_for_apps_that_did_not_switch_it_on(caller: Caller, platform: PymtHouseSandbox) -> None:
    started = caller.start_device()
    assert caller.http.get(started["verification_uri_complete"]).status_code == 200
    answer = caller.http.get(
        "/oidc/device/initiate-login",
        params={"client_id": platform.public_client_id, "target_link_uri": started["verification_uri_complete"]},
    )
    assert answer.json()["error_description"] == "Third-party login is not enabled for this client"
