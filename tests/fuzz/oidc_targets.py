"""What providers and the senders of tokens bring: JWTs, keys, and the answers of OAuth endpoints."""

from __future__ import annotations

import base64
import json
from functools import cache
from typing import Any

from inputs import Answer, answer_of, json_of, object_of, only_ours, parts
from joserfc.jwk import OKPKey

from tollkit.errors import TokenError
from tollkit.oidc import answers, requests
from tollkit.oidc.access_tokens import check_access_token, check_id_token, check_scopes, parse_jwt, verified
from tollkit.oidc.keys import KeySet

ISSUER, AUDIENCE, NOW = "https://issuer.example", "https://api.example", 1_767_225_600.0


@cache
def _key() -> tuple[Any, KeySet]:
    made = OKPKey.import_key(
        {
            "kty": "OKP",
            "crv": "Ed25519",
            "kid": "k",
            "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        }
    )
    return made.private_key, KeySet([{**made.as_dict(private=False), "alg": "EdDSA", "use": "sig"}])


def _text(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def token(data: bytes) -> None:
    """A JWT of any header and claims, rightly signed: header, claims, a token of anything."""
    header, claims, anything = parts(data, 3)
    key, known = _key()
    signed = f"{_text(header)}.{_text(claims)}"
    whole = f"{signed}.{_text(key.sign(signed.encode()))}"
    for given in (whole, whole + "A", anything.decode("utf-8", "surrogateescape")):
        with only_ours(secrets=[given, given.rpartition(".")[2]]):
            checked = check_access_token(given, issuer=ISSUER, audience=AUDIENCE, now=NOW, accept_typ=["JWT"])
            checked.check_signature(known.find(checked.alg, checked.kid))
            accepted = verified(checked.claims, check_scopes(checked.claims, ["sign:job"], read_scp=True))
            assert given == whole, "a token that nobody signed was taken"
            assert accepted.iss == ISSUER
            assert AUDIENCE in accepted.aud
            assert accepted.exp > NOW - 60
            assert "sign:job" in accepted.scopes
            assert isinstance(accepted.sub, str)
            assert json.loads(claims)["client_id"] == accepted.client_id
        with only_ours():
            check_id_token(given, issuer=ISSUER, client_id=AUDIENCE, algorithms=["EdDSA"], now=NOW)
        with only_ours(others=(AssertionError,) if not given else ()):
            parse_jwt(given, now=NOW)


def keys(data: bytes) -> None:
    """A set of keys of anything."""
    with only_ours():
        read = answers.parse_jwks(Answer(200, answer_of(b"200\nContent-Type: application/json", b"").headers, data))
        known = KeySet(read)
        for alg in ("RS256", "PS256", "ES256", "ES384", "EdDSA", "Ed25519"):
            for kid in (None, "k"):
                try:
                    found = known.find(alg, kid)
                except TokenError:
                    continue
                assert found is None or isinstance(found.verify(b"signed", b"\0" * 64), bool)


def oauth_answers(data: bytes) -> None:
    """Discovery, token, device, introspection and error answers: head, body."""
    head, body = parts(data, 2)
    answer = answer_of(head, body)
    hidden = _hidden(body)
    for parse in (
        answers.parse_discovery,
        answers.parse_tokens,
        answers.parse_token_exchange,
        answers.parse_device_authorization,
        answers.parse_introspection,
        answers.parse_revocation,
    ):
        with only_ours(secrets=hidden):
            found = parse(answer)
            assert not any(secret in repr(found) for secret in hidden), "a secret is shown"
    with only_ours():
        raise answers.read_error(requests.discovery_request("https://issuer.example"), answer)


def _hidden(body: bytes) -> list[str]:
    """Secrets of an answer that stand in it once, under names that say so."""
    found = object_of(body)
    names = ("access_token", "refresh_token", "id_token", "device_code")
    secrets = [found[name] for name in names if isinstance(found.get(name), str) and len(found[name]) >= 8]
    everything = json.dumps(json_of(body), ensure_ascii=False)
    return [secret for secret in secrets if everything.count(json.dumps(secret, ensure_ascii=False)[1:-1]) == 1]
