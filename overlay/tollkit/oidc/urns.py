"""Names that stand on the wire: grant types and token types (RFC 6749, RFC 8628, RFC 8693)."""

from __future__ import annotations

from typing import Final

__all__ = [
    "ACCESS_TOKEN_TYPE",
    "CLIENT_CREDENTIALS_GRANT",
    "DEVICE_CODE_GRANT",
    "ID_TOKEN_TYPE",
    "JWT_TYPE",
    "REFRESH_TOKEN_GRANT",
    "REFRESH_TOKEN_TYPE",
    "TOKEN_EXCHANGE_GRANT",
]

CLIENT_CREDENTIALS_GRANT: Final = "client_credentials"
"""RFC 6749 section 4.4."""
REFRESH_TOKEN_GRANT: Final = "refresh_token"  # noqa: S105 - the name of a grant
"""RFC 6749 section 6."""
DEVICE_CODE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
"""RFC 8628 section 3.4."""
TOKEN_EXCHANGE_GRANT: Final = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - the name of a grant
"""RFC 8693 section 2.1."""

ACCESS_TOKEN_TYPE: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - the name of a type
"""RFC 8693 section 3: an access token of the issuer, of whatever format."""
REFRESH_TOKEN_TYPE: Final = "urn:ietf:params:oauth:token-type:refresh_token"  # noqa: S105 - the name of a type
"""RFC 8693 section 3."""
ID_TOKEN_TYPE: Final = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105 - the name of a type
"""RFC 8693 section 3."""
JWT_TYPE: Final = "urn:ietf:params:oauth:token-type:jwt"
"""RFC 8693 section 3: a JWT whose use is told by its content."""
