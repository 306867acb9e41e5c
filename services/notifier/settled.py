"""A project's settings, kept for a moment: most events are of projects that want no message, and cost no read."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from weakref import WeakKeyDictionary

from shared.domain.notification import Notifications
from shared.ports import Documents, Ports
from shared.steps.notifications import notifications

KEPT_S = 15
"""How long another setting may take to be noticed."""

_Kept = dict[str, tuple[datetime, Notifications | None]]
_kept: WeakKeyDictionary[Documents, _Kept] = WeakKeyDictionary()
_lock = threading.Lock()


def chat_of(ports: Ports, project: str) -> Notifications | None:
    now = ports.clock()
    with _lock:
        found = _kept.setdefault(ports.documents, {}).get(project)
    if found is not None and now - found[0] < timedelta(seconds=KEPT_S):
        return found[1]
    read = notifications(ports.documents, project)
    with _lock:
        _kept[ports.documents][project] = (now, read)
    return read
