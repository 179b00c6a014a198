"""Balances, history, checkouts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from tollkit.core.addresses import link_address
from tollkit.core.arguments import built, required_text
from tollkit.core.flows import Flow, flow
from tollkit.core.namespaces import Namespace
from tollkit.errors import ArgumentError, DecodeError, InsecureTransportError
from tollkit.run402.errors import raised
from tollkit.run402.namespaces.checks import flag, preparing, whole

if TYPE_CHECKING:
    from tollkit.run402.client import Run402Flows
    from tollkit_api.run402.v1_57.models import (
        AccountRequest,
        BillingBalance,
        BillingHistory,
        Checkout,
        EmailAccount,
        TierName,
    )
    from tollkit_api.runtime import HttpResponse, Request

__all__ = ["Billing"]

D = TypeVar("D")


class Billing(Namespace[D]):
    """`client.billing`: accounts by wallet or e-mail address; no credentials go out."""

    _root: Run402Flows

    @flow
    def check_balance(self, wallet: str) -> Flow[BillingBalance]:
        """What an account holds.

        Args:
            wallet: Address of the wallet, sent in lower case; an e-mail address works too.

        Raises:
            LocalError: `wallet` is empty (also an `ArgumentError`).

        Source: Run402 gateway, `GET /billing/v1/accounts/{wallet}`.
        """
        from tollkit_api.run402.v1_57.api.billing import billing_check_balance as operation

        doing = "checking balance"
        with preparing(doing):
            request = built(operation.request, required_text("wallet", wallet).lower())
        return (yield from self._root.call(request, operation.parse, doing))

    balance = check_balance

    @flow
    def history(self, wallet: str, limit: int | None = None) -> Flow[BillingHistory]:
        """The movements of an account.

        Args:
            wallet: Address of the wallet, sent in lower case; an e-mail address works too.
            limit: How many; as many as the platform likes when left out, or 0.

        Raises:
            LocalError: An argument is of the wrong kind (also an `ArgumentError`).

        Source: Run402 gateway, `GET /billing/v1/accounts/{wallet}/history`.
        """
        from tollkit_api.run402.v1_57.api.billing import billing_history as operation

        doing = "fetching billing history"
        with preparing(doing):
            many = None if limit is None else whole("limit", limit) or None
            request = built(operation.request, required_text("wallet", wallet).lower(), limit=many)
        return (yield from self._root.call(request, operation.parse, doing))

    @flow
    def create_checkout(self, wallet: str, amount_usd_micros: int) -> Flow[Checkout]:
        """Top a wallet's account up by card: `checkout_url` of the result is the page to pay at.

        Args:
            wallet: Address of the wallet, sent in lower case.
            amount_usd_micros: How much, in millionths of a US dollar.

        Raises:
            LocalError: An argument is of the wrong kind (also an `ArgumentError`).
            DecodeError: The platform names a page that is no plain web address (code `unsafe_address`).

        Source: Run402 gateway, `POST /billing/v1/checkouts`.
        """
        from tollkit_api.run402.v1_57.api.billing import billing_create_checkout as operation
        from tollkit_api.run402.v1_57.models import TopUpRequest

        doing = "creating checkout"
        with preparing(doing):
            body = TopUpRequest(
                wallet=required_text("wallet", wallet).lower(),
                amount_usd_micros=whole("amount_usd_micros", amount_usd_micros, least=1),
            )
            request = built(operation.request, body=body)
        return (yield from self._page(request, operation.parse, doing))

    @flow
    def create_email_account(self, email: str) -> Flow[EmailAccount]:
        """Make an account for an e-mail address; the address gets a message to verify it.

        Args:
            email: The address.

        Raises:
            LocalError: `email` is empty (also an `ArgumentError`).

        Source: Run402 gateway, `POST /billing/v1/accounts`.
        """
        from tollkit_api.run402.v1_57.api.billing import billing_create_email_account as operation
        from tollkit_api.run402.v1_57.models import EmailAccountRequest

        doing = "creating email billing account"
        with preparing(doing):
            request = built(operation.request, body=EmailAccountRequest(email=required_text("email", email)))
        return (yield from self._root.call(request, operation.parse, doing))

    create_email = create_email_account

    @flow
    def link_wallet(self, billing_account_id: str, wallet: str) -> Flow[None]:
        """Let a wallet stand for an account too.

        Args:
            billing_account_id: Id of the account.
            wallet: Address of the wallet, sent as it is.

        Raises:
            LocalError: An argument is empty (also an `ArgumentError`).

        Source: Run402 gateway, `POST /billing/v1/accounts/{account_id}/link-wallet`.
        """
        from tollkit_api.run402.v1_57.api.billing import billing_link_wallet as operation
        from tollkit_api.run402.v1_57.models import LinkWalletRequest

        doing = "linking wallet"
        with preparing(doing):
            account = required_text("billing_account_id", billing_account_id)
            body = LinkWalletRequest(wallet=required_text("wallet", wallet))
            request = built(operation.request, account, body=body)
        yield from self._root.call(request, operation.parse, doing)

    @flow
    def tier_checkout(
        self, tier: TierName | str, *, email: str | None = None, wallet: str | None = None
    ) -> Flow[Checkout]:
        """Pay a tier by card: `checkout_url` of the result is the page to pay at.

        Args:
            tier: Name of the tier, such as `hobby`.
            email: Whose account it is for, by e-mail address; not looked at when `wallet` is given.
            wallet: Whose account it is for, by wallet, sent as it is.

        Raises:
            LocalError: Neither is given, or an argument is of the wrong kind (also an `ArgumentError`).
            DecodeError: The platform names a page that is no plain web address (code `unsafe_address`).

        Source: Run402 gateway, `POST /billing/v1/tiers/{tier}/checkout`.
        """
        from tollkit_api.run402.v1_57.api.billing import billing_tier_checkout as operation

        doing = "creating tier checkout"
        with preparing(doing):
            request = built(operation.request, required_text("tier", tier), body=_account(email, wallet))
        return (yield from self._page(request, operation.parse, doing))

    @flow
    def buy_email_pack(self, *, email: str | None = None, wallet: str | None = None) -> Flow[Checkout]:
        """Pay a pack of e-mails by card: `checkout_url` of the result is the page to pay at.

        Args:
            email: Whose account it is for, by e-mail address; not looked at when `wallet` is given.
            wallet: Whose account it is for, by wallet, sent as it is.

        Raises:
            LocalError: Neither is given, or an argument is of the wrong kind (also an `ArgumentError`).
            DecodeError: The platform names a page that is no plain web address (code `unsafe_address`).

        Source: Run402 gateway, `POST /billing/v1/email-packs/checkout`.
        """
        from tollkit_api.run402.v1_57.api.billing import billing_buy_email_pack as operation

        doing = "creating email pack checkout"
        with preparing(doing):
            request = built(operation.request, body=_account(email, wallet))
        return (yield from self._page(request, operation.parse, doing))

    @flow
    def set_auto_recharge(
        self, *, billing_account_id: str, enabled: bool, threshold: int | None = None
    ) -> Flow[None]:
        """Let packs of e-mails be bought without asking, or not any more.

        Args:
            billing_account_id: Id of the account.
            enabled: Whether.
            threshold: When fewer e-mails than this are left.

        Raises:
            LocalError: An argument is of the wrong kind (also an `ArgumentError`).

        Source: Run402 gateway, `POST /billing/v1/email-packs/auto-recharge`.
        """
        from tollkit_api.run402.v1_57.api.billing import billing_set_auto_recharge as operation
        from tollkit_api.run402.v1_57.models import AutoRechargeRequest

        doing = "setting auto-recharge"
        with preparing(doing):
            body = AutoRechargeRequest(
                billing_account_id=required_text("billing_account_id", billing_account_id),
                enabled=flag("enabled", enabled),
                threshold=None if threshold is None else whole("threshold", threshold),
            )
            request = built(operation.request, body=body)
        yield from self._root.call(request, operation.parse, doing)

    auto_recharge = set_auto_recharge

    def _page(self, request: Request, parse: Callable[[HttpResponse], Checkout], doing: str) -> Flow[Checkout]:
        """A page to pay at, whose address may be opened in a browser."""
        checkout = yield from self._root.call(request, parse, doing)
        try:
            link_address(checkout.checkout_url, field="checkout_url", base=self._root.api_base)
        except (DecodeError, InsecureTransportError) as error:
            raise raised(error, doing) from None
        return checkout


def _account(email: str | None, wallet: str | None) -> AccountRequest:
    from tollkit_api.run402.v1_57.models import AccountRequest

    if wallet:
        return AccountRequest(wallet=required_text("wallet", wallet))
    if not email:
        raise ArgumentError("wallet", "must be given, or email")
    return AccountRequest(email=required_text("email", email))
