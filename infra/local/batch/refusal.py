"""How the server says no: a gRPC status code and a sentence that tells what to change."""

from __future__ import annotations

import grpc


class Refused(Exception):
    """An RPC that is answered with `code` (a canonical gRPC status) and `sentence`, and has had no effect."""

    def __init__(self, code: grpc.StatusCode, sentence: str) -> None:
        super().__init__(f"{code.name}: {sentence}")
        self.code = code
        self.sentence = sentence


def invalid(sentence: str) -> Refused:
    return Refused(grpc.StatusCode.INVALID_ARGUMENT, sentence)


def missing(name: str) -> Refused:
    return Refused(grpc.StatusCode.NOT_FOUND, f"resource {name} was not found")


def exists(name: str) -> Refused:
    return Refused(grpc.StatusCode.ALREADY_EXISTS, f"resource {name} already exists")


def precondition(sentence: str) -> Refused:
    return Refused(grpc.StatusCode.FAILED_PRECONDITION, sentence)
