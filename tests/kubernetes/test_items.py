"""Nodes and their use against what may be used, pods of Jobs against their limits; and what is said where it is not told."""

from __future__ import annotations

import pytest

from adapters.errors import Forbidden
from adapters.extras import SourceItem, Standing
from adapters.kubernetes import KubernetesAdapter
from tests.servers.kubernetes_like import KubernetesLike


async def items(adapter: KubernetesAdapter) -> dict[tuple[str, str], SourceItem]:
    return {(i.kind, i.name): i for i in await adapter.items()}


async def test_use_of_nodes(like: KubernetesLike, adapter: KubernetesAdapter) -> None:
    like.add_node("node-2", cpu="2", memory="4Gi")
    like.usage_nodes["node-1"] = {
        "metadata": {"name": "node-1"},
        "usage": {"cpu": "1850123456n", "memory": "2097152Ki"},
    }
    like.usage_nodes["node-2"] = {"metadata": {"name": "node-2"}, "usage": {"cpu": "1990m", "memory": "1Gi"}}
    found = await items(adapter)
    cpu, memory, full = (found[("pool", n)] for n in ("node-1 cpu", "node-1 memory", "node-2 cpu"))
    assert (cpu.value, cpu.limit, cpu.unit, cpu.standing) == (
        pytest.approx(1850.1, abs=0.1),
        4000.0,
        "m cpu",
        Standing.FINE,
    )
    assert cpu.words == "1.85 cores of 4.00 cores, 46%"
    assert (memory.value, memory.limit, memory.words) == (2048.0, 8192.0, "2.0 GiB of 8.0 GiB, 25%")
    assert full.standing is Standing.WARNING
    assert found[("component", "node node-1")].words == "Ready"


async def test_nodes_that_are_not_well(like: KubernetesLike, adapter: KubernetesAdapter) -> None:
    like.add_node("dead", Ready="Unknown")
    like.add_node("sick", Ready="False")
    like.add_node("tight", MemoryPressure="True")
    like.add_node("closed")["spec"]["unschedulable"] = True
    found = await items(adapter)
    said = {n.removeprefix("node "): (i.standing, i.words) for (k, n), i in found.items() if k == "component"}
    assert said["dead"] == (Standing.WARNING, "silent: its pods may still run, none is started")
    assert said["sick"] == (Standing.WARNING, "NotReady: no pod is started on it")
    assert said["tight"] == (Standing.WARNING, "MemoryPressure: pods on it may be evicted")
    assert said["closed"] == (Standing.WARNING, "cordoned: no new pod is put on it")


async def test_without_any_node_that_is_ready_the_cluster_is_dead(
    like: KubernetesLike, adapter: KubernetesAdapter
) -> None:
    like.add_node("node-1", Ready="False")
    one = (await items(adapter))[("component", "node node-1")]
    assert (one.standing, one.words) == (Standing.BAD, "NotReady: no pod is started on it; no other node is ready")
    assert one.since is not None


@pytest.mark.parametrize(("metrics", "word"), [("absent", "absent: "), ("silent", "silent: ")])
async def test_without_metrics_use_is_not_zero(
    like: KubernetesLike, adapter: KubernetesAdapter, metrics: str, word: str
) -> None:
    like.metrics = metrics
    found = await items(adapter)
    api = found[("component", "metrics API")]
    assert api.standing is Standing.WARNING
    assert api.words.startswith(word)
    pool = found[("pool", "node-1 cpu")]
    assert (pool.value, pool.limit, pool.words) == (None, 4000.0, "no metrics")


async def test_pods_of_jobs_at_work_against_their_limits(like: KubernetesLike, adapter: KubernetesAdapter) -> None:
    like.add_job("daily-1", cron="daily")
    name = like.pods_of("daily-1")[0]["metadata"]["name"]
    for one in (name, "a-web-server"):
        like.usage_pods[("etl", one)] = {
            "metadata": {"name": one, "namespace": "etl"},
            "containers": [{"name": "main", "usage": {"cpu": "100m", "memory": "250Mi"}}],
        }
    await adapter.runs(None)
    found = await items(adapter)
    memory = found[("pool", f"pod etl/{name} memory")]
    assert (memory.value, memory.limit, memory.standing) == (250.0, 256.0, Standing.WARNING)
    assert found[("pool", f"pod etl/{name} cpu")].limit == 500.0
    assert not [n for _, n in found if "a-web-server" in n]


async def test_only_the_nearest_to_their_limits_are_named_and_that_is_said(
    like: KubernetesLike, adapter: KubernetesAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.kubernetes.items.PODS_AT_MOST", 2)
    for n in range(4):
        like.add_job(f"daily-{n}", cron="daily")
        name = like.pods_of(f"daily-{n}")[0]["metadata"]["name"]
        like.usage_pods[("etl", name)] = {
            "metadata": {"name": name, "namespace": "etl"},
            "containers": [{"name": "main", "usage": {"cpu": f"{n * 100}m", "memory": "1Mi"}}],
        }
    found = await items(adapter)
    shown = sorted(
        i.value or 0 for (k, n), i in found.items() if k == "pool" and n.startswith("pod ") and n.endswith("cpu")
    )
    assert shown == [200.0, 300.0]
    assert found[("component", "pods of Jobs")].words == "the 2 nearest to their limits are shown of 4"


async def test_rights_that_are_missing_are_items_and_all_of_them_an_error(
    like: KubernetesLike, adapter: KubernetesAdapter
) -> None:
    like.usage_pods[("etl", "x")] = {"metadata": {"name": "x", "namespace": "etl"}, "containers": []}
    like.may = lambda verb, resource, group, namespace: resource != "nodes"
    found = await items(adapter)
    assert 'cannot list resource "nodes"' in found[("component", "")].words
    like.may = lambda verb, resource, group, namespace: False
    with pytest.raises(Forbidden):
        await adapter.items()
