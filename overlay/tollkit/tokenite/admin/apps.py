"""Apps that users connect to."""

from __future__ import annotations

import builtins
from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeVar

from tollkit.core.arguments import built, required_text
from tollkit.core.flows import Flow, flow
from tollkit.core.settings import KEEP, Keep
from tollkit.errors import ArgumentError
from tollkit.tokenite.admin.base import AdminNamespace, given, text_or_none, texts_or_none

if TYPE_CHECKING:
    from tollkit.secrets import Secret
    from tollkit_api.tokenite.v2_4.models import App, CreatedApp

__all__ = ["Apps"]

D = TypeVar("D")


class Apps(AdminNamespace[D]):
    """`admin.apps`: the account's apps."""

    @flow
    def list(self) -> Flow[builtins.list[App]]:
        """The account's apps.

        Raises:
            AuthenticationError: The key is not good (code `UNAUTHORIZED`).
            PermissionDeniedError: The account is not the user's (code `FORBIDDEN`).

        Source: Tokenite admin API, `GET /api/apps`.
        """
        from tollkit_api.tokenite.v2_4.api.apps import list_apps as operation

        return (yield from self._root.call(built(operation.request), operation.parse))

    @flow
    def create(
        self,
        name: str,
        callback_url: str,
        *,
        required_providers: Iterable[str] | None = None,
        preferred_providers: Iterable[str] | None = None,
        allow_substitution: bool | None = None,
        model_strategy: str | None = None,
        allowed_models: Iterable[str] | None = None,
        required_tier: str | None = None,
        allows_managed_agents: bool | None = None,
        website_url: str | None = None,
        description: str | None = None,
        icon_url: str | None = None,
    ) -> Flow[CreatedApp]:
        """Make an app; `app_secret` of the result is told this once. Its `id` is its `client_id`.

        Args:
            name: Its name.
            callback_url: Where its users come back to.
            required_providers: Vendors that its users need a key for.
            preferred_providers: Vendors to take where there is a choice.
            allow_substitution: Whether another vendor may serve a model.
            model_strategy: Which models it may call: `any`, `tier` (then `required_tier` must be given) or `models`
                (then `allowed_models` must be).
            allowed_models: Slugs of models.
            required_tier: `cheap`, `fast`, `smart` or `reasoning`.
            allows_managed_agents: Whether it may use the managed-agent surfaces.
            website_url: Its website.
            description: What it is.
            icon_url: Address of its icon.

        Raises:
            ArgumentError: An argument is empty or of the wrong kind, or lacks what `model_strategy` needs.
            BadRequestError: The platform refuses a value (code `VALIDATION`).
            PermissionDeniedError: The user of the key may not (code `INSUFFICIENT_ROLE`).

        Source: Tokenite admin API, `POST /api/apps`.
        """
        from tollkit_api.tokenite.v2_4.api.apps import create_app as operation
        from tollkit_api.tokenite.v2_4.models import CreateAppRequest

        body = CreateAppRequest(
            name=required_text("name", name),
            callback_url=required_text("callback_url", callback_url),
            required_providers=_providers("required_providers", required_providers),
            preferred_providers=_providers("preferred_providers", preferred_providers),
            allow_substitution=_flag("allow_substitution", allow_substitution),
            allowed_models=texts_or_none("allowed_models", allowed_models),
            model_strategy=text_or_none("model_strategy", model_strategy),
            required_tier=text_or_none("required_tier", required_tier),
            allows_managed_agents=_flag("allows_managed_agents", allows_managed_agents),
            website_url=text_or_none("website_url", website_url),
            description=text_or_none("description", description),
            icon_url=text_or_none("icon_url", icon_url),
        )
        if model_strategy == "tier" and body.required_tier is None:
            raise ArgumentError("required_tier", "must be given with model_strategy='tier'")
        if model_strategy == "models" and not body.allowed_models:
            raise ArgumentError("allowed_models", "must be given, and not empty, with model_strategy='models'")
        return (yield from self._root.call(built(operation.request, body=body), operation.parse))

    @flow
    def get(self, app_id: str) -> Flow[App]:
        """One app.

        Raises:
            ArgumentError: `app_id` is empty.
            NotFoundError: The account has no such app (code `NOT_FOUND`).

        Source: Tokenite admin API, `GET /api/apps/{id}`.
        """
        from tollkit_api.tokenite.v2_4.api.apps import get_app as operation

        request = built(operation.request, required_text("app_id", app_id))
        return (yield from self._root.call(request, operation.parse))

    @flow
    def update(
        self,
        app_id: str,
        *,
        name: str | None = None,
        callback_url: str | None = None,
        required_providers: Iterable[str] | None = None,
        preferred_providers: Iterable[str] | None = None,
        allow_substitution: bool | None = None,
        model_strategy: str | None = None,
        allowed_models: Iterable[str] | Keep | None = KEEP,
        required_tier: str | Keep | None = KEEP,
        allows_managed_agents: bool | None = None,
        website_url: str | Keep | None = KEEP,
        description: str | Keep | None = KEEP,
        icon_url: str | Keep | None = KEEP,
    ) -> Flow[App]:
        """Change an app; what is not given stays. `None` takes away what may be absent.

        Args:
            app_id: Its id.
            name: The new name.
            callback_url: Where its users come back to.
            required_providers: Vendors that its users need a key for.
            preferred_providers: Vendors to take where there is a choice.
            allow_substitution: Whether another vendor may serve a model.
            model_strategy: `any`, `tier` or `models`; the last two need `required_tier` or `allowed_models`, given or
                set before.
            allowed_models: Slugs of models.
            required_tier: `cheap`, `fast`, `smart` or `reasoning`.
            allows_managed_agents: Whether it may use the managed-agent surfaces.
            website_url: Its website.
            description: What it is.
            icon_url: Address of its icon.

        Raises:
            ArgumentError: An argument is empty or of the wrong kind, or takes away what `model_strategy` needs.
            BadRequestError: The platform refuses a value (code `VALIDATION`).
            NotFoundError: The account has no such app (code `NOT_FOUND`).
            PermissionDeniedError: The user of the key may not (code `INSUFFICIENT_ROLE`).

        Source: Tokenite admin API, `PATCH /api/apps/{id}`.
        """
        from tollkit_api.tokenite.v2_4.api.apps import update_app as operation
        from tollkit_api.tokenite.v2_4.models import UpdateAppRequest

        models = (
            allowed_models if isinstance(allowed_models, Keep) else texts_or_none("allowed_models", allowed_models)
        )
        tier = _text_or_keep("required_tier", required_tier)
        if model_strategy == "tier" and tier is None:
            raise ArgumentError("required_tier", "must not be taken away with model_strategy='tier'")
        if model_strategy == "models" and not models:
            raise ArgumentError("allowed_models", "must not be empty with model_strategy='models'")
        body = UpdateAppRequest(
            name=text_or_none("name", name),
            callback_url=text_or_none("callback_url", callback_url),
            required_providers=_providers("required_providers", required_providers),
            preferred_providers=_providers("preferred_providers", preferred_providers),
            allow_substitution=_flag("allow_substitution", allow_substitution),
            allowed_models=given(models),
            model_strategy=text_or_none("model_strategy", model_strategy),
            required_tier=given(tier),
            allows_managed_agents=_flag("allows_managed_agents", allows_managed_agents),
            website_url=given(_text_or_keep("website_url", website_url)),
            description=given(_text_or_keep("description", description)),
            icon_url=given(_text_or_keep("icon_url", icon_url)),
        )
        request = built(operation.request, required_text("app_id", app_id), body=body)
        return (yield from self._root.call(request, operation.parse))

    @flow
    def rotate_secret(self, app_id: str) -> Flow[Secret]:
        """Give an app a new secret, which is told this once; the old one is worthless at once.

        Raises:
            ArgumentError: `app_id` is empty.
            NotFoundError: The account has no such app (code `NOT_FOUND`).
            PermissionDeniedError: The user of the key may not (code `INSUFFICIENT_ROLE`).

        Source: Tokenite admin API, `POST /api/apps/{id}/rotate-secret`.
        """
        from tollkit_api.tokenite.v2_4.api.apps import rotate_app_secret as operation

        request = built(operation.request, required_text("app_id", app_id))
        return (yield from self._root.call(request, operation.parse)).app_secret

    @flow
    def delete(self, app_id: str) -> Flow[None]:
        """Delete an app.

        Raises:
            ArgumentError: `app_id` is empty.
            NotFoundError: The account has no such app (code `NOT_FOUND`).
            PermissionDeniedError: The user of the key may not (code `INSUFFICIENT_ROLE`).

        Source: Tokenite admin API, `DELETE /api/apps/{id}`.
        """
        from tollkit_api.tokenite.v2_4.api.apps import delete_app as operation

        request = built(operation.request, required_text("app_id", app_id))
        return (yield from self._root.call(request, operation.parse))


def _providers(name: str, value: Iterable[str] | None) -> list[str] | None:
    return texts_or_none(name, value)


def _flag(name: str, value: object) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    raise ArgumentError(name, "must be True or False")


def _text_or_keep(name: str, value: str | Keep | None) -> str | Keep | None:
    return value if isinstance(value, Keep) else text_or_none(name, value)
