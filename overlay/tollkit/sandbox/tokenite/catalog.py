"""What can be called through the proxy: vendors, models with their prices, tiers; and the proxy's error codes.

Names and prices are made up in the shape that the platform gives them; only ids of vendors, tiers and error codes are
facts.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

import attrs

from tollkit.sandbox.tokenite.state import number

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from tollkit.sandbox.tokenite.state import App

__all__ = [
    "AGENT_BETA",
    "BETAS",
    "ERRORS",
    "MODELS",
    "PROVIDERS",
    "TIERS",
    "ErrorKind",
    "Model",
    "Provider",
    "allows",
    "cost_of",
    "find_model",
]

TIERS = ("cheap", "fast", "smart", "reasoning")


@attrs.frozen
class Provider:
    """A vendor."""

    id: str
    display_name: str
    color: str
    logo_style: Literal["symbol", "wordmark"] = "symbol"

    def wire(self) -> dict[str, Any]:
        """The vendor as the access context lists it; the logo's address is relative to `base_url`."""
        return {
            "id": self.id,
            "displayName": self.display_name,
            "color": self.color,
            "logoUrl": f"/logos/{self.id}.svg",
            "logoStyle": self.logo_style,
        }


PROVIDERS: Mapping[str, Provider] = {
    provider.id: provider
    for provider in (
        Provider("anthropic", "Anthropic", "#d97757"),
        Provider("openai", "OpenAI", "#10a37f"),
        Provider("google", "Google", "#4285f4"),
        Provider("grok", "Grok", "#2b2f36", "wordmark"),
        Provider("bedrock", "Amazon Bedrock", "#ff9900", "wordmark"),
    )
}


@attrs.frozen(kw_only=True)
class Model:
    """A model of the catalog."""

    slug: str
    display_name: str
    creator: str
    tiers: tuple[str, ...]
    capabilities: tuple[str, ...]
    served_by: tuple[str, ...]
    input_per_million: Decimal
    output_per_million: Decimal

    def wire(self, keys: Container[str]) -> dict[str, Any]:
        """The model as the access context lists it for somebody with keys at those vendors."""
        return {
            "slug": self.slug,
            "displayName": self.display_name,
            "creator": self.creator,
            "tiers": list(self.tiers),
            "capabilities": list(self.capabilities),
            "servedBy": list(self.served_by),
            "callableNow": [provider for provider in self.served_by if provider in keys],
            "pricing": {
                "inputPerMillion": number(self.input_per_million),
                "outputPerMillion": number(self.output_per_million),
            },
        }


def _model(slug: str, name: str, served_by: str, tiers: str, capabilities: str, prices: tuple[str, str]) -> Model:
    vendors = tuple(served_by.split())
    return Model(
        slug=slug,
        display_name=name,
        creator=vendors[0],
        tiers=tuple(tiers.split()),
        capabilities=tuple(capabilities.split()),
        served_by=vendors,
        input_per_million=Decimal(prices[0]),
        output_per_million=Decimal(prices[1]),
    )


_CLAUDE = "anthropic bedrock"
_ALL = "vision tools thinking jsonMode"
MODELS = (
    _model("claude-sonnet-4-5", "Claude Sonnet 4.5", _CLAUDE, "smart", "vision tools thinking", ("3", "15")),
    _model("claude-opus-4-1", "Claude Opus 4.1", _CLAUDE, "reasoning", "vision tools thinking", ("15", "75")),
    _model("claude-haiku-4-5", "Claude Haiku 4.5", _CLAUDE, "fast", "vision tools", ("1", "5")),
    _model("gpt-5", "GPT-5", "openai", "smart reasoning", _ALL, ("1.25", "10")),
    _model("gpt-5-mini", "GPT-5 mini", "openai", "cheap fast", "vision tools jsonMode", ("0.25", "2")),
    _model("gemini-2.5-pro", "Gemini 2.5 Pro", "google", "smart reasoning", _ALL, ("1.25", "10")),
    _model("gemini-2.5-flash", "Gemini 2.5 Flash", "google", "cheap fast", "vision tools jsonMode", ("0.3", "2.5")),
    _model("grok-4", "Grok 4", "grok", "smart reasoning", "vision tools", ("3", "15")),
)
"""The models that are listed; the first callable one of a tier is the recommended one."""
_UNLISTED_PRICES = (Decimal(3), Decimal(15))
_MILLION = Decimal(1_000_000)


def find_model(name: str) -> Model | None:
    """The model of a vendor's name for it, e.g. `anthropic.claude-sonnet-4-5-20250929-v1:0`; None when unlisted."""
    fitting = [model for model in MODELS if re.search(rf"(?<![a-z0-9]){re.escape(model.slug)}(?![a-z0-9])", name)]
    return max(fitting, key=lambda model: len(model.slug), default=None)


def cost_of(model: str, input_tokens: int, output_tokens: int) -> Decimal:
    """What tokens cost in dollars; a model that is not listed costs what the usual smart one costs."""
    found = find_model(model)
    price_in, price_out = (found.input_per_million, found.output_per_million) if found else _UNLISTED_PRICES
    return (price_in * input_tokens + price_out * output_tokens) / _MILLION


def allows(app: App, name: str) -> bool:
    """Whether an app's policy lets a model be called, by a vendor's name for it or its slug."""
    if app.model_strategy == "any":
        return True
    found = find_model(name)
    if app.model_strategy == "tier":
        return found is not None and app.required_tier in found.tiers
    allowed = app.allowed_models or ()
    return name in allowed or (found is not None and found.slug in allowed)


@attrs.frozen
class ErrorKind:
    """An error code of the proxy: its status, who is to blame, and what it says."""

    status: int
    source: Literal["proxy", "provider"]
    message: str


ERRORS: Mapping[str, ErrorKind] = {
    "TOKEN_INVALID": ErrorKind(401, "proxy", "This access token is not valid"),
    "TOKEN_REVOKED": ErrorKind(401, "proxy", "The user has revoked this app's access"),
    "TOKEN_EXPIRED": ErrorKind(401, "proxy", "This access token has expired"),
    "TOKEN_SUSPENDED": ErrorKind(403, "proxy", "The user has suspended this app's access"),
    "MODEL_NOT_ALLOWED": ErrorKind(403, "proxy", "This app may not call this model"),
    "AGENT_SCOPE_MISSING": ErrorKind(403, "proxy", "This app may not use managed agents"),
    "BUDGET_EXCEEDED": ErrorKind(402, "proxy", "The user's spending limit for this app is reached"),
    "PROVIDER_KEY_MISSING": ErrorKind(402, "proxy", "The user has no key for this provider"),
    "CREDITS_DEPLETED": ErrorKind(402, "proxy", "The user's credits are used up"),
    "POOL_EXHAUSTED": ErrorKind(402, "proxy", "The account's pool is used up"),
    "SPONSORED_POOL_EXHAUSTED": ErrorKind(402, "proxy", "The sponsored pool is used up"),
    "SPONSORED_KEY_UNAVAILABLE": ErrorKind(402, "proxy", "The sponsor's key cannot be used"),
    "SPONSORED_PROVIDER_MISMATCH": ErrorKind(402, "proxy", "The sponsor does not pay for this provider"),
    "APP_NOT_FOUND": ErrorKind(404, "proxy", "There is no such app any more"),
    "CONTEXT_LENGTH_EXCEEDED": ErrorKind(400, "provider", "The input is longer than the model takes"),
    "INVALID_REQUEST": ErrorKind(400, "provider", "The provider did not understand the request"),
    "CONTENT_FILTERED": ErrorKind(400, "provider", "The provider refused the content"),
    "AUTHENTICATION_FAILED": ErrorKind(401, "provider", "The provider did not take the user's key"),
    "RATE_LIMITED": ErrorKind(429, "provider", "The provider asks for fewer requests"),
    "PROVIDER_ERROR": ErrorKind(502, "provider", "The provider failed"),
    "PROVIDER_OVERLOADED": ErrorKind(503, "provider", "The provider is overloaded"),
    "PROVIDER_TIMEOUT": ErrorKind(504, "provider", "The provider did not answer in time"),
}
"""The codes that are known."""

AGENT_BETA = "managed-agents-2026-04-01"
BETAS: Mapping[str, str] = {
    "/v1/agents": AGENT_BETA,
    "/v1/environments": AGENT_BETA,
    "/v1/sessions": AGENT_BETA,
    "/v1/vaults": AGENT_BETA,
    "/v1/files": "files-api-2025-04-14",
    "/v1/skills": "skills-2025-10-02",
}
"""The beta header that Anthropic wants on a surface."""
