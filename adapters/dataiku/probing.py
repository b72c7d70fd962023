"""Who the key is, of which of the three sorts, and what it may see: for ``doctor``."""

from __future__ import annotations

from typing import Any

import msgspec

from adapters.base import Probe
from adapters.dataiku.dss import API, DssHttp, project_path
from adapters.dataiku.wire import Project, text
from adapters.errors import BadResponse, Forbidden, NotFound
from adapters.http import words


class _Auth(msgspec.Struct, rename="camel"):
    auth_identifier: Any = None
    groups: Any = None


class _Instance(msgspec.Struct, rename="camel"):
    node_id: Any = None
    node_name: Any = None
    node_type: Any = None
    dss_version: Any = None
    version: Any = None


async def probe(http: DssHttp, verified: bool) -> Probe:
    """Five requests. What this DSS does not answer is said, and only the list of projects must be readable."""
    warnings: list[str] = []
    projects, answer = await http.get(f"{API}/projects/", list[Project])
    who = await _maybe(http, f"{API}/auth/info", _Auth, warnings, "who the key is", {"withSecrets": "false"})
    node = await _maybe(http, f"{API}/instance-info", _Instance, warnings, "which node this is")
    identity = text(who.auth_identifier) if who is not None else None
    personal = who is not None and isinstance(who.groups, list)
    params = {"withScenarios": "true", "withNotScenarios": "false", "allUsers": "true"}
    everything = await _may(http, f"{API}/futures/", params)
    admin = await _may(http, f"{project_path(projects[0].project_key)}/permissions") if projects else None
    sort = _sort(personal, everything, len(projects)) if who is not None else ""
    if not projects:
        warnings.append("this key sees no project: give it or its user a right to read one")
    if everything is False:
        warnings.append(
            "runs of others cannot be asked for in one request (needs an administrator): projects take turns"
        )
    if not verified:
        warnings.append("the server's certificate is not verified (tls.verify = false)")
    can: dict[str, bool | None] = dict.fromkeys(("start", "stop", "pause", "resume", "rerun"), admin or None)
    kind = text(node.node_type) if node is not None else None
    number = (text(node.dss_version) or text(node.version)) if node is not None else None
    where = f"on {'an' if kind[:1] in 'AEIOU' else 'a'} {kind.lower()} node" if kind else ""
    return Probe(
        version=words(f"DSS {number}" if number else "DSS"),  # most DSS do not tell which
        identity=words(", ".join(part for part in (identity, sort, where) if part)) or None,
        permissions={"view": bool(projects), "see all running scenarios": everything, **can},
        server_time=answer.server_time,
        warnings=tuple(map(words, warnings)),
    )


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


async def _may(http: DssHttp, path: str, params: dict[str, str] | None = None) -> bool | None:
    """Whether it may be read; None where that cannot be told from the answer."""
    try:
        await http.ask("GET", path, params=params)
    except Forbidden:
        return False
    except (NotFound, BadResponse):
        return None
    return True
