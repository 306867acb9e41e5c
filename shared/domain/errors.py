"""The two ways in which work fails, since Pub/Sub knows only two answers: acknowledge, or deliver again."""

from __future__ import annotations


class Permanent(Exception):
    """Will fail the same way however often it is tried: it is recorded and acknowledged."""


class Transient(Exception):
    """May pass: the handler raises it on, and the bus delivers the event again, later."""


class Conflict(Transient):
    """A commit found another version (or any version, for a create) at `path`, so nothing of it was written."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} was changed by somebody else; read it again and decide anew")
        self.path = path


class Unavailable(Transient):
    """A service did not answer, or said that it cannot now. The effect may or may not have happened."""


class TooLarge(Permanent):
    """A document or message is over the platform's limit; what is long belongs in the bucket."""


class EngineRefused(Permanent):
    """Batch will never run this job (INVALID_ARGUMENT, PERMISSION_DENIED, ...). `sentence` is Batch's own."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(f"Batch refused the job with {code}: {sentence}")
        self.code = code
        self.sentence = sentence


class NotFound(Permanent):
    """What was named does not exist (or is not this project's, which must look the same)."""
