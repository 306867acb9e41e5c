"""google.cloud.batch.v1.BatchService over gRPC, with generic handlers: the messages are the client library's own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.cloud import batch_v1
from google.longrunning import operations_pb2  # type: ignore[import-untyped]

from infra.local.batch.refusal import Refused
from infra.local.batch.service import Service

_THREADS = 16


def make_server(service: Service, port: int) -> tuple[grpc.Server, int]:
    """A server that is not started yet, and its port on 127.0.0.1 (`port` 0: a free one).

    Raises RuntimeError if the port is taken.
    """
    server = grpc.server(ThreadPoolExecutor(_THREADS, "batch-rpc"), options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((_batch(service), _operations(service)))
    return server, server.add_insecure_port(f"127.0.0.1:{port}")


def _batch(service: Service) -> grpc.GenericRpcHandler[Any, Any]:
    operation = operations_pb2.Operation.SerializeToString
    v1 = batch_v1
    return grpc.method_handlers_generic_handler("google.cloud.batch.v1.BatchService", {
        "CreateJob": _call(service.create_job, v1.CreateJobRequest.deserialize, v1.Job.serialize),
        "GetJob": _call(service.get_job, v1.GetJobRequest.deserialize, v1.Job.serialize),
        "ListJobs": _call(service.list_jobs, v1.ListJobsRequest.deserialize, v1.ListJobsResponse.serialize),
        "DeleteJob": _call(service.delete_job, v1.DeleteJobRequest.deserialize, operation),
        "CancelJob": _call(service.cancel_job, v1.CancelJobRequest.deserialize, operation),
        "GetTask": _call(service.get_task, v1.GetTaskRequest.deserialize, v1.Task.serialize),
        "ListTasks": _call(service.list_tasks, v1.ListTasksRequest.deserialize, v1.ListTasksResponse.serialize),
    })  # fmt: skip


def _operations(service: Service) -> grpc.GenericRpcHandler[Any, Any]:
    """What the futures ask that `cancel_job` and `delete_job` of the client return."""
    request, answer = operations_pb2.GetOperationRequest.FromString, operations_pb2.Operation.SerializeToString
    return grpc.method_handlers_generic_handler(
        "google.longrunning.Operations", {"GetOperation": _call(service.get_operation, request, answer)}
    )


def _call(
    method: Callable[[Any], Any], read: Callable[[bytes], Any], write: Callable[[Any], bytes]
) -> grpc.RpcMethodHandler[Any, Any]:
    def answer(request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return method(request)
        except Refused as refused:
            return context.abort(refused.code, refused.sentence)

    return grpc.unary_unary_rpc_method_handler(answer, request_deserializer=read, response_serializer=write)
