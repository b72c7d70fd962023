"""What a cluster has beside Jobs: its nodes and how they are, and what nodes and pods of Jobs use of what they may.

Use is told by the metrics API (metrics-server), where that is installed; where it is not, that is said and no use is
shown. Cores are counted in thousandths and memory in MiB, so that whole numbers say enough.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from adapters.errors import AdapterError, BadResponse, Forbidden, NotFound, Unsupported
from adapters.extras import SourceItem, Standing
from adapters.http import Http, words
from adapters.kubernetes import reads
from adapters.kubernetes.watch import ALL, get, pages
from adapters.kubernetes.wire import Condition, Node, Nodes, Pod, Usage, Usages, ms, quantity

FULL: Final = 0.95
PODS_AT_MOST: Final = 60
"""Pods that are named, those nearest to their limit first; how many there are beside them is said."""
METRICS: Final = "/apis/metrics.k8s.io/v1beta1"
_PRESSURE: Final = ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")
_MIB: Final = 1 << 20


async def items(http: Http, namespaces: Sequence[str], label: str) -> list[SourceItem]:
    """All of them. What may not be read is one item without a name that says so. ``label`` is one that all pods of Jobs have."""
    found: list[SourceItem] = []
    refused: list[AdapterError] = []
    nodes: list[Node] = []
    try:
        nodes = [n for page in (await pages(http, "/api/v1/nodes", Nodes))[0] for n in page.items]
    except (Forbidden, NotFound) as err:
        refused.append(err)
        found.append(SourceItem(kind="component", name="", standing=Standing.WARNING, words=words(err.what)))
    some = any(_ready(node) for node in nodes)
    found += [_component(node, some) for node in nodes]
    of_nodes = await _metrics(lambda: _usages(http, f"{METRICS}/nodes"), found, refused) if nodes else {}
    for node in nodes:
        found += _node_pools(node, of_nodes.get(("", node.metadata.name)))
    of_pods = await _metrics(lambda: _pod_usages(http, namespaces), found, refused)
    if of_pods:
        try:
            there = await active_pods(http, namespaces, label)
        except (Forbidden, NotFound) as err:
            refused.append(err)
            there = []
        found += _pod_pools(there, of_pods)
    if refused and not nodes and not of_pods:
        raise refused[0]
    if refused and not any(i.kind == "pool" for i in found):
        found.append(SourceItem(kind="pool", name="", standing=Standing.WARNING, words=words(refused[0].what)))
    return list({(i.kind, i.name): i for i in found}.values())


async def active_pods(http: Http, namespaces: Sequence[str], label: str) -> list[Pod]:
    """Of Jobs, not ended."""
    params: dict[str, str | int] = {
        "labelSelector": label,
        "fieldSelector": "status.phase!=Succeeded,status.phase!=Failed",
    }
    return [pod for namespace in namespaces for pod in await reads.selected(http, namespace, params)]


# --- metrics ----------------------------------------------------------------------------------------------------------


async def _metrics(
    ask: Callable[[], Awaitable[dict[tuple[str, str], Usage]]], found: list[SourceItem], refused: list[AdapterError]
) -> dict[tuple[str, str], Usage]:
    """Use by namespace and name; what keeps it from being told is said as a part of the source."""
    try:
        return await ask()
    except Forbidden as err:
        said = err.what
        refused.append(err)
    except (NotFound, Unsupported):
        said = "absent: this cluster has no metrics API (metrics-server), so use is not known"
    except BadResponse as err:
        if err.status not in (500, 502, 503, 504):
            raise
        said = f"silent: it is installed and does not answer (HTTP {err.status}), so use is not known"
    found.append(SourceItem(kind="component", name="metrics API", standing=Standing.WARNING, words=words(said)))
    return {}


async def _usages(http: Http, where: str) -> dict[tuple[str, str], Usage]:
    listed = (await get(http, where)).decode(Usages)
    return {(u.metadata.namespace, u.metadata.name): u for u in listed.items}


async def _pod_usages(http: Http, namespaces: Sequence[str]) -> dict[tuple[str, str], Usage]:
    out: dict[tuple[str, str], Usage] = {}
    for namespace in namespaces:
        where = f"{METRICS}/pods" if namespace == ALL else f"{METRICS}/namespaces/{namespace}/pods"
        out |= await _usages(http, where)
    return out


# --- nodes ------------------------------------------------------------------------------------------------------------


def _conditions(node: Node) -> dict[str, Condition]:
    return {c.type: c for c in (node.status.conditions if node.status else None) or ()}


def _ready(node: Node) -> bool:
    ready = _conditions(node).get("Ready")
    return ready is not None and ready.status == "True"


def _component(node: Node, some: bool) -> SourceItem:
    """``some``: whether any node is ready. One of them that is not is worth a word (they come and go); without any the
    cluster is dead: nothing starts."""
    conditions = _conditions(node)
    ready = conditions.get("Ready")
    standing, said, text = Standing.FINE, "Ready", ""
    if not _ready(node):
        standing, text = Standing.WARNING if some else Standing.BAD, (ready.message or "") if ready else ""
        silent = ready is None or ready.status == "Unknown"
        said = "silent: its pods may still run, none is started" if silent else "NotReady: no pod is started on it"
        said += "" if some else "; no other node is ready"
    elif pressed := [t for t in _PRESSURE if t in conditions and conditions[t].status == "True"]:
        standing, said = Standing.WARNING, f"{pressed[0]}: pods on it may be evicted"
        text = conditions[pressed[0]].message or ""
    elif node.spec is not None and node.spec.unschedulable:
        standing, said = Standing.WARNING, "cordoned: no new pod is put on it"
    return SourceItem(
        kind="component",
        name=words(f"node {node.metadata.name}"),
        standing=standing,
        words=words(said),
        text=words(text),
        since=ms(ready.last_heartbeat_time if _ready(node) else ready.last_transition_time) if ready else None,
    )


def _node_pools(node: Node, usage: Usage | None) -> list[SourceItem]:
    may = (node.status.allocatable if node.status else None) or {}
    use = (usage.usage if usage else None) or {}
    name = words(node.metadata.name)
    return [
        *_pool(f"{name} cpu", quantity(use.get("cpu")), quantity(may.get("cpu")), "cpu"),
        *_pool(f"{name} memory", quantity(use.get("memory")), quantity(may.get("memory")), "memory"),
    ]


def _pool(name: str, used: float | None, limit: float | None, what: str) -> list[SourceItem]:
    """Nothing where neither is known. ``used`` None: no metrics, which is not zero."""
    if used is None and limit is None:
        return []
    share = used / limit if used is not None and limit else None
    scale, unit = (1000.0, "m cpu") if what == "cpu" else (1 / _MIB, "MiB")
    return [
        SourceItem(
            kind="pool",
            name=name,
            standing=Standing.WARNING if share is not None and share >= FULL else Standing.FINE,
            words=_words(used, limit, share, what),
            value=None if used is None else used * scale,
            limit=None if limit is None else limit * scale,
            unit=unit,
        )
    ]


def _words(used: float | None, limit: float | None, share: float | None, what: str) -> str:
    if used is None:
        return "no metrics"

    def shown(value: float) -> str:
        return f"{value:.2f} cores" if what == "cpu" else f"{value / (1 << 30):.1f} GiB"

    of = f" of {shown(limit)}" if limit is not None else ", no limit"
    return shown(used) + of + (f", {share:.0%}" if share is not None else "")


# --- pods -------------------------------------------------------------------------------------------------------------


def _pod_pools(there: Sequence[Pod], usages: dict[tuple[str, str], Usage]) -> list[SourceItem]:
    """Only pods of Jobs that are at work, against the limits of their containers."""
    found: list[tuple[float, list[SourceItem]]] = []
    for pod in there:
        usage = usages.get((pod.metadata.namespace, pod.metadata.name))
        if usage is None:
            continue
        made: list[SourceItem] = []
        for what in ("cpu", "memory"):
            used = [quantity((c.usage or {}).get(what)) for c in usage.containers or ()]
            total = sum(u for u in used if u is not None) if any(u is not None for u in used) else None
            made += _pool(
                words(f"pod {pod.metadata.namespace}/{pod.metadata.name} {what}"), total, _limit(pod, what), what
            )
        share = max((i.value / i.limit for i in made if i.value is not None and i.limit), default=0.0)
        found.append((share, made))
    found.sort(key=lambda f: -f[0])
    out = [item for _, made in found[:PODS_AT_MOST] for item in made]
    if len(found) > PODS_AT_MOST:
        said = f"the {PODS_AT_MOST} nearest to their limits are shown of {len(found)}"
        out.append(SourceItem(kind="component", name="pods of Jobs", words=said))
    return out


def _limit(pod: Pod, what: str) -> float | None:
    """Of all its containers together; None where one of them has none."""
    limits: list[float | None] = []
    for container in (pod.spec.containers if pod.spec else None) or ():
        given = container.resources.limits if container.resources else None
        limits.append(quantity((given or {}).get(what)))
    return None if not limits or None in limits else sum(x for x in limits if x is not None)
