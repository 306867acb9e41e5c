"""Names and places: slugs, ids, document paths, and paths inside a project's bucket (DESIGN section 4, fixed)."""

from __future__ import annotations

import re
from uuid import UUID, uuid5

NAMESPACE = UUID("6f1c2f0e-5a0c-4f0f-9b43-2f6a1f6f9d11")
"""The root of every derived id. Changing it would make every repeated request a new one."""

UNASSIGNED = "unassigned"
"""The reserved project that keeps rejections and dead letters which name no project that we know."""

PROJECT_ID = re.compile(r"[a-z][a-z0-9-]{1,62}")

MAX_DISPLAY_ID = 120


def slug(text: str) -> str:
    """Lower-case; every run of characters other than a-z and 0-9 becomes one hyphen; outer hyphens trimmed."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def analysis_id(project: str, request_id: str) -> str:
    """The UUID that a request always gets, so that a repeated request finds its own document."""
    return str(uuid5(NAMESPACE, f"{project}\n{request_id}"))


def order_id(project: str, request_id: str) -> str:
    """As an analysis' id; the same request id makes both, and they differ."""
    return str(uuid5(NAMESPACE, f"{project}\norder\n{request_id}"))


def upload_id(project: str, path: str, size: int, crc32c: str) -> str:
    """The same file under the same path is the same upload: so one that was broken off is found and goes on."""
    return str(uuid5(NAMESPACE, f"{project}\nupload\n{path}\n{size}\n{crc32c}"))


def job_id(analysis: str) -> str:
    """A bare UUID may begin with a digit, which Batch refuses."""
    return f"a-{analysis}"


def analysis_of_job(job_name: str) -> str | None:
    """The analysis id inside `projects/../jobs/a-{id}`, or None for a job that is not one of ours."""
    found = re.search(r"/jobs/a-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$", job_name)
    return found.group(1) if found else None


def project_doc(project: str) -> str:
    return f"projects/{project}"


def analyses(project: str) -> str:
    return f"projects/{project}/analyses"


def analysis_doc(project: str, analysis: str) -> str:
    return f"projects/{project}/analyses/{analysis}"


def claim_doc(project: str, kind: str, name: str) -> str:
    return f"projects/{project}/claims/{kind}:{name}"


def pipeline_doc(project: str, key: str) -> str:
    return f"projects/{project}/pipelines/{key}"


def orders(project: str) -> str:
    return f"projects/{project}/orders"


def order_doc(project: str, order: str) -> str:
    return f"projects/{project}/orders/{order}"


def samples(project: str) -> str:
    return f"projects/{project}/samples"


def sample_doc(project: str, sample_slug: str) -> str:
    return f"projects/{project}/samples/{sample_slug}"


def uploads(project: str) -> str:
    return f"projects/{project}/uploads"


def upload_doc(project: str, upload: str) -> str:
    return f"projects/{project}/uploads/{upload}"


def panels(project: str) -> str:
    return f"projects/{project}/panels"


def panel_doc(project: str, key: str) -> str:
    return f"projects/{project}/panels/{key}"


def saved_filters(project: str) -> str:
    return f"projects/{project}/saved_filters"


def saved_filter_doc(project: str, slug: str) -> str:
    return f"projects/{project}/saved_filters/{slug}"


def members(project: str) -> str:
    return f"projects/{project}/members"


def member_doc(project: str, email: str) -> str:
    """`email` as `shared.domain.member.email_of` gives it: it has no slash."""
    return f"projects/{project}/members/{email}"


def notifications_doc(project: str) -> str:
    return f"projects/{project}/settings/notifications"


def deliveries(project: str) -> str:
    return f"projects/{project}/deliveries"


def delivery_doc(project: str, delivery: str) -> str:
    return f"{deliveries(project)}/{safe_id(delivery)}"


def rejection_doc(project: str, event_id: str) -> str:
    return f"projects/{project}/rejections/{safe_id(event_id)}"


def dead_letter_doc(project: str, letter: str) -> str:
    return f"projects/{project}/dead_letters/{safe_id(letter)}"


def project_of(doc_path: str) -> str:
    return doc_path.split("/")[1]


def safe_id(text: str) -> str:
    """`text` as a document id: Firestore ids hold no slash, are not `.`, `..` or `__any__`, and at most 1,500 bytes."""
    cleaned = re.sub(r"[^A-Za-z0-9_.:@-]", "_", text)[:200]
    return cleaned if cleaned.strip("._") and not cleaned.startswith("__") else f"id-{uuid5(NAMESPACE, text)}"


def folder(analysis_slug: str) -> str:
    return f"analyses/{analysis_slug}/"


def sample_folder(sample_slug: str) -> str:
    return f"samples/{sample_slug}/"


def upload_folder(sample_slug: str) -> str:
    """Where the files of a sample are put that somebody uploads; ends in a slash."""
    return f"samples/{sample_slug}/uploads/"


def problem_with_path(path: str) -> str | None:
    """Why `path` cannot be a path inside the project bucket, or None when it can."""
    if not path:
        return "the path is empty"
    if re.search(r"[\x00-\x1f\x7f]", path):
        return "the path holds a control character"
    if "://" in path:
        return f"{path!r} is an address; give a path inside the project bucket, such as samples/x/uploads/reads.bam"
    if path.startswith("/"):
        return f"{path!r} is absolute; give a path inside the project bucket"
    if "\\" in path:
        return f"{path!r} holds a backslash; folders are parted by /"
    if any(part in ("", ".", "..") for part in path.split("/")):
        return f"{path!r} has an empty, '.' or '..' part, so it may lead out of the project bucket"
    if len(path.encode()) > 1024:
        return "the path is longer than the 1,024 bytes that Cloud Storage allows"
    return None
