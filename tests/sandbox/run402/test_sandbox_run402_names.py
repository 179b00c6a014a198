"""Subdomains, domains and sender domains at the sandboxed gateway, through the real clients."""

from __future__ import annotations

from typing import Any

import pytest
from run402_caller import OTHER, SIGNER, Caller, Side

from tollkit.errors import ConflictError, NotFoundError, PaymentRequiredError
from tollkit.run402.errors import Unauthorized
from tollkit.sandbox import Run402Sandbox, Sandbox
from tollkit.sandbox.run402.gateway import Project
from tollkit.sandbox.run402.names import NameRoutes


@pytest.fixture
def project(run402_sandbox: Run402Sandbox) -> Project:
    return run402_sandbox.seed_project()


@pytest.fixture
def names(run402_sandbox: Run402Sandbox) -> NameRoutes:
    return run402_sandbox.groups.names


def test_a_subdomain_is_claimed_moved_and_given_back(
    side: Side, run402_sandbox: Run402Sandbox, project: Project, names: NameRoutes
) -> None:
    other = run402_sandbox.seed_project()
    client = side.client(run402_sandbox, project, other)

    def claim(name: str, deployment: str, owner: Project = project) -> Any:
        return side.do(client.subdomains.claim(name, deployment, project_id=owner.id))

    made = claim("shop", "dpl_1")
    assert (made.name, made.deployment_id, made.project_id) == ("shop", "dpl_1", project.id)
    assert (made.url, made.deployment_url) == ("https://shop.run402.com", "https://dpl-1.run402.com")
    moved = claim("shop", "dpl_2")
    assert (moved.deployment_id, moved.created_at) == ("dpl_2", made.created_at)
    assert names.deployment_of("shop") == (project.id, "dpl_2")
    claim("app", "dpl_2")
    assert [row.name for row in side.do(client.subdomains.list(project.id))] == ["app", "shop"]
    assert side.do(client.subdomains.list(other.id)) == []
    with pytest.raises(ConflictError, match="Another project has"):
        claim("shop", "dpl_3", other)
    with pytest.raises(Unauthorized, match="another project"):
        side.do(client.subdomains.delete("shop", project_id=other.id))
    gone = side.do(client.subdomains.delete("shop", project_id=project.id))
    assert (gone.name, gone.deployment_id, gone.project_id) == ("shop", "dpl_2", project.id)
    with pytest.raises(NotFoundError):
        side.do(client.subdomains.delete("shop", project_id=project.id))
    assert claim("shop", "dpl_3", other).project_id == other.id
    # a deleted project's names are free
    side.do(client.projects.delete(other.id))
    assert names.deployment_of("shop") is None
    assert claim("shop", "dpl_4").project_id == project.id


def test_a_domain_is_active_by_the_clock(
    side: Side, run402_sandbox: Run402Sandbox, tollkit_sandbox: Sandbox, project: Project
) -> None:
    client = side.client(run402_sandbox, project)
    side.do(client.subdomains.claim("shop", "dpl_1", project_id=project.id))
    side.do(client.subdomains.claim("other", "dpl_1", project_id=project.id))
    made = side.do(client.domains.add(project.id, "Shop.Example", "shop"))
    assert (made.domain, made.subdomain_name, made.status) == ("shop.example", "shop", "pending")
    assert (made.url, made.subdomain_url) == ("https://shop.example", "https://shop.run402.com")
    assert made.dns_instructions.cname_target == "domains.run402.com"
    assert made.dns_instructions.txt_name == "_run402.shop.example"
    assert made.project_id == project.id
    assert side.do(client.domains.status(project.id, "shop.example")).dns_instructions == made.dns_instructions
    tollkit_sandbox.clock.advance(60)
    found = side.do(client.domains.status(project.id, "shop.example"))
    assert (found.status, found.dns_instructions) == ("active", None)
    again = side.do(client.domains.add(project.id, "shop.example", "other"))
    assert (again.subdomain_name, again.status, again.created_at) == ("other", "active", made.created_at)
    (listed,) = side.do(client.domains.list(project.id)).domains
    assert (listed.domain, listed.status) == ("shop.example", "active")
    # the domain goes with the subdomain that it stands for
    side.do(client.subdomains.delete("other", project_id=project.id))
    assert side.do(client.domains.list(project.id)).domains == []


def test_a_domain_is_active_by_a_lever(
    side: Side, run402_sandbox: Run402Sandbox, tollkit_sandbox: Sandbox, project: Project, names: NameRoutes
) -> None:
    other = run402_sandbox.seed_project()
    client = side.client(run402_sandbox, project, other)
    names.verify_after(None)
    side.do(client.subdomains.claim("shop", "dpl_1", project_id=project.id))
    side.do(client.subdomains.claim("else", "dpl_1", project_id=other.id))
    side.do(client.domains.add(project.id, "shop.example", "shop"))
    tollkit_sandbox.clock.advance(3_600)
    assert side.do(client.domains.status(project.id, "shop.example")).status == "pending"
    names.activate("shop.example")
    assert side.do(client.domains.status(project.id, "shop.example")).status == "active"
    with pytest.raises(ValueError, match="no domain"):
        names.activate("no.example")
    with pytest.raises(ConflictError):
        side.do(client.domains.add(other.id, "shop.example", "else"))
    with pytest.raises(Unauthorized):
        side.do(client.domains.add(other.id, "new.example", "shop"))
    with pytest.raises(Unauthorized):
        side.do(client.domains.status(other.id, "shop.example"))
    gone = side.do(client.domains.remove("shop.example", project_id=project.id))
    assert (gone.status, gone.domain) == ("removed", "shop.example")
    with pytest.raises(NotFoundError):
        side.do(client.domains.status(project.id, "shop.example"))


def test_a_domain_is_removed_by_its_owners_wallet(
    side: Side, caller: Caller, run402_sandbox: Run402Sandbox, project: Project
) -> None:
    client = side.client(run402_sandbox, project, signer=SIGNER)
    side.do(client.subdomains.claim("shop", "dpl_1", project_id=project.id))
    side.do(client.domains.add(project.id, "shop.example", "shop"))
    with pytest.raises(Unauthorized):
        side.do(side.client(run402_sandbox, signer=OTHER).domains.remove("shop.example"))
    assert caller.send("DELETE", "/domains/v1/shop.example").status_code == 401
    assert side.do(client.domains.remove("shop.example")).status == "removed"


def test_mail_is_sent_from_a_domain(
    side: Side, run402_sandbox: Run402Sandbox, tollkit_sandbox: Sandbox, project: Project, names: NameRoutes
) -> None:
    other = run402_sandbox.seed_project()
    client = side.client(run402_sandbox, project, other)
    assert side.do(client.sender_domain.status(project.id)).domain is None
    made = side.do(client.sender_domain.register(project.id, "shop.example"))
    assert (made.domain, made.status) == ("shop.example", "pending")
    assert [record.type_ for record in made.dns_records] == ["CNAME", "CNAME", "CNAME", "TXT"]
    assert all(record.name.endswith("shop.example") and record.value for record in made.dns_records)
    waiting = side.do(client.sender_domain.status(project.id))
    assert (waiting.status, waiting.verified_at) == ("pending", None)
    with pytest.raises(ConflictError, match="not verified"):
        side.do(client.sender_domain.enable_inbound(project.id, "shop.example"))
    tollkit_sandbox.clock.advance(60)
    found = side.do(client.sender_domain.status(project.id))
    assert (found.status, found.verified_at is not None) == ("verified", True)
    assert side.do(client.sender_domain.register(project.id, "shop.example")).status == "verified"
    enabled = side.do(client.sender_domain.enable_inbound(project.id, "shop.example"))
    assert (enabled.status, enabled.mx_record) == ("enabled", "10 inbound.mail.run402.com")
    assert names.receives(project.id)
    assert side.do(client.sender_domain.disable_inbound(project.id, "shop.example")).status == "disabled"
    assert not names.receives(project.id)
    with pytest.raises(ConflictError, match="sends from shop"):
        side.do(client.sender_domain.register(project.id, "new.example"))
    with pytest.raises(ConflictError, match="Another project sends"):
        side.do(client.sender_domain.register(other.id, "shop.example"))
    with pytest.raises(NotFoundError):
        side.do(client.sender_domain.enable_inbound(other.id, "shop.example"))
    side.do(client.sender_domain.remove(project.id))
    with pytest.raises(NotFoundError):
        side.do(client.sender_domain.remove(project.id))
    names.verify_after(None)
    side.do(client.sender_domain.register(other.id, "shop.example"))
    names.activate("shop.example")
    assert side.do(client.sender_domain.status(other.id)).status == "verified"


@pytest.mark.parametrize("name", ["ab", "Shop", "a--b", "-ab", "api", "www", "a.b", ""])
def test_subdomains_that_cannot_be(caller: Caller, project: Project, name: str) -> None:
    body = {"name": name, "deployment_id": "dpl_1"}
    assert caller.post("/subdomains/v1", key=project.service_key, json=body).status_code == 400


@pytest.mark.parametrize("domain", ["shop", "a..b", "-a.example", "a.example/x", "1.2.3.4", "a" * 250 + ".example"])
def test_domains_that_cannot_be(caller: Caller, project: Project, domain: str) -> None:
    for path in ("/domains/v1", "/email/v1/domains"):
        body = {"domain": domain, "subdomain_name": "shop"}
        assert caller.post(path, key=project.service_key, json=body).status_code == 400


def test_without_a_lease_nothing_is_claimed(side: Side, run402_sandbox: Run402Sandbox, project: Project) -> None:
    client = side.client(run402_sandbox, project)
    run402_sandbox.end_lease(project.id)
    with pytest.raises(PaymentRequiredError):
        side.do(client.subdomains.claim("shop", "dpl_1", project_id=project.id))
