"""Secrets that lie in documents, sealed: who reads the documents, or a copy of them, has none of them."""

from __future__ import annotations

import base64
import hashlib

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from shared.domain.errors import Permanent

SHORTEST_KEY = 32


class Vault:
    """`keys`: the first seals, each of them opens, so that another can be put in front and the old one kept a while."""

    def __init__(self, keys: str) -> None:
        """Texts of random characters, parted by commas. Raises Permanent for one that is too short."""
        texts = [text.strip() for text in keys.split(",")]
        if any(len(text) < SHORTEST_KEY for text in texts):
            raise Permanent(f"IFLOW_NOTIFY_KEYS: each key has at least {SHORTEST_KEY} characters, parted by commas")
        self._keys = MultiFernet([
            Fernet(base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())) for text in texts
        ])

    def seal(self, secret: str) -> str:
        return self._keys.encrypt(secret.encode()).decode()

    def open(self, sealed: str) -> str:
        """Raises Permanent for what none of the keys has sealed."""
        try:
            return self._keys.decrypt(sealed.encode()).decode()
        except InvalidToken:
            raise Permanent("a sealed secret does not open: IFLOW_NOTIFY_KEYS no longer holds its key") from None
