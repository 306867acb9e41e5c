"""A Google Batch server for one machine: the real gRPC API, called by the real client (docs: BatchServer)."""

from infra.local.batch.faults import Fault, Notify, Preempt, Quota, Refusal, write_faults
from infra.local.batch.server import BatchServer

__all__ = ["BatchServer", "Fault", "Notify", "Preempt", "Quota", "Refusal", "write_faults"]
