"""Functions as they are deployed: who may call them, what they make of a push's body, and what they load to start."""

from __future__ import annotations

import importlib.util
import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import functions_framework
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import crypt, jwt
from werkzeug.test import Client

from shared.topology import topology

ACCOUNT = "iflow-push@lab.iam.gserviceaccount.com"
AUDIENCE = "https://iflow-submit.lab.example"
FUNCTIONS = sorted({spec.function for spec in topology().subscriptions.values()})
HEAVY = ("google.cloud.firestore", "google.cloud.pubsub_v1", "google.cloud.storage", "google.cloud.batch_v1", "grpc",
         "pyarrow", "duckdb", "cyvcf2", "pysam", "opentelemetry")
COLD_START_S = 1.5
"""Of processor time, with an allowance for a slower machine; measured: 0.2 s, and 0.1 s before it for the framework."""


@dataclass(frozen=True)
class Key:
    """A signing key such as Google has, and the claims of a token that is good."""

    pem: str
    public: str

    def token(self, **claims: Any) -> str:
        now = int(time.time())
        good = {
            "iss": "https://accounts.google.com", "aud": AUDIENCE, "email": ACCOUNT, "email_verified": True,
            "iat": now - 10, "exp": now + 600,
        }
        signer = crypt.RSASigner.from_string(self.pem, key_id="k1")
        return str(jwt.encode(signer, {**good, **claims}).decode())


def a_key() -> Key:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return Key(pem.decode(), public.decode())


@pytest.fixture(scope="module")
def key() -> Key:
    return a_key()


@pytest.fixture(scope="module")
def certificates(key: Key) -> Iterator[str]:
    """Where Google's certificates are, on loopback."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"k1": key.public}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Silent."""

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/certs"
        server.shutdown()


Serve = Callable[..., Client]


@pytest.fixture
def serve(certificates: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """A function as functions-framework serves it, with these settings; without any, as a deployed one."""

    def served(function: str = "services.submit.main:submit", **settings: str) -> Client:
        chosen = {
            "backend": "google", "push_account": ACCOUNT, "push_audience": AUDIENCE, "push_certificates": certificates,
            "push_signature": "check", **settings,
        }
        for name, value in chosen.items():
            monkeypatch.setenv(f"IFLOW_{name.upper()}", value)
        module, _, target = function.partition(":")
        found = importlib.util.find_spec(module)
        assert found is not None
        app: Any = functions_framework.create_app(target, found.origin)  # type: ignore[no-untyped-call]
        return Client(app)

    for name in ("FUNCTION_TARGET", "FUNCTION_SIGNATURE_TYPE"):  # the framework sets them for good
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(sys, "path", [*sys.path])
    root = logging.getLogger()
    handlers, level = [*root.handlers], root.level
    yield served
    root.handlers[:] = handlers
    root.setLevel(level)


def post(client: Client, token: str | None) -> int:
    """The status. A body that is no message, so that nobody's handler gets far."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return client.post("/", json={"message": {"data": "%", "messageId": "1"}}, headers=headers).status_code


# -- who may call -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_function_refuses_who_has_no_token(function: str, serve: Serve) -> None:
    """C76. By construction: whoever adds a function to the topology is in this test."""
    client = serve(function)
    assert post(client, None) == 401
    assert client.post("/any/path", data=b"not even JSON").status_code == 401


@pytest.mark.parametrize(("claims", "status"), [
    ({"aud": "https://another.example"}, 401),
    ({"exp": 1_700_000_000, "iat": 1_699_999_000}, 401),
    ({"iss": "https://evil.example"}, 401),
    ({"email": "somebody@lab.iam.gserviceaccount.com"}, 403),
    ({"email_verified": False}, 403),
])
def test_a_token_for_another_function_of_another_account_or_run_out_is_refused(
    key: Key, serve: Serve, claims: Mapping[str, Any], status: int
) -> None:
    """C76."""
    assert post(serve(), key.token(**claims)) == status


def test_a_token_that_google_has_not_signed_is_refused(serve: Serve) -> None:
    client = serve()
    assert post(client, a_key().token()) == 401
    assert post(client, "x.y.z") == 401


def test_only_the_push_account_passes(key: Key, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """C76: it gets as far as the adapters, which here have no emulator to talk to."""
    client = serve(backend="google")
    monkeypatch.setenv("IFLOW_BACKEND", "emulators")  # read anew by the adapters, behind the gate
    for variable in ("PUBSUB_EMULATOR_HOST", "FIRESTORE_EMULATOR_HOST", "STORAGE_EMULATOR_HOST"):
        monkeypatch.delenv(variable, raising=False)
    assert post(client, key.token()) == 503


@pytest.mark.parametrize("missing", ["push_account", "push_audience"])
def test_unset_configuration_refuses_everybody(key: Key, serve: Serve, missing: str) -> None:
    """C76: also where nobody said that it is deployed."""
    assert post(serve(**{missing: ""}), key.token()) == 403
    assert post(serve(backend="embedded", **{missing: ""}), key.token()) == 403


def test_behind_cloud_run_which_takes_the_signature_away_the_claims_are_checked(key: Key, serve: Serve) -> None:
    """https://cloud.google.com/run/docs/troubleshooting#signature-removed"""
    client = serve(push_signature="checked_by_cloud_run")

    def stripped(**claims: Any) -> str:
        return key.token(**claims).rpartition(".")[0] + ".SIGNATURE_REMOVED_BY_GOOGLE"

    assert post(client, key.token()) == 401
    assert post(client, stripped(aud="https://another.example")) == 401
    assert post(client, stripped(exp=1_700_000_000)) == 401
    assert post(client, stripped(email="somebody@lab.iam.gserviceaccount.com")) == 403
    assert post(serve(), stripped()) == 401


# -- what it takes to start ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_starts_without_the_clients_of_any_backend(function: str) -> None:
    """Cold start: they are loaded at the first event, and only those of the backend that is chosen."""
    module = function.partition(":")[0]
    code = (
        "import functions_framework, json, sys, time; began = time.process_time(); "
        f"import {module}; took = time.process_time() - began; "
        f"print(json.dumps([took, [name for name in {HEAVY!r} if name in sys.modules]]))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    took, loaded = json.loads(ran.stdout)
    assert loaded == []
    assert took < COLD_START_S


def test_the_embedded_backend_never_loads_googles_stores() -> None:
    code = (
        "import sys, tempfile, pathlib; from shared import runtime; from shared.runtime import Settings; "
        "folder = pathlib.Path(tempfile.mkdtemp()); "
        "(folder / 'stack.json').write_text('{\"batch\": \"127.0.0.1:9\"}'); "
        "runtime.build(Settings(backend='embedded', state_dir=folder)); "
        "print([n for n in ('google.cloud.firestore', 'google.cloud.pubsub_v1', 'google.cloud.storage') "
        "if n in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
