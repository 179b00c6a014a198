"""Accounts, their members and invitations."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, TypeVar

from tollkit.core.addresses import link_address
from tollkit.core.arguments import built, required_text
from tollkit.core.flows import Flow, flow
from tollkit.core.settings import KEEP, Keep
from tollkit.tokenite.admin.base import (
    AdminNamespace,
    Amount,
    dollars_or_none,
    given,
    secret,
    text_or_none,
)

if TYPE_CHECKING:
    from tollkit_api.tokenite.v2_4.models import (
        Account,
        ClaimedInvitation,
        CreatedInvitation,
        Invitation,
        Member,
    )

__all__ = ["Accounts"]

D = TypeVar("D")


class Accounts(AdminNamespace[D]):
    """`admin.accounts`: personal and business accounts, their members and invitations.

    Calls on one account go out with its id as `x-account-id`, whatever the client's own.
    """

    @flow
    def list(self) -> Flow[builtins.list[Account]]:
        """The accounts that the user of the key is a member of.

        Raises:
            AuthenticationError: The key is not good (code `UNAUTHORIZED`).

        Source: Tokenite admin API, `GET /api/accounts`.
        """
        from tollkit_api.tokenite.v2_4.api.accounts import list_accounts as operation

        return (yield from self._root.call(built(operation.request), operation.parse))

    @flow
    def create(
        self,
        name: str,
        *,
        type: str | None = None,
        pool_budget_limit_usd: Amount | None = None,
        pool_reset_period: str | None = None,
    ) -> Flow[Account]:
        """Make an account that the user of the key owns.

        Args:
            name: Its name.
            type: `business` or `personal`; the platform's choice when left out.
            pool_budget_limit_usd: What all members may spend together in a period, in US dollars; no limit when left
                out.
            pool_reset_period: `monthly`: when the spent amount starts again at zero; never when left out.

        Raises:
            ArgumentError: `name` is empty, or the limit is no amount.

        Source: Tokenite admin API, `POST /api/accounts`.
        """
        from tollkit_api.tokenite.v2_4.api.accounts import create_account as operation
        from tollkit_api.tokenite.v2_4.models import CreateAccountRequest

        body = CreateAccountRequest(
            name=required_text("name", name),
            type_=text_or_none("type", type),
            pool_budget_limit_usd=dollars_or_none("pool_budget_limit_usd", pool_budget_limit_usd),
            pool_reset_period=text_or_none("pool_reset_period", pool_reset_period),
        )
        return (yield from self._root.call(built(operation.request, body=body), operation.parse))

    @flow
    def get(self, account_id: str) -> Flow[Account]:
        """One account.

        Raises:
            ArgumentError: `account_id` is empty.
            NotFoundError: There is no such account (code `NOT_FOUND`).
            PermissionDeniedError: The user of the key is no member (code `FORBIDDEN`).

        Source: Tokenite admin API, `GET /api/accounts/{id}`.
        """
        from tollkit_api.tokenite.v2_4.api.accounts import get_account as operation

        account = required_text("account_id", account_id)
        return (yield from self._root.call(built(operation.request, account, x_account_id=account), operation.parse))

    @flow
    def update(
        self,
        account_id: str,
        *,
        name: str | None = None,
        pool_budget_limit_usd: Amount | Keep | None = KEEP,
        pool_reset_period: str | Keep | None = KEEP,
    ) -> Flow[Account]:
        """Change an account; what is not given stays.

        Args:
            account_id: Its id.
            name: The new name.
            pool_budget_limit_usd: What all members may spend together in a period, in US dollars; `None` for no
                limit.
            pool_reset_period: `monthly`, or `None` for never.

        Raises:
            ArgumentError: `account_id` or `name` is empty, or the limit is no amount.
            PermissionDeniedError: The user of the key is no owner (code `INSUFFICIENT_ROLE`).

        Source: Tokenite admin API, `PATCH /api/accounts/{id}`.
        """
        from tollkit_api.tokenite.v2_4.api.accounts import update_account as operation
        from tollkit_api.tokenite.v2_4.models import UpdateAccountRequest

        account = required_text("account_id", account_id)
        limit, period = pool_budget_limit_usd, pool_reset_period
        body = UpdateAccountRequest(
            name=text_or_none("name", name),
            pool_budget_limit_usd=given(
                limit if isinstance(limit, Keep) else dollars_or_none("pool_budget_limit_usd", limit)
            ),
            pool_reset_period=given(
                period if isinstance(period, Keep) else text_or_none("pool_reset_period", period)
            ),
        )
        request = built(operation.request, account, body=body, x_account_id=account)
        return (yield from self._root.call(request, operation.parse))

    @flow
    def delete(self, account_id: str) -> Flow[None]:
        """Delete a business account.

        Raises:
            ArgumentError: `account_id` is empty.
            PermissionDeniedError: The user of the key is no owner (code `INSUFFICIENT_ROLE`).
            NotFoundError: There is no such account (code `NOT_FOUND`).

        Source: Tokenite admin API, `DELETE /api/accounts/{id}`.
        """
        from tollkit_api.tokenite.v2_4.api.accounts import delete_account as operation

        account = required_text("account_id", account_id)
        return (yield from self._root.call(built(operation.request, account, x_account_id=account), operation.parse))

    @flow
    def invite(self, account_id: str, email: str, *, role: str | None = None) -> Flow[CreatedInvitation]:
        """Invite somebody into an account; `claim_url` of the result is for them alone.

        Args:
            account_id: The account.
            email: Their e-mail address.
            role: `owner` or `member`; the platform's choice when left out.

        Raises:
            ArgumentError: An argument is empty.
            ConflictError: They are a member (code `ALREADY_MEMBER`).
            DecodeError: The platform names a page that is no plain web address (code `unsafe_address`).
            PermissionDeniedError: The user of the key is no owner (code `INSUFFICIENT_ROLE`).

        Source: Tokenite admin API, `POST /api/accounts/{id}/invitations`.
        """
        from tollkit_api.tokenite.v2_4.api.accounts import invite_member as operation
        from tollkit_api.tokenite.v2_4.models import InviteMemberRequest

        account = required_text("account_id", account_id)
        body = InviteMemberRequest(email=required_text("email", email), role=text_or_none("role", role))
        request = built(operation.request, account, body=body, x_account_id=account)
        created = yield from self._root.call(request, operation.parse)
        link_address(created.claim_url, field="claimUrl", base=self._root._settings.base_url)
        return created

    @flow
    def invitations(self, account_id: str) -> Flow[builtins.list[Invitation]]:
        """The invitations of an account.

        Raises:
            ArgumentError: `account_id` is empty.
            PermissionDeniedError: The user of the key may not see them.

        Source: Tokenite admin API, `GET /api/accounts/{id}/invitations`.
        """
        from tollkit_api.tokenite.v2_4.api.accounts import list_invitations as operation

        account = required_text("account_id", account_id)
        return (yield from self._root.call(built(operation.request, account, x_account_id=account), operation.parse))

    @flow
    def cancel_invite(self, account_id: str, invitation_id: str) -> Flow[None]:
        """Take an invitation back.

        Args:
            account_id: The account.
            invitation_id: The invitation.

        Raises:
            ArgumentError: An argument is empty.
            NotFoundError: There is no such invitation (code `NOT_FOUND`).

        Source: Tokenite admin API, `DELETE /api/accounts/{id}/invitations/{invitationId}`.
        """
        from tollkit_api.tokenite.v2_4.api.accounts import cancel_invitation as operation

        account = required_text("account_id", account_id)
        invitation = required_text("invitation_id", invitation_id)
        request = built(operation.request, account, invitation, x_account_id=account)
        return (yield from self._root.call(request, operation.parse))

    @flow
    def members(self, account_id: str) -> Flow[builtins.list[Member]]:
        """The members of an account, with what each has spent this month.

        Raises:
            ArgumentError: `account_id` is empty.
            PermissionDeniedError: The user of the key is no member (code `FORBIDDEN`).

        Source: Tokenite admin API, `GET /api/accounts/{id}/members`.
        """
        from tollkit_api.tokenite.v2_4.api.accounts import list_members as operation

        account = required_text("account_id", account_id)
        return (yield from self._root.call(built(operation.request, account, x_account_id=account), operation.parse))

    @flow
    def update_member(
        self,
        account_id: str,
        user_id: str,
        *,
        role: str | None = None,
        monthly_cap_usd: Amount | Keep | None = KEEP,
    ) -> Flow[None]:
        """Change a member; what is not given stays.

        Args:
            account_id: The account.
            user_id: The member.
            role: `owner` or `member`.
            monthly_cap_usd: What the member may spend in a month, in US dollars; `None` for no cap.

        Raises:
            ArgumentError: An argument is empty, or the cap is no amount.
            ConflictError: The account would have no owner (code `SOLE_OWNER`).
            PermissionDeniedError: The user of the key is no owner (code `INSUFFICIENT_ROLE`).
            NotFoundError: There is no such member (code `NOT_FOUND`).

        Source: Tokenite admin API, `PATCH /api/accounts/{id}/members/{userId}`.
        """
        from tollkit_api.tokenite.v2_4.api.accounts import update_member as operation
        from tollkit_api.tokenite.v2_4.models import UpdateMemberRequest

        account, user = required_text("account_id", account_id), required_text("user_id", user_id)
        cap = monthly_cap_usd
        body = UpdateMemberRequest(
            role=text_or_none("role", role),
            monthly_cap_usd=given(cap if isinstance(cap, Keep) else dollars_or_none("monthly_cap_usd", cap)),
        )
        request = built(operation.request, account, user, body=body, x_account_id=account)
        return (yield from self._root.call(request, operation.parse))

    @flow
    def remove_member(self, account_id: str, user_id: str) -> Flow[None]:
        """Take a member out of an account.

        Args:
            account_id: The account.
            user_id: The member.

        Raises:
            ArgumentError: An argument is empty.
            ConflictError: The account would have no owner (code `SOLE_OWNER`).
            PermissionDeniedError: The user of the key is no owner (code `INSUFFICIENT_ROLE`).
            NotFoundError: There is no such member (code `NOT_FOUND`).

        Source: Tokenite admin API, `DELETE /api/accounts/{id}/members/{userId}`.
        """
        from tollkit_api.tokenite.v2_4.api.accounts import remove_member as operation

        account, user = required_text("account_id", account_id), required_text("user_id", user_id)
        request = built(operation.request, account, user, x_account_id=account)
        return (yield from self._root.call(request, operation.parse))

    @flow
    def leave(self, account_id: str) -> Flow[None]:
        """Take the user of the key out of an account.

        Raises:
            ArgumentError: `account_id` is empty.
            ConflictError: The account would have no owner (code `SOLE_OWNER`).

        Source: Tokenite admin API, `POST /api/accounts/{id}/leave`.
        """
        from tollkit_api.tokenite.v2_4.api.accounts import leave_account as operation

        account = required_text("account_id", account_id)
        return (yield from self._root.call(built(operation.request, account, x_account_id=account), operation.parse))

    @flow
    def claim(self, token: str) -> Flow[ClaimedInvitation]:
        """Become a member of an account, by the token of an invitation.

        Args:
            token: From the address that the invitation came with.

        Raises:
            ArgumentError: `token` is empty.
            StatusError: The invitation can no longer be claimed (410, code `INVITATION_EXPIRED`).
            ConflictError: The user of the key is a member (code `ALREADY_MEMBER`).
            PermissionDeniedError: The invitation is for somebody else (code `FORBIDDEN`).
            NotFoundError: There is no such invitation (code `NOT_FOUND`).

        Source: Tokenite admin API, `POST /api/invitations/claim`.
        """
        from tollkit_api.tokenite.v2_4.api.accounts import claim_invitation as operation
        from tollkit_api.tokenite.v2_4.models import ClaimInvitationRequest

        token = hidden = secret("token", token)
        body = ClaimInvitationRequest(token=hidden)
        return (yield from self._root.call(built(operation.request, body=body), operation.parse, hidden))
