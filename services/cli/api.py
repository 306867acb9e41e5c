"""The API as the commands see it: JSON in, JSON out, and its problems as sentences with the right exit code."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from services.cli.credentials import token_for
from services.cli.exits import Exit, Failed
from services.cli.settings import kept_value
from shared.domain import paths

if TYPE_CHECKING:
    import httpx

USER_AGENT = f"iflow/{version('iflow')}"
DEFAULT_API = "http://127.0.0.1:8000"
TIMEOUT_S = 30.0
PAUSES_S = (0.2, 1.0)
"""Before the second and third attempt of a request that may be repeated."""

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class NotNow(Failed):
    """A fault that may pass: no connection, a connection that broke, or 503."""

    def __init__(self, sentence: str) -> None:
        super().__init__(Exit.NOT_REACHABLE, sentence)


def address_of(option: str | None) -> str:
    """`--api` or IFLOW_API, else the stack that runs over IFLOW_STATE_DIR, else as `iflow config` has it, else the
    stack that runs here, else the usual address."""
    if option:
        return option.rstrip("/")
    state_dir = os.environ.get("IFLOW_STATE_DIR")
    if state_dir is None and (kept := kept_value("api")):
        return kept.rstrip("/")
    stack = Path(state_dir or ".iflow") / "stack.json"
    try:
        return str(json.loads(stack.read_text())["api"])
    except (OSError, ValueError, KeyError, TypeError):
        return DEFAULT_API


def name_in_path(analysis: str) -> str:
    """An id as it is; a slug or display id as its slug, which has no characters that an address cannot hold."""
    if _UUID.fullmatch(analysis):
        return analysis
    slug = paths.slug(analysis)
    if not slug:
        raise Failed(Exit.USAGE, f"{analysis!r} cannot be an analysis: give its id, its slug or its display id.")
    return slug


class NotThere(NotNow):
    """Nothing listens at the address: asking again in a moment is of no use."""


class Api:
    """Raises Failed for every answer that is not what was asked for."""

    def __init__(self, address: str) -> None:
        import httpx

        self.address = address
        self._http = httpx.Client(base_url=f"{address}/api/v1", timeout=TIMEOUT_S, headers={"User-Agent": USER_AGENT})
        if token := token_for(address):
            self._http.headers["Authorization"] = f"Bearer {_ascii(token)}"

    def close(self) -> None:
        self._http.close()

    def for_project(self, project: str) -> None:
        self._http.headers["X-Project-ID"] = _ascii(project)

    def local_token(self, email: str | None) -> Any:
        """Of a local stack's own issuer: `access_token`, and whose it is (`email`)."""
        try:
            return self.request("POST", f"{self.address}/login/token", repeatable=True, json={"email": email}).json()
        except Failed as failed:
            if "Not Found" not in str(failed):
                raise
        raise Failed(
            Exit.NOT_ALLOWED, f"{self.address} issues no tokens itself. Get one from the laboratory's issuer, and hand "
            "it over with `iflow login --token` or in IFLOW_TOKEN.",
        )

    def get(self, path: str, **parameters: Any) -> Any:
        """Parameters that are None are left out."""
        return self.request("GET", path, params=_given(parameters)).json()

    def pages(self, path: str, **parameters: Any) -> Iterator[Mapping[str, Any]]:
        """Every page from here on."""
        while True:
            page = self.get(path, **parameters)
            yield page
            if page["next"] is None:
                return
            parameters["cursor"] = page["next"]

    def post(self, path: str, *, key: str | None = None, repeatable: bool = False, **arguments: Any) -> Any:
        """`key` is an Idempotency-Key: with it, or for what may be done twice, a broken connection is tried again."""
        if key is not None:
            arguments["headers"] = {"Idempotency-Key": key}
        return self.request("POST", path, repeatable=repeatable or key is not None, **arguments).json()

    def request(self, method: str, path: str, *, repeatable: bool | None = None, **arguments: Any) -> httpx.Response:
        """Asks again after a fault that may pass, if the request may be repeated."""
        pauses = PAUSES_S if repeatable or (repeatable is None and method == "GET") else ()
        for pause in pauses:
            try:
                return self.once(method, path, **arguments)
            except NotThere:
                raise
            except NotNow:
                time.sleep(pause)
        return self.once(method, path, **arguments)

    def once(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """One attempt. Raises NotNow for a fault that may pass."""
        with self._faults():
            answer = self._http.request(method, path, **arguments)
        raise_for(answer, self.address)
        return answer

    @contextmanager
    def stream(self, path: str, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
        with self._faults(), self._http.stream("GET", path, headers=dict(headers)) as answer:
            if answer.status_code >= 400:
                answer.read()
            raise_for(answer, self.address)
            yield answer

    @contextmanager
    def _faults(self) -> Iterator[None]:
        import httpx

        try:
            yield
        except httpx.InvalidURL as error:
            raise Failed(Exit.USAGE, f"{self.address!r} is no address of a service: {error}.") from None
        except httpx.UnsupportedProtocol:
            raise Failed(Exit.USAGE, f"{self.address!r} is no address: it begins with http:// or https://.") from None
        except httpx.ConnectError:
            raise NotThere(
                f"The service at {self.address} is not reachable. Start it with `make serve`, or name another one "
                "with --api or IFLOW_API."
            ) from None
        except httpx.TransportError as error:
            raise NotNow(f"The connection to {self.address} broke ({type(error).__name__}); try again.") from None


def raise_for(answer: httpx.Response, address: str) -> None:
    """Problem details become the sentence; what is no problem of ours was not answered by our service."""
    if answer.status_code < 400:
        return
    try:
        problem = answer.json()
        sentence, reasons = str(problem["detail"]), problem.get("reasons", [])
    except (ValueError, KeyError, TypeError):
        sentence = f"{address} answered {answer.status_code} and not as this service does; is it the right address?"
        raise Failed(Exit.NOT_REACHABLE, sentence) from None
    if reasons:
        sentence = "\n".join(f"{each['field']}: {each['message']}".removeprefix(": ") for each in reasons)
    if answer.status_code in (429, 503):
        raise NotNow(sentence)
    if answer.status_code == 401:
        raise Failed(Exit.NOT_ALLOWED, f"{sentence.removesuffix('.')}: run `iflow login`.")
    if answer.status_code == 403:
        raise Failed(Exit.NOT_ALLOWED, sentence)
    raise Failed(Exit.NOT_REACHABLE if answer.status_code >= 500 else Exit.BAD_DATA, sentence)


def _ascii(text: str) -> str:
    """As a header can carry it."""
    return text.encode("ascii", "replace").decode()


def _given(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if value is not None and value != []}
