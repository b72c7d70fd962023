"""What the tests of reading a cluster share."""

from __future__ import annotations

from typing import Any

import msgspec

from adapters.kubernetes import KubernetesAdapter
from adapters.kubernetes.wire import Job
from adapters.model import Run
from tests.servers.kubernetes_like import KubernetesLike

META = {"name": "j", "namespace": "etl", "uid": "0123456789"}


def job(status: dict[str, Any] | None = None, spec: dict[str, Any] | None = None, **meta: Any) -> Job:
    body = {"metadata": META | meta, "spec": spec or {}, "status": status}
    return msgspec.json.decode(msgspec.json.encode(body), type=Job)


async def runs(adapter: KubernetesAdapter, cursor: str | None = None) -> tuple[dict[str, Run], str | None]:
    page = await adapter.runs(cursor)
    assert page.complete
    return {r.key: r for r in page.runs}, page.cursor


def waiting(like: KubernetesLike, pod: dict[str, Any], reason: str, restarts: int = 0) -> None:
    pod["status"]["phase"] = "Pending"
    pod["status"]["containerStatuses"][0] |= {
        "restartCount": restarts,
        "state": {"waiting": {"reason": reason, "message": f"{reason} it is"}},
    }
    like.put("pods", pod)
