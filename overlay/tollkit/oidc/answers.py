"""Reading the answers of OAuth 2.0 and OpenID Connect endpoints, without any I/O.

Every `parse_...` judges the whole answer, its status included, and raises:

* `OAuthError` for an OAuth error answer (4xx, JSON with `error`): `code` and `error` are the provider's;
* a `StatusError` of the answer's status for any other that is not 200: `OAUTH_RESPONSE_IS_NOT_CONFORM`, or
  `OAUTH_RESPONSE_IS_NOT_JSON` for a 4xx of another content type;
* `DecodeError` for a 200 that cannot be used: `OAUTH_RESPONSE_IS_NOT_JSON`, `OAUTH_PARSE_ERROR`,
  `OAUTH_INVALID_RESPONSE`, `invalid_token_response`, or `unexpected_error` for an unknown token type.

The `status` of all but the first is the one to pass on (502); the status that came is `context["http_status"]`.
No error shows a token: members that hold one are masked, and so is whatever the request sent.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import parse_qsl, unquote_plus

from tollkit.core import answers
from tollkit.errors import DecodeError, DeviceFlowError, OAuthError, StatusError, TollkitError, status_class
from tollkit.oidc import requests, urns
from tollkit.oidc.json_values import decode, is_list, is_number, is_object
from tollkit.oidc.models import (
    DeviceAuthorization,
    Introspection,
    ProviderMetadata,
    TokenResponse,
    is_secret_name,
)
from tollkit.secrets import Secret
from tollkit_api.runtime.preview import preview

if TYPE_CHECKING:
    from tollkit_api.runtime import HttpResponse, Request

__all__ = [
    "parse_device_authorization",
    "parse_discovery",
    "parse_introspection",
    "parse_jwks",
    "parse_revocation",
    "parse_token_exchange",
    "parse_tokens",
    "read_error",
]

AUTHORIZATION_PENDING = "authorization_pending"
SLOW_DOWN = "slow_down"
MASK = "****"
_JSON = ("application/json",)
_LABELS = {
    requests.DISCOVERY.id: "Authorization Server Metadata",
    requests.JWKS.id: "JSON Web Key Set",
    requests.DEVICE_AUTHORIZATION.id: "Device Authorization Endpoint",
    requests.REVOCATION.id: "Revocation Endpoint",
    requests.INTROSPECTION.id: "Introspection Endpoint",
}
_TOKEN_ENDPOINT = "Token Endpoint"  # noqa: S105 - a name for messages
_NOT_APPLICABLE = "n_a"
"""The token type of what is no access token (RFC 8693 section 2.2.1)."""
_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)")
_CHALLENGE = re.compile(r'\b(error(?:_description|_uri)?)\s*=\s*"((?:[^"\\]|\\.)*)"')


def read_error(request: Request, response: HttpResponse) -> TollkitError:
    """The error for an answer that is no success; takes the place of `Service.read_error`."""
    label = _LABELS.get(request.operation.id, _TOKEN_ENDPOINT)
    sent = tuple(_sent_secrets(request))
    # The two documents that anybody may fetch are no OAuth endpoints: their errors have no form of their own.
    oauth = request.operation.id not in (requests.DISCOVERY.id, requests.JWKS.id)
    return _refusal(response, label, sent, oauth=oauth, device=request.operation.id == requests.DEVICE_TOKEN.id)


def _refusal(
    response: HttpResponse, label: str, sent: tuple[str, ...] = (), *, oauth: bool = True, device: bool = False
) -> TollkitError:
    status = response.status_code
    body = _json(response)
    challenge = dict(_CHALLENGE.findall(response.headers.get("www-authenticate", "")))
    if oauth and 400 <= status < 500:
        if _content_type(response) in _JSON and is_object(body) and _is_text(body.get("error")):
            return _oauth_error(response, body, sent, device)
        if challenge.get("error"):
            return _oauth_error(response, challenge, sent, device)
        if _content_type(response) not in _JSON:
            return _status_error(response, _not_json(_JSON), "OAUTH_RESPONSE_IS_NOT_JSON", body, sent)
    message = f'"response" is not a conform {label} response (unexpected HTTP status code)'
    return _status_error(response, message, "OAUTH_RESPONSE_IS_NOT_CONFORM", body, sent)


def _oauth_error(response: HttpResponse, body: Mapping[str, Any], sent: tuple[str, ...], device: bool) -> OAuthError:
    body = redacted(body, sent)
    told = body.get("error_description")
    ended = device and body["error"] not in (AUTHORIZATION_PENDING, SLOW_DOWN)
    error = (DeviceFlowError if ended else OAuthError)(
        told if isinstance(told, str) and told else "server responded with an error in the response body",
        code=body["error"],
        status=response.status_code,
        body=body,
        context={"http_status": response.status_code},
        request_id=answers.request_id(response, body),
    )
    error.error = body["error"]
    error.error_description = told if isinstance(told, str) else None
    uri = body.get("error_uri")
    error.error_uri = uri if isinstance(uri, str) else None
    return error


def _status_error(response: HttpResponse, message: str, code: str, body: Any, sent: tuple[str, ...]) -> StatusError:
    status = response.status_code
    found: Any = redacted(body, sent) if is_object(body) else _shown(response, sent)
    error = status_class(status)(
        message,
        code=code,
        status=502,
        body=found,
        hint=_hint(status, found),
        context={"http_status": status},
        request_id=answers.request_id(response, body),
    )
    error.retry_after = answers.retry_after(response.headers)
    return error


def _hint(status: int, body: Mapping[str, Any]) -> str:
    told = body.get("error_description") or body.get("error")
    if isinstance(told, str):
        return f"The provider answered {status}: {told}"
    if 300 <= status < 400:
        return f"The provider redirects ({status}); check the address of the issuer"
    return f"The provider answered {status}"


def parse_discovery(response: HttpResponse) -> ProviderMetadata:
    """The provider's metadata (OpenID Connect Discovery 1.0 section 4.2); whose it is, is for the caller to check.

    Raises:
        StatusError, DecodeError: As the module tells.
    """
    body = _object(response, _LABELS[requests.DISCOVERY.id], oauth=False)
    _need_text(response, body, "issuer")
    try:
        return ProviderMetadata.from_dict(body)
    except ValueError:
        _invalid(response, body, "OIDC discovery document is missing token_endpoint or jwks_uri")


def parse_jwks(response: HttpResponse) -> list[Mapping[str, Any]]:
    """The provider's keys (RFC 7517 section 5), as they came.

    Raises:
        StatusError, DecodeError: As the module tells.
    """
    types = ("application/json", "application/jwk-set+json")
    body = _object(response, _LABELS[requests.JWKS.id], types, oauth=False)
    keys = body.get("keys")
    if not is_list(keys):
        _invalid(response, body, '"response" body "keys" property must be an array')
    if not all(is_object(key) for key in keys):
        _invalid(response, body, '"response" body "keys" property members must be JWK formatted objects')
    return keys


def parse_tokens(response: HttpResponse) -> TokenResponse:
    """Tokens of type Bearer (RFC 6749 section 5.1).

    Raises:
        OAuthError, StatusError, DecodeError: As the module tells.
    """
    tokens = _tokens(response)
    _need_bearer(tokens)
    return tokens


def parse_token_exchange(response: HttpResponse, *, issued: tuple[str, ...] | None = None) -> TokenResponse:
    """The outcome of a token exchange (RFC 8693 section 2.2.1).

    `token_type` may be `n_a` when what was issued is no access token.

    Args:
        response: The answer.
        issued: What `issued_token_type` may be; `None` takes anything, missing included.

    Raises:
        OAuthError, StatusError, DecodeError: As the module tells.
    """
    tokens = _tokens(response, allow_not_applicable=True)
    if issued is not None and tokens.issued_token_type not in issued:
        raise DecodeError(
            "Token exchange returned an unexpected issued_token_type",
            code="invalid_token_response",
            body={"issued_token_type": tokens.received.get("issued_token_type")},
        )
    if tokens.token_type != _NOT_APPLICABLE:
        _need_bearer(tokens)
    return tokens


def parse_device_authorization(response: HttpResponse) -> DeviceAuthorization:
    """The beginning of a device login (RFC 8628 section 3.2).

    Raises:
        OAuthError, StatusError, DecodeError: As the module tells.
    """
    body = _object(response, _LABELS[requests.DEVICE_AUTHORIZATION.id])
    for name in ("device_code", "user_code", "verification_uri"):
        _need_text(response, body, name)
    if not body["user_code"].isprintable():  # it is shown, and a terminal acts on control characters
        _invalid(response, body, '"response" body "user_code" property must be printable')
    expires_in = _need_number(response, body, "expires_in", _number(body.get("expires_in")))
    if "verification_uri_complete" in body:
        _need_text(response, body, "verification_uri_complete")
    interval: float | None = None
    if "interval" in body:
        interval = _need_number(response, body, "interval", body["interval"], zero=False)
    return DeviceAuthorization(
        device_code=Secret(body["device_code"]),
        user_code=body["user_code"],
        verification_uri=body["verification_uri"],
        verification_uri_complete=body.get("verification_uri_complete"),
        expires_in=expires_in,
        interval=interval,
        received={**body, "device_code": Secret(body["device_code"]), "expires_in": expires_in},
    )


def parse_revocation(response: HttpResponse) -> None:
    """Nothing: the token is useless now, or always was (RFC 7009 section 2.2).

    Raises:
        OAuthError, StatusError: As the module tells.
    """
    if response.status_code != 200:
        raise _refusal(response, _LABELS[requests.REVOCATION.id])


def parse_introspection(response: HttpResponse) -> Introspection:
    """What a token is worth (RFC 7662 section 2.2).

    Raises:
        OAuthError, StatusError, DecodeError: As the module tells.
    """
    body = _object(response, _LABELS[requests.INTROSPECTION.id])
    if not isinstance(body.get("active"), bool):
        _invalid(response, body, '"response" body "active" property must be a boolean')
    members: dict[str, Any] = {"active": body["active"]}
    for name in ("scope", "client_id", "username", "token_type", "sub", "iss", "jti"):
        members[name] = body[name] if isinstance(body.get(name), str) else None
    for name in ("exp", "iat", "nbf"):
        members[name] = int(body[name]) if is_number(body.get(name)) else None
    return Introspection(**members, received=body)


def redacted(value: Any, sent: tuple[str, ...] = ()) -> Any:
    """A copy of a JSON value in which nothing is left that must not be shown."""
    if is_object(value):
        return {
            key: MASK if is_secret_name(key) and isinstance(item, str) and item else redacted(item, sent)
            for key, item in value.items()
        }
    if is_list(value):
        return [redacted(item, sent) for item in value]
    if isinstance(value, str):
        for secret in sent:
            value = value.replace(secret, MASK)
    return value


def _sent_secrets(request: Request) -> Iterator[str]:
    """What the request holds that must not be shown; servers are known to repeat it in their error texts."""
    found = [value for name, value in parse_qsl((request.content or b"").decode("ascii")) if is_secret_name(name)]
    scheme, _, proof = request.headers.get("Authorization", "").partition(" ")
    if scheme == "Basic":
        password = base64.b64decode(proof).decode().partition(":")[2]
        found += [proof, password, unquote_plus(password)]
    return (value for value in found if len(value) >= 4)


def _tokens(response: HttpResponse, *, allow_not_applicable: bool = False) -> TokenResponse:
    body = dict(_object(response, _TOKEN_ENDPOINT))
    _need_text(response, body, "access_token")
    _need_text(response, body, "token_type")
    body["token_type"] = body["token_type"].lower()
    if "expires_in" in body:
        body["expires_in"] = _need_number(response, body, "expires_in", _number(body["expires_in"]))
    if "refresh_token" in body:
        _need_text(response, body, "refresh_token")
    if "scope" in body and not isinstance(body["scope"], str):
        _invalid(response, body, '"response" body "scope" property must be a string')
    if "id_token" in body:
        _need_text(response, body, "id_token")
    issued = body.get("issued_token_type")
    no_access_token = isinstance(issued, str) and issued != urns.ACCESS_TOKEN_TYPE
    if body["token_type"] not in ("bearer", "dpop") and not (
        allow_not_applicable and no_access_token and body["token_type"] == _NOT_APPLICABLE
    ):
        raise DecodeError("unsupported `token_type` value", code="unexpected_error", status=500, body=redacted(body))
    received: dict[str, Any] = {
        name: Secret(value) if is_secret_name(name) and isinstance(value, str) else value
        for name, value in body.items()
    }
    return TokenResponse(
        access_token=received["access_token"],
        token_type=received["token_type"],
        expires_in=received.get("expires_in"),
        scope=received.get("scope"),
        refresh_token=received.get("refresh_token"),
        id_token=received.get("id_token"),
        issued_token_type=issued if isinstance(issued, str) else None,
        received=received,
    )


def _need_bearer(tokens: TokenResponse) -> None:
    if tokens.token_type != "bearer":  # noqa: S105 - the name of a type
        raise DecodeError(
            "Token endpoint returned a non-Bearer token_type",
            code="invalid_token_response",
            body={"token_type": tokens.token_type},
        )


def _object(
    response: HttpResponse, label: str, types: tuple[str, ...] = _JSON, *, oauth: bool = True
) -> Mapping[str, Any]:
    """The body of a 200, a JSON object; its content type counts only when it is no JSON."""
    if response.status_code != 200:
        raise _refusal(response, label, oauth=oauth)
    body = _json(response)
    if body is _NO_JSON:
        if _content_type(response) not in types:
            message, code = _not_json(types), "OAUTH_RESPONSE_IS_NOT_JSON"
        else:
            message, code = 'failed to parse "response" body as JSON', "OAUTH_PARSE_ERROR"
        raise DecodeError(
            message,
            code=code,
            body=_shown(response),
            context={"http_status": response.status_code},
            hint="Check the address of the issuer and any proxy on the way",
        )
    if not is_object(body):
        _invalid(response, body, '"response" body must be a top level object')
    return body


_NO_JSON = object()


def _json(response: HttpResponse) -> Any:
    try:
        return decode(response.content)
    except ValueError:
        return _NO_JSON


def _content_type(response: HttpResponse) -> str:
    return answers.content_type(response).partition(";")[0].strip().lower()


def _not_json(types: tuple[str, ...]) -> str:
    return f'"response" content-type must be {" or ".join(types)}'


def _shown(response: HttpResponse, sent: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "contentType": answers.content_type(response),
        "preview": preview(redacted(response.content.decode("utf-8", "replace"), sent).encode()),
    }


def _invalid(response: HttpResponse, body: Any, message: str) -> NoReturn:
    raise DecodeError(
        message,
        code="OAUTH_INVALID_RESPONSE",
        body=redacted(body),
        context={"http_status": response.status_code},
    )


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _need_text(response: HttpResponse, body: Mapping[str, Any], name: str) -> None:
    if not isinstance(body.get(name), str):
        _invalid(response, body, f'"response" body "{name}" property must be a string')
    if not body[name]:
        _invalid(response, body, f'"response" body "{name}" property must not be empty')


def _number(value: Any) -> Any:
    """A number that some servers write as text; anything else as it is."""
    if isinstance(value, str) and (found := _NUMBER.match(value)):
        number = float(found[1])
        return int(number) if number.is_integer() else number
    return value


def _need_number(
    response: HttpResponse, body: Mapping[str, Any], name: str, value: Any, *, zero: bool = True
) -> float:
    if not is_number(value):
        _invalid(response, body, f'"response" body "{name}" property must be a number')
    if value < 0 or (value == 0 and not zero):
        kind = "non-negative" if zero else "positive"
        _invalid(response, body, f'"response" body "{name}" property must be a {kind} number')
    number: float = value
    return number
