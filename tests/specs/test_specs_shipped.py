"""The documents that we ship are clean, and hold what the rest of the project counts on."""

from __future__ import annotations

import pytest

import lint_specs
from lint_specs import SPECS, OpenApi, lint, load

DOCUMENTS = sorted(each for each in SPECS.rglob("*") if each.suffix in (".yaml", ".json"))
TOKENITE = {
    "getAuthorizePage": ("get", "/oauth/authorize"),
    "getTopUpPage": ("get", "/oauth/top-up"),
    "exchangeCode": ("post", "/api/oauth/token"),
    "getAccessContext": ("get", "/me/providers"),
    "callProvider": ("post", "/{provider}/{path}"),
    "register": ("post", "/api/auth/register"),
    "login": ("post", "/api/auth/login"),
    "getMe": ("get", "/api/auth/me"),
    "createToken": ("post", "/api/auth/tokens"),
    "listTokens": ("get", "/api/auth/tokens"),
    "revokeToken": ("delete", "/api/auth/tokens/{tokenId}"),
    "listAccounts": ("get", "/api/accounts"),
    "createAccount": ("post", "/api/accounts"),
    "getAccount": ("get", "/api/accounts/{accountId}"),
    "updateAccount": ("patch", "/api/accounts/{accountId}"),
    "deleteAccount": ("delete", "/api/accounts/{accountId}"),
    "inviteMember": ("post", "/api/accounts/{accountId}/invitations"),
    "listInvitations": ("get", "/api/accounts/{accountId}/invitations"),
    "cancelInvitation": ("delete", "/api/accounts/{accountId}/invitations/{invitationId}"),
    "listMembers": ("get", "/api/accounts/{accountId}/members"),
    "updateMember": ("patch", "/api/accounts/{accountId}/members/{userId}"),
    "removeMember": ("delete", "/api/accounts/{accountId}/members/{userId}"),
    "leaveAccount": ("post", "/api/accounts/{accountId}/leave"),
    "claimInvitation": ("post", "/api/invitations/claim"),
    "createApp": ("post", "/api/apps"),
    "listApps": ("get", "/api/apps"),
    "getApp": ("get", "/api/apps/{appId}"),
    "updateApp": ("patch", "/api/apps/{appId}"),
    "deleteApp": ("delete", "/api/apps/{appId}"),
    "rotateAppSecret": ("post", "/api/apps/{appId}/rotate-secret"),
    "addKey": ("post", "/api/keys"),
    "listKeys": ("get", "/api/keys"),
    "removeKey": ("delete", "/api/keys/{keyId}"),
    "authorizeApp": ("post", "/api/oauth/authorize"),
    "listConnections": ("get", "/api/connections"),
    "getConnectionStats": ("get", "/api/connections/{connectionId}/stats"),
    "setConnectionBudget": ("patch", "/api/connections/{connectionId}/budget"),
    "suspendConnection": ("post", "/api/connections/{connectionId}/suspend"),
    "resumeConnection": ("post", "/api/connections/{connectionId}/resume"),
    "revokeConnection": ("delete", "/api/connections/{connectionId}"),
    "listSpending": ("get", "/api/spending"),
}
OPERATIONS = {
    "builder/v2026_05": {
        "listAppUsers": ("get", "/api/v1/apps/{clientId}/users"),
        "upsertAppUser": ("post", "/api/v1/apps/{clientId}/users"),
        "updateAppUser": ("put", "/api/v1/apps/{clientId}/users"),
        "deleteAppUser": ("delete", "/api/v1/apps/{clientId}/users"),
        "mintUserAccessToken": ("post", "/api/v1/apps/{clientId}/users/{externalUserId}/token"),
        "getAppManifest": ("get", "/api/v1/apps/{clientId}/manifest"),
        "headAppManifest": ("head", "/api/v1/apps/{clientId}/manifest"),
        "getApp": ("get", "/api/v1/apps/{clientId}"),
        "getBilling": ("get", "/api/v1/apps/{clientId}/billing"),
        "listPlans": ("get", "/api/v1/apps/{clientId}/plans"),
        "listDiscoveryProfiles": ("get", "/api/v1/apps/{clientId}/discovery-profiles"),
        "getDiscoveryProfile": ("get", "/api/v1/apps/{clientId}/discovery-profiles/{profileId}"),
        "getEthUsdPrice": ("get", "/api/v1/prices/eth-usd"),
        "getPipelineCatalog": ("get", "/api/v1/pipeline-catalog"),
        "getHealth": ("get", "/api/v1/health"),
        "listMarketplaceApps": ("get", "/api/v1/marketplace"),
        "validateApiKey": ("get", "/api/v1/auth/validate"),
    },
    "tokenite/v2_4": TOKENITE,
    "tokenite/v1_0": {name: place for name, place in TOKENITE.items() if name != "getTopUpPage"},
    "usage/v2026_05": {"getUsage": ("get", "/api/v1/apps/{clientId}/usage")},
}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(SPECS)))
def test_document_is_clean(path):
    assert [str(finding) for finding in lint(path)] == []


def test_the_command_passes_over_everything(capsys, monkeypatch):
    looked_at = []
    monkeypatch.setattr(lint_specs, "lint", lambda path: looked_at.append(path) or [])  # each is looked at above
    assert lint_specs.main([]) == 0
    assert looked_at == DOCUMENTS
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == f"{len(DOCUMENTS)} documents, 0 findings\n"


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations(name):
    doc = OpenApi(load(SPECS / f"{name}.yaml"))
    found = {op.data["operationId"]: (op.method, op.path) for op in doc.operations()}
    assert found == OPERATIONS[name]


@pytest.mark.parametrize("name", OPERATIONS)
def test_version_of_the_document_is_that_of_its_file(name):
    version = load(SPECS / f"{name}.yaml")["info"]["version"]
    assert name.endswith("/v" + version.replace("-", "_").replace(".", "_"))


def test_query_of_usage_keeps_the_order_of_the_platforms_client():
    doc = OpenApi(load(SPECS / "usage/v2026_05.yaml"))
    (operation,) = doc.operations()
    assert [each["name"] for each, _ in doc.parameters(operation) if each["in"] == "query"] == [
        "startDate",
        "endDate",
        "groupBy",
        "userId",
        "gatewayRequestId",
    ]


def test_every_token_is_a_secret():
    secrets = {"access_token", "refresh_token", "id_token", "device_code", "token", "password"}
    secrets |= {"client_secret", "appSecret", "apiKey", "claimUrl"}
    for path in DOCUMENTS:
        for pointer, node in lint_specs.walk(load(path)):
            if "FaucetResult" in pointer:
                continue  # its token is a currency
            if pointer[-2:-1] == ("properties",) and pointer[-1] in secrets:
                assert node.get("format") == "password", f"{path.name}{pointer}"
