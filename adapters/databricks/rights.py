"""Who the credential is, and what it may do, as far as Databricks tells without trying.

``RIGHTS`` is what the page about Databricks asks for, and what is tested here: reading by reading, the rest by the level that
Databricks tells of one job, pipeline and cluster each.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from adapters.base import Probe
from adapters.databricks import acts, clusters, reads, updates
from adapters.databricks.wire import Jobs, Me
from adapters.errors import BadResponse, Forbidden, NotFound
from adapters.http import Http
from adapters.model import Verb

VERSION: Final = "Jobs API 2.2"


class Right(NamedTuple):
    """``to`` do what ``on`` which kind of thing needs ``level``, or a higher one. ``tells``: what doctor says of it."""

    to: str
    on: str
    level: str
    tells: tuple[str, ...]


_RUNS: Final = (Verb.START, Verb.STOP, Verb.RERUN, Verb.RERUN_FAILED, Verb.RERUN_FROM)
UPDATES: Final = "start and stop updates of pipelines"
CLUSTERS: Final = "start, restart and terminate clusters"
RIGHTS: Final = (
    Right("watch jobs, runs, tasks, output", "job", "CAN VIEW", ("view", "output")),
    Right("start, stop, run again, repair", "job", "CAN MANAGE RUN", _RUNS),
    Right("pause and resume", "job", "CAN MANAGE", (Verb.PAUSE, Verb.RESUME)),
    Right("watch pipelines and their events", "pipeline", "CAN VIEW", ("pipelines",)),
    Right("start and stop updates", "pipeline", "CAN RUN", (UPDATES,)),
    Right("watch clusters", "cluster", "CAN ATTACH TO", ("clusters",)),
    Right(CLUSTERS, "cluster", "CAN RESTART", (CLUSTERS,)),
)
_RANKS: Final[Mapping[str, tuple[str, ...]]] = {
    "job": ("CAN_VIEW", "CAN_MANAGE_RUN", "CAN_MANAGE", "IS_OWNER"),
    "pipeline": ("CAN_VIEW", "CAN_RUN", "CAN_MANAGE", "IS_OWNER"),
    "cluster": ("CAN_ATTACH_TO", "CAN_RESTART", "CAN_MANAGE"),
}
"""Levels of each kind, the least first."""
_TRIED: Final = frozenset(("view", "output", "pipelines", "clusters"))
"""What is tested by reading, not by a level."""


class _Level(msgspec.Struct):
    permission_level: str | None = None


class _Entry(msgspec.Struct):
    user_name: str | None = None
    group_name: str | None = None
    service_principal_name: str | None = None
    all_permissions: list[_Level] | None = None


class _Permissions(msgspec.Struct):
    access_control_list: list[_Entry] | None = None


async def probe(http: Http, *, with_pipelines: bool = True, with_clusters: bool = False) -> Probe:
    """A workspace has no version; what is spoken is told instead. Rights are read off one thing of each kind: each has its own."""
    me, answer = await reads.me(http)
    if me.userName is None and me.displayName is None:
        raise BadResponse(
            "an answer of another shape about who the credential is", "something else may stand before it"
        )
    can: dict[str, bool | None] = {}
    one: dict[str, tuple[str, str]] = {}
    warnings: list[str] = []
    found, _ = await http.get("/api/2.2/jobs/list", Jobs, {"limit": 1})
    if found.jobs:
        job = found.jobs[0]
        one["job"] = (str(job.job_id), (job.settings.name if job.settings else None) or str(job.job_id))
    else:
        warnings.append("the credential sees no job: give it CAN VIEW on those that are to be watched")
    can["view"], can["output"] = await _runs(http)
    if can["view"] is False:
        warnings.append("runs may not be listed: nothing of any run is seen, and none can be started or stopped")
    if with_pipelines:
        can["pipelines"], pipeline = await _pipelines(http)
        if pipeline is not None:
            one["pipeline"] = (pipeline.pipeline_id, pipeline.name or pipeline.pipeline_id)
    can["clusters"], cluster = await _clusters(http)
    if cluster is not None and with_clusters:
        one["cluster"] = (cluster.cluster_id, cluster.cluster_name or cluster.cluster_id)
    kinds = ["job", *(["pipeline"] if with_pipelines else []), *(["cluster"] if with_clusters else [])]
    levelled = await _by_level(http, me, kinds, one, warnings)
    if can["view"] is False:  # a plan reads runs first
        levelled |= {verb: False for verb in _RUNS}
    who = me.displayName if me.userName is None else me.userName
    return Probe(
        version=VERSION,
        identity=http.words(who or "?"),
        permissions=can | levelled,
        server_time=answer.server_time,
        warnings=tuple(http.words(text) for text in warnings),
    )


async def _by_level(
    http: Http, me: Me, kinds: list[str], one: Mapping[str, tuple[str, str]], warnings: list[str]
) -> dict[str, bool | None]:
    """What the levels on one of each kind allow; None where there is none, or its levels may not be read."""
    groups = {g.display for g in me.groups or () if g.display}
    out: dict[str, bool | None] = {str(verb): None for verb in acts.VERBS}
    read: list[str] = []
    for kind in kinds:
        rows = [right for right in RIGHTS if right.on == kind and not _TRIED.issuperset(right.tells)]
        levels: set[str] | None = set(_RANKS[kind]) if "admins" in groups else None
        if levels is None and kind in one:
            levels = await _levels(http, kind, one[kind][0], me, groups)
            if levels is not None:
                read.append(f"{kind} ({one[kind][1]})")
            else:
                warnings.append(
                    f"the permissions of the {kind} {one[kind][1]} may not be read: what may be done is not known"
                )
        for right in rows:
            enough = _RANKS[kind][_RANKS[kind].index(right.level.replace(" ", "_")) :]
            out |= {told: None if levels is None else bool(levels.intersection(enough)) for told in right.tells}
    if read:
        warnings.append(f"rights were read off one {' and one '.join(read)} only")
    return out


async def _levels(http: Http, kind: str, ident: str, me: Me, groups: set[str]) -> set[str] | None:
    """Levels that we have on it; None where that may not be read."""
    try:
        found, _ = await http.get(f"/api/2.0/permissions/{kind}s/{ident}", _Permissions)
    except (Forbidden, NotFound, BadResponse):
        return None
    out: set[str] = set()
    for entry in found.access_control_list or ():
        ours: tuple[Any, ...] = (entry.user_name, entry.service_principal_name)
        if (me.userName is not None and me.userName in ours) or entry.group_name in {*groups, "users"}:
            out |= {level.permission_level for level in entry.all_permissions or () if level.permission_level}
    return out


async def _may(asked: Awaitable[Any]) -> tuple[bool | None, Any]:
    """Whether it may be read, and what was; None where that could not be told."""
    try:
        return True, await asked
    except (Forbidden, NotFound):
        return False, None
    except BadResponse:
        return None, None


async def _runs(http: Http) -> tuple[bool | None, bool | None]:
    """Whether runs may be listed, and the output of a task of the latest may be read; None where there is no run."""
    may, listed = await _may(reads.runs(http, {}, most=1))
    if not may or not listed[0]:
        return may, None
    may_run, answer = await _may(reads.run(http, listed[0][0].run_id))
    tasks = answer[0].tasks if may_run else None
    if not may_run or not tasks or tasks[-1].run_id is None:
        return may, False if may_run is False else None
    said, _ = await _may(http.ask("GET", "/api/2.2/jobs/runs/get-output", params={"run_id": tasks[-1].run_id}))
    return may, said


async def _pipelines(http: Http) -> tuple[bool | None, updates.Status | None]:
    """Whether pipelines may be listed and the events of one be read; that one."""
    may, listed = await _may(updates.listed(http, most=1))
    if not may or not listed[0]:
        return may, None
    path = updates.path(listed[0][0].pipeline_id, "/events")
    return (await _may(http.ask("GET", path, params={"max_results": 1})))[0], listed[0][0]


async def _clusters(http: Http) -> tuple[bool | None, clusters.Cluster | None]:
    """Whether clusters may be listed; one of them."""
    may, listed = await _may(clusters.listed(http, most=1))
    return may, listed[0][0] if may and listed[0] else None
