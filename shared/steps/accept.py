"""A request becomes a document, once: checked whole, then claim, document and first event in one commit."""

from __future__ import annotations

from shared.domain import paths
from shared.domain.acceptance import inputs_file, new_analysis
from shared.domain.analysis import Analysis, InputFile
from shared.domain.errors import Conflict
from shared.domain.events import EventType
from shared.domain.pipeline import Pipeline, input_files, validate_inputs
from shared.domain.project import Project
from shared.domain.reasons import Reason
from shared.domain.request import RequestRefused, SubmitRequest
from shared.ports import Create, Order, Ports, Query, Where
from shared.steps.notifications import callback_faults
from shared.steps.projects import project as find_project
from shared.steps.store import ATTEMPTS, Loaded
from shared.steps.transitions import log_transitions


def accept(
    ports: Ports, request: SubmitRequest, *, source: str, rerun_of: Analysis | None = None, to_be_started: bool = False
) -> Loaded:
    """The request's document, new or found. Raises RequestRefused with every reason.

    A rerun of the same version runs the frozen definition of `rerun_of`, not what the registry says. `to_be_started` is
    for callers that do not start the job themselves: the command to is committed with the document, in its outbox.
    """
    for _ in range(ATTEMPTS):
        if found := _already_there(ports, request):
            return found
        analysis = _checked(ports, request, source, rerun_of)
        if to_be_started:
            analysis = analysis.with_event(EventType.START, analysis.created_at, {"analysis_id": analysis.id})
        claim = paths.claim_doc(analysis.project, "analysis", analysis.slug)
        try:
            versions = ports.documents.commit([
                Create(claim, {"analysis_id": analysis.id, "display_id": analysis.display_id}),
                Create(analysis.doc_path, analysis.to_document()),
            ])
        except Conflict:
            _refuse_a_taken_slug(ports, claim, analysis)
            continue  # another delivery of the same request was faster
        log_transitions(None, analysis)
        return Loaded(analysis, versions[1])
    raise Conflict(paths.analysis_doc(request.project, request.analysis_id))


def _already_there(ports: Ports, request: SubmitRequest) -> Loaded | None:
    stored = ports.documents.get(paths.analysis_doc(request.project, request.analysis_id))
    if stored is None:
        return None
    analysis = Analysis.from_document(stored.data)
    if analysis.request_digest != request.digest():
        raise RequestRefused((Reason(
            field="request_id",
            message=f"{request.request_id!r} was used for another request (analysis {analysis.display_id!r}); "
            "give every request an id of its own",
        ),))
    return Loaded(analysis, stored.version)


def _refuse_a_taken_slug(ports: Ports, claim: str, analysis: Analysis) -> None:
    owner = ports.documents.get(claim)
    if owner is not None and owner.data["analysis_id"] != analysis.id:
        raise RequestRefused((Reason(
            field="display_id",
            message=f"the slug {analysis.slug!r} of {analysis.display_id!r} is taken by analysis "
            f"{owner.data['display_id']!r} ({owner.data['analysis_id']}); choose another display id",
        ),))


def _checked(ports: Ports, request: SubmitRequest, source: str, rerun_of: Analysis | None) -> Analysis:
    project = find_project(ports, request.project)
    if project is None:
        raise RequestRefused((Reason(
            field="project", message=f"there is no project {request.project!r}; register it or mend the name"
        ),))
    if rerun_of and request.version == rerun_of.pipeline.version:
        pipeline = Pipeline.model_validate(rerun_of.pipeline.definition)
    else:
        pipeline = _pipeline(ports, request)
    reasons = [
        *callback_faults(ports, request.project, request.callback_url), *validate_inputs(pipeline, request.inputs)
    ]
    files, about_files = _files(ports, project, pipeline, request) if not reasons else ((), [])
    if reasons := [*reasons, *about_files]:
        raise RequestRefused(tuple(reasons))
    if elsewhere := inputs_file(request, files):
        ports.objects.write(project.bucket, elsewhere.path, elsewhere.content)
    return new_analysis(
        request, project, pipeline, files, ports.clock(), source=source, rerun_of=rerun_of.id if rerun_of else None
    )


def _pipeline(ports: Ports, request: SubmitRequest) -> Pipeline:
    if request.version != "latest":
        stored = ports.documents.get(paths.pipeline_doc(request.project, f"{request.pipeline}@{request.version}"))
    else:
        newest = Query(
            f"projects/{request.project}/pipelines", where=(Where("slug", "==", request.pipeline),),
            order=(Order("sort_key", descending=True),), limit=1,
        )
        stored = next(iter(ports.documents.query(newest).items), None)
    if stored is None:
        version = "" if request.version == "latest" else f" version {request.version}"
        raise RequestRefused((Reason(
            field="pipeline",
            message=f"project {request.project!r} has no pipeline {request.pipeline!r}{version}; "
            "`iflow pipelines list` shows those it has",
        ),))
    return Pipeline.model_validate(stored.data["definition"])


def _files(
    ports: Ports, project: Project, pipeline: Pipeline, request: SubmitRequest
) -> tuple[tuple[InputFile, ...], list[Reason]]:
    """Every input file as it is now, and one reason for each that a VM should not be paid for."""
    found: dict[str, InputFile] = {}
    reasons: list[Reason] = []
    for wanted in input_files(pipeline, request.inputs):
        seen = ports.objects.stat(project.bucket, wanted.path)
        if seen is None:
            missing = f"missing: {wanted.path} is not in the project bucket"
            reasons.append(Reason(field=wanted.field_path, message=missing))
            continue
        if seen.size == 0:
            reasons.append(Reason(field=wanted.field_path, message=f"empty: {wanted.path} has 0 bytes"))
            continue
        found[wanted.path] = InputFile(path=wanted.path, size=seen.size, generation=seen.generation)
        if not wanted.index_paths:
            continue
        index = next(filter(None, (ports.objects.stat(project.bucket, path) for path in wanted.index_paths)), None)
        if index is None:
            reasons.append(Reason(
                field=wanted.field_path,
                message=f"no index beside {wanted.path}: one of {', '.join(wanted.index_paths)} is needed",
            ))
        else:
            found[index.path] = InputFile(path=index.path, size=index.size, generation=index.generation)
    return tuple(found.values()), reasons
