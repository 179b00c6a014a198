"""Every method of Run402's client, called in the sandbox."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from takes import Take, Tape, bound, whole

from support.run402_wallet import ADDRESS, KEY
from tollkit.run402 import AsyncRun402, GithubActionsCredentials, Run402, Run402Error, sign_ci_delegation
from tollkit.run402.credentials import AllowanceData, MemoryCredentials
from tollkit.run402.payments import MemoryJournal, SpendingPolicy, X402Payer
from tollkit.run402.signer import PrivateKeySigner
from tollkit.run402.x402 import BASE_SEPOLIA
from tollkit.sandbox import Run402Sandbox, Sandbox

SIGNER = PrivateKeySigner(KEY)
SUBJECT = "repo:octo-org/octo-repo:ref:refs/heads/main"
NONCE = "deadbeef00112233aabbccdd44556677"
TARGET = "0x" + "4" * 40
PAGE = b"<h1>Hello</h1>"
TABLE = "create table items (id serial primary key, title text, owner uuid); insert into items (title) values ('a')"
MANIFEST: dict[str, Any] = {
    "version": "1",
    "tables": [{"name": "items", "expose": True, "policy": "public_read_authenticated_write"}],
    "views": [{"name": "titles", "base": "items", "select": ["title"]}],
    "rpcs": [],
}
ABI = [
    {
        "type": "function",
        "name": "mint",
        "inputs": [{"name": "to", "type": "address"}, {"name": "id", "type": "uint256"}],
        "outputs": [],
    },
    {"type": "function", "name": "supply", "inputs": [], "outputs": [{"name": "", "type": "uint256"}]},
]
SILENT = frozenset(
    {
        *("projects.info", "projects.keys", "projects.use", "projects.active"),
        *("allowance.status", "allowance.create", "allowance.export"),
    }
)
"""Methods that send nothing."""


class Played(MemoryCredentials):
    """Signs in once for all: nobody checks the header of what is played."""

    def get_auth(self, path: str) -> Mapping[str, str] | None:
        return {"SIGN-IN-WITH-X": "siwx-sentinel-0123456789"}


class NoBalances:
    """Knows of no balance."""

    def balance(self, network: str, asset: str, address: str) -> int | None:
        return None


@attrs.define
class Tour:
    """Calls methods and keeps what came."""

    place: Run402Sandbox
    tape: Tape
    folder: Path
    keys: dict[str, Any] = attrs.field(factory=dict)
    takes: list[Take] = attrs.field(factory=list)

    def seed(self) -> Any:
        """Another project, whose keys are known."""
        project = self.place.seed_project()
        self.keys[project.id] = {"anon_key": project.anon_key, "service_key": project.service_key}
        return project

    def _client(self, credentials: Any, http: Any, asynchronous: bool, pays: bool) -> Any:
        payer = X402Payer(policy=SpendingPolicy(), journal=MemoryJournal(), balances=NoBalances()) if pays else False
        return (AsyncRun402 if asynchronous else Run402)(
            api_base=self.place.api_base,
            credentials=credentials,
            allow_insecure_http=True,
            max_retries=0,
            http_client=http,
            payments=payer,
        )

    def call(
        self,
        name: str,
        /,
        *args: Any,
        credentials: Callable[[Any], Any] | None = None,
        pays: bool = False,
        fails: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Call a method: `name`, or `name [what is special]`.

        Args:
            name: The method.
            args: Its arguments.
            credentials: Makes others than those that know the projects and the wallet, over a client of HTTP.
            pays: Whether a 402 is paid.
            fails: Whether it is to end in an error of the platform.
            kwargs: Further arguments.
        """
        keys, base = {name: dict(record) for name, record in self.keys.items()}, self.place.api_base
        wallet: Any = AllowanceData(address=ADDRESS.lower(), private_key=KEY) if pays else None

        def made(kind: type[MemoryCredentials], http: Any) -> Any:
            if credentials is not None:
                return credentials(http and http.blocking)
            signer = None if pays else SIGNER
            return kind(keys, active_project_id=next(iter(keys)), allowance=wallet, signer=signer, api_base=base)

        def played(http: Any, asynchronous: bool) -> Any:
            return self._client(made(Played, http), http, asynchronous, pays)

        def called(client: Any) -> Any:
            return bound(client, name.partition(" [")[0])(*args, **kwargs)

        result = None
        with pytest.raises(Run402Error) if fails else contextlib.nullcontext():
            result = whole(called(self._client(made(MemoryCredentials, self.tape), self.tape, False, pays)))
        secrets = {KEY, KEY[2:], "siwx-sentinel-0123456789"}
        secrets |= {key for record in keys.values() for key in (record["anon_key"], record["service_key"])}
        answers = self.tape.taken()
        assert bool(answers) == (name.partition(" [")[0] not in SILENT), name
        self.takes.append(Take(f"run402.{name}", played, called, answers, Run402Error, tuple(secrets)))
        return result


def takes(sandbox: Sandbox, folder: Path) -> list[Take]:
    """All calls; what they deploy and download is in the folder."""
    tape = Tape()
    tour = Tour(sandbox.run402, tape, folder)
    for part in (_projects, _data, _delivery, _mail, _names, _contracts, _apps, _money, _blobs, _ci, _payments):
        part(tour)
    tape.close()
    return [take for take in tour.takes if take.method.partition(".")[2] not in SILENT]


def _projects(at: Tour) -> None:
    call, project = at.call, at.seed().id
    at.place.grant_tier(SIGNER.address)
    made = call("projects.provision", name="shop")
    at.keys[made.project_id] = {"anon_key": str(made.anon_key.reveal()), "service_key": made.service_key.reveal()}
    call("projects.delete", made.project_id)
    del at.keys[made.project_id]
    call("projects.list", SIGNER.address)
    for name in ("get_usage", "get_schema", "pin", "info", "keys", "use"):
        call(f"projects.{name}", project)
    call("projects.active")
    call("projects.get_quote")
    call("tier.status")
    call("service.status")
    call("service.health")
    call("admin.send_message", "hello")
    call("admin.set_agent_contact", name="bot", email="a@example.com")
    call("allowance.faucet", "0x" + "7" * 40)
    call("ai.translate", project, text="Good day", to="de")
    call("ai.moderate", project, "Good day")
    call("ai.usage", project)


def _data(at: Tour) -> None:
    call, project = at.call, at.seed().id
    call("projects.sql", project, TABLE)
    call("projects.sql [rows]", project, "select * from items where id = $1", [1])
    call("projects.get_schema [with a table]", project)
    call("projects.apply_expose", project, MANIFEST)
    call("projects.get_expose", project)
    call("projects.rest", project, "items", {"select": "id,title"})
    at.place.end_users.sign_in(project, "ada@example.com")
    for name in ("projects.promote_user", "projects.demote_user", "auth.promote", "auth.demote"):
        call(name, project, "ada@example.com")
    call("auth.request_magic_link", project, email="ada@example.com", redirect_url="https://shop.example/")
    token = at.place.end_users.outbox()[-1].token
    session = call("auth.verify_magic_link", project, token)
    call("auth.settings", project, allow_password_set=True)
    call("auth.set_user_password", project, access_token=session.access_token.reveal(), new_password="longer-than-8")
    call("auth.providers", project)


def _delivery(at: Tour) -> None:
    call, project = at.call, at.seed().id
    site = at.folder / "site"
    site.mkdir()
    (site / "index.html").write_bytes(PAGE)
    spec = {
        "project": project,
        "site": {"replace": {"index.html": PAGE}},
        "functions": {"replace": {"hello": {"runtime": "node22", "source": "export default () => 'hi'"}}},
        "subdomains": {"set": ["shop"]},
    }
    quick = {"timeout": 20, "max_uploads": 1}
    at.place.deploys.warn("UNUSUAL_DELETE", affected=["x"])
    call("deploy.apply", {"project": project, "site": spec["site"]}, allow_warnings=True, **quick)
    planned = call("deploy.plan", {**spec, "site": {"replace": {"index.html": b"2"}}}, max_uploads=1)
    call("deploy.upload", planned, max_uploads=1)
    done = call("deploy.commit", planned.plan_id, project_id=project, timeout=20)
    at.place.deploys.fail("activating", "ACTIVATION_FAILED", logs=["x"], fix={"action": "retry"}, resource="release")
    failing = {**spec, "site": {"replace": {"index.html": b"3"}}}
    call("deploy.apply [failed]", failing, allow_warnings=True, fails=True, **quick)
    call("deploy.resume", done.operation_id, project_id=project, timeout=20)
    call("deploy.status", done.operation_id, project_id=project)
    call("deploy.list", project)
    call("deploy.events", done.operation_id, project_id=project)
    call("deploy.get_release", done.release_id, project_id=project)
    call("deploy.get_active_release", project_id=project)
    call("deploy.diff", project_id=project, from_="empty", to=done.release_id)
    at.place.deploys.set_uploads(multipart_above=4, part_size=4)
    call("sites.deploy_dir [by parts]", project, site, allow_warnings=True, **quick)
    (site / "index.html").write_bytes(b"other")
    call("sites.deploy_dir", project, site, allow_warnings=True, **quick)
    call("apps.bundle_deploy", project, files=[{"file": "a.html", "data": "<p>"}], allow_warnings=True, **quick)
    call("functions.deploy", project, name="tick", code="export default () => 1", schedule="*/5 * * * *")
    call("functions.invoke", project, "tick", body={"a": 1})
    call("functions.logs", project, "tick", tail=5)
    call("functions.list", project)
    call("functions.update", project, "tick", schedule=None, timeout=5)
    call("functions.delete", project, "tick")
    call("secrets.set", project, "API_KEY", "value-of-the-secret")
    call("secrets.list", project)
    call("secrets.delete", project, "API_KEY")


def _mail(at: Tour) -> None:
    call, project = at.call, at.seed().id
    call("email.create_mailbox", project, "shop")
    call("email.get_mailbox", project)
    call("email.send", project, to="ada@example.com", subject="s", html="<p>h")
    call("email.send [a template]", project, to="a@b.example", template="notification", variables={"a": "b"})
    listed = call("email.list", project)
    call("email.iterate", project, page_size=1)
    call("email.get", project, listed[0].id)
    call("email.get_raw", project, listed[0].id)
    hook = call("email.webhooks.register", project, url="https://hooks.example/", events=["delivery"]).webhook_id
    call("email.webhooks.list", project)
    call("email.webhooks.get", project, hook)
    call("email.webhooks.update", project, hook, events=["bounced"])
    call("email.webhooks.delete", project, hook)
    call("email.delete_mailbox", project)


def _names(at: Tour) -> None:
    call, project = at.call, at.seed().id
    call("subdomains.claim", "fair", "dpl_1", project_id=project)
    call("subdomains.list", project)
    call("domains.add", project, "fair.example", "fair")
    call("domains.list", project)
    call("domains.status", project, "fair.example")
    call("domains.remove", "fair.example", project_id=project)
    call("subdomains.delete", "fair", project_id=project)
    at.place.names.verify_after(0)
    call("sender_domain.register", project, "post.example")
    call("sender_domain.status", project)
    call("sender_domain.enable_inbound", project, "post.example")
    call("sender_domain.disable_inbound", project, "post.example")
    call("sender_domain.remove", project)


def _contracts(at: Tour) -> None:
    call, project = at.call, at.seed().id
    spare = call("contracts.provision_wallet", project, chain="base-sepolia", recovery_address=TARGET).wallet_id
    wallet = call("contracts.provision_wallet [without recovery]", project, chain="base-sepolia").wallet_id
    call("contracts.get_wallet", project, wallet)
    call("contracts.list_wallets", project)
    call("contracts.set_recovery", project, wallet, TARGET)
    call("contracts.set_low_balance_alert", project, wallet, 5)
    mint = {"chain": "base-sepolia", "contract_address": TARGET, "abi_fragment": ABI, "function_name": "mint"}
    sent = call("contracts.call", project, wallet_id=wallet, **mint, args=[TARGET, "1"])
    call("contracts.call_status", project, sent.call_id)
    call("contracts.read", **{**mint, "function_name": "supply"}, args=[])
    call("contracts.drain", project, spare, TARGET)
    call("contracts.delete_wallet", project, spare)


def _apps(at: Tour) -> None:
    call, project = at.call, at.seed().id
    app = call("apps.publish", project, description="demo", tags=["demo"], fork_allowed=True)
    call("apps.browse", ["demo"])
    call("apps.get_app", app.id)
    call("apps.list_versions", project)
    call("apps.update_version", project, app.id, tags=["demo"])
    call("apps.fork", version_id=app.id, name="copy")
    call("apps.delete_version", project, app.id)


def _money(at: Tour) -> None:
    call = at.call
    call("billing.check_balance", SIGNER.address)
    account = call("billing.create_email_account", "ada@example.com")
    call("billing.link_wallet", account.id, SIGNER.address)
    call("billing.history", SIGNER.address)
    call("billing.create_checkout", SIGNER.address, 5_000_000)
    call("billing.tier_checkout", "hobby", wallet=SIGNER.address)
    call("billing.buy_email_pack", wallet=SIGNER.address)
    call("billing.set_auto_recharge", billing_account_id=account.id, enabled=True, threshold=100)


def _blobs(at: Tour) -> None:
    call, project = at.call, at.seed().id
    ref = call("blobs.put", project, "a/b.txt", PAGE, max_uploads=1)
    at.place.deploys.set_uploads(multipart_above=4, part_size=4)
    call("blobs.put [by parts]", project, "parts.bin", b"0123456789", max_uploads=1)
    call("blobs.get", project, "a/b.txt")
    call("blobs.download", project, "a/b.txt", at.folder / "downloaded")
    call("blobs.ls", project)
    call("blobs.iterate", project, page_size=1)
    call("blobs.sign", project, "a/b.txt")
    call("blobs.diagnose_url", project, ref.cdn_url)
    call("blobs.wait_fresh", project, url=ref.cdn_url, sha256=ref.sha256)
    call("blobs.rm", project, "parts.bin")


def _ci(at: Tour) -> None:
    call, project, place = at.call, at.seed().id, at.place
    told = {
        "project_id": project,
        "subject_match": SUBJECT,
        "allowed_actions": ["deploy"],
        "allowed_events": ["push", "workflow_dispatch"],
        "nonce": NONCE,
    }
    now = datetime.fromtimestamp(place.clock.now(), UTC)
    until = now + timedelta(minutes=5)
    signed = sign_ci_delegation(told, signer=SIGNER, api_base=place.api_base, issued_at=now, expiration_time=until)
    binding = call("ci.create_binding", **told, signed_delegation=signed)
    call("ci.list_bindings", project=project)
    call("ci.get_binding", binding.id)
    call("ci.exchange_token", project_id=project, subject_token=place.github.token())
    env = place.github.env()

    def session(http: Any) -> Any:
        given = {"api_base": place.api_base, "env": env, "clock": place.clock.now, "allow_insecure_http": True}
        return GithubActionsCredentials(project, **given, http_client=http, max_retries=0)

    spec = {"project": project, "site": {"replace": {"index.html": PAGE}}}
    call("deploy.apply [in CI]", spec, credentials=session, timeout=20, max_uploads=1)
    call("ci.revoke_binding", binding.id)


def _payments(at: Tour) -> None:
    at.place.fund(SIGNER.address, 50_000_000)
    at.place.set_payments(networks=[BASE_SEPOLIA])
    for version in (2, 1):
        at.place.set_payments(version=version)
        at.call(f"tier.set [x402 version {version}]", "prototype", pays=True)
    at.call("ai.generate_image [paid]", prompt="a boat", aspect="portrait", pays=True)
