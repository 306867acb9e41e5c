"""What `Ports.launch` begins, in this process."""

from __future__ import annotations

from services.vcf_ingest.build_order import build_order
from services.vcf_ingest.work import work
from shared.domain.analysis import Analysis
from shared.domain.order import Order
from shared.ports import Ports


def do(ports: Ports, subject: Analysis | Order, holder: str) -> None:
    act = work if isinstance(subject, Analysis) else build_order
    act(ports, subject.project, subject.id, holder)
