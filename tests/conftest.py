"""Google's emulators: one of each for a test process, whoever asks for it."""

from __future__ import annotations

from tests.contract.emulators import firestore_address, pubsub_address, storage_address, storage_root

__all__ = ["firestore_address", "pubsub_address", "storage_address", "storage_root"]
