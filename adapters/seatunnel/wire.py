"""What SeaTunnel's REST interface answers, typed and tolerant, in the shapes of all its generations.

Seen live (2.3.8): all numbers are strings; the ``jobDag`` of a running job is ``{vertices, edges}``, that of a finished one
is a *text* that holds JSON with ``vertexInfoMap`` as an object; an unknown job is 200 with nothing but its id.
From the source of later ones: ``vertexInfoMap`` is a list, ``finished-jobs`` may be a page ``{data, total}``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Final

import msgspec

from adapters.errors import BadResponse, NotFound
from adapters.http import words

_NUMBER: Final = re.compile(r"\s*(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*([%KMGT]?)B?\s*")
_SCALE: Final[Mapping[str, float]] = {"": 1.0, "%": 1.0, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_ID: Final = re.compile(r"-?\d{1,19}")


class Job(msgspec.Struct):
    """A job, running or over. What may be of any shape is read where it is needed."""

    jobId: str | int | None = None
    jobName: str | None = None
    jobStatus: str | None = None
    errorMsg: Any = None
    createTime: Any = None
    startTime: Any = None
    finishTime: Any = None
    finishedTime: Any = None
    """As the documentation calls it; the code says ``finishTime``."""
    envOptions: Any = None
    jobDag: Any = None
    metrics: Any = None
    isStartWithSavePoint: Any = None

    @property
    def id(self) -> str:
        return str(self.jobId)

    @property
    def name(self) -> str:
        return self.jobName or ""

    @property
    def finish(self) -> Any:
        return self.finishTime if self.finishTime is not None else self.finishedTime

    @property
    def streaming(self) -> bool:
        env = self.envOptions if isinstance(self.envOptions, dict) else {}
        return str(env.get("job.mode", "")).upper() == "STREAMING"


class Paged(msgspec.Struct):
    """A page, as servers that know ``page`` and ``rows`` answer."""

    data: list[Job]
    total: int


class Submitted(msgspec.Struct):
    """The answer to a submit and to a stop. It proves nothing but that the request arrived."""

    jobId: str | int


class LogLink(msgspec.Struct):
    logName: str
    node: str = ""


def is_id(native: str) -> bool:
    """Whether it can be a job's id: SeaTunnel answers 500 to anything that is no number of 64 bits."""
    return bool(_ID.fullmatch(native))


def named(job: Job, where: str) -> Job:
    """The job, if it has what names it; BadResponse otherwise."""
    if job.jobId is None or not is_id(job.id) or not job.jobName:
        raise BadResponse(words(f"a job without {'jobName' if job.jobId else 'jobId'} from {where}"))
    return job


def known(job: Job, where: str) -> Job:
    """The job of ``/job-info``: one without a status and a name is SeaTunnel's way to say that there is none."""
    if job.jobStatus is None and job.jobName is None and job.jobId is not None:
        raise NotFound(words(f"SeaTunnel knows no job {job.id} (any more)"))
    return named(job, where)


def number(value: Any) -> float | None:
    """``"12"``, ``"23.5G"``, ``"14.88%"``; None for what is no number (``"n/a"``, a table)."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, (int, float)):
        return float(value) if math.isfinite(value) else None
    found = _NUMBER.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    return float(found[1]) * _SCALE[found[2]]


def ms(value: Any, zone: tzinfo) -> int | None:
    """``2026-11-21 20:49:56`` of the server's own zone, in ms UTC; None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        at = datetime.strptime(value, "%Y-%m-%d %H:%M:%S").replace(tzinfo=zone)
    except ValueError:
        return None
    return int(at.timestamp() * 1000)


# --- the graph of a job -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Vertex:
    """One source, transform or sink of a job. ``name`` is the same while it runs and after it."""

    name: str
    kind: str
    after: tuple[str, ...] = ()


_BRACKETS: Final = re.compile(r"pipeline-(\d+) \[(.+)\]")
_ID_MARK: Final = re.compile(r"\(id=-?\d+\)$")


def vertices(dag: Any) -> list[Vertex]:
    """What a job consists of, in its order; empty where that is not told in a shape that we know."""
    if isinstance(dag, str):
        try:
            dag = msgspec.json.decode(dag)
        except msgspec.DecodeError:
            return []
    if not isinstance(dag, dict):
        return []
    names: dict[str, tuple[str, str]] = {}
    edges: list[tuple[str, str]] = []
    info = dag.get("vertexInfoMap")
    if info is not None:
        listed = list(info.values()) if isinstance(info, dict) else info if isinstance(info, list) else []
        for one in listed:
            if isinstance(one, dict) and one.get("vertexId") is not None:
                said = str(one.get("vertexName") or one.get("connectorType") or one["vertexId"])
                names[str(one["vertexId"])] = (said, str(one.get("type") or "").lower())
        for part in _values(dag.get("pipelineEdges")):
            for edge in part if isinstance(part, list) else ():
                if isinstance(edge, dict):
                    edges.append((str(edge.get("inputVertexId")), str(edge.get("targetVertexId"))))
    else:
        by_name: dict[str, str] = {}
        for one in dag.get("vertices") or ():
            if isinstance(one, dict) and one.get("id") is not None:
                said = _ID_MARK.sub("", str(one.get("name") or one["id"]))
                by_name[said] = str(one["id"])
                names[str(one["id"])] = (said, _kind(said))
        for edge in dag.get("edges") or ():
            if isinstance(edge, dict):
                pair = (str(edge.get("inputVertex")), str(edge.get("targetVertex")))
                edges.append((by_name.get(pair[0], pair[0]), by_name.get(pair[1], pair[1])))
    return _told(names, edges)


def _told(names: Mapping[str, tuple[str, str]], edges: list[tuple[str, str]]) -> list[Vertex]:
    short = {number: _short(said) for number, (said, _) in names.items()}
    twice = {s for s in short.values() if list(short.values()).count(s) > 1}
    shown = {n: words(f"{s} {n}" if s in twice else s) for n, s in short.items()}
    out: list[Vertex] = []
    for number, (_, kind) in names.items():
        after = tuple(dict.fromkeys(shown[a] for a, b in edges if b == number and a in shown))
        out.append(Vertex(shown[number], kind or _kind(short[number]), after))
    return out


def _short(said: str) -> str:
    """``pipeline-1 [Source[0]-FakeSource]`` → ``Source[0]-FakeSource``; later pipelines keep their number."""
    found = _BRACKETS.fullmatch(said)
    if found is None:
        return said
    return found[2] if found[1] == "1" else f"{found[2]} (pipeline {found[1]})"


def _kind(name: str) -> str:
    return next((k for k in ("source", "transform", "sink") if name.lower().startswith(k)), "")


def _values(found: Any) -> list[Any]:
    return list(found.values()) if isinstance(found, dict) else []


def tables(metrics: Any, what: str) -> dict[str, float]:
    """Of each table: ``{"db.t": "12"}``; what is no number is not there."""
    found = metrics.get(what) if isinstance(metrics, dict) else None
    if not isinstance(found, dict):
        return {}
    return {str(k): n for k, v in found.items() if (n := number(v)) is not None}


def total(metrics: Any, what: str) -> float | None:
    return number(metrics.get(what)) if isinstance(metrics, dict) else None
