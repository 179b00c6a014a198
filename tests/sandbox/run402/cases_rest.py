"""Mail, functions, secrets, names, contracts, AI and apps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
from run402_answers import OPERATIONS, Cases, Way
from run402_caller import OTHER, SIGNER, Caller

from tollkit.run402.signer import Signer
from tollkit.sandbox.run402.gateway import Project

ABI = [
    {
        "type": "function",
        "name": "mint",
        "inputs": [{"name": "to", "type": "address"}, {"name": "id", "type": "uint256"}],
        "outputs": [],
    },
    {"type": "function", "name": "supply", "inputs": [], "outputs": [{"name": "", "type": "uint256"}]},
]
ADDRESS = "0x" + "4" * 40
FUNCTION = {"name": "hello", "code": "export default () => 'hi'", "schedule": "*/5 * * * *", "deps": ["axios@1.7.0"]}


class At:
    """A project, and calls with its service key."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.project: Project = caller.sandbox.seed_project()
        self.admin = f"/projects/v1/admin/{self.project.id}"

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self.caller.send(method, path, key=self.project.service_key, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> httpx.Response:
        return self.send("POST", path, json=body, **options)

    def named(self, path: str, body: Any, name: str) -> str:
        """Create something and give its name."""
        answer = self.post(path, body)
        assert answer.is_success, answer.text
        return str(answer.json()[name])

    @property
    def box(self) -> str:
        return "/mailboxes/v1/" + self.named(
            "/mailboxes/v1", {"slug": "shop", "project_id": self.project.id}, "mailbox_id"
        )

    def message(self, box: str) -> str:
        body = {"to": "ada@example.com", "template": "notification", "variables": {"a": "b"}}
        return box + "/messages/" + self.named(f"{box}/messages", body, "message_id")

    def webhook(self, box: str) -> str:
        body = {"url": "https://hooks.example/", "events": ["delivery"]}
        return box + "/webhooks/" + self.named(f"{box}/webhooks", body, "webhook_id")

    @property
    def function(self) -> str:
        return self.admin + "/functions/" + self.named(f"{self.admin}/functions", FUNCTION, "name")

    @property
    def subdomain(self) -> str:
        return self.named("/subdomains/v1", {"name": "shop", "deployment_id": "dpl_1"}, "name")

    @property
    def domain(self) -> str:
        return self.named("/domains/v1", {"domain": "shop.example", "subdomain_name": self.subdomain}, "domain")

    @property
    def sender(self) -> str:
        self.caller.sandbox.groups.names.verify_after(0)
        return self.named("/email/v1/domains", {"domain": "shop.example"}, "domain")

    @property
    def wallet(self) -> str:
        return self.named("/contracts/v1/wallets", {"chain": "base-sepolia"}, "wallet_id")

    def call(self, **changes: Any) -> dict[str, Any]:
        """The body of a contract call."""
        usual = {
            "wallet_id": self.wallet,
            "chain": "base-sepolia",
            "contract_address": ADDRESS,
            "abi_fragment": ABI,
            "function_name": "mint",
            "args": [ADDRESS, "1"],
        }
        return {**usual, **changes}

    @property
    def version(self) -> str:
        return self.named(f"{self.admin}/publish", {"tags": ["demo"], "fork_allowed": True}, "id")


def at(way: Callable[[At], httpx.Response]) -> Way:
    return lambda caller: way(At(caller))


def forked(caller: Caller, **changes: Any) -> httpx.Response:
    caller.sandbox.grant_tier(SIGNER.address)
    body = {"version_id": At(caller).version, "name": "copy", "subdomain": "copy", **changes}
    return caller.post("/fork/v1", signer=SIGNER, json=body)


def drawn(caller: Caller) -> httpx.Response:
    caller.sandbox.fund(SIGNER.address, 1_000_000)
    return caller.paid("POST", "/generate-image/v1", json={"prompt": "a boat", "aspect": "landscape"})


def removed_by(caller: Caller, signer: Signer) -> httpx.Response:
    project = At(caller)
    domain = project.domain
    return caller.send("DELETE", f"/domains/v1/{domain}", signer=signer)


USUAL: dict[str, Way] = {
    "emailCreateMailbox": at(lambda at: at.post("/mailboxes/v1", {"slug": "shop", "project_id": at.project.id})),
    "emailListMailboxes": at(lambda at: at.send("GET", at.box.rpartition("/")[0])),
    "emailDeleteMailbox": at(lambda at: at.send("DELETE", at.box)),
    "emailSend": at(lambda at: at.post(f"{at.box}/messages", {"to": "a@b.example", "subject": "s", "html": "<p>h"})),
    "emailList": at(lambda at: at.send("GET", at.message(at.box).rpartition("/")[0])),
    "emailGet": at(lambda at: at.send("GET", at.message(at.box))),
    "emailGetRaw": at(lambda at: at.send("GET", f"{at.message(at.box)}/raw")),
    "emailWebhooksRegister": at(
        lambda at: at.post(f"{at.box}/webhooks", {"url": "https://h.example", "events": ["bounced"]})
    ),
    "emailWebhooksList": at(lambda at: at.send("GET", at.webhook(at.box).rpartition("/")[0])),
    "emailWebhooksGet": at(lambda at: at.send("GET", at.webhook(at.box))),
    "emailWebhooksUpdate": at(lambda at: at.send("PATCH", at.webhook(at.box), json={"events": ["complained"]})),
    "emailWebhooksDelete": at(lambda at: at.send("DELETE", at.webhook(at.box))),
    "functionsDeploy": at(lambda at: at.post(f"{at.admin}/functions", FUNCTION)),
    "functionsList": at(lambda at: at.send("GET", at.function.rpartition("/")[0])),
    "functionsDelete": at(lambda at: at.send("DELETE", at.function)),
    "functionsUpdate": at(
        lambda at: at.send("PATCH", at.function, json={"schedule": None, "config": {"timeout": 5}})
    ),
    "functionsLogs": at(lambda at: at.send("GET", f"{at.function}/logs?tail=5&since=0")),
    "secretsSet": at(lambda at: at.post(f"{at.admin}/secrets", {"key": "API_KEY", "value": "v"})),
    "secretsList": at(
        lambda at: (
            at.post(f"{at.admin}/secrets", {"key": "A", "value": "v"}) and at.send("GET", f"{at.admin}/secrets")
        )
    ),
    "secretsDelete": at(
        lambda at: (
            at.post(f"{at.admin}/secrets", {"key": "A", "value": "v"}) and at.send("DELETE", f"{at.admin}/secrets/A")
        )
    ),
    "subdomainsClaim": at(lambda at: at.post("/subdomains/v1", {"name": "shop", "deployment_id": "dpl_1"})),
    "subdomainsList": at(lambda at: at.send("GET", "/subdomains/v1?" + at.subdomain)),
    "subdomainsDelete": at(lambda at: at.send("DELETE", f"/subdomains/v1/{at.subdomain}")),
    "domainsAdd": at(
        lambda at: at.post("/domains/v1", {"domain": "shop.example", "subdomain_name": at.subdomain}),
    ),
    "domainsList": at(lambda at: at.send("GET", "/domains/v1?" + at.domain)),
    "domainsStatus": at(lambda at: at.send("GET", f"/domains/v1/{at.domain}")),
    "domainsRemove": at(lambda at: at.send("DELETE", f"/domains/v1/{at.domain}")),
    "senderDomainRegister": at(lambda at: at.post("/email/v1/domains", {"domain": "shop.example"})),
    "senderDomainStatus": at(lambda at: at.send("GET", "/email/v1/domains?" + at.sender)),
    "senderDomainRemove": at(lambda at: at.send("DELETE", "/email/v1/domains?" + at.sender)),
    "senderDomainEnableInbound": at(lambda at: at.post("/email/v1/domains/inbound", {"domain": at.sender})),
    "senderDomainDisableInbound": at(
        lambda at: at.send("DELETE", "/email/v1/domains/inbound", json={"domain": at.sender})
    ),
    "contractsProvisionWallet": at(lambda at: at.post("/contracts/v1/wallets", {"chain": "base-mainnet"})),
    "contractsListWallets": at(lambda at: at.send("GET", "/contracts/v1/wallets?" + at.wallet)),
    "contractsGetWallet": at(lambda at: at.send("GET", f"/contracts/v1/wallets/{at.wallet}")),
    "contractsDeleteWallet": at(
        lambda at: at.send(
            "DELETE", f"/contracts/v1/wallets/{(wallet := at.wallet)}", headers={"X-Confirm-Delete": wallet}
        )
    ),
    "contractsSetRecovery": at(
        lambda at: at.post(f"/contracts/v1/wallets/{at.wallet}/recovery-address", {"recovery_address": ADDRESS})
    ),
    "contractsSetLowBalanceAlert": at(
        lambda at: at.post(f"/contracts/v1/wallets/{at.wallet}/alert", {"threshold_wei": "5"})
    ),
    "contractsDrain": at(
        lambda at: at.post(
            f"/contracts/v1/wallets/{(wallet := at.wallet)}/drain",
            {"destination_address": ADDRESS},
            headers={"X-Confirm-Drain": wallet},
        )
    ),
    "contractsCall": at(lambda at: at.post("/contracts/v1/call", at.call())),
    "contractsRead": at(
        lambda at: at.caller.post("/contracts/v1/read", json=at.call(function_name="supply", args=[])),
    ),
    "contractsCallStatus": at(
        lambda at: at.send("GET", "/contracts/v1/calls/" + at.named("/contracts/v1/call", at.call(), "call_id"))
    ),
    "aiTranslate": at(lambda at: at.post("/ai/v1/translate", {"text": "Good day", "to": "de"})),
    "aiModerate": at(lambda at: at.post("/ai/v1/moderate", {"text": "Good day"})),
    "aiUsage": at(lambda at: at.send("GET", "/ai/v1/usage")),
    "aiGenerateImage": drawn,
    "appsBrowse": at(lambda at: at.caller.get(f"/apps/v1?tag=demo&{at.version}")),
    "appsGetApp": at(lambda at: at.caller.get(f"/apps/v1/{at.version}")),
    "appsFork": forked,
    "appsPublish": at(lambda at: at.post(f"{at.admin}/publish", {})),
    "appsListVersions": at(lambda at: at.send("GET", f"{at.admin}/versions?{at.version}")),
    "appsUpdateVersion": at(lambda at: at.send("PATCH", f"{at.admin}/versions/{at.version}", json={"tags": []})),
    "appsDeleteVersion": at(lambda at: at.send("DELETE", f"{at.admin}/versions/{at.version}")),
    **{
        f"functionsInvoke{method.capitalize() if method != 'POST' else ''}": at(
            lambda at, method=method: at.caller.send(
                method, f"/functions/v1/{at.function.rpartition('/')[2]}", apikey=at.project.service_key
            )
        )
        for method in ("POST", "GET", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD")
    },
}
"""A way to each operation's success."""


def group_of(caller: Caller, operation_id: str) -> Any:
    """The group of routes that has the operation; a HEAD is answered as a GET."""
    name = operation_id.replace("InvokeHead", "InvokeGet")
    for group in caller.sandbox.groups:
        with_statuses: Any = group
        if name in getattr(with_statuses, "_operations", {}):
            return with_statuses, name
    raise LookupError(operation_id)


def with_status(operation_id: str, status: int, way: Way) -> Way:
    """The success with another of its documented statuses."""

    def changed(caller: Caller) -> httpx.Response:
        group, name = group_of(caller, operation_id)
        group.succeed_with(name, status)
        return way(caller)

    return changed


def unkeyed(operation_id: str) -> Way:
    """The operation without any credentials."""

    def sent(caller: Caller) -> httpx.Response:
        operation = OPERATIONS[operation_id]
        path = operation.path.replace("{project_id}", caller.sandbox.seed_project().id)
        for name in ("mailbox_id", "message_id", "webhook_id", "wallet_id", "call_id", "version_id", "key", "domain"):
            path = path.replace("{" + name + "}", "x")
        return caller.send(operation.method.upper(), path.replace("{name}", "x"), json={})

    return sent


REFUSED: Cases = {
    "emailCreateMailbox": [
        (400, at(lambda at: at.post("/mailboxes/v1", {"slug": "a_b", "project_id": at.project.id}))),
        (403, at(lambda at: at.post("/mailboxes/v1", {"slug": "shop", "project_id": "prj_other"}))),
        (409, at(lambda at: at.post("/mailboxes/v1", {"slug": f"b{at.box[-3:]}", "project_id": at.project.id}))),
    ],
    "emailSend": [
        (400, at(lambda at: at.post(f"{at.box}/messages", {"to": "a@b.example"}))),
        (404, at(lambda at: at.post("/mailboxes/v1/mbx_no/messages", {"to": "a@b.example"}))),
    ],
    "emailGet": [(404, at(lambda at: at.send("GET", f"{at.box}/messages/msg_no")))],
    "emailGetRaw": [(404, at(lambda at: at.send("GET", f"{at.box}/messages/msg_no/raw")))],
    "emailList": [(400, at(lambda at: at.send("GET", f"{at.box}/messages?limit=many")))],
    "emailWebhooksGet": [(404, at(lambda at: at.send("GET", f"{at.box}/webhooks/whk_no")))],
    "functionsDeploy": [(400, at(lambda at: at.post(f"{at.admin}/functions", {"name": "a/b", "code": "c"})))],
    "functionsInvoke": [(404, at(lambda at: at.post("/functions/v1/no")))],
    "functionsLogs": [(404, at(lambda at: at.send("GET", f"{at.admin}/functions/no/logs")))],
    "secretsSet": [(400, at(lambda at: at.post(f"{at.admin}/secrets", {"key": "a", "value": "v"})))],
    "secretsDelete": [(404, at(lambda at: at.send("DELETE", f"{at.admin}/secrets/NO")))],
    "subdomainsClaim": [(400, at(lambda at: at.post("/subdomains/v1", {"name": "api", "deployment_id": "d"})))],
    "domainsAdd": [(404, at(lambda at: at.post("/domains/v1", {"domain": "a.example", "subdomain_name": "no"})))],
    "domainsRemove": [(200, lambda at: removed_by(at, SIGNER)), (403, lambda at: removed_by(at, OTHER))],
    "contractsDrain": [
        (400, at(lambda at: at.post(f"/contracts/v1/wallets/{at.wallet}/drain", {"destination_address": ADDRESS})))
    ],
    "contractsCall": [(402, at(lambda at: at.post("/contracts/v1/call", at.call(value=str(10**18)))))],
    "contractsRead": [(400, at(lambda at: at.caller.post("/contracts/v1/read", json=at.call(args=[]))))],
    "aiTranslate": [(402, at(lambda at: at.post("/ai/v1/translate", {"text": "word " * 10_001, "to": "de"})))],
    "aiGenerateImage": [
        (402, lambda at: at.post("/generate-image/v1", signer=SIGNER, json={"prompt": "p", "aspect": "square"})),
        (400, lambda at: at.post("/generate-image/v1", signer=SIGNER, json={"prompt": "p", "aspect": "round"})),
    ],
    "appsGetApp": [(404, lambda at: at.get("/apps/v1/ver_no"))],
    "appsFork": [(404, lambda at: forked(at, version_id="ver_no"))],
}

_FREE = {"contractsRead", "appsBrowse", "appsGetApp"}

CASES: Cases = {
    name: [
        *(
            (int(status), with_status(name, int(status), way))
            for status in OPERATIONS[name].data["responses"]
            if status.startswith("2")
        ),
        *([] if name in _FREE else [(401, unkeyed(name))]),
        *REFUSED.get(name, ()),
    ]
    for name, way in USUAL.items()
}
