"""The issuer of the local stacks: whoever reaches them on loopback may be any local person. Never on google."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwt import PyJWK
from jwt.algorithms import ECAlgorithm

from services.miner.auth.tokens import Verifier
from shared.adapters.embedded.kept import kept_secret
from shared.runtime import Settings, now_utc

ISSUER = "urn:iflow:local"
AUDIENCE = "iflow"
ALGORITHM = "ES256"
KEY_ID = "local"
TOKEN_S = 43_200
"""A working day and some."""


class LocalIssuer:
    """Its key is made when first needed, and lies in the state folder, to be read by its owner alone."""

    def __init__(self, settings: Settings) -> None:
        if not settings.has_local_issuer:
            raise ValueError("the built-in issuer is for local stacks without another issuer")
        self._file = settings.state_dir / "auth" / "issuer.pem"

    def token(self, email: str, lasts_s: int = TOKEN_S) -> str:
        now = int(now_utc().timestamp())
        claims = {
            "iss": ISSUER, "aud": AUDIENCE, "sub": email, "email": email, "email_verified": True, "iat": now,
            "exp": now + lasts_s,
        }
        return jwt.encode(claims, self._key, algorithm=ALGORITHM, headers={"kid": KEY_ID})

    @property
    def verifier(self) -> Verifier:
        return Verifier(ISSUER, AUDIENCE, self, (ALGORITHM,))

    def named(self, key_id: str) -> PyJWK | None:
        return PyJWK(self._public) if key_id == KEY_ID else None

    @cached_property
    def _public(self) -> dict[str, Any]:
        return ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True)

    @cached_property
    def _key(self) -> ec.EllipticCurvePrivateKey:
        found = serialization.load_pem_private_key(kept_secret(self._file, _new_key), password=None)
        assert isinstance(found, ec.EllipticCurvePrivateKey), self._file
        return found


def _new_key() -> bytes:
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
