"""Which tokens are accepted: of one issuer, for us, in time, signed by a key that the issuer has now."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from fastapi import Request
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from services.miner.auth.access import Access
from services.miner.auth.keys import ASKED_AGAIN_AFTER_S, KEPT_S, STALE_S, RemoteKeys, discovered
from services.miner.auth.limits import Limits
from services.miner.auth.local_issuer import LocalIssuer
from services.miner.auth.tokens import SKEW_S, TokenRefused, Verifier
from services.miner.problems import Refusal
from shared.domain.errors import Unavailable
from shared.domain.member import email_of
from shared.runtime import Settings

AUDIENCE = "iflow"


class Issuer:
    """A real server of a key set and of a discovery document. `asked` counts who came for the keys."""

    def __init__(self) -> None:
        self.keys: dict[str, Any] = {}
        self.asked = 0
        self.works = True
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer: dict[str, Any] = {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys"}
                if self.path == "/keys":
                    issuer.asked += 1
                    answer = {"keys": [_public(name, key) for name, key in issuer.keys.items()]}
                self.send_response(200 if issuer.works else 503)
                self.end_headers()
                self.wfile.write(json.dumps(answer).encode())

            def log_message(self, *_: Any) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def new_key(self, name: str) -> None:
        self.keys[name] = rsa.generate_private_key(65537, 2048)

    def token(self, key: str = "one", *, algorithm: str = "RS256", kid: str | None = None, **changes: Any) -> str:
        now = int(time.time())
        claims = {"iss": self.url, "aud": AUDIENCE, "sub": "1", "email": "ada@lab.example", "iat": now,
                  "exp": now + 300, **changes}
        given = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(given, self.keys[key], algorithm, headers={"kid": kid or key})


def _public(name: str, key: Any) -> dict[str, Any]:
    kind = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    algorithm = "RS256" if kind is RSAAlgorithm else "ES256"
    return {**kind.to_jwk(key.public_key(), as_dict=True), "kid": name, "use": "sig", "alg": algorithm}


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    found = Issuer()
    found.new_key("one")
    yield found
    found.close()


@pytest.fixture
def verifier(issuer: Issuer) -> Verifier:
    return Verifier(issuer.url, AUDIENCE, RemoteKeys(discovered(issuer.url)), ("RS256", "ES256"))


def test_a_good_token_is_accepted(issuer: Issuer, verifier: Verifier) -> None:
    assert verifier.claims(issuer.token())["email"] == "ada@lab.example"


@pytest.mark.parametrize(("changes", "why"), [
    ({"aud": "another"}, "meant for another"), ({"iss": "https://evil.example"}, "of another issuer"),
    ({"exp": -SKEW_S - 30}, "run out"), ({"nbf": 2 * SKEW_S + 300}, "not valid yet"),
    ({"exp": None}, "does not say its exp"), ({"sub": None}, "does not say its sub"), ({"aud": None}, "its aud"),
    ({"kid": "two"}, "a key that its issuer does not have"),
])
def test_what_is_not_for_us_is_refused(issuer: Issuer, verifier: Verifier, changes: dict[str, Any], why: str) -> None:
    """Times are in seconds from the moment of the test."""
    now = int(time.time())
    with pytest.raises(TokenRefused, match=why):
        verifier.claims(issuer.token(**{
            claim: now + value if isinstance(value, int) else value for claim, value in changes.items()
        }))


def test_clocks_may_differ_by_a_minute(issuer: Issuer, verifier: Verifier) -> None:
    now = int(time.time())
    assert verifier.claims(issuer.token(exp=now - SKEW_S + 20, iat=now - 600))
    assert verifier.claims(issuer.token(nbf=now + SKEW_S - 20, iat=now + SKEW_S - 20))


def test_neither_none_nor_a_shared_secret_signs(issuer: Issuer, verifier: Verifier) -> None:
    head, body, _ = issuer.token().split(".")
    claims = jwt.decode(issuer.token(), options={"verify_signature": False})
    forged = jwt.encode(claims, "x" * 32, "HS256", headers={"kid": "one"})
    unsigned = jwt.encode(claims, None, "none", headers={"kid": "one"})
    for bad in (forged, unsigned, f"{head}.{body}.", f"{head}.{body}.AAAA", "x", "", "a.b.c", "é", "x" * 20_000):
        with pytest.raises(TokenRefused):
            verifier.claims(bad)
    with pytest.raises(ValueError, match="cannot be signed with HS256"):
        Verifier(issuer.url, AUDIENCE, RemoteKeys(discovered(issuer.url)), ("HS256",))


def test_a_new_key_is_fetched_and_invented_ones_are_not_asked_for_each_time(issuer: Issuer) -> None:
    now = [0.0]
    keys = RemoteKeys(lambda: f"{issuer.url}/keys", lambda: now[0])
    before = issuer.asked
    assert keys.named("one")
    for number in range(50):
        assert keys.named(f"invented-{number}") is None
    assert issuer.asked == before + 1
    issuer.new_key("rotated")
    now[0] += ASKED_AGAIN_AFTER_S
    assert keys.named("rotated")
    assert issuer.asked == before + 2


def test_kept_keys_go_on_while_the_issuer_is_away_and_not_for_ever(issuer: Issuer) -> None:
    now = [0.0]
    keys = RemoteKeys(lambda: f"{issuer.url}/keys", lambda: now[0])
    assert keys.named("one")
    issuer.works = False
    try:
        now[0] += KEPT_S + 1
        assert keys.named("one")
        now[0] += STALE_S
        with pytest.raises(Unavailable):
            keys.named("one")
        with pytest.raises(Unavailable):
            RemoteKeys(lambda: f"{issuer.url}/keys").named("one")
    finally:
        issuer.works = True


# -- who a request is from ------------------------------------------------------------------------------------------


def asking(**headers: str) -> Request:
    return Request({"type": "http", "method": "GET", "scheme": "https", "path": "/", "query_string": b"", "headers": [
        (name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()
    ]})


def test_iap_says_who_asks_where_its_audience_is_set(issuer: Issuer, tmp_path: Path) -> None:
    issuer.keys["iap"] = ec.generate_private_key(ec.SECP256R1())
    named: dict[str, Any] = {"iss": "https://cloud.google.com/iap", "aud": "/projects/1/x", "email": "Ada@lab.example"}
    assertion = issuer.token("iap", algorithm="ES256", **named)
    settings = Settings(backend="google", state_dir=tmp_path, iap_audience="/projects/1/x",
                        iap_keys_url=f"{issuer.url}/keys", session_key="k")
    access = Access(settings, _no_ports)
    known = access.known(asking(x_goog_iap_jwt_assertion=assertion))
    assert (known.person.email, known.person.via, known.session) == ("ada@lab.example", "iap", "iap")
    for wrong in (issuer.token("one", **named), issuer.token("iap", algorithm="ES256", **{**named, "aud": "other"})):
        with pytest.raises(Refusal):
            access.known(asking(x_goog_iap_jwt_assertion=wrong))
    unset = Access(Settings(backend="google", state_dir=tmp_path), _no_ports)
    with pytest.raises(Refusal):
        unset.known(asking(x_goog_iap_jwt_assertion=assertion))


def test_an_issuers_claims_make_superadmins_and_unverified_addresses_nobody(issuer: Issuer, tmp_path: Path) -> None:
    access = Access(Settings(
        state_dir=tmp_path, oidc_issuer=issuer.url, oidc_audience=AUDIENCE, superadmin_claim="iflow_superadmin",
        service_accounts="lims@lab.example",
    ), _no_ports)

    def person(**changes: Any) -> Any:
        return access.known(asking(authorization=f"Bearer {issuer.token(**changes)}")).person

    assert not person().superadmin
    assert person(iflow_superadmin=True).superadmin
    assert not person(iflow_superadmin="true").superadmin
    assert person(email="lims@lab.example").is_service
    for refused in ({"email_verified": False}, {"email": None}, {"email": "no address"},
                    {"email": "\u212a@lab.example"}):
        with pytest.raises(Refusal):
            person(**refused)
    assert access.issuer is None, "where an issuer is named, there is no local one beside it"


def test_the_local_issuer_is_never_there_on_google_and_its_key_is_its_owners_alone(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="local stacks"):
        LocalIssuer(Settings(backend="google", state_dir=tmp_path))
    issuer = LocalIssuer(Settings(state_dir=tmp_path))
    assert issuer.verifier.claims(issuer.token("ada@lab.example"))["email"] == "ada@lab.example"
    (key,) = (tmp_path / "auth").iterdir()
    assert key.stat().st_mode & 0o777 == 0o600
    stranger = LocalIssuer(Settings(state_dir=tmp_path / "other"))
    with pytest.raises(TokenRefused):
        issuer.verifier.claims(stranger.token("ada@lab.example"))


def test_a_bucket_lets_a_burst_through_and_then_so_many_a_second() -> None:
    now = [0.0]
    limits = Limits(2, 5, lambda: now[0])
    assert [limits.wait_s("ada") for _ in range(6)] == [0, 0, 0, 0, 0, 0.5]
    assert limits.wait_s("bob") == 0
    now[0] += 0.5
    assert [limits.wait_s("ada") for _ in range(2)] == [0, 0.5]


def test_look_alikes_are_no_addresses() -> None:
    assert email_of(" Ada@Lab.Example ") == "ada@lab.example"
    for bad in ("\u212aim@lab.example", "a/b@lab.example", "a@", "@b", "a b@c"):
        with pytest.raises(ValueError, match="no e-mail"):
            email_of(bad)


def _no_ports() -> Any:
    raise AssertionError("nobody's role is asked for")
