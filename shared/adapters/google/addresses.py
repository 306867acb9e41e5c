"""Addresses from which a person can download an object for a while: signed without a key file, or a local server's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import google.auth
from google.auth import iam
from google.auth.credentials import Credentials, Signing
from google.auth.exceptions import DefaultCredentialsError
from google.auth.transport.requests import Request
from google.cloud import storage  # type: ignore[attr-defined]  # no stubs

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"

UrlOf = Callable[[str, str, int], str]
"""(bucket, path, seconds for which it holds) -> an address."""


class _ByIam(Signing):
    """Signs as a service account, by IAM's signBlob, for which it needs the role Token Creator on itself.

    https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/signBlob
    """

    def __init__(self, credentials: Credentials, request: Any) -> None:
        if not credentials.valid:
            credentials.refresh(request)  # before it, the metadata server's credentials do not know their own name
        if not (email := getattr(credentials, "service_account_email", None)):
            raise DefaultCredentialsError("these credentials are a person's; addresses are signed by a service account")
        self._email = str(email)
        self._signer = iam.Signer(request, credentials, self._email)

    @property
    def signer_email(self) -> str:
        return self._email

    @property
    def signer(self) -> iam.Signer:
        return self._signer

    def sign_bytes(self, message: bytes) -> bytes:
        signature: bytes = self._signer.sign(message)
        return signature


def signed_urls(client: storage.Client, credentials: Credentials | None = None, request: Any = None) -> UrlOf:
    """V4 signatures. The credentials (else this process's own) must be a service account's, and are asked for at the
    first address; `request` is google.auth's transport."""
    signing: list[_ByIam] = []

    def url_of(bucket: str, path: str, seconds: int) -> str:
        if not signing:
            found = credentials or google.auth.default(scopes=[_SCOPE])[0]
            signing.append(_ByIam(found, request or Request()))
        url: str = client.bucket(bucket).blob(path).generate_signed_url(
            version="v4", expiration=timedelta(seconds=seconds), credentials=signing[0],
            response_disposition=f"attachment; filename*=UTF-8''{quote(path.rpartition('/')[2], safe='')}",
        )
        return url

    return url_of


def plain_urls(endpoint: str) -> UrlOf:
    """Of a server that asks for no signature."""
    return lambda bucket, path, _: f"{endpoint}/{bucket}/{quote(path)}"
