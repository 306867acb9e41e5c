"""Addresses of files that are good for a while, for whoever has them: what a signed URL of Cloud Storage is.

Relative to the API's own address, which serves them:
`/api/v1/files/{bucket}/{path}?expires={Unix seconds}&signature={hex}`.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import time
from pathlib import Path
from urllib.parse import quote

KEY_FILE = ".iflow-url.key"


def signed_path(root: Path, bucket: str, path: str, expires_in_s: int) -> str:
    expires = int(time.time()) + expires_in_s
    signature = _signature(_key(root), bucket, path, expires)
    return f"/api/v1/files/{quote(bucket)}/{quote(path)}?expires={expires}&signature={signature}"


def is_signed(root: Path, bucket: str, path: str, expires: int, signature: str) -> bool:
    """Whether it is one of ours and still good; where nothing was ever signed, none is."""
    if expires < time.time() or not (root / KEY_FILE).is_file():
        return False
    return hmac.compare_digest(_signature(_key(root), bucket, path, expires).encode(), signature.encode())


def _signature(key: bytes, bucket: str, path: str, expires: int) -> str:
    return hmac.new(key, "\0".join((bucket, path, str(expires))).encode(), hashlib.sha256).hexdigest()


def _key(root: Path) -> bytes:
    """The first who asks makes it, whole or not at all, for its owner alone."""
    file = root / KEY_FILE
    if not file.exists():
        root.mkdir(parents=True, exist_ok=True)
        made = root / f"{KEY_FILE}.{secrets.token_hex(8)}"
        with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
            opened.write(secrets.token_bytes(32))
        try:
            os.link(made, file)
        except FileExistsError:
            pass  # another process was faster
        finally:
            made.unlink()
    return file.read_bytes()
