"""Device logins that a third party begins: what PymtHouse sends to your approval page, and whether to trust it.

PymtHouse redirects a user's browser to the app's `initiate_login_uri` with `iss` and `target_link_uri`; anyone
else can send a browser there too. Two checks of different strictness are offered, as in the platform's own
client: `parse_device_approval_redirect` (exact text of the issuer, any spelling of the code), and
`validate_device_initiate_login` with `extract_device_approval_from_target_link` (addresses in normal form, a code
exactly as shown). Sources: OpenID Connect Core 1.0 section 4; PymtHouse OIDC.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias, cast

import attrs

from tollkit.core.weburl import WebUrl, is_absolute_url, parse_http_url, query_pairs
from tollkit.errors import ArgumentError
from tollkit.pymthouse.config import get_pymthouse_issuer_origin, strip_trailing_slashes
from tollkit.pymthouse.device import normalize_user_code
from tollkit.pymthouse.errors import raised
from tollkit.pymthouse.js_text import trim

__all__ = [
    "USER_CODE_RE",
    "DeviceApproval",
    "DeviceApprovalRefused",
    "DeviceInitiateAccepted",
    "DeviceInitiateRefused",
    "ParsedDeviceApprovalRedirect",
    "Query",
    "extract_device_approval_from_target_link",
    "parse_device_approval_redirect",
    "validate_device_initiate_login",
    "verify_issuer",
]

USER_CODE_RE = re.compile(r"^(?=.*[A-Z0-9])[A-Z0-9-]{4,16}\Z")
"""A user code as the platform shows it. (`\\Z` is JavaScript's `$`; Python's lets a line break follow.)"""

DEVICE_PATH = "/oidc/device"

Query: TypeAlias = str | Mapping[str, Any] | Iterable[tuple[str, str]]
"""The query text, the whole address, a mapping of parameters (of texts or of lists, any framework's), or pairs."""


@attrs.frozen(kw_only=True)
class ParsedDeviceApprovalRedirect:
    """A device login to approve.

    Attributes:
        issuer: As received, trimmed.
        target_link_uri: As received, trimmed; its origin and path have been checked.
        user_code: Normalised, for `complete_device_approval` or `approve_device_login`.
        client_id: The app that the device named. It is not checked: compare it with yours.
    """

    issuer: str
    target_link_uri: str
    user_code: str
    client_id: str

    def to_dict(self) -> dict[str, str]:
        """The login in the names of the platform's client."""
        return {
            "issuer": self.issuer,
            "targetLinkUri": self.target_link_uri,
            "userCode": self.user_code,
            "clientId": self.client_id,
        }


@attrs.frozen(kw_only=True)
class DeviceInitiateAccepted:
    """The login comes from the expected issuer. It is true.

    Attributes:
        return_url: The target in normal form: where to send the browser after signing in.
    """

    return_url: str
    ok: Literal[True] = attrs.field(default=True, init=False)

    def to_dict(self) -> dict[str, Any]:
        """The result in the names of the platform's client."""
        return {"ok": True, "returnUrl": self.return_url}


InitiateReason: TypeAlias = Literal[
    "server_not_configured",
    "iss_mismatch",
    "bad_target_uri",
    "target_origin_mismatch",
    "target_path_mismatch",
    "target_has_hash",
]


@attrs.frozen(kw_only=True)
class DeviceInitiateRefused:
    """The login must not be followed. It is false.

    Attributes:
        reason: Why, as one of the platform's words.
    """

    reason: InitiateReason
    ok: Literal[False] = attrs.field(default=False, init=False)

    def __bool__(self) -> Literal[False]:
        return False

    def to_dict(self) -> dict[str, Any]:
        """The result in the names of the platform's client."""
        return {"ok": False, "reason": self.reason}


@attrs.frozen(kw_only=True)
class DeviceApproval:
    """Which login to approve, and for which app. It is true.

    Attributes:
        user_code: As in the address, trimmed.
        public_client_id: The app's public client id (`app_...`).
    """

    user_code: str
    public_client_id: str
    error: None = attrs.field(default=None, init=False)

    def to_dict(self) -> dict[str, str]:
        """The result in the names of the platform's client."""
        return {"userCode": self.user_code, "publicClientId": self.public_client_id}


ApprovalError: TypeAlias = Literal[
    "bad_target_uri",
    "target_origin_mismatch",
    "target_path_mismatch",
    "invalid_user_code",
    "invalid_client_id",
    "client_id_mismatch",
]


@attrs.frozen(kw_only=True)
class DeviceApprovalRefused:
    """The address names no login that may be approved. It is false.

    Attributes:
        error: Why, as one of the platform's words.
    """

    error: ApprovalError

    def __bool__(self) -> Literal[False]:
        return False

    def to_dict(self) -> dict[str, str]:
        """The result in the names of the platform's client."""
        return {"error": self.error}


def verify_issuer(issuer_url: str, iss: str) -> bool:
    """Whether `iss` is this issuer, letter by letter, white space and trailing slashes aside."""
    return strip_trailing_slashes(trim(iss)) == strip_trailing_slashes(issuer_url)


def parse_device_approval_redirect(issuer_url: str, query: Query) -> ParsedDeviceApprovalRedirect:
    """Read and check the query with which PymtHouse sends a user to the approval page.

    Args:
        issuer_url: The issuer that you trust.
        query: What came; of a repeated parameter the first value counts.

    Raises:
        ArgumentError: The query is not complete (code `invalid_request`), is not from this issuer
            (`invalid_issuer`), or does not lead to its device page (`invalid_target`); status 400.
    """
    issuer, target = (trim(text) for text in _parameters(query, "iss", "target_link_uri"))
    if not issuer or not target:
        raise _refused("must have iss and target_link_uri", "invalid_request", "Missing iss or target_link_uri")
    if not verify_issuer(issuer_url, issuer):
        raise _refused("must come from the issuer", "invalid_issuer", "Issuer mismatch for initiate login")
    url = parse_http_url(target)
    if url is None and not is_absolute_url(target):
        problem = "must have an absolute address as target_link_uri"
        raise _refused(problem, "invalid_target", "target_link_uri is not a valid URL")
    if url is None or url.origin != get_pymthouse_issuer_origin(issuer_url) or url.path != DEVICE_PATH:
        problem = f"must lead to {DEVICE_PATH} of the issuer's origin"
        raise _refused(problem, "invalid_target", "target_link_uri does not point to the issuer device path")
    user_code = normalize_user_code(_first(url, "user_code"))
    client_id = trim(_first(url, "client_id"))
    if not user_code or not client_id:
        problem = "must have a target_link_uri with user_code and client_id"
        raise _refused(problem, "invalid_target", "target_link_uri is missing user_code or client_id")
    return ParsedDeviceApprovalRedirect(
        issuer=issuer, target_link_uri=target, user_code=user_code, client_id=client_id
    )


def validate_device_initiate_login(
    *, expected_issuer_url: str, iss: str | None, target_link_uri: str | None
) -> DeviceInitiateAccepted | DeviceInitiateRefused:
    """Check that a third-party-initiated login is from the expected issuer and leads to its device page.

    Addresses are compared in their normal form: case of the host, default ports and trailing slashes do not count.

    Args:
        expected_issuer_url: The issuer that you trust.
        iss: As received; `None` when it was missing.
        target_link_uri: As received; `None` when it was missing.

    Returns:
        Something true with the address to go to, or something false with the reason.
    """
    expected = parse_http_url(strip_trailing_slashes(trim(expected_issuer_url)))
    if expected is None:
        return DeviceInitiateRefused(reason="server_not_configured")
    if _normal(iss or "") != strip_trailing_slashes(expected.href):
        return DeviceInitiateRefused(reason="iss_mismatch")
    target = parse_http_url(target_link_uri or "")
    if target is None:
        absolute = is_absolute_url(target_link_uri or "")
        return DeviceInitiateRefused(reason="target_origin_mismatch" if absolute else "bad_target_uri")
    if target.origin != expected.origin:
        return DeviceInitiateRefused(reason="target_origin_mismatch")
    if target.path != DEVICE_PATH:
        return DeviceInitiateRefused(reason="target_path_mismatch")
    if target.fragment:
        return DeviceInitiateRefused(reason="target_has_hash")
    return DeviceInitiateAccepted(return_url=target.href)


def extract_device_approval_from_target_link(
    href: str, *, expected_issuer_url: str | None = None, expected_public_client_id: str | None = None
) -> DeviceApproval | DeviceApprovalRefused:
    """The user code and the app from the address of a device page.

    Args:
        href: The address.
        expected_issuer_url: When given, the address must be on this issuer's origin.
        expected_public_client_id: When given, the app must be this one.

    Returns:
        Something true with the code and the app, or something false with the error.
    """
    url = parse_http_url(href)
    if url is None and not is_absolute_url(href):
        return DeviceApprovalRefused(error="bad_target_uri")
    if expected_issuer_url:
        expected = parse_http_url(expected_issuer_url)
        if url is None or expected is None or url.origin != expected.origin:
            return DeviceApprovalRefused(error="target_origin_mismatch")
    if url is None or url.path != DEVICE_PATH:
        return DeviceApprovalRefused(error="target_path_mismatch")
    user_code = trim(_first(url, "user_code"))
    if not USER_CODE_RE.fullmatch(user_code):
        return DeviceApprovalRefused(error="invalid_user_code")
    client_id = trim(_first(url, "client_id"))
    if not client_id.startswith("app_"):
        return DeviceApprovalRefused(error="invalid_client_id")
    if expected_public_client_id and client_id != expected_public_client_id:
        return DeviceApprovalRefused(error="client_id_mismatch")
    return DeviceApproval(user_code=user_code, public_client_id=client_id)


def _refused(problem: str, code: str, message: str) -> ArgumentError:
    return raised(ArgumentError("query", problem, code=code, message=message))


def _normal(iss: str) -> str:
    url = parse_http_url(trim(iss))
    return strip_trailing_slashes(url.href if url else trim(iss))


def _first(url: WebUrl, name: str) -> str:
    return next((value for key, value in query_pairs(url.query or "") if key == name), "")


def _parameters(query: Query, *names: str) -> list[str]:
    """The first value of each parameter, empty when there is none."""
    if isinstance(query, str):
        url = parse_http_url(query)
        query = query_pairs((url.query or "") if url else query.removeprefix("?"))
    values: dict[str, Any] = {}
    if isinstance(query, Mapping):
        # frameworks' own mappings give the last of several values, unless asked for the list
        found: Any = cast("Mapping[str, Any]", query)
        values = {name: found.getlist(name) if hasattr(found, "getlist") else found.get(name) for name in names}
    else:
        for name, value in query:
            values.setdefault(name, value)
    return [_text(values.get(name)) for name in names]


def _text(value: Any) -> str:
    first = next(iter(cast("list[Any]", value)), "") if isinstance(value, list | tuple) else value
    return first if isinstance(first, str) else ""
