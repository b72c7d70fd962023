"""Who the credential is, and what it may do, as far as Databricks tells without trying."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from adapters.base import Probe
from adapters.databricks import acts, reads
from adapters.databricks.wire import Job, Jobs, Me
from adapters.errors import BadResponse, Forbidden, NotFound
from adapters.http import Http, Params
from adapters.model import Verb

VERSION: Final = "Jobs API 2.2"
_RUNS: Final = frozenset(("CAN_MANAGE_RUN", "CAN_MANAGE", "IS_OWNER"))
_MANAGES: Final = frozenset(("CAN_MANAGE", "IS_OWNER"))
_LEVEL: Final = {Verb.PAUSE: _MANAGES, Verb.RESUME: _MANAGES}


_VIEWS: Final[Mapping[str, tuple[str, Params]]] = {
    "pipelines": ("/api/2.0/pipelines", {"max_results": 1}),
    "clusters": ("/api/2.1/clusters/list", {"page_size": 1}),
}


class _Level(msgspec.Struct):
    permission_level: str | None = None


class _Entry(msgspec.Struct):
    user_name: str | None = None
    group_name: str | None = None
    service_principal_name: str | None = None
    all_permissions: list[_Level] | None = None


class _Permissions(msgspec.Struct):
    access_control_list: list[_Entry] | None = None


async def probe(http: Http) -> Probe:
    """A workspace has no version; what is spoken is told instead. Rights are read off one job: each has its own."""
    me, answer = await reads.me(http)
    if me.userName is None and me.displayName is None:
        raise BadResponse(
            "an answer of another shape about who the credential is", "something else may stand before it"
        )
    found, _ = await http.get("/api/2.2/jobs/list", Jobs, {"limit": 1})
    groups = {g.display for g in me.groups or () if g.display}
    can: dict[str, bool | None] = {"view": True, **dict.fromkeys(acts.VERBS)}
    warnings: list[str] = []
    if "admins" in groups:
        can |= dict.fromkeys(acts.VERBS, True)
    elif not found.jobs:
        warnings.append("the credential sees no job: give it CAN VIEW on those that are to be watched")
    else:
        levels = await _levels(http, found.jobs[0], me, groups)
        if levels is not None:
            can |= {verb: bool(levels & _LEVEL.get(verb, _RUNS)) for verb in acts.VERBS}
            name = found.jobs[0].settings.name if found.jobs[0].settings else None
            warnings.append(http.words(f"rights were read off one job only ({name or found.jobs[0].job_id})"))
    can |= {view: await _may(http, path, params) for view, (path, params) in _VIEWS.items()}
    who = me.displayName if me.userName is None else me.userName
    return Probe(
        version=VERSION,
        identity=http.words(who or "?"),
        permissions=can,
        server_time=answer.server_time,
        warnings=tuple(warnings),
    )


async def _may(http: Http, path: str, params: Params) -> bool | None:
    """Whether a list may be read; None where that could not be told."""
    try:
        await http.ask("GET", path, params=params)
    except (Forbidden, NotFound):
        return False
    except BadResponse:
        return None
    return True


async def _levels(http: Http, job: Job, me: Me, groups: set[str]) -> set[str] | None:
    """Levels that we have on a job; None where that may not be read."""
    try:
        found, _ = await http.get(f"/api/2.0/permissions/jobs/{job.job_id}", _Permissions)
    except (Forbidden, NotFound, BadResponse):
        return None
    out: set[str] = set()
    for entry in found.access_control_list or ():
        ours: tuple[Any, ...] = (entry.user_name, entry.service_principal_name)
        if (me.userName is not None and me.userName in ours) or entry.group_name in {*groups, "users"}:
            out |= {level.permission_level for level in entry.all_permissions or () if level.permission_level}
    return out
