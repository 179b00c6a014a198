"""Addresses that come from answers: where requests may go, and what may be shown to a person.

Who answers in a platform's place, or has taken it over, must not be able to point a program at services that its own
machine alone can reach (server-side request forgery), nor a person's browser at something that is no web page.

Names are not looked up here: a public name may lead to a private address (docs/security.md says so).
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from tollkit.core.weburl import WebUrl, parse_http_url
from tollkit.errors import DecodeError, InsecureTransportError

__all__ = ["UNSAFE_ADDRESS", "is_local", "link_address", "request_address"]

UNSAFE_ADDRESS = "unsafe_address"
"""The code of the error for an address that is refused."""

# Printable ASCII without a backslash (RFC 3986), and a host without user name, per cent or blanks: every parser reads
# the same host in such a text, so that what is checked here is where the HTTP client goes.
_PLAIN = re.compile(r"https?://[A-Za-z0-9.\-_\[\]:]+(?:[/?#][!-\[\]-~]*)?", re.IGNORECASE)
_LOCAL_NAMES = (".local", ".internal", ".home.arpa")  # RFC 6762, ICANN's reservation of 2024, RFC 8375
_PRIVATE = [
    ip_network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", "fec0::/10")
]
_GLOBAL_UNICAST = ip_network("2000::/3")
_KINDS = {
    "loopback": "which is this machine itself",
    "private": "which is in a private network",
    "link-local": "which is link-local, as the metadata services of clouds are",
    "special": "which is no public address",
}


def request_address(text: object, *, field: str, base: str) -> str:
    """An address out of an answer, if a request may go there; the text as it came, for its query may be signed.

    It must be https (plain http alone where the platform itself is configured with `http://`), without user name and
    password, and public. What is not public may be named only by a platform that is of the same kind itself: one on
    the loopback interface names others there (the sandbox), one in a private network others in it. The platform's
    own host may always be named.

    Args:
        text: What the answer says.
        field: Where it says so, for errors.
        base: The address that the client was configured with.

    Raises:
        DecodeError: It is no such address (code `unsafe_address`); nothing was sent.
        InsecureTransportError: It is plain http, and the platform is not.
    """
    url = _read(text, field, base)
    own = parse_http_url(base)
    kind = _kind(url.host)
    own_host = own.host if own else ""
    if (
        kind != "public"
        and url.host != own_host
        and not (kind in ("loopback", "private") and kind == _kind(own_host))
    ):
        raise _unsafe(field, f"leads to {url.host}, {_KINDS[kind]}", host=url.host)
    return str(text)


def link_address(text: object, *, field: str, base: str | None = None) -> str:
    """An address out of an answer, if it may be shown to a person or opened in a browser.

    It must be a web address without control characters, user name and password: no `javascript:`, no `file:`.

    Args:
        text: What the answer says.
        field: Where it says so, for errors.
        base: The address that the client was configured with; when that is https, this must be, too.

    Raises:
        DecodeError: It is no such address (code `unsafe_address`).
        InsecureTransportError: It is plain http, and `base` is not.
    """
    _read(text, field, base)
    return str(text)


def is_local(address: str) -> bool:
    """Whether an address is one of this machine or of a private network, by its host alone; no name is looked up."""
    url = parse_http_url(address)
    return url is not None and _kind(url.host) in ("loopback", "private")


def _read(text: object, field: str, base: str | None) -> WebUrl:
    if not isinstance(text, str) or not _PLAIN.fullmatch(text):
        raise _unsafe(field, "is no plain http(s) address: printable ASCII, without user name and password")
    url = parse_http_url(text)
    if url is None:
        raise _unsafe(field, "is an address that cannot be read for certain")
    if url.scheme != "https" and base is not None and not base.lower().startswith("http:"):
        raise InsecureTransportError(
            f"only HTTPS addresses are allowed, and `{field}` of the answer is plain http",
            hint="An answer never leads from https to http; tell the platform",
            context={"field": field, "host": url.host},
        )
    return url


def _kind(host: str) -> str:
    """`public`, or what else a host of a normalised address is."""
    name = host.removesuffix(".")
    try:
        return _kind_of_ip(ip_address(name.strip("[]")))
    except ValueError:
        pass
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761, section 6.3
        return "loopback"
    return "private" if "." not in name or name.endswith(_LOCAL_NAMES) else "public"


def _kind_of_ip(address: IPv4Address | IPv6Address) -> str:
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is not None:
            return _kind_of_ip(inner)
    if address.is_loopback:
        return "loopback"
    if address.is_link_local:
        return "link-local"
    if any(address in network for network in _PRIVATE):
        return "private"
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:  # NAT64 too, which hides an IPv4 address
        return "special"
    return "public" if address.is_global and not (address.is_multicast or address.is_reserved) else "special"


def _unsafe(field: str, problem: str, *, host: str | None = None) -> DecodeError:
    # the address itself is not told: those that are presigned are secrets
    return DecodeError(
        f"`{field}` of the answer {problem}",
        code=UNSAFE_ADDRESS,
        hint="It was not used; tell the platform",
        context={"field": field, **({"host": host} if host else {})},
    )
