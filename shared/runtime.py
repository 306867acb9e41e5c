"""Settings, and the adapters that they choose: the only place that knows which backend is in use."""

from __future__ import annotations

import json
import os
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from infra.pipelines.catalogue import read_price_tables
from shared import tracing
from shared.domain import paths
from shared.domain.errors import Unavailable
from shared.domain.events import Topic
from shared.domain.lifecycle import Rules
from shared.domain.policy import Policy
from shared.logs import log_lines
from shared.ports import Courier, Logs, Objects, Ports, Uploads
from shared.topology import topology

if TYPE_CHECKING:  # no backend's clients are loaded before it is chosen: they are most of a function's cold start
    from shared.adapters.embedded.bus import SqliteBus
    from shared.adapters.vault import Vault

LOCAL_PROJECT = "local"
"""The Google project that the local Batch server and the emulators play."""

EMULATORS = {
    "pubsub": "PUBSUB_EMULATOR_HOST", "firestore": "FIRESTORE_EMULATOR_HOST", "storage": "STORAGE_EMULATOR_HOST",
}
"""Where Google's own clients look for them. (Storage's holds `http://` in front of its address.)"""


class Settings(BaseSettings):
    """From the environment, `IFLOW_` before each name. Durations are in seconds."""

    model_config = SettingsConfigDict(env_prefix="IFLOW_", frozen=True, extra="ignore")

    backend: Literal["embedded", "emulators", "google"] = "embedded"
    state_dir: Path = Path(".iflow")
    port: int = 8000
    reconcile_every_s: float | None = None
    missing_grace_s: float = Policy.missing_grace_s
    silent_after_s: float = Policy.silent_after_s
    unsent_after_s: float = Policy.unsent_after_s
    stuck_after_s: float = Policy.stuck_after_s
    ingest_lease_s: float = Policy.ingest_lease_s
    trace: bool = False  # spans: to Cloud Trace on google, else to `traces_file`
    log_level: Literal["DEBUG", "INFO", "WARNING"] = "INFO"
    log_json: bool = False  # on google always: as Cloud Logging reads it

    # emulators and google
    google_project: str = LOCAL_PROJECT
    region: str = "us-central1"
    database: str = "(default)"
    unassigned_bucket: str = paths.UNASSIGNED  # what is filed under no project that we know
    batch_address: str | None = None  # HOST:PORT of a local Batch server; without it, Google's
    batch_network: str | None = None  # full names, both or none; then a job's VMs have no address outside
    batch_subnetwork: str | None = None
    image: str = "iflow:local"  # the container image of this code, for ingests that are jobs
    ingest_account: str | None = None  # e-mail of the account that such a job runs as
    ingest_as_job_over: int = 50_000_000  # bytes of an analysis' VCFs, compressed as they are

    # who is told (services/notifier)
    public_url: str | None = None  # where others reach our pages; local stacks know their own
    notify_keys: SecretStr | None = None  # seal secrets in documents (adapters/vault.py); local stacks make one
    callbacks_to_loopback: bool = False  # on local stacks only

    # google: who may call the functions (shared/push.py)
    push_account: str | None = None
    push_audience: str | None = None
    push_certificates: str = "https://www.googleapis.com/oauth2/v1/certs"
    push_signature: Literal["check", "checked_by_cloud_run"] = "check"

    # who may ask (services/miner/auth); e-mail addresses are parted by commas
    oidc_issuer: str | None = None  # its address, as its tokens have it; without it local stacks issue their own
    oidc_audience: str | None = None
    oidc_keys_url: str | None = None  # else as the issuer's discovery document says
    oidc_algorithms: str = "RS256,ES256"
    iap_audience: str | None = None  # then Identity-Aware Proxy's header says who asks
    iap_keys_url: str = "https://www.gstatic.com/iap/verify/public_key-jwk"
    superadmins: str = ""
    superadmin_claim: str | None = None  # a claim that is true in a superadmin's token
    service_accounts: str = ""  # they may say in `requested_by` for whom they ask
    session_key: SecretStr | None = None  # signs the cookies of pages; local stacks make their own
    proxies_before: int = 0  # in front of us, that each add an address to X-Forwarded-For
    largest_upload: int = 1_000_000_000_000  # bytes of one file
    rate_per_s: float = 50  # requests of one person, and how many at once
    rate_burst: float = 500

    @property
    def has_local_issuer(self) -> bool:
        return self.backend != "google" and self.oidc_issuer is None

    @property
    def policy(self) -> Policy:
        return Policy(
            missing_grace_s=self.missing_grace_s, silent_after_s=self.silent_after_s,
            unsent_after_s=self.unsent_after_s, ingest_lease_s=self.ingest_lease_s, stuck_after_s=self.stuck_after_s,
            loopback_callbacks=self.callbacks_to_loopback and self.backend != "google",
        )

    @property
    def batch_dir(self) -> Path:
        return self.home / "batch"

    @property
    def objects_dir(self) -> Path:
        return self.home / "objects"

    @property
    def home(self) -> Path:
        """The emulators forget everything when they end, so their files do not lie among those of the embedded one."""
        return self.state_dir / "emulators" if self.backend == "emulators" else self.state_dir

    @property
    def uploads_dir(self) -> Path:
        """Of files that are being sent to a local stack."""
        return self.home / "uploads"

    def environment(self) -> dict[str, str]:
        """These settings as variables, for another `Settings()` to read, here or in a process begun here. Secrets stay
        where they are."""
        values = {**self.model_dump(exclude={"session_key", "notify_keys"}), "state_dir": self.state_dir.resolve()}
        return {f"IFLOW_{name.upper()}": str(value) for name, value in values.items() if value is not None}

    @property
    def stack_log(self) -> Path:
        return self.state_dir / "stack.log"

    @property
    def traces_file(self) -> Path:
        return self.state_dir / "traces.jsonl"

    @property
    def stack_file(self) -> Path:
        """What the running stack says of itself: where its Batch server and its API listen."""
        return self.state_dir / "stack.json"


def set_up_logs(settings: Settings, file: Path | None = None) -> None:
    """This process's lines: to stderr, or appended to the file."""
    as_json = settings.log_json or settings.backend == "google"
    log_lines(file, level=settings.log_level, google_project=settings.google_project if as_json else None)


def now_utc() -> datetime:
    return datetime.now(UTC)


class _OncePerProcess:
    """This process's adapters, built at the first event and not at import; who asks meanwhile waits for them, since
    two at once would be two of each client."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._built: Ports | None = None

    def __call__(self) -> Ports:
        with self._lock:
            if self._built is None:
                self._built = build(Settings())
            return self._built

    def cache_clear(self) -> None:
        with self._lock:
            self._built = None


ports = _OncePerProcess()


def build(settings: Settings) -> Ports:
    """Raises Unavailable when the local stack that the settings name is not running."""
    built = _embedded(settings) if settings.backend == "embedded" else _on_google(settings)
    if not settings.trace:
        tracing.record_by(None)
        return built
    tracing.record_by(_tracer(settings))
    return replace(built, bus=tracing.TracedBus(built.bus), engine=tracing.TracedEngine(built.engine))


def _tracer(settings: Settings) -> tracing.Tracer:
    from shared.adapters.spans import to_cloud_trace, to_file

    if settings.backend == "google":  # K_SERVICE is what Cloud Run calls this service
        return to_cloud_trace(settings.google_project, os.environ.get("K_SERVICE", "iflow"))
    return to_file(settings.traces_file)


# -- who tells others ---------------------------------------------------------------------------------------------


def courier(settings: Settings) -> Courier:
    """For the services that topology.yaml gives the secret `notify-keys`."""
    from shared.adapters.outside import Outside

    vault = cache(lambda: _vault(settings))  # who seals nothing needs no key
    return Courier(
        post=Outside(loopback=settings.policy.loopback_callbacks).post,
        seal=lambda secret: vault().seal(secret),
        open=lambda sealed: vault().open(sealed),
        address=lambda: _public_url(settings),
    )


def _vault(settings: Settings) -> Vault:
    from shared.adapters.embedded.kept import kept_secret
    from shared.adapters.vault import Vault

    if settings.notify_keys is not None:
        return Vault(settings.notify_keys.get_secret_value())
    if settings.backend == "google":
        raise Unavailable("IFLOW_NOTIFY_KEYS is not set: no secret can be sealed or opened")
    return Vault(kept_secret(settings.state_dir / "auth" / "notify.key").decode())


def _public_url(settings: Settings) -> str:
    if settings.public_url is None and settings.backend == "google":
        raise Unavailable("IFLOW_PUBLIC_URL does not say where our pages are")
    return (settings.public_url or str(_running(settings)["api"])).rstrip("/")


def _running(settings: Settings) -> Mapping[str, Any]:
    """What the running stack says of itself. Raises Unavailable."""
    try:
        found: Mapping[str, Any] = json.loads(settings.stack_file.read_text())
    except FileNotFoundError:
        raise Unavailable(f"no stack runs over {settings.state_dir}; start one with `make serve`") from None
    return found


# -- embedded -----------------------------------------------------------------------------------------------------


def embedded_bus(settings: Settings) -> SqliteBus:
    from shared.adapters.embedded.bus import SqliteBus

    return SqliteBus(settings.state_dir / "bus.db", topology(), now_utc)


def _embedded(settings: Settings) -> Ports:
    from shared.adapters.embedded.documents import SqliteDocuments
    from shared.adapters.embedded.launcher import ProcessLauncher
    from shared.adapters.embedded.logs import FileLogs
    from shared.adapters.embedded.objects import DirectoryObjects
    from shared.adapters.embedded.uploads import SpooledUploads
    from shared.adapters.google.batch import BatchEngine, local_client

    objects = DirectoryObjects(settings.objects_dir)
    return Ports(
        documents=SqliteDocuments(settings.state_dir / "documents.db", topology().indexes, topology().lists),
        bus=embedded_bus(settings),
        objects=objects,
        uploads=SpooledUploads(settings.uploads_dir, objects),
        engine=BatchEngine(local_client(str(_running(settings)["batch"]))),
        logs=FileLogs(settings.batch_dir),
        clock=now_utc,
        rules=Rules(settings.policy, read_price_tables()),
        new_id=_new_id,
        launch=ProcessLauncher(settings.state_dir).launch,
        logs_url=_logs_in_folder(settings),
        notify_topic=f"projects/{LOCAL_PROJECT}/topics/{Topic.BATCH}",
    )


def _logs_in_folder(settings: Settings) -> Callable[[str], str]:
    return lambda uid: (settings.batch_dir / "logs" / uid).resolve().as_uri()


def _new_id() -> str:
    return str(uuid.uuid4())


# -- emulators, google --------------------------------------------------------------------------------------------


def _on_google(settings: Settings) -> Ports:
    from google.cloud import batch_v1

    from shared.adapters.google.batch import BatchEngine, Network, local_client
    from shared.adapters.google.bus import PubSubBus, publisher_client
    from shared.adapters.google.documents import FirestoreDocuments, firestore_client
    from shared.adapters.google.launcher import IngestJobs, IngestLauncher
    from shared.adapters.google.objects import storage_objects

    names = {paths.UNASSIGNED: settings.unassigned_bucket}
    emulator: Mapping[str, str | None] = dict.fromkeys(EMULATORS)
    if settings.backend == "emulators":
        emulator = _emulators()
    project, notify_topic = settings.google_project, f"projects/{settings.google_project}/topics/{Topic.BATCH}"
    network = None
    if settings.batch_network and settings.batch_subnetwork:
        network = Network(settings.batch_network, settings.batch_subnetwork)
    objects = storage_objects(project, names=names, emulator=emulator["storage"])
    engine = BatchEngine(
        local_client(settings.batch_address) if settings.batch_address else batch_v1.BatchServiceClient(),
        network=network,
    )
    return Ports(
        documents=FirestoreDocuments(firestore_client(project, settings.database, emulator=emulator["firestore"])),
        bus=PubSubBus(publisher_client(emulator=emulator["pubsub"]), project),
        objects=objects,
        uploads=_uploads(settings, objects, names),
        engine=engine,
        logs=_logs(settings),
        clock=now_utc,
        rules=Rules(settings.policy, read_price_tables()),
        new_id=_new_id,
        launch=IngestLauncher(tracing.TracedEngine(engine), IngestJobs(
            over_bytes=settings.ingest_as_job_over, parent=f"projects/{project}/locations/{settings.region}",
            image=settings.image, service_account=settings.ingest_account, notify_topic=notify_topic,
            environment={**settings.environment(), **{EMULATORS[name]: at for name, at in emulator.items() if at}},
        )).launch,
        logs_url=_logs_in_folder(settings) if settings.backend == "emulators" else _logs_in_console(project),
        notify_topic=notify_topic,
    )


def _emulators() -> dict[str, str]:
    """Raises Unavailable where one is not named: the clients would talk to Google instead."""
    found = {name: os.environ.get(variable) for name, variable in EMULATORS.items()}
    if missing := [EMULATORS[name] for name, address in found.items() if not address]:
        raise Unavailable(f"no emulators run for this process ({', '.join(missing)} not set): `make emulators`")
    return {name: address for name, address in found.items() if address}


def _uploads(settings: Settings, objects: Objects, names: Mapping[str, str]) -> Uploads:
    """The storage server of the emulators checks of a session neither checksum nor generation."""
    if settings.backend == "emulators":
        from shared.adapters.embedded.uploads import SpooledUploads

        return SpooledUploads(settings.uploads_dir, objects)
    from shared.adapters.google.objects import storage_client
    from shared.adapters.google.uploads import StorageUploads

    return StorageUploads(storage_client(settings.google_project), names=names)


def _logs(settings: Settings) -> Logs:
    if settings.backend == "emulators":
        from shared.adapters.embedded.logs import FileLogs

        return FileLogs(settings.batch_dir)
    from shared.adapters.google.logs import cloud_logs

    return cloud_logs(settings.google_project)


def _logs_in_console(project: str) -> Callable[[str], str]:
    """Cloud Logging's page of one job's tasks (https://cloud.google.com/batch/docs/analyze-job-using-logs)."""
    return lambda uid: "https://console.cloud.google.com/logs/query;query=" + quote(
        f'resource.type="batch.googleapis.com/Job" labels.job_uid="{uid}"', safe=""
    ) + f"?project={project}"
