"""Whether a signed token (JWT, RFC 7519) is what it says, and is meant for us."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jwt
from jwt.exceptions import PyJWTError

from services.miner.auth.keys import Keys

SKEW_S = 60
"""By which the issuer's clock and ours may differ."""

LONGEST = 16_384
"""Characters of a token."""

ASYMMETRIC = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})
"""Of these a setting may choose. Never `none`, and never an algorithm whose key is a shared secret."""


class TokenRefused(Exception):
    """Why a token is none for us. Its text is for the caller, and has nothing of the token."""


@dataclass(frozen=True)
class Verifier:
    """What is accepted: tokens of one issuer, for one audience, signed in one of a few ways."""

    issuer: str
    audience: str
    keys: Keys
    algorithms: Sequence[str]

    def __post_init__(self) -> None:
        if wrong := sorted(set(self.algorithms) - ASYMMETRIC):
            raise ValueError(f"tokens cannot be signed with {', '.join(wrong)}; choose of {', '.join(ASYMMETRIC)}")

    def claims(self, token: str) -> Mapping[str, Any]:
        """Raises TokenRefused; Unavailable while the issuer's keys cannot be read."""
        if len(token) > LONGEST:
            raise TokenRefused("the token is too long")
        try:
            header = jwt.get_unverified_header(token)
        except PyJWTError:
            raise TokenRefused("it is no token") from None
        key_id = header.get("kid")
        if header.get("alg") not in self.algorithms or not isinstance(key_id, str):
            raise TokenRefused("the token is not signed in a way that is accepted here")
        key = self.keys.named(key_id)
        if key is None:
            raise TokenRefused("the token is signed with a key that its issuer does not have")
        try:
            return jwt.decode(
                token, key, algorithms=list(self.algorithms), audience=self.audience, issuer=self.issuer, leeway=SKEW_S,
                options={"require": ["exp", "iat", "iss", "aud", "sub"]},
            )
        except PyJWTError as error:
            raise TokenRefused(_why(error)) from None


def _why(error: PyJWTError) -> str:
    match error:
        case jwt.ExpiredSignatureError():
            return "the token has run out"
        case jwt.ImmatureSignatureError() | jwt.InvalidIssuedAtError():
            return "the token is not valid yet"
        case jwt.InvalidAudienceError():
            return "the token is meant for another service"
        case jwt.InvalidIssuerError():
            return "the token is of another issuer"
        case jwt.MissingRequiredClaimError():
            return f"the token does not say its {error.claim}"
    return "the token's signature is not its issuer's"
