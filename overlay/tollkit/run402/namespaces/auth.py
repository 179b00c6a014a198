"""End users of a project: magic links, passwords, settings, who is an administrator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from tollkit.core.arguments import built, hidden, required_text, secret_text
from tollkit.core.flows import Flow, flow
from tollkit.core.namespaces import Namespace
from tollkit.run402.namespaces.checks import choice_or_none, flag, preparing
from tollkit.run402.namespaces.keyed import with_keys
from tollkit.run402.namespaces.scoped import ScopedNamespace, of_project
from tollkit.secrets import Secret

if TYPE_CHECKING:
    from tollkit.run402.client import Run402Flows
    from tollkit_api.run402.v1_57.models import AuthProviders, UserSession

__all__ = ["Auth", "ScopedAuth"]

D = TypeVar("D")


class Auth(Namespace[D]):
    """`client.auth`: the people who sign in to a project's app."""

    _root: Run402Flows

    @flow
    def request_magic_link(self, project_id: str, *, email: str, redirect_url: str) -> Flow[None]:
        """Send somebody a link to sign in with. Asking twice sends two.

        Args:
            project_id: The project.
            email: Who.
            redirect_url: Where the link leads, with a token for `verify_magic_link`.

        Raises:
            LocalError: An argument is of the wrong kind or empty (also an `ArgumentError`).
            ProjectNotFound: The credentials do not know the project; nothing was sent.
            ApiError: The gateway refused.

        Source: Run402 gateway, `POST /auth/v1/magic-link`.
        """
        from tollkit_api.run402.v1_57.api.auth import auth_request_magic_link as operation
        from tollkit_api.run402.v1_57.models import MagicLinkRequest

        doing = "requesting magic link"
        with preparing(doing):
            body = MagicLinkRequest(
                email=required_text("email", email), redirect_url=required_text("redirect_url", redirect_url)
            )
        return (yield from with_keys(self._root, project_id, doing, operation.parse, operation.request, body=body))

    @flow
    def verify_magic_link(self, project_id: str, token: str) -> Flow[UserSession]:
        """Exchange the token of a magic link for a session. A token works once.

        Args:
            project_id: The project.
            token: The token.

        Raises:
            ProjectNotFound: The credentials do not know the project; nothing was sent.
            LocalError: `token` is unusable (also an `ArgumentError`).
            Unauthorized: The token is wrong, used or too old.

        Source: Run402 gateway, `POST /auth/v1/token?grant_type=magic_link`.
        """
        from tollkit_api.run402.v1_57.api.auth import auth_verify_magic_link as operation
        from tollkit_api.run402.v1_57.models import VerifyMagicLinkRequest

        token = hidden(token)
        doing = "verifying magic link"
        with preparing(doing):
            body = VerifyMagicLinkRequest(token=Secret(secret_text("token", token)))
        return (
            yield from with_keys(
                self._root, project_id, doing, operation.parse, operation.request, body=body, grant_type="magic_link"
            )
        )

    @flow
    def set_user_password(
        self, project_id: str, *, access_token: str, new_password: str, current_password: str | None = None
    ) -> Flow[None]:
        """Set the password of the user whose session it is.

        Args:
            project_id: The project.
            access_token: Of the user's session.
            new_password: The password from now on.
            current_password: The one until now, when there is one.

        Raises:
            LocalError: An argument is of the wrong kind or empty (also an `ArgumentError`).
            ProjectNotFound: The credentials do not know the project; nothing was sent.
            Unauthorized: The token or the present password is refused.

        Source: Run402 gateway, `PUT /auth/v1/user/password`.
        """
        from tollkit_api.run402.v1_57.api.auth import auth_set_user_password as operation
        from tollkit_api.run402.v1_57.models import SetPasswordRequest

        access_token, new_password, current_password = (
            hidden(access_token),
            hidden(new_password),
            hidden(current_password),
        )
        doing = "setting user password"
        with preparing(doing):
            session = Secret(secret_text("access_token", access_token))
            current = choice_or_none("current_password", current_password)
            body = SetPasswordRequest(
                new_password=Secret(required_text("new_password", new_password)), current_password=hidden(current)
            )
            request = built(operation.request, body=body)
        keys = yield from self._root.keys_of(project_id, doing)
        return (yield from self._root.call(request, operation.parse, doing, keys=keys, access_token=session))

    @flow
    def settings(self, project_id: str, *, allow_password_set: bool) -> Flow[None]:
        """Change how users sign in.

        Args:
            project_id: The project.
            allow_password_set: Whether users may set a password.

        Raises:
            LocalError: `allow_password_set` is not True or False (also an `ArgumentError`).
            ProjectNotFound: The credentials do not know the project; nothing was sent.
            ApiError: The gateway refused.

        Source: Run402 gateway, `PATCH /auth/v1/settings`.
        """
        from tollkit_api.run402.v1_57.api.auth import auth_settings as operation
        from tollkit_api.run402.v1_57.models import AuthSettingsRequest

        doing = "updating auth settings"
        with preparing(doing):
            body = AuthSettingsRequest(allow_password_set=flag("allow_password_set", allow_password_set))
        return (yield from with_keys(self._root, project_id, doing, operation.parse, operation.request, body=body))

    @flow
    def providers(self, project_id: str) -> Flow[AuthProviders]:
        """The ways in which users can sign in, in whatever shape the gateway tells them.

        Raises:
            ProjectNotFound: The credentials do not know the project; nothing was sent.
            ApiError: The gateway refused.

        Source: Run402 gateway, `GET /auth/v1/providers`.
        """
        from tollkit_api.run402.v1_57.api.auth import auth_providers as operation

        doing = "listing auth providers"
        return (yield from with_keys(self._root, project_id, doing, operation.parse, operation.request))

    @flow
    def promote(self, project_id: str, email: str) -> Flow[None]:
        """Make a user an administrator of the project's app.

        Args:
            project_id: The project.
            email: The user, who has to exist.

        Raises:
            ProjectNotFound: The credentials do not know the project; nothing was sent.
            LocalError: `email` is empty (also an `ArgumentError`).
            ApiError: The gateway refused. 404: there is no such user.

        Source: Run402 gateway, `POST /projects/v1/admin/{project_id}/promote-user`.
        """
        from tollkit_api.run402.v1_57.api.projects import projects_promote_user as operation
        from tollkit_api.run402.v1_57.models import UserEmail

        doing = "promoting user"
        with preparing(doing):
            body = UserEmail(email=required_text("email", email))
        return (
            yield from with_keys(
                self._root, project_id, doing, operation.parse, operation.request, project_id, body=body
            )
        )

    @flow
    def demote(self, project_id: str, email: str) -> Flow[None]:
        """Make an administrator of the project's app a common user again.

        Args:
            project_id: The project.
            email: The user.

        Raises:
            ProjectNotFound: The credentials do not know the project; nothing was sent.
            LocalError: `email` is empty (also an `ArgumentError`).
            ApiError: The gateway refused. 404: there is no such user.

        Source: Run402 gateway, `POST /projects/v1/admin/{project_id}/demote-user`.
        """
        from tollkit_api.run402.v1_57.api.projects import projects_demote_user as operation
        from tollkit_api.run402.v1_57.models import UserEmail

        doing = "demoting user"
        with preparing(doing):
            body = UserEmail(email=required_text("email", email))
        return (
            yield from with_keys(
                self._root, project_id, doing, operation.parse, operation.request, project_id, body=body
            )
        )

    magic_link = request_magic_link
    verify = verify_magic_link
    set_password = set_user_password
    promote_user = promote
    demote_user = demote


class ScopedAuth(ScopedNamespace[D]):
    """`project.auth`: the people who sign in to the project's app, without its id."""

    _plain = Auth

    request_magic_link: Final = of_project(Auth[Any].request_magic_link)
    verify_magic_link: Final = of_project(Auth[Any].verify_magic_link)
    set_user_password: Final = of_project(Auth[Any].set_user_password)
    settings: Final = of_project(Auth[Any].settings)
    providers: Final = of_project(Auth[Any].providers)
    promote: Final = of_project(Auth[Any].promote)
    demote: Final = of_project(Auth[Any].demote)
