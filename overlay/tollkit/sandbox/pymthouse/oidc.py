"""The OIDC routes: discovery, JWKS, token endpoint, device authorization and their neighbours.

Two parts of the server answer here and look different: the OIDC provider (CORS and security headers, 401 with a
challenge) and an interceptor before it that does token exchange (neither, and every refusal is a 400).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlencode

from starlette.responses import Response

from tollkit.sandbox.http import Call, Credentials, empty, json_answer, malformed, route, split_basic
from tollkit.sandbox.pymthouse.issuer import ACCESS_TOKEN_LIFETIME, DEVICE_GRANT, ISSUER_PATH
from tollkit.sandbox.pymthouse.state import (
    DEVICE_LIFETIME,
    REFRESH_LIFETIME,
    SERVER_SCOPES,
    SESSION_LIFETIME,
    App,
    DeviceCode,
    EndUser,
    RefreshToken,
    SignerSession,
    has_scope,
    normalize_user_code,
)

if TYPE_CHECKING:
    from starlette.routing import Route

    from tollkit.sandbox.pymthouse.issuer import Issuer
    from tollkit.sandbox.pymthouse.state import State

__all__ = ["OidcRoutes", "form_decoded_basic"]

EXCHANGE_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a type, not a token
JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt"
DEVICE_RESOURCE = "urn:pmth:device_code:"
FORM = "application/x-www-form-urlencoded"

SECURITY_HEADERS = {
    "referrer-policy": "strict-origin-when-cross-origin",
    "strict-transport-security": "max-age=31536000; includeSubDomains",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "x-xss-protection": "1; mode=block",
}
PROVIDER_HEADERS = {
    "access-control-allow-origin": "*",
    "access-control-expose-headers": "WWW-Authenticate",
    **SECURITY_HEADERS,
}
NO_STORE = {"cache-control": "no-store"}

_JSON = "application/json; charset=utf-8"


class _RefusedError(Exception):
    """An OAuth error answer.

    Args:
        error: The code.
        description: `error_description`.
        status: HTTP status.
        challenge: Scheme of a `WWW-Authenticate` header to send along.
        extra: Further members of the body.
    """

    def __init__(
        self,
        error: str,
        description: str,
        status: int = 400,
        *,
        challenge: str | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(error)
        self.status = status
        self.challenge = challenge
        self.body = {"error": error, "error_description": description, **(extra or {})}


def form_decoded_basic(call: Call) -> Credentials | None:
    """Credentials of an `Authorization: Basic` header as the platform's own routes read them.

    Each half is form-decoded; a half with a malformed percent sequence is taken as it stands.
    """
    halves = call.basic()
    if halves is None:
        return None
    client_id, secret = (half if malformed(half) else unquote(half.replace("+", " ")) for half in halves)
    return Credentials(client_id, secret) if client_id and secret else None


class OidcRoutes:
    """Handlers of `/api/v1/oidc` below the issuer's path."""

    def __init__(self, state: State, issuer: Issuer) -> None:
        self._state = state
        self._issuer = issuer

    def routes(self) -> list[Route]:
        """The routes with their aliases."""
        lock = self._state.lock

        def under(*paths: str, **handlers: Any) -> list[Route]:
            return [route(ISSUER_PATH + path, lock, **handlers) for path in paths]

        return [
            *under(
                "/.well-known/openid-configuration",
                "/.well-known/oauth-authorization-server",
                GET=self.discovery,
                OPTIONS=_preflight("GET"),
            ),
            *under("/jwks", GET=self.jwks, OPTIONS=_preflight("GET")),
            *under("/token", POST=self.token, OPTIONS=_preflight("POST")),
            *under("/device/auth", "/device_authorization", POST=self.device_auth, OPTIONS=_preflight("POST")),
            *under("/me", "/userinfo", GET=self.userinfo, POST=self.userinfo, OPTIONS=_preflight("GET,POST")),
            *under("/token/introspection", POST=self.introspection, OPTIONS=_preflight("POST")),
            *under("/token/revocation", POST=self.revocation, OPTIONS=_preflight("POST")),
            *under("/auth", "/authorize", GET=self.authorization),
        ]

    def discovery(self, call: Call) -> Response:
        """The discovery document; endpoints follow the host of the request, the issuer does not."""
        return json_answer(
            self._issuer.discovery(call.origin),
            headers={"access-control-allow-origin": "*", **SECURITY_HEADERS},
            content_type=_JSON,
        )

    def jwks(self, _call: Call) -> Response:
        """The published keys."""
        return json_answer(
            self._issuer.jwks(),
            headers={"access-control-allow-origin": "*", **SECURITY_HEADERS},
            content_type="application/jwk-set+json; charset=utf-8",
        )

    # ---------------------------------------------------------------- token endpoint

    def token(self, call: Call) -> Response:
        """The token endpoint: token exchange goes to the interceptor, all else to the provider."""
        is_form = FORM in call.headers.get("content-type", "")
        if is_form and call.form.get("grant_type") == EXCHANGE_GRANT:
            return self._intercept(call)
        return self._provider(call, "/token", self._grant)

    def _provider(self, call: Call, path: str, handler: Any) -> Response:
        """Run a handler of the provider: form body only, one value a name, errors in the provider's dress."""
        try:
            media_type = call.headers.get("content-type", "").partition(";")[0].strip().lower()
            if media_type != FORM:
                raise _RefusedError(
                    "invalid_request",
                    f"only application/x-www-form-urlencoded content-type bodies are supported on POST {path}",
                )
            if repeated := call.form.repeated():
                raise _RefusedError("invalid_request", f"'{repeated}' parameter must not be provided twice")
            document = handler(call)
        except _RefusedError as refusal:
            headers = {**PROVIDER_HEADERS, **NO_STORE}
            if refusal.challenge:
                headers["www-authenticate"] = (
                    f'{refusal.challenge} realm="{self._issuer.url}", error="{refusal.body["error"]}", '
                    f'error_description="{refusal.body["error_description"]}"'
                )
            return json_answer(refusal.body, refusal.status, headers, content_type=_JSON)
        return json_answer(document, headers={**PROVIDER_HEADERS, **NO_STORE}, content_type=_JSON)

    def _grant(self, call: Call) -> dict[str, Any]:
        app, confidential = self._client(call)
        grant = call.form.get("grant_type")
        if not grant:
            raise _RefusedError("invalid_request", "missing required parameter 'grant_type'")
        grants = {
            "client_credentials": (True, self._client_credentials),
            "refresh_token": (False, self._refresh),
            "authorization_code": (False, self._authorization_code),
            DEVICE_GRANT: (False, self._device_poll),
        }
        if grant not in grants:
            raise _RefusedError("unsupported_grant_type", "unsupported grant_type requested")
        for_confidential, handler = grants[grant]
        if for_confidential is not confidential:
            raise _RefusedError("invalid_request", "requested grant type is not allowed for this client")
        return handler(call, app)

    def _client(self, call: Call) -> tuple[App, bool]:
        """The client of a request to the provider, and whether it is the confidential one.

        Raises:
            _RefusedError: No or wrong client authentication; a challenge is sent to who used the header.
        """
        header = call.headers.get("authorization")
        credentials: Credentials | None
        if header is not None:
            if call.form.get("client_secret") is not None:
                raise _RefusedError(
                    "invalid_request", "client authentication must only be provided using one mechanism"
                )
            credentials = _provider_basic(header)
        else:
            client_id = call.form.get("client_id")
            credentials = Credentials(client_id, call.form.get("client_secret")) if client_id else None
        if credentials is None:
            raise _RefusedError("invalid_request", "no client authentication mechanism provided")
        public = self._state.apps.get(credentials.client_id)
        if public is not None and credentials.secret is None:
            return public, False
        app = self._state.authenticate(credentials.client_id, credentials.secret)
        if app is None:
            raise _RefusedError(
                "invalid_client",
                "client authentication failed",
                401,
                challenge="Basic" if header is not None else None,
            )
        return app, True

    def _check_resource(self, call: Call) -> None:
        resource = call.form.get("resource")
        if resource is not None and resource != self._issuer.url:
            raise _RefusedError("server_error", "oops! something went wrong", 500)

    def _client_credentials(self, call: Call, app: App) -> dict[str, Any]:
        self._check_resource(call)
        scopes = _known_scopes(call.form.get("scope"), app.m2m_scopes)
        return {
            "access_token": self._issuer.access_token(app.m2m_client_id, app.m2m_client_id, scopes),
            "expires_in": ACCESS_TOKEN_LIFETIME,
            "token_type": "Bearer",
            **({"scope": " ".join(scopes)} if scopes else {}),
        }

    def _authorization_code(self, call: Call, _app: App) -> dict[str, Any]:
        if call.form.get("code") is None:
            raise _RefusedError("invalid_request", "missing required parameter 'code'")
        # The sandbox never issues a code, so every code is one that was never given out.
        raise _RefusedError("invalid_grant", "grant request is invalid")

    def _device_poll(self, call: Call, app: App) -> dict[str, Any]:
        code = call.form.get("device_code")
        if code is None:
            raise _RefusedError("invalid_request", "missing required parameter 'device_code'")
        device = self._state.devices.get(code)
        if device is None or device.app is not app:
            raise _RefusedError("invalid_grant", "grant request is invalid")
        if device.expires_at <= self._state.clock.now():
            raise _RefusedError("expired_token", "device code is expired")
        match device.status:
            case "pending":
                raise _RefusedError(
                    "authorization_pending",
                    "authorization request is still pending as the end-user hasn't yet completed the user "
                    "interaction steps",
                )
            case "denied":
                raise _RefusedError("access_denied", "The user denied the authorization request")
            case "consumed":
                # A code that is redeemed twice may have been stolen: what it gave is revoked.
                self._state.revoke_grant(device.grant_id)
                raise _RefusedError("invalid_grant", "grant request is invalid")
            case _:
                device.status = "consumed"
                return self._login_tokens(app, device.end_user_id or "", device.scopes, device.grant_id)

    def _login_tokens(self, app: App, end_user_id: str, scopes: tuple[str, ...], grant_id: str) -> dict[str, Any]:
        state = self._state
        refresh = RefreshToken(
            app=app,
            end_user_id=end_user_id,
            scopes=scopes,
            grant_id=grant_id,
            expires_at=state.clock.issue_time() + REFRESH_LIFETIME,
        )
        state.refresh_tokens[refresh.token] = refresh
        client_id = app.public_client_id
        with_id = {"id_token": self._issuer.id_token(end_user_id, client_id)} if "openid" in scopes else {}
        return {
            "access_token": self._issuer.access_token(end_user_id, client_id, scopes),
            "expires_in": ACCESS_TOKEN_LIFETIME,
            **with_id,
            "refresh_token": refresh.token,
            **({"scope": " ".join(scopes)} if scopes else {}),
            "token_type": "Bearer",
        }

    def _refresh(self, call: Call, app: App) -> dict[str, Any]:
        token = call.form.get("refresh_token")
        if token is None:
            raise _RefusedError("invalid_request", "missing required parameter 'refresh_token'")
        kept = self._state.refresh_tokens.get(token)
        if kept is None or kept.app is not app or kept.expires_at <= self._state.clock.now():
            raise _RefusedError("invalid_grant", "grant request is invalid")
        if kept.used:
            self._state.revoke_grant(kept.grant_id)
            raise _RefusedError("invalid_grant", "grant request is invalid")
        kept.used = True
        return self._login_tokens(app, kept.end_user_id, kept.scopes, kept.grant_id)

    # ---------------------------------------------------------------- token exchange

    def _intercept(self, call: Call) -> Response:
        form = call.form
        subject_type = form.get("subject_token_type") or ""
        resource = (form.get("resource") or "").strip()
        credentials = form_decoded_basic(call) or _body_credentials(call)
        try:
            if subject_type == ACCESS_TOKEN_TYPE and resource.startswith(DEVICE_RESOURCE):
                document = self._approve_device(call, credentials, resource.removeprefix(DEVICE_RESOURCE))
            elif credentials is not None and subject_type.strip() == ACCESS_TOKEN_TYPE:
                document = self._exchange_for_session(call, credentials, resource)
            elif subject_type == JWT_TYPE:
                raise _RefusedError("invalid_client", "Client is not approved for token exchange")
            else:
                raise _RefusedError("unsupported_token_type", "Unsupported subject token type")
        except _RefusedError as refusal:
            return json_answer(refusal.body, refusal.status)
        return json_answer(document, headers={**NO_STORE, "pragma": "no-cache"})

    def _exchange_client(self, credentials: Credentials | None) -> App:
        app = self._state.authenticate(credentials.client_id, credentials.secret) if credentials is not None else None
        if app is None:
            raise _RefusedError("invalid_client", "Invalid client credentials")
        return app

    def _check_requested_type(self, call: Call) -> None:
        requested = (call.form.get("requested_token_type") or "").strip()
        if requested and requested != ACCESS_TOKEN_TYPE:
            raise _RefusedError(
                "invalid_request", "The requested token type is not supported for this token exchange"
            )

    def _check_audience(self, call: Call) -> None:
        for audience in call.form.all("audience"):
            if audience.strip() and not self._is_issuer(audience):
                raise _RefusedError("invalid_target", "Invalid audience for token exchange")

    def _is_issuer(self, text: str) -> bool:
        return text.strip().rstrip("/") == self._issuer.url

    def _exchange_for_session(self, call: Call, credentials: Credentials, resource: str) -> dict[str, Any]:
        app = self._exchange_client(credentials)
        if not has_scope(app.m2m_scopes, "users:token"):
            raise _RefusedError("invalid_scope", "Requires users:token on the confidential client")
        if app.billing_pattern == "app_level":
            raise _RefusedError(
                "invalid_request",
                "Programmatic user tokens require the users:token scope on the OAuth client",
            )
        self._check_requested_type(call)
        self._check_audience(call)
        if resource and not self._is_issuer(resource):
            raise _RefusedError("invalid_target", "Invalid resource for remote signer session exchange")
        claims = self._issuer.verify((call.form.get("subject_token") or "").strip())
        if claims is None:
            raise _RefusedError("invalid_grant", "subject_token is not a valid OIDC access token for this issuer")
        client_id = claims.get("client_id") or claims.get("azp")
        if not client_id:
            raise _RefusedError("invalid_grant", "subject_token must include client_id or azp")
        if client_id not in (app.public_client_id, app.m2m_client_id):
            raise _RefusedError(
                "invalid_grant",
                "subject_token must have been issued to this app's public client or to the same confidential "
                "client as this request",
            )
        if "sign:job" not in _token_scopes(claims):
            raise _RefusedError(
                "invalid_grant",
                "subject_token must include sign:job scope for remote signer session exchange",
            )
        subject = str(claims.get("sub"))
        if subject == app.m2m_client_id:
            # The real server looks the subject up in a column of UUIDs and fails on a client id.
            raise _RefusedError("server_error", "Internal error during token exchange", 500)
        session = self._state.open_session(app, self._end_user_of(app, subject), ("sign:job",))
        return _session_answer(session)

    def _end_user_of(self, app: App, subject: str) -> EndUser:
        user = app.app_user(subject)
        if user is not None:
            return app.end_user_for(user.external_user_id)
        if subject in app.end_users:
            return app.end_users[subject]
        raise _RefusedError(
            "invalid_grant",
            "subject_token sub does not map to an app user or end user for this developer app",
        )

    def _approve_device(self, call: Call, credentials: Credentials | None, text: str) -> dict[str, Any]:
        app = self._exchange_client(credentials)
        if not (has_scope(app.m2m_scopes, "device:approve") or has_scope(app.m2m_scopes, "users:token")):
            raise _RefusedError("invalid_scope", "Missing required scope for device approval token exchange")
        self._check_requested_type(call)
        user_code = normalize_user_code(text)
        if not user_code:
            raise _RefusedError("invalid_target", "Invalid resource for device approval")
        self._check_audience(call)
        subject_token = (call.form.get("subject_token") or "").strip()
        claims = self._issuer.verify(subject_token)
        if claims is None or (claims.get("client_id") or claims.get("azp")) != app.public_client_id:
            raise _RefusedError("invalid_grant", "Invalid subject token")
        if not app.device_login:
            raise _RefusedError("invalid_client", "Device third-party login is not enabled for this client")
        user = app.app_user(str(claims.get("sub")))
        if user is None:
            raise _RefusedError("invalid_grant", "Invalid subject token")
        device = self._approvable(app, user_code)
        device.status = "approved"
        device.end_user_id = app.end_user_for(user.external_user_id).id
        return {
            "access_token": subject_token,
            "token_type": "Bearer",
            "expires_in": max(1, int(claims["exp"] - self._state.clock.now())),
            "scope": claims.get("scope", ""),
            "issued_token_type": ACCESS_TOKEN_TYPE,
        }

    def _approvable(self, app: App, user_code: str) -> DeviceCode:
        device = self._state.device_by_user_code(user_code)
        if device is None or device.status == "consumed":
            raise _RefusedError("invalid_grant", "Invalid, expired, or already used device code")
        if device.status == "denied":
            raise _RefusedError("invalid_grant", "Device code already used")
        if device.expires_at <= self._state.clock.now():
            raise _RefusedError("expired_token", "The device code has expired")
        if device.app is not app:
            raise _RefusedError("invalid_grant", "Device code does not match this client")
        return device

    # ---------------------------------------------------------------- the other endpoints

    def device_auth(self, call: Call) -> Response:
        """Device authorization (RFC 8628 section 3.1), for public clients."""
        return self._provider(call, "/device/auth", self._start_device)

    def _start_device(self, call: Call) -> dict[str, Any]:
        if call.headers.get("authorization") is None and not call.form.get("client_id"):
            raise _RefusedError("invalid_request", "no client authentication mechanism provided")
        app, confidential = self._client(call)
        if confidential:
            raise _RefusedError(
                "invalid_client",
                "client authentication failed",
                401,
                challenge="Basic" if "authorization" in call.headers else None,
            )
        self._check_resource(call)
        device = self._state.start_device(app, _known_scopes(call.form.get("scope"), app.scopes))
        page = f"{call.origin}/oidc/device"
        return {
            "device_code": device.device_code,
            "user_code": device.shown,
            "verification_uri": page,
            "verification_uri_complete": (
                f"{page}?user_code={device.shown}&client_id={app.public_client_id}"
                f"&iss={quote(self._issuer.url, safe='')}"
            ),
            "expires_in": DEVICE_LIFETIME,
        }

    def userinfo(self, _call: Call) -> Response:
        """Refused for every token: the platform's tokens are bound to a resource, which userinfo is not."""
        challenge = (
            f'Bearer realm="{self._issuer.url}", error="invalid_token", error_description="invalid token provided"'
        )
        return json_answer(
            {"error": "invalid_token", "error_description": "invalid token provided"},
            401,
            {**PROVIDER_HEADERS, **NO_STORE, "www-authenticate": challenge},
            content_type=_JSON,
        )

    def introspection(self, call: Call) -> Response:
        """Introspection; a JWT cannot be introspected, and what is unknown is not active."""
        return self._provider(call, "/token/introspection", self._introspect)

    def _introspect(self, call: Call) -> dict[str, Any]:
        self._client(call)
        token = self._opaque_token(call, "introspected via the introspection_endpoint")
        kept = self._state.refresh_tokens.get(token)
        if kept is None or kept.used or kept.expires_at <= self._state.clock.now():
            return {"active": False}
        return {
            "active": True,
            "client_id": kept.app.public_client_id,
            "exp": int(kept.expires_at),
            "iss": self._issuer.url,
            "scope": " ".join(kept.scopes),
            "sub": kept.end_user_id,
        }

    def revocation(self, call: Call) -> Response:
        """Revocation; a JWT cannot be revoked, and a refresh token takes its whole family along."""
        answer = self._provider(call, "/token/revocation", self._revoke)
        del answer.headers["cache-control"]
        if answer.status_code != 200:
            return answer
        return empty(200, {**PROVIDER_HEADERS, "content-type": "text/plain; charset=utf-8"})

    def _revoke(self, call: Call) -> dict[str, Any]:
        app, _ = self._client(call)
        token = self._opaque_token(call, "revoked via the revocation_endpoint")
        kept = self._state.refresh_tokens.get(token)
        if kept is not None and kept.app is app:
            self._state.revoke_grant(kept.grant_id)
        return {}

    def _opaque_token(self, call: Call, what: str) -> str:
        token = call.form.get("token")
        if not token:
            raise _RefusedError("invalid_request", "missing required parameter 'token'")
        if token.count(".") == 2:
            raise _RefusedError("unsupported_token_type", f"Structured JWT Tokens cannot be {what}")
        return token

    def authorization(self, call: Call) -> Response:
        """The authorization endpoint, as far as it was seen: a request without PKCE is sent back.

        A request with PKCE would show the platform's sign-in page; the sandbox has none for this flow and sends
        it back with `temporarily_unavailable`.
        """
        app = self._state.apps.get(call.query.get("client_id") or "")
        redirect_uri = call.query.get("redirect_uri")
        if app is None:
            return _auth_error("invalid_client", "client is invalid")
        if redirect_uri not in app.redirect_uris:
            return _auth_error(
                "invalid_redirect_uri", "redirect_uri did not match any of the client's registered redirect_uris"
            )
        state = call.query.get("state")
        pkce = call.query.get("code_challenge") and call.query.get("code_challenge_method") == "S256"
        parameters = {
            "error": "temporarily_unavailable" if pkce else "invalid_request",
            "error_description": (
                "the sandbox has no sign-in page for the authorization code flow"
                if pkce
                else "Authorization Server policy requires PKCE to be used for this request"
            ),
            **({"state": state} if state else {}),
            "iss": self._issuer.url,
        }
        return empty(303, {"location": f"{redirect_uri}?{urlencode(parameters)}", **SECURITY_HEADERS})


def _auth_error(error: str, description: str) -> Response:
    body = {"error": error, "error_description": description}
    return json_answer(body, 400, {**NO_STORE, **SECURITY_HEADERS}, content_type=_JSON)


def _provider_basic(header: str) -> Credentials:
    """Credentials as the OIDC provider reads them: scheme in any case, both halves form-encoded.

    Raises:
        _RefusedError: The header is no Basic header.
    """
    scheme, _, encoded = header.partition(" ")
    halves = split_basic(encoded) if scheme.lower() == "basic" else None
    if halves is None:
        raise _RefusedError("invalid_request", "invalid authorization header value format")
    if any(malformed(half) for half in halves):
        raise _RefusedError(
            "invalid_request", "client_id and client_secret in the authorization header are not properly encoded"
        )
    client_id, secret = (unquote(half.replace("+", " ")) for half in halves)
    return Credentials(client_id, secret)


def _body_credentials(call: Call) -> Credentials | None:
    client_id = call.form.get("client_id")
    return Credentials(client_id, call.form.get("client_secret")) if client_id else None


def _known_scopes(requested: str | None, allowed: tuple[str, ...]) -> tuple[str, ...]:
    """Requested scopes without those that the server does not know.

    Raises:
        _RefusedError: A known scope is not the client's.
    """
    known = tuple(dict.fromkeys(scope for scope in (requested or "").split() if scope in SERVER_SCOPES))
    for scope in known:
        if scope not in allowed:
            raise _RefusedError("invalid_scope", "requested scope is not allowed", extra={"scope": scope})
    return known


def _token_scopes(claims: Mapping[str, Any]) -> list[str]:
    scope = claims.get("scope") or claims.get("scp") or ""
    return scope.split() if isinstance(scope, str) else [str(item) for item in scope]


def _session_answer(session: SignerSession) -> dict[str, Any]:
    return {
        "access_token": session.token,
        "token_type": "Bearer",
        "expires_in": SESSION_LIFETIME,
        "issued_token_type": ACCESS_TOKEN_TYPE,
        "scope": " ".join(session.scopes),
    }


def _preflight(methods: str) -> Any:
    def answer(call: Call) -> Response:
        return empty(
            204,
            {
                "access-control-allow-methods": methods,
                "access-control-allow-origin": call.headers.get("origin", "*"),
                "access-control-max-age": "3600",
                **SECURITY_HEADERS,
            },
        )

    return answer
