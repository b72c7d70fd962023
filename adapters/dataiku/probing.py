"""Who the key is, of which of the three sorts, and what it may do: for ``doctor``. Nothing here has an effect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from adapters.base import Probe
from adapters.dataiku.board import Board
from adapters.dataiku.dss import API, DssHttp, segment
from adapters.dataiku.wire import text
from adapters.errors import BadResponse, Forbidden, NotFound
from adapters.http import words


@dataclass(frozen=True, slots=True)
class Right:
    """A privilege and the call that tries it, with {project} and {scenario}. ``may``: how doctor calls it."""

    privilege: str
    call: str
    may: str
    without: str
    """What is lacking without it, in one clause."""


_SCENARIOS: Final = Right(
    "MONITOR_JOBS", "GET /projects/{project}/scenarios/", "view scenarios", "nothing of it is seen"
)
_RUNS: Final = Right(
    "RUN_JOBS",
    "GET /projects/{project}/scenarios/{scenario}/get-last-runs",
    "view runs",
    "no run of it is seen, none can be started or stopped",
)
_SETTINGS: Final = Right(
    "READ_CONF",
    "GET /projects/{project}/scenarios/{scenario}",
    "read schedules",
    "no schedule of it is known, nothing can be paused",
)
_JOBS: Final = Right("READ_CONF", "GET /projects/{project}/jobs/", "read jobs", "no build of a dataset is followed")
RIGHTS: Final = (_SCENARIOS, _RUNS, _SETTINGS, _JOBS)
"""The smallest rights that work, all of them tried."""
BY_EFFECT: Final = (
    ("RUN_JOBS", "POST /projects/{project}/scenarios/{scenario}/run", "start, rerun"),
    ("RUN_JOBS", "POST /projects/{project}/scenarios/{scenario}/abort", "stop"),
    ("RUN_JOBS", "POST /projects/{project}/jobs/", "start of a dataset"),
    ("writing the project", "PUT /projects/{project}/scenarios/{scenario}/light", "pause, resume"),
)
"""What can only be tried by doing it: told as unknown unless the key administers the project or lacks what comes before."""
_PARAMS: Final = {_RUNS: {"limit": 1, "onlyFinishedRuns": "false"}, _JOBS: {"limit": 1}}


class _Auth(msgspec.Struct, rename="camel"):
    auth_identifier: Any = None
    groups: Any = None


class _Instance(msgspec.Struct, rename="camel"):
    node_id: Any = None
    node_name: Any = None
    node_type: Any = None
    dss_version: Any = None
    version: Any = None


async def probe(http: DssHttp, board: Board, verified: bool) -> Probe:
    """At most nine requests. What this DSS does not answer is said, and only the list of projects must be readable.

    Rights are tried on the first project that is watched; what was read of it on the way is the board's to keep.
    """
    warnings: list[str] = []
    answer = await board.list_projects()
    who = await _maybe(http, f"{API}/auth/info", _Auth, warnings, "who the key is", {"withSecrets": "false"})
    node = await _maybe(http, f"{API}/instance-info", _Instance, warnings, "which node this is")
    identity = text(who.auth_identifier) if who is not None else None
    personal = who is not None and isinstance(who.groups, list)
    params = {"withScenarios": "true", "withNotScenarios": "false", "allUsers": "true"}
    everything = await _may(http, f"{API}/futures/", params)
    first = next(iter(board.projects), None)
    sort = _sort(personal, everything, board.seen) if who is not None else ""
    if first is None:
        warnings.append("this key sees no project: give it or its user a right to read one")
    can = {} if first is None else await _rights(http, board, first, everything is True, warnings)
    if everything is False:
        warnings.append(
            "runs of others cannot be asked for in one request (needs an administrator): projects take turns"
        )
    if not verified:
        warnings.append("the server's certificate is not verified (tls.verify = false)")
    kind = text(node.node_type) if node is not None else None
    number = (text(node.dss_version) or text(node.version)) if node is not None else None
    where = f"on {'an' if kind[:1] in 'AEIOU' else 'a'} {kind.lower()} node" if kind else ""
    return Probe(
        version=words(f"DSS {number}" if number else "DSS"),  # most DSS do not tell which
        identity=words(", ".join(part for part in (identity, sort, where) if part)) or None,
        permissions={"view": first is not None, "see all running scenarios": everything, **can},
        server_time=answer.server_time,
        warnings=tuple(map(words, warnings)),
    )


async def _rights(
    http: DssHttp, board: Board, project: str, administers: bool, warnings: list[str]
) -> dict[str, bool | None]:
    """Each of ``RIGHTS`` on one project, and what follows of them for acting: True, False, or None where it is not known."""
    can: dict[Right, bool | None] = {}
    failed = await board.try_list(project)
    can[_SCENARIOS] = None if isinstance(failed, (NotFound, BadResponse)) else failed is None
    scenario = next((s for p, s in board.seats if p == project), None)
    for right in (_RUNS, _SETTINGS, _JOBS):
        where = {"project": segment(project), "scenario": segment(scenario or "")}
        unknown = "{scenario}" in right.call and scenario is None
        path = API + right.call.removeprefix("GET ").format(**where)
        can[right] = None if unknown else await _may(http, path, _PARAMS.get(right))
    for right, may in can.items():
        untried = "{scenario}" in right.call and scenario is None
        if may is False:
            warnings.append(f"project {project}: {right.privilege} is lacking for this key: {right.without}")
        elif may is None and not (untried and not can[_SCENARIOS]):  # else it is said of the list of scenarios
            why = f"whether it may {right.may} cannot be told"
            warnings.append(f"project {project}: {why}" + (": it has no scenario" if untried else ""))
    if not administers:
        administers = await _may(http, f"{API}/projects/{segment(project)}/permissions") is True

    def acting(*needed: Right) -> bool | None:
        if any(can[right] is False for right in needed):
            return False
        return True if administers and all(can[right] for right in needed) else None

    runs, pauses = acting(_SCENARIOS, _RUNS), acting(_SCENARIOS, _SETTINGS)
    return {
        "view": False if can[_RUNS] is False else can[_SCENARIOS],
        **{right.may: may for right, may in can.items()},
        **dict.fromkeys(("start", "stop", "rerun"), runs),
        **dict.fromkeys(("pause", "resume"), pauses),
    }


def _sort(personal: bool, everything: bool | None, projects: int) -> str:
    """A user has groups, a key of its own right has none; a project's key sees its project and nothing else."""
    if personal:
        return "personal key, acts as its user"
    if everything:
        return "global key with administrator's rights"
    return "project key, or a global key for one project" if projects == 1 else "global key"


async def _maybe(
    http: DssHttp, path: str, shape: type[Any], warnings: list[str], what: str, params: dict[str, str] | None = None
) -> Any:
    try:
        found, _ = await http.get(path, shape, params)
    except (Forbidden, NotFound, BadResponse) as err:
        warnings.append(f"{what} is not told: {err.what}")
        return None
    return found


async def _may(http: DssHttp, path: str, params: dict[str, Any] | None = None) -> bool | None:
    """Whether it may be read; None where that cannot be told from the answer."""
    try:
        await http.get(path, msgspec.Raw, params)  # JSON at least: a page of a proxy is no right
    except Forbidden:
        return False
    except (NotFound, BadResponse):
        return None
    return True
