"""A small HTTP client of the sandboxed PymtHouse, which knows nothing of the overlay."""

from __future__ import annotations

import httpx

from tollkit.sandbox import PymtHouseSandbox

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


class Caller:
    """A client that signs as the first app's confidential client unless told otherwise."""

    def __init__(self, http: httpx.Client, platform: PymtHouseSandbox) -> None:
        self.http = http
        self.platform = platform
        self.auth = (platform.m2m_client_id, platform.m2m_client_secret)

    def path(self, tail: str = "") -> str:
        return f"/api/v1/apps/{self.platform.public_client_id}{tail}"

    def get(self, tail: str = "", **options: object) -> httpx.Response:
        return self.http.get(self.path(tail), auth=self.auth, **options)

    def post(self, tail: str, **options: object) -> httpx.Response:
        return self.http.post(self.path(tail), auth=self.auth, **options)

    def mint(self, user: str = "alice", **body: str) -> httpx.Response:
        return self.post(f"/users/{user}/token", json=body)

    def token(self, *, signed: bool = True, **form: str) -> httpx.Response:
        return self.http.post("/api/v1/oidc/token", data=form, auth=self.auth if signed else None)

    def exchange(self, subject: str, **form: str) -> httpx.Response:
        return self.token(grant_type=EXCHANGE, subject_token=subject, subject_token_type=ACCESS_TOKEN, **form)

    def start_device(self, scope: str = "openid sign:job") -> dict[str, str]:
        form = {"client_id": self.platform.public_client_id, "scope": scope}
        return self.http.post("/api/v1/oidc/device/auth", data=form).json()

    def poll(self, device_code: str) -> httpx.Response:
        client_id = self.platform.public_client_id
        return self.token(signed=False, grant_type=DEVICE, device_code=device_code, client_id=client_id)
