"""CI: bindings that a wallet delegates, workflows of an issuer like GitHub's, sessions for their tokens.

Source: Run402 1.57, `POST /ci/v1/bindings`, `POST /ci/v1/token-exchange`; "OpenID Connect" in the documentation of
GitHub Actions for the tokens and for the address that gives them out.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn, cast
from urllib.parse import quote, urlsplit

import attrs
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, KeySetSerialization, RSAKey

from tollkit.sandbox.clock import iso
from tollkit.sandbox.http import members
from tollkit.sandbox.run402.access import SignedIn
from tollkit.sandbox.run402.gateway import Call, Gateway, GatewayError, route

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import Route

    from tollkit.sandbox.run402.gateway import Project

__all__ = [
    "AUDIENCE",
    "ISSUER",
    "SESSION_PREFIX",
    "Binding",
    "CiRoutes",
    "GitHub",
    "Session",
    "delegation_resource",
    "delegation_statement",
]

ISSUER = "https://token.actions.githubusercontent.com"
"""Who issued the tokens, as they say it; the sandbox's issuer has its keys below `/run402/github`."""
AUDIENCE = "https://api.run402.com"
PROVIDER = "github-actions"
SESSION_PREFIX = "r402_ci_"
_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
_JWT = "urn:ietf:params:oauth:token-type:jwt"
_NONCE = re.compile(r"[0-9a-f]{16,64}")
_SUBJECT = re.compile(r"[^\x00-\x1f\x7f*]{1,256}\*?")
_BINDINGS = "/ci/v1/bindings"
_LIMIT = 16_384
_TOKEN_SECONDS = 300
_SKEW = 60

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


@attrs.define(kw_only=True)
class Binding:
    """Workflows that may deploy to a project."""

    id: str
    project_id: str
    subject_match: str
    allowed_actions: list[str]
    allowed_events: list[str]
    github_repository_id: str | None
    expires_at: str | None
    nonce: str
    created_by: str = ""
    created_sig: dict[str, Any] | None = None
    created_at: float = 0.0
    revoked_at: float | None = None
    last_used_at: float | None = None
    use_count: int = 0

    def ends(self) -> float | None:
        """When it ends, in epoch seconds; None for never."""
        return None if self.expires_at is None else datetime.fromisoformat(self.expires_at).timestamp()

    def alive(self, now: float) -> bool:
        """Whether it neither ended nor was revoked."""
        ends = self.ends()
        return self.revoked_at is None and (ends is None or now < ends)

    def fits(self, subject: str) -> bool:
        """Whether it is for a subject; a star at the end stands for any text."""
        head = self.subject_match.removesuffix("*")
        return subject.startswith(head) if head != self.subject_match else subject == head

    def row(self) -> dict[str, Any]:
        """As it is told."""
        return {
            "id": self.id,
            "project_id": self.project_id,
            "issuer": ISSUER,
            "subject_match": self.subject_match,
            "allowed_actions": self.allowed_actions,
            "allowed_events": self.allowed_events,
            "github_repository_id": self.github_repository_id,
            "created_by": self.created_by,
            "nonce": self.nonce,
            "created_sig": self.created_sig,
            "created_at": iso(self.created_at),
            "expires_at": self.expires_at,
            "revoked_at": None if self.revoked_at is None else iso(self.revoked_at),
            "last_used_at": None if self.last_used_at is None else iso(self.last_used_at),
            "use_count": self.use_count,
        }


def delegation_statement(binding: Binding) -> str:
    """The text that a wallet signs for a binding, byte for byte."""
    return _STATEMENT.format(
        subject_match=binding.subject_match,
        project_id=binding.project_id,
        audience=AUDIENCE,
        events=",".join(binding.allowed_events),
        repository=binding.github_repository_id or "none-soft-bound",
        expires=binding.expires_at or "never",
        nonce=binding.nonce,
    )


def delegation_resource(binding: Binding) -> str:
    """The URI that a wallet signs for a binding."""

    def listed(values: Sequence[str]) -> str:
        return ",".join(quote(value, safe="") for value in values)

    fields: list[tuple[str, str]] = [
        ("project_id", quote(binding.project_id, safe="")),
        ("issuer", quote(ISSUER, safe="")),
        ("audience", quote(AUDIENCE, safe="")),
        ("subject_match", quote(binding.subject_match, safe="")),
        ("allowed_actions", listed(binding.allowed_actions)),
        ("allowed_events", listed(binding.allowed_events)),
    ]
    if binding.expires_at is not None:
        fields.append(("expires_at", quote(binding.expires_at, safe="")))
    if binding.github_repository_id is not None:
        fields.append(("github_repository_id", quote(binding.github_repository_id, safe="")))
    fields.append(("nonce", quote(binding.nonce, safe="")))
    return "run402-ci-delegation:v1?" + "&".join(f"{name}={value}" for name, value in fields)


@attrs.frozen(kw_only=True)
class Session:
    """What a workflow's token was exchanged for."""

    token: str = attrs.field(repr=False)
    project_id: str
    binding_id: str
    subject: str
    expires_at: float


class GitHub:
    """An issuer of workflow tokens like GitHub's.

    Args:
        gateway: Below whose address it is, and whose clock its tokens go by.

    Attributes:
        token_seconds: How long its tokens are good for.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._keys: list[RSAKey] = []
        self._begin()

    def _begin(self) -> None:
        self._runs: dict[str, dict[str, Any]] = {}
        self.token_seconds: float = _TOKEN_SECONDS

    def forget(self) -> None:
        """Forget the runs of workflows; the keys stay, unless they were rotated."""
        self._begin()

    @property
    def address(self) -> str:
        """Where its key set is, without `/.well-known/jwks`."""
        return f"{self._gateway.api_base}/github"

    def routes(self) -> list[Route]:
        """Its addresses."""
        gateway = self._gateway
        return [
            route(gateway, "GET", "/github/.well-known/openid-configuration", self._configuration),
            route(gateway, "GET", "/github/.well-known/jwks", lambda _call: self.jwks()),
            route(gateway, "GET", "/github/idtoken/{run}", self._give),
        ]

    # ---------------------------------------------------------------- levers

    def env(
        self,
        *,
        repo: str = "octo-org/octo-repo",
        ref: str = "refs/heads/main",
        event: str = "push",
        environment: str | None = None,
        repository_id: str = "892341",
    ) -> dict[str, str]:
        """The environment variables of a run of a workflow with `permissions: id-token: write`.

        Args:
            repo: Owner and name.
            ref: What the run is for, e.g. `refs/tags/v1`.
            event: What started it: `push`, `workflow_dispatch`, `pull_request`, ...
            environment: The deployment environment of the job.
            repository_id: Number of the repository.
        """
        with self._gateway.lock:
            run = self._gateway.new_id("", 12)
            token = self._gateway.new_id("ghs_", 40)
            claims = self.claims(
                repo=repo, ref=ref, event=event, environment=environment, repository_id=repository_id
            )
            self._runs[run] = {"token": token, "claims": claims}
        return {
            "GITHUB_ACTIONS": "true",
            "GITHUB_ACTOR": claims["actor"],
            "GITHUB_EVENT_NAME": event,
            "GITHUB_REF": ref,
            "GITHUB_REPOSITORY": repo,
            "GITHUB_REPOSITORY_ID": repository_id,
            "GITHUB_RUN_ID": claims["run_id"],
            "GITHUB_SHA": claims["sha"],
            "GITHUB_WORKFLOW": claims["workflow"],
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.address}/idtoken/{run}?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": token,
        }

    @staticmethod
    def claims(
        *,
        repo: str = "octo-org/octo-repo",
        ref: str = "refs/heads/main",
        event: str = "push",
        environment: str | None = None,
        repository_id: str = "892341",
    ) -> dict[str, Any]:
        """What a token says about a run, without its times, audience and issuer."""
        if environment is not None:
            context = f"environment:{environment}"
        else:
            context = "pull_request" if event == "pull_request" else f"ref:{ref}"
        return {
            "sub": f"repo:{repo}:{context}",
            "ref": ref,
            "ref_type": "tag" if ref.startswith("refs/tags/") else "branch",
            "sha": "f1d2d2f924e986ac86fdf7b36c94bcdf32beec15",
            "repository": repo,
            "repository_owner": repo.partition("/")[0],
            "repository_id": repository_id,
            "repository_owner_id": "65",
            "repository_visibility": "private",
            "actor": "octocat",
            "actor_id": "12",
            "event_name": event,
            "run_id": "1658821493",
            "run_number": "10",
            "run_attempt": "1",
            "runner_environment": "github-hosted",
            "workflow": "deploy",
            "job_workflow_ref": f"{repo}/.github/workflows/deploy.yml@{ref}",
            **({} if environment is None else {"environment": environment}),
        }

    def token(
        self, claims: Mapping[str, Any] | None = None, *, audience: str = AUDIENCE, key: RSAKey | None = None
    ) -> str:
        """A token.

        Args:
            claims: What it says; over the usual ones, so that a test can leave something wrong in it.
            audience: Who it is for.
            key: Signs it instead of the issuer's key: the token is forged.
        """
        with self._gateway.lock:
            now = int(self._gateway.clock.issue_time())
            own = self._signing_key()
            told = {
                "jti": self._gateway.new_id("", 32),
                "iss": ISSUER,
                "aud": audience,
                "nbf": now - 5,
                "iat": now,
                "exp": now + int(self.token_seconds),
                **self.claims(),
                **(claims or {}),
            }
        header = {"typ": "JWT", "alg": "RS256", "kid": own.kid}
        return jwt.encode(header, told, key or own, algorithms=["RS256"])

    def rotate_keys(self, *, keep_old: bool = True) -> None:
        """Sign with a new key from now on.

        Args:
            keep_old: Whether tokens of the former keys stay good.
        """
        with self._gateway.lock:
            self._keys = [self._new_key(), *(self._keys if keep_old else [])]

    def jwks(self) -> dict[str, Any]:
        """The public keys, as they are served."""
        self._signing_key()
        return dict(KeySet([*self._keys]).as_dict(private=False))

    # ---------------------------------------------------------------- routes

    def _signing_key(self) -> RSAKey:
        if not self._keys:
            self._keys = [self._new_key()]
        return self._keys[0]

    def _new_key(self) -> RSAKey:
        kid = self._gateway.new_id("", 16)
        return RSAKey.generate_key(2048, parameters={"kid": kid, "use": "sig", "alg": "RS256"})

    def _configuration(self, _call: Call) -> Any:
        return {
            "issuer": ISSUER,
            "jwks_uri": f"{self.address}/.well-known/jwks",
            "subject_types_supported": ["public", "pairwise"],
            "response_types_supported": ["id_token"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "scopes_supported": ["openid"],
            "claims_supported": ["sub", "aud", "exp", "iat", "iss", "jti", "nbf", *self.claims()],
        }

    def _give(self, call: Call) -> Any:
        run = self._runs.get(call.path["run"])
        if run is None:
            raise GatewayError(404, "NOT_FOUND", "There is no such run")
        if call.headers.get("authorization") != f"Bearer {run['token']}":
            raise GatewayError(401, "UNAUTHORIZED", "The request token of the run is required")
        audience = call.query.get("audience") or f"https://github.com/{run['claims']['repository_owner']}"
        token = self.token(run["claims"], audience=audience)
        return {"count": len(token), "value": token}


class CiRoutes:
    """Bindings and the exchange of tokens.

    Args:
        gateway: Whose projects they are for.

    Attributes:
        github: The issuer.
        session_seconds: How long a session lasts, at most as long as its binding.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.github: GitHub = GitHub(gateway)
        self._begin()

    def _begin(self) -> None:
        self.session_seconds: float = 900.0
        self.bindings: dict[str, Binding] = {}
        self._sessions: dict[str, Session] = {}

    def forget(self) -> None:
        """Forget bindings, sessions and runs."""
        self._begin()
        self.github.forget()

    def routes(self) -> list[Route]:
        """Its routes."""
        gateway = self._gateway
        return [
            route(gateway, "POST", _BINDINGS, self._create),
            route(gateway, "GET", _BINDINGS, self._list),
            route(gateway, "GET", _BINDINGS + "/{binding_id}", lambda call: self._own(call).row()),
            route(gateway, "POST", _BINDINGS + "/{binding_id}/revoke", self._revoke),
            route(gateway, "POST", "/ci/v1/token-exchange", self._exchange),
            *self.github.routes(),
        ]

    # ---------------------------------------------------------------- who calls

    def session(self, request: Request) -> Session | None:
        """The CI session that a request carries; None when it carries none.

        Raises:
            GatewayError: 401, the session is not known, ended, or its binding was revoked.
        """
        header = request.headers.get("authorization", "")
        token = header[7:].strip() if header[:7].lower() == "bearer " else ""
        if not token.startswith(SESSION_PREFIX):
            return None
        session = self._sessions.get(token)
        now = self._gateway.clock.now()
        if session is None or now >= session.expires_at:
            raise GatewayError(401, "invalid_token", "The CI session is not known, or it ended")
        binding = self.bindings[session.binding_id]
        if not binding.alive(now):
            raise GatewayError(401, "invalid_token", "The binding of the CI session was revoked, or it ended")
        binding.last_used_at = now
        return session

    # ---------------------------------------------------------------- bindings

    def bind(self, project_id: str, subject_match: str, **fields: Any) -> Binding:
        """A binding that no wallet signed, for tests of what comes after.

        Args:
            project_id: The project.
            subject_match: E.g. `repo:octo-org/octo-repo:*`.
            fields: Other fields of `Binding`.
        """
        with self._gateway.lock:
            told: dict[str, Any] = {
                "allowed_actions": ["deploy"],
                "allowed_events": ["push", "workflow_dispatch"],
                "github_repository_id": None,
                "expires_at": None,
                "nonce": self._gateway.new_id("", 32),
                "created_by": self._gateway.project(project_id).wallet,
                **fields,
            }
            return self._keep(
                Binding(id=self._gateway.new_id("cib_"), project_id=project_id, subject_match=subject_match, **told)
            )

    def _keep(self, binding: Binding) -> Binding:
        binding.created_at = self._gateway.clock.now()
        self.bindings[binding.id] = binding
        return binding

    def _create(self, call: Call) -> Any:
        wallet = self._gateway.wallet(call.request)
        binding = self._asked_for(call)
        project = self._owned(binding.project_id, wallet)
        raw = call.required("signed_delegation")
        signed, payload = self._delegation(raw, binding)
        if signed.address != wallet or wallet.lower() != project.wallet.lower():
            _refuse(403, "signer_mismatch", "The delegation was signed by another wallet.")
        for other in self.bindings.values():
            if other.nonce == binding.nonce:
                _refuse(409, "nonce_replay", "The nonce was used before.")
            same = (other.project_id, other.subject_match) == (binding.project_id, binding.subject_match)
            if same and other.alive(self._gateway.clock.now()):
                _refuse(409, "duplicate", "The project has a binding for this subject.")
        binding.created_by = wallet
        binding.created_sig = {
            "payload": payload,
            "raw": raw,
            "signer": signed.address,
            "verified_at": self._gateway.clock.iso(),
        }
        binding.id = self._gateway.new_id("cib_")
        return self._keep(binding).row()

    def _asked_for(self, call: Call) -> Binding:
        if call.required("provider") != PROVIDER:
            raise _invalid("provider", f"must be {PROVIDER}")
        subject = call.required("subject_match")
        if _SUBJECT.fullmatch(subject) is None or subject == "*" or len(subject) > 256:
            raise _invalid("subject_match", "must be a subject, with a star at most at its end")
        nonce = call.required("nonce")
        if _NONCE.fullmatch(nonce) is None:
            _refuse(400, "delegation_nonce_invalid", "The nonce must be 16 to 64 hex digits in lower case.")
        actions, events = _texts(call, "allowed_actions"), _texts(call, "allowed_events")
        if actions != ["deploy"]:
            raise _invalid("allowed_actions", "must be ['deploy']")
        expires_at = call.text("expires_at", required=False)
        try:
            moment = None if expires_at is None else datetime.fromisoformat(expires_at)
        except ValueError:
            moment = None
        if expires_at is not None and (moment is None or moment.tzinfo is None):
            raise _invalid("expires_at", "must be a time such as 2026-07-30T00:00:00Z")
        return Binding(
            id="",
            project_id=call.required("project_id"),
            subject_match=subject,
            allowed_actions=actions,
            allowed_events=events,
            github_repository_id=call.text("github_repository_id", required=False),
            expires_at=expires_at,
            nonce=nonce,
        )

    def _delegation(self, raw: str, binding: Binding) -> tuple[SignedIn, dict[str, Any]]:
        """What a wallet signed, when it is right in everything."""
        if len(raw) > _LIMIT:
            _refuse(400, "delegation_oversized", "The delegation is too long.")
        try:
            payload = members(json.loads(base64.b64decode(raw, validate=True)))
        except (ValueError, RecursionError):
            payload = {}
        uri = payload.get("uri")
        if not isinstance(uri, str):
            _refuse(400, "delegation_parse_failed", "The delegation is not base64 of a JSON object with its members.")
        # the platform's client drops the path of the gateway's address, which only a gateway below a path notices
        base = self._gateway.api_base
        if uri not in (base + _BINDINGS, self._gateway.origin() + _BINDINGS):
            _refuse(400, "delegation_signature_invalid", "The delegation is for another address.")
        try:
            signed = self._gateway.access.signed_in(raw, domain=urlsplit(base).hostname or "", uri=uri)
        except GatewayError as refusal:
            _refuse(400, "delegation_signature_invalid", refusal.message)
        if signed.statement != delegation_statement(binding):
            _refuse(400, "delegation_statement_mismatch", "The statement is not the one for these values.")
        if signed.resources != (delegation_resource(binding),):
            _refuse(400, "delegation_resource_uri_mismatch", "The resource is not the one for these values.")
        if signed.nonce != binding.nonce[:16]:
            _refuse(400, "delegation_nonce_invalid", "The signature's nonce does not begin the delegation's.")
        return signed, payload

    def _owned(self, project_id: str, wallet: str) -> Project:
        project = self._gateway.project(project_id)
        if project.wallet.lower() != wallet.lower():
            raise GatewayError(403, "UNAUTHORIZED", "The project belongs to another wallet")
        return project

    def _own(self, call: Call) -> Binding:
        wallet = self._gateway.wallet(call.request)
        binding = self.bindings.get(call.path["binding_id"])
        if binding is None:
            raise GatewayError(404, "RESOURCE_NOT_FOUND", "There is no such binding")
        self._owned(binding.project_id, wallet)
        return binding

    def _list(self, call: Call) -> Any:
        wallet = self._gateway.wallet(call.request)
        project_id = call.query.get("project")
        if not project_id:
            raise _invalid("project", "must be given")
        self._owned(project_id, wallet)
        return {"bindings": [one.row() for one in self.bindings.values() if one.project_id == project_id]}

    def _revoke(self, call: Call) -> Any:
        binding = self._own(call)
        binding.revoked_at = binding.revoked_at or self._gateway.clock.now()
        return binding.row()

    # ---------------------------------------------------------------- the exchange

    def _exchange(self, call: Call) -> Any:
        body = call.body
        wanted = ("subject_token", "project_id")
        if body.get("grant_type") != _GRANT or body.get("subject_token_type") != _JWT:
            _refuse(400, "invalid_request", f"grant_type must be {_GRANT}, subject_token_type {_JWT}.")
        if not all(isinstance(body.get(name), str) and body[name] for name in wanted):
            _refuse(400, "invalid_request", "subject_token and project_id must be texts.")
        claims = self._claims(body["subject_token"])
        binding = self._fitting(body["project_id"], claims)
        now = self._gateway.clock.now()
        ends = binding.ends()
        lasts = self.session_seconds if ends is None else min(self.session_seconds, ends - now)
        session = Session(
            token=self._gateway.new_id(SESSION_PREFIX, 48),
            project_id=binding.project_id,
            binding_id=binding.id,
            subject=str(claims["sub"]),
            expires_at=self._gateway.clock.issue_time() + lasts,
        )
        self._sessions[session.token] = session
        binding.use_count += 1
        binding.last_used_at = now
        return {
            "access_token": session.token,
            "token_type": "Bearer",
            "expires_in": int(lasts),
            "scope": " ".join(binding.allowed_actions),
        }

    def _claims(self, token: str) -> Mapping[str, Any]:
        served = KeySetSerialization(keys=self.github.jwks()["keys"])
        try:
            claims = jwt.decode(token, KeySet.import_key_set(served), algorithms=["RS256"]).claims
        except (JoseError, ValueError):
            _refuse(401, "invalid_token", "The token was not signed by the issuer.")
        now = self._gateway.clock.now()
        audience = claims.get("aud")
        if claims.get("iss") != ISSUER or AUDIENCE not in (audience if isinstance(audience, list) else [audience]):
            _refuse(401, "invalid_token", f"The token must be from {ISSUER}, for {AUDIENCE}.")
        if not _is_time(claims.get("exp")) or now >= claims["exp"]:
            _refuse(401, "invalid_token", "The token has expired.")
        if _is_time(claims.get("nbf")) and now + _SKEW < claims["nbf"]:
            _refuse(401, "invalid_token", "The token is not good yet.")
        if not isinstance(claims.get("sub"), str):
            _refuse(401, "invalid_token", "The token has no subject.")
        return claims

    def _fitting(self, project_id: str, claims: Mapping[str, Any]) -> Binding:
        now = self._gateway.clock.now()
        found = [
            one
            for one in self.bindings.values()
            if one.project_id == project_id and one.alive(now) and one.fits(claims["sub"])
        ]
        steps: tuple[tuple[str, str, Callable[[Binding], bool]], ...] = (
            ("access_denied", "No binding of the project is for this subject.", lambda _one: True),
            (
                "event_not_allowed",
                "The binding is not for this event.",
                lambda one: claims.get("event_name") in one.allowed_events,
            ),
            (
                "repository_id_mismatch",
                "The binding is for another repository.",
                lambda one: one.github_repository_id in (None, claims.get("repository_id")),
            ),
        )
        for code, message, fits in steps:
            found = [one for one in found if fits(one)]
            if not found:
                _refuse(403, code, message)
        if len(found) > 1:
            _refuse(403, "ambiguous_binding", "Several bindings of the project are for this subject.")
        return found[0]


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _refuse(status: int, code: str, message: str) -> NoReturn:
    raise GatewayError(status, code, message)


def _invalid(name: str, message: str) -> GatewayError:
    return GatewayError(400, "VALIDATION_ERROR", f"{name} {message}", details={"field": name})


def _texts(call: Call, name: str) -> list[str]:
    value = call.body.get(name)
    found: Sequence[Any] = cast("Sequence[Any]", value) if isinstance(value, list) else ()
    if not found or not all(isinstance(one, str) and one for one in found):
        raise _invalid(name, "must be a list of texts")
    return list(found)
