"""Wallets of the platform that call contracts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs

from tollkit.core.arguments import built, required_text
from tollkit.core.flows import Flow, flow
from tollkit.core.namespaces import Namespace
from tollkit.errors import ArgumentError
from tollkit.run402.namespaces.checks import choice_or_none, preparing, sendable, wei
from tollkit.run402.namespaces.scoped import ScopedNamespace, of_project, unscoped

if TYPE_CHECKING:
    from tollkit.run402.client import Run402Flows
    from tollkit_api.run402.v1_57.models import (
        Chain,
        ContractCall,
        ContractReadResult,
        ContractWallet,
        ContractWalletList,
        DeletedContractWallet,
        DrainResult,
    )

__all__ = ["Contracts", "ScopedContracts"]

D = TypeVar("D")


class Contracts(Namespace[D]):
    """`client.contracts`: wallets whose keys stay in the platform's KMS, and what they send. Amounts are in wei."""

    _root: Run402Flows

    @flow
    def provision_wallet(
        self, project_id: str, *, chain: Chain | str, recovery_address: str | None = None
    ) -> Flow[ContractWallet]:
        """Make a wallet. Right after this only its id, address and chain are sure.

        Args:
            project_id: The project.
            chain: `base-mainnet` or `base-sepolia`.
            recovery_address: Its recovery address.

        Raises:
            ProjectNotFound: The credentials do not know the project.
            LocalError: An argument is of the wrong kind (also an `ArgumentError`).

        Source: Run402 gateway, `POST /contracts/v1/wallets`.
        """
        from tollkit_api.run402.v1_57.api.contracts import contracts_provision_wallet as operation
        from tollkit_api.run402.v1_57.models import ProvisionWalletRequest

        doing = "provisioning KMS contract wallet"
        keys = yield from self._root.keys_of(project_id, doing)
        with preparing(doing):
            body = ProvisionWalletRequest(
                chain=required_text("chain", chain),
                recovery_address=choice_or_none("recovery_address", recovery_address),
            )
            request = built(operation.request, body=body)
        return (yield from self._root.call(request, operation.parse, doing, keys=keys))

    @flow
    def get_wallet(self, project_id: str, wallet_id: str) -> Flow[ContractWallet]:
        """A wallet with its balance.

        Args:
            project_id: The project.
            wallet_id: Id of the wallet.

        Raises:
            ProjectNotFound: The credentials do not know the project.
            LocalError: `wallet_id` is empty (also an `ArgumentError`).

        Source: Run402 gateway, `GET /contracts/v1/wallets/{wallet_id}`.
        """
        from tollkit_api.run402.v1_57.api.contracts import contracts_get_wallet as operation

        doing = "fetching wallet"
        keys = yield from self._root.keys_of(project_id, doing)
        with preparing(doing):
            request = built(operation.request, required_text("wallet_id", wallet_id))
        return (yield from self._root.call(request, operation.parse, doing, keys=keys))

    @flow
    def list_wallets(self, project_id: str) -> Flow[ContractWalletList]:
        """The project's wallets.

        Args:
            project_id: The project.

        Raises:
            ProjectNotFound: The credentials do not know the project.

        Source: Run402 gateway, `GET /contracts/v1/wallets`.
        """
        from tollkit_api.run402.v1_57.api.contracts import contracts_list_wallets as operation

        doing = "listing wallets"
        keys = yield from self._root.keys_of(project_id, doing)
        return (yield from self._root.call(operation.request(), operation.parse, doing, keys=keys))

    @flow
    def set_recovery(self, project_id: str, wallet_id: str, recovery_address: str | None) -> Flow[None]:
        """Set a wallet's recovery address.

        Args:
            project_id: The project.
            wallet_id: Id of the wallet.
            recovery_address: The address; `None` takes it away.

        Raises:
            ProjectNotFound: The credentials do not know the project.
            LocalError: An argument is empty (also an `ArgumentError`).

        Source: Run402 gateway, `POST /contracts/v1/wallets/{wallet_id}/recovery-address`.
        """
        from tollkit_api.run402.v1_57.api.contracts import contracts_set_recovery as operation
        from tollkit_api.run402.v1_57.models import SetRecoveryRequest

        doing = "setting recovery address"
        keys = yield from self._root.keys_of(project_id, doing)
        with preparing(doing):
            address = None if recovery_address is None else required_text("recovery_address", recovery_address)
            body = SetRecoveryRequest(recovery_address=address)
            request = built(operation.request, required_text("wallet_id", wallet_id), body=body)
        yield from self._root.call(request, operation.parse, doing, keys=keys)

    @flow
    def set_low_balance_alert(self, project_id: str, wallet_id: str, threshold_wei: int | str) -> Flow[None]:
        """Set below which balance the platform warns.

        Args:
            project_id: The project.
            wallet_id: Id of the wallet.
            threshold_wei: The balance, in wei; a whole number, or the same as decimal text.

        Raises:
            ProjectNotFound: The credentials do not know the project.
            LocalError: An argument is of the wrong kind (also an `ArgumentError`).

        Source: Run402 gateway, `POST /contracts/v1/wallets/{wallet_id}/alert`.
        """
        from tollkit_api.run402.v1_57.api.contracts import contracts_set_low_balance_alert as operation
        from tollkit_api.run402.v1_57.models import SetAlertRequest

        doing = "setting low-balance threshold"
        keys = yield from self._root.keys_of(project_id, doing)
        with preparing(doing):
            body = SetAlertRequest(threshold_wei=wei("threshold_wei", threshold_wei))
            request = built(operation.request, required_text("wallet_id", wallet_id), body=body)
        yield from self._root.call(request, operation.parse, doing, keys=keys)

    set_alert = set_low_balance_alert

    @flow
    def call(
        self,
        project_id: str,
        *,
        wallet_id: str,
        chain: Chain | str,
        contract_address: str | None = None,
        abi_fragment: Sequence[Mapping[str, Any]] | None = None,
        function_name: str | None = None,
        args: Sequence[Any] = (),
        value: int | str | None = None,
        idempotency_key: str | None = None,
        to: str | None = None,
        abi: Sequence[Mapping[str, Any]] | None = None,
        fn: str | None = None,
    ) -> Flow[ContractCall]:
        """Send a transaction to a contract. Its fees, and `value`, are the wallet's.

        Sending it again sends another transaction, unless it has an idempotency key: then the platform answers with
        the first, and the client may try again by itself.

        Args:
            project_id: The project.
            wallet_id: The wallet that pays and signs.
            chain: `base-mainnet` or `base-sepolia`.
            contract_address: The contract; also `to`.
            abi_fragment: ABI of the function, as a list; also `abi`.
            function_name: The function; also `fn`.
            args: Its arguments, as JSON has them. Whole numbers beyond 2**53 - 1 are sent as decimal text, so that
                none is rounded.
            value: Wei to send along, as a number or as decimal text; none when left out, or the number 0.
            idempotency_key: Makes sending the transaction again harmless.
            to: The same as `contract_address`, which wins.
            abi: The same as `abi_fragment`, which wins.
            fn: The same as `function_name`, which wins.

        Raises:
            ProjectNotFound: The credentials do not know the project.
            LocalError: An argument is missing or of the wrong kind (also an `ArgumentError`).
            PaymentRequired: The project is not paid for: its lease has ended.

        Source: Run402 gateway, `POST /contracts/v1/call`.
        """
        from tollkit_api.run402.v1_57.api.contracts import contracts_call as operation
        from tollkit_api.run402.v1_57.models import ContractCallRequest

        doing = "submitting contract call"
        keys = yield from self._root.keys_of(project_id, doing)
        with preparing(doing):
            body = ContractCallRequest(
                wallet_id=required_text("wallet_id", wallet_id),
                chain=required_text("chain", chain),
                contract_address=_one("contract_address", contract_address, "to", to),
                abi_fragment=_abi(abi_fragment, abi),
                function_name=_one("function_name", function_name, "fn", fn),
                args=_listed("args", args),
                value=None if value is None or value == 0 else wei("value", value),
            )
            key = choice_or_none("idempotency_key", idempotency_key)
            request = built(operation.request, body=body, idempotency_key=key)
        if key:
            request = attrs.evolve(request, operation=attrs.evolve(request.operation, idempotent=True))
        return (yield from self._root.call(request, operation.parse, doing, keys=keys))

    @flow
    def read(
        self,
        *,
        chain: Chain | str,
        contract_address: str | None = None,
        abi_fragment: Sequence[Mapping[str, Any]] | None = None,
        function_name: str | None = None,
        args: Sequence[Any] = (),
        to: str | None = None,
        abi: Sequence[Mapping[str, Any]] | None = None,
        fn: str | None = None,
    ) -> Flow[ContractReadResult]:
        """Ask a contract; changes nothing, costs nothing, and no credentials go out.

        Args:
            chain: `base-mainnet` or `base-sepolia`.
            contract_address: The contract; also `to`.
            abi_fragment: ABI of the function, as a list; also `abi`.
            function_name: The function; also `fn`.
            args: Its arguments, as JSON has them. Whole numbers beyond 2**53 - 1 are sent as decimal text, so that
                none is rounded.
            to: The same as `contract_address`, which wins.
            abi: The same as `abi_fragment`, which wins.
            fn: The same as `function_name`, which wins.

        Raises:
            LocalError: An argument is missing or of the wrong kind (also an `ArgumentError`).

        Source: Run402 gateway, `POST /contracts/v1/read`.
        """
        from tollkit_api.run402.v1_57.api.contracts import contracts_read as operation
        from tollkit_api.run402.v1_57.models import ContractReadRequest

        doing = "reading contract"
        with preparing(doing):
            body = ContractReadRequest(
                chain=required_text("chain", chain),
                contract_address=_one("contract_address", contract_address, "to", to),
                abi_fragment=_abi(abi_fragment, abi),
                function_name=_one("function_name", function_name, "fn", fn),
                args=_listed("args", args),
            )
            request = built(operation.request, body=body)
        return (yield from self._root.call(request, operation.parse, doing))

    @flow
    def call_status(self, project_id: str, call_id: str) -> Flow[ContractCall]:
        """How far a transaction has come; also one that empties a wallet.

        Args:
            project_id: The project.
            call_id: `call_id` of what `call` or `drain` gave.

        Raises:
            ProjectNotFound: The credentials do not know the project.
            LocalError: `call_id` is empty (also an `ArgumentError`).

        Source: Run402 gateway, `GET /contracts/v1/calls/{call_id}`.
        """
        from tollkit_api.run402.v1_57.api.contracts import contracts_call_status as operation

        doing = "fetching call status"
        keys = yield from self._root.keys_of(project_id, doing)
        with preparing(doing):
            request = built(operation.request, required_text("call_id", call_id))
        return (yield from self._root.call(request, operation.parse, doing, keys=keys))

    status = call_status

    @flow
    def drain(self, project_id: str, wallet_id: str, destination_address: str) -> Flow[DrainResult]:
        """Send everything that a wallet holds elsewhere. There is no way back.

        Args:
            project_id: The project.
            wallet_id: Id of the wallet; sent a second time to confirm that it is meant.
            destination_address: Where to.

        Raises:
            ProjectNotFound: The credentials do not know the project.
            LocalError: An argument is empty (also an `ArgumentError`).

        Source: Run402 gateway, `POST /contracts/v1/wallets/{wallet_id}/drain`.
        """
        from tollkit_api.run402.v1_57.api.contracts import contracts_drain as operation
        from tollkit_api.run402.v1_57.models import DrainRequest

        doing = "draining wallet"
        keys = yield from self._root.keys_of(project_id, doing)
        with preparing(doing):
            wallet = required_text("wallet_id", wallet_id)
            body = DrainRequest(destination_address=required_text("destination_address", destination_address))
            request = built(operation.request, wallet, body=body, x_confirm_drain=wallet)
        return (yield from self._root.call(request, operation.parse, doing, keys=keys))

    @flow
    def delete_wallet(self, project_id: str, wallet_id: str) -> Flow[DeletedContractWallet]:
        """Delete a wallet, at once or after a waiting time: the result says which.

        Args:
            project_id: The project.
            wallet_id: Id of the wallet; sent a second time to confirm that it is meant.

        Raises:
            ProjectNotFound: The credentials do not know the project.
            LocalError: `wallet_id` is empty (also an `ArgumentError`).

        Source: Run402 gateway, `DELETE /contracts/v1/wallets/{wallet_id}`.
        """
        from tollkit_api.run402.v1_57.api.contracts import contracts_delete_wallet as operation

        doing = "deleting wallet"
        keys = yield from self._root.keys_of(project_id, doing)
        with preparing(doing):
            wallet = required_text("wallet_id", wallet_id)
            request = built(operation.request, wallet, x_confirm_delete=wallet)
        return (yield from self._root.call(request, operation.parse, doing, keys=keys))

    delete = delete_wallet


class ScopedContracts(ScopedNamespace[D]):
    """`project.contracts`: the project's wallets, without its id."""

    _plain = Contracts

    provision_wallet: Final = of_project(Contracts[Any].provision_wallet)
    get_wallet: Final = of_project(Contracts[Any].get_wallet)
    list_wallets: Final = of_project(Contracts[Any].list_wallets)
    set_recovery: Final = of_project(Contracts[Any].set_recovery)
    set_low_balance_alert: Final = of_project(Contracts[Any].set_low_balance_alert)
    call: Final = of_project(Contracts[Any].call)
    call_status: Final = of_project(Contracts[Any].call_status)
    drain: Final = of_project(Contracts[Any].drain)
    delete_wallet: Final = of_project(Contracts[Any].delete_wallet)
    read: Final = unscoped(Contracts[Any].read)


def _one(name: str, value: str | None, alias: str, aliased: str | None) -> str:
    """The argument, or what was given under its other name."""
    if value is not None:
        return required_text(name, value)
    if aliased is None:
        raise ArgumentError(name, f"must be given, or {alias}")
    return required_text(alias, aliased)


def _abi(fragment: Sequence[Mapping[str, Any]] | None, aliased: Sequence[Mapping[str, Any]] | None) -> list[Any]:
    if fragment is not None:
        return _listed("abi_fragment", fragment)
    if aliased is None:
        raise ArgumentError("abi_fragment", "must be given, or abi")
    return _listed("abi", aliased)


def _listed(name: str, value: object) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise ArgumentError(name, "must be a list")
    items: list[Any] = sendable(value)
    return items
