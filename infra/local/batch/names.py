"""Resource names, and the project number that Batch puts in place of the project id where it speaks of a job."""

from __future__ import annotations

import hashlib
import re
import uuid
from dataclasses import dataclass

from infra.local.batch.refusal import invalid

# Source: the request messages of google.cloud.batch_v1, whose docstrings give these patterns.
_PARENT = re.compile(r"projects/([^/]+)/locations/([^/]+)")
_JOB = re.compile(_PARENT.pattern + r"/jobs/([^/]+)")
_GROUP = re.compile(_JOB.pattern + r"/taskGroups/group0")
_TASK = re.compile(_GROUP.pattern + r"/tasks/(\d{1,6})")
GROUP = "group0"


def project_number(project: str) -> str:
    """A 12-digit number that is always the same for a project id; a number stays what it is."""
    if project.isdigit():
        return project
    digest = hashlib.blake2b(project.encode(), digest_size=8).digest()
    return str(10**11 + int.from_bytes(digest) % (9 * 10**11))


@dataclass(frozen=True)
class JobName:
    project: str
    region: str
    job_id: str

    def __str__(self) -> str:
        return f"projects/{self.project}/locations/{self.region}/jobs/{self.job_id}"

    @property
    def numbered(self) -> str:
        """The same name with the project number: what notifications, events and tasks carry."""
        return f"projects/{project_number(self.project)}/locations/{self.region}/jobs/{self.job_id}"

    @property
    def group(self) -> str:
        return f"{self.numbered}/taskGroups/{GROUP}"

    def task(self, index: int) -> str:
        return f"{self.group}/tasks/{index}"


def _match(pattern: re.Pattern[str], name: str, form: str) -> re.Match[str]:
    match = pattern.fullmatch(name)
    if match is None:
        raise invalid(f"name {name!r} does not have the form {form}")
    return match


def parse_parent(name: str) -> tuple[str, str]:
    """Project and region. Raises Refused, as all of these do."""
    match = _match(_PARENT, name, "projects/PROJECT/locations/LOCATION")
    return match[1], match[2]


def parse_job(name: str) -> JobName:
    return JobName(*_match(_JOB, name, "projects/PROJECT/locations/LOCATION/jobs/JOB").groups())


def parse_group(name: str) -> JobName:
    form = f"projects/PROJECT/locations/LOCATION/jobs/JOB/taskGroups/{GROUP}"
    return JobName(*_match(_GROUP, name, form).groups())


def parse_task(name: str) -> tuple[JobName, int]:
    form = f"projects/PROJECT/locations/LOCATION/jobs/JOB/taskGroups/{GROUP}/tasks/INDEX"
    match = _match(_TASK, name, form)
    return JobName(match[1], match[2], match[3]), int(match[4])


def new_uid(job_id: str) -> str:
    """The job id cut short, and a hash: `nf-be93a727-170767-bb09690d-ae36-4f790`, as instance names show it."""
    token = uuid.uuid4().hex
    return f"{job_id[:18].rstrip('-')}-{token[:8]}-{token[8:12]}-{token[12:16]}0"


def instance_id(uid: str, index: int, attempt: int) -> str:
    """The VM of an attempt: 19 digits, another one for every attempt."""
    digest = hashlib.blake2b(f"{uid}/{index}/{attempt}".encode(), digest_size=8).digest()
    return str(10**18 + int.from_bytes(digest) % (9 * 10**18))
