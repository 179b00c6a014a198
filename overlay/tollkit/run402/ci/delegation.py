"""What a wallet signs so that a workflow may deploy: its values, the statement a person reads, and the resource URI.

The wording of the statement is part of the protocol (Run402 1.57): the gateway rebuilds and compares it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, cast
from urllib.parse import quote

import attrs

from tollkit.core.arguments import wire_time
from tollkit.errors import ArgumentError
from tollkit.oidc.json_values import is_list, is_object
from tollkit.run402.errors import raised

__all__ = [
    "ACTIONS",
    "AUDIENCE",
    "DEFAULT_EVENTS",
    "ISSUER",
    "PROVIDER",
    "CiDelegation",
    "check_nonce",
    "check_subject_match",
    "normalize_ci_delegation_values",
]

PROVIDER = "github-actions"
ISSUER = "https://token.actions.githubusercontent.com"
AUDIENCE = "https://api.run402.com"
ACTIONS = ("deploy",)
"""All that a workflow can be allowed."""
DEFAULT_EVENTS = ("push", "workflow_dispatch")
"""The events that usually may start a deploy."""
MOST_SUBJECT_UNITS = 256
MOST_RESOURCE_BYTES = 4096
MOST_STATEMENT_BYTES = 8192
_NONCE = re.compile(r"[0-9a-f]{16,64}")
_CONTROL = re.compile("[\x00-\x1f\x7f\x85\u2028\u2029]")
"""Control characters, and what else begins a new line where a person reads it."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_VALIDATING = "validating CI delegation"

_STATEMENT = """\
Authorize GitHub Actions workflows whose OIDC subject matches {subject_match} to deploy to run402 project \
{project_id}.

The workflows can:
  - deploy function code that runs with this project's runtime authority, including the project's service-role key, \
the adminDb() bypass-RLS surface, and configured runtime secrets read via process.env;
  - deploy database migrations, RLS/expose changes, and schema-altering SQL via spec.database.

The workflows cannot directly call secrets, domain, subdomain, lifecycle, billing, contracts, or faucet endpoints. \
They cannot ship spec.secrets, spec.subdomains, spec.routes, spec.checks, or non-current spec.base.

Audience: {audience}
Allowed events: {events}
Repository ID: {repository}
Expires: {expires}
Nonce: {nonce}

Revoke at any time via the run402 CLI or POST /ci/v1/bindings/:id/revoke. Revocation stops future CI gateway \
requests but does not undo already-deployed code, stop in-flight deploy operations, rotate exfiltrated keys, or \
remove deployed functions. Recovery from a compromise: revoke the binding, then SIWE-deploy a known-good release \
that overwrites the malicious code, and rotate any service-role key the deployed code may have read."""


@attrs.frozen(kw_only=True)
class CiDelegation:
    """Leave for the workflows of a repository to deploy to a project; checked, lists sorted and without doubles.

    Made by `normalize_ci_delegation_values`.

    Attributes:
        project_id: The project.
        issuer: Issuer of the workflows' tokens.
        audience: Audience of their tokens.
        subject_match: Subject of their tokens; a `*` at its end stands for anything.
        allowed_actions: What they may do: `deploy`.
        allowed_events: Events that may start them.
        expires_at: When the leave ends, as it was given; `None` for never.
        github_repository_id: Number of the repository, which a new one of the same name does not have; `None` goes
            by its name alone.
        nonce: 16 to 64 hex digits in lower case that were never used before.
    """

    project_id: str
    issuer: str
    audience: str
    subject_match: str
    allowed_actions: tuple[str, ...]
    allowed_events: tuple[str, ...]
    expires_at: str | None
    github_repository_id: str | None
    nonce: str

    def to_dict(self) -> dict[str, Any]:
        """All values by their names on the wire."""
        return {
            "project_id": self.project_id,
            "issuer": self.issuer,
            "audience": self.audience,
            "subject_match": self.subject_match,
            "allowed_actions": list(self.allowed_actions),
            "allowed_events": list(self.allowed_events),
            "expires_at": self.expires_at,
            "github_repository_id": self.github_repository_id,
            "nonce": self.nonce,
        }

    @property
    def statement(self) -> str:
        """What a person is asked to sign.

        Raises:
            LocalError: It is longer than 8192 bytes.
        """
        text = _STATEMENT.format(
            subject_match=self.subject_match,
            project_id=self.project_id,
            audience=self.audience,
            events=",".join(self.allowed_events),
            repository="none-soft-bound" if self.github_repository_id is None else self.github_repository_id,
            expires="never" if self.expires_at is None else self.expires_at,
            nonce=self.nonce,
        )
        return _at_most(text, MOST_STATEMENT_BYTES, "statement", "building CI delegation statement")

    @property
    def resource_uri(self) -> str:
        """The same values as a URI, which the signature covers too.

        Raises:
            LocalError: It is longer than 4096 bytes.
        """
        parts = [
            f"{name}={','.join(quote(item, safe='') for item in (value if is_list(value) else [value]))}"
            for name, value in self.to_dict().items()
            if value is not None
        ]
        uri = f"run402-ci-delegation:v1?{'&'.join(parts)}"
        return _at_most(uri, MOST_RESOURCE_BYTES, "resource_uri", "building CI delegation resource URI")


def normalize_ci_delegation_values(values: object) -> CiDelegation:
    """Check the values of a delegation and bring them into the order in which they are signed.

    Args:
        values: A mapping with `project_id`, `subject_match`, `allowed_actions`, `allowed_events` and `nonce`, and
            maybe `issuer`, `audience`, `expires_at` (text or an aware datetime) and `github_repository_id`; or a
            `CiDelegation`.

    Raises:
        LocalError: A value is missing or wrong (also an `ArgumentError`, which names it).
    """
    if isinstance(values, CiDelegation):
        values = values.to_dict()
    if not is_object(values):
        raise raised(ArgumentError("values", "must be an object with the values of the delegation"), _VALIDATING)
    given: Mapping[str, Any] = values
    project_id = _line("project_id", given.get("project_id"))
    subject = check_subject_match(given.get("subject_match"))
    nonce = check_nonce(given.get("nonce"))
    actions = _sorted_texts("allowed_actions", given.get("allowed_actions"))
    if actions != ACTIONS:
        raise raised(ArgumentError("allowed_actions", 'must be ["deploy"]'), _VALIDATING)
    events = _sorted_texts("allowed_events", given.get("allowed_events"))
    if not events:
        raise raised(ArgumentError("allowed_events", "must name at least one event, such as push"), _VALIDATING)
    expires = given.get("expires_at")
    repository = given.get("github_repository_id")
    return CiDelegation(
        project_id=project_id,
        issuer=_line("issuer", ISSUER if given.get("issuer") is None else given["issuer"]),
        audience=_line("audience", AUDIENCE if given.get("audience") is None else given["audience"]),
        subject_match=subject,
        allowed_actions=actions,
        allowed_events=events,
        expires_at=None if expires is None else _line("expires_at", _when(expires)),
        github_repository_id=None if repository is None else _line("github_repository_id", _number(repository)),
        nonce=nonce,
    )


def check_subject_match(subject: object) -> str:
    """The subject that tokens must have, if it is usable: `repo:acme/shop:ref:refs/heads/main`, or `repo:acme/*`.

    Raises:
        LocalError: It is empty, longer than 256 UTF-16 code units, matches everything, or has a control character or
            a `*` elsewhere (also an `ArgumentError`).
    """
    problem = None
    if not isinstance(subject, str) or not subject:
        problem = "must be text such as repo:acme/shop:ref:refs/heads/main"
    elif _SURROGATE.search(subject):
        problem = "must not contain half a surrogate pair"
    elif len(subject.encode("utf-16-le")) // 2 > MOST_SUBJECT_UNITS:
        problem = f"must have at most {MOST_SUBJECT_UNITS} characters"
    elif _CONTROL.search(subject):
        problem = "must not contain control characters"
    elif subject == "*":
        problem = "must not be * alone, which any repository of anybody matches"
    elif "*" in subject[:-1]:
        problem = "may have one *, as its last character"
    if problem:
        raise raised(ArgumentError("subject_match", problem), "validating CI subject")
    return cast("str", subject)


def check_nonce(nonce: object) -> str:
    """The nonce, if it is 16 to 64 hex digits in lower case.

    Raises:
        LocalError: It is not (also an `ArgumentError`).
    """
    if not isinstance(nonce, str) or _NONCE.fullmatch(nonce) is None:
        raise raised(ArgumentError("nonce", "must be 16 to 64 hex digits in lower case"), "validating CI nonce")
    return nonce


def _line(name: str, value: object) -> str:
    # a line break would let a value write further lines of what the wallet's owner reads and signs
    if not isinstance(value, str) or not value or _CONTROL.search(value) or _SURROGATE.search(value):
        raise raised(ArgumentError(name, "must be text of one line"), _VALIDATING)
    return value


def _sorted_texts(name: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise raised(ArgumentError(name, "must be a list of texts"), _VALIDATING)
    found = {_line(name, item) for item in cast("Iterable[object]", value)}
    return tuple(sorted(found, key=lambda text: text.encode("utf-16-be")))


def _when(value: object) -> object:
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            raise raised(ArgumentError("expires_at", "must say its time zone: add tzinfo=datetime.UTC"), _VALIDATING)
        return wire_time(value)
    return value


def _number(value: object) -> object:
    return str(value) if type(value) is int else value


def _at_most(text: str, most: int, name: str, doing: str) -> str:
    size = len(text.encode())
    if size > most:
        raise raised(ArgumentError(name, f"would have {size} bytes, {most} are allowed; shorten the values"), doing)
    return text
