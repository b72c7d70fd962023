"""What a DSS has beside runs: datasets with their last build, checks and metrics, jobs and other long tasks at work.

A dataset costs a request each, so they take turns: a few at each look, those longest unread first. What is told of the
others is what was last read, and nothing where nothing was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final

import msgspec

from adapters.dataiku import metrics
from adapters.dataiku.dss import API, DssHttp, dataset_path, project_path
from adapters.dataiku.wire import DATASET, Project, at, text
from adapters.errors import AdapterError, BadResponse, Forbidden, NotFound
from adapters.extras import Asset, SourceItem, Standing
from adapters.model import pipeline_key

A_LOOK: Final = 20
"""Requests for last builds that one look at the assets may make."""
CHECKS_A_LOOK: Final = 2
"""Datasets whose checks and metrics one look at the items may read (two requests each)."""
_ONE: Final = (Forbidden, NotFound, BadResponse)
_STANDINGS: Final = {"OK": Standing.FINE, "EMPTY": Standing.FINE, "WARNING": Standing.WARNING, "ERROR": Standing.BAD}


class _Item(msgspec.Struct, rename="camel"):
    name: str
    type: Any = None


class _Built(msgspec.Struct, rename="camel"):
    build_start_time: Any = None
    build_end_time: Any = None
    build_success: Any = None


class _Info(msgspec.Struct, rename="camel"):
    last_build: _Built | None = None


class _Rule(msgspec.Struct, rename="camel"):
    id: Any = None
    name: Any = None
    outcome: Any = None
    message: Any = None
    compute_date: Any = None


class _JobDef(msgspec.Struct, rename="camel"):
    id: Any = None
    project_key: Any = None
    name: Any = None
    initiator: Any = None
    triggered_from: Any = None


class _Job(msgspec.Struct, rename="camel"):
    definition: _JobDef | None = msgspec.field(name="def", default=None)
    job_id: Any = None
    project_key: Any = None
    state: Any = None
    start_time: Any = None


class _Task(msgspec.Struct, rename="camel"):
    job_id: str
    job_display_name: Any = None
    owner: Any = None
    start_time: Any = None


@dataclass(slots=True)
class _Set:
    """One dataset. ``read``, ``checked``: number of the look that read it last; -1: never."""

    project: str
    name: str
    read: int = -1
    built: int | None = None
    failed: int | None = None
    """ms UTC of the end of the last build, where it failed."""
    checked: int = -1
    found: list[SourceItem] = field(default_factory=list[SourceItem])

    @property
    def native(self) -> str:
        return f"{self.project}.{self.name}"


class Datasets:
    """``wanted``: globs of ``PROJECT.dataset``; none: all. Checks and metrics are read of those named without a wildcard."""

    def __init__(self, http: DssHttp, source: str, wanted: Sequence[str]) -> None:
        self._http = http
        self._source = source
        self._wanted = tuple(wanted)
        self._sets: dict[str, _Set] = {}
        self._listed: dict[str, int] = {}
        self._look = 0
        self._no_running_jobs = False
        self._named = [w for w in wanted if not set(w) & set("*?[")]

    # --- last builds --------------------------------------------------------------------------------------------

    async def assets(self, projects: Sequence[str], makers: Mapping[str, Sequence[str]]) -> list[Asset]:
        """All that are known, after at most 20 requests more. ``makers``: by ``PROJECT.dataset``, keys of what builds it."""
        self._look += 1
        left = A_LOOK
        mine = [p for p in projects if not self._wanted or any(_may_match(w, p) for w in self._wanted)]
        named_only = bool(self._wanted) and len(self._named) == len(self._wanted)
        if named_only:
            for native in self._named:
                self._sets.setdefault(native, _named(native))
        else:
            turn = sorted(mine, key=lambda p: self._listed.get(p, -1))
            fresh = [p for p in turn if p not in self._listed]
            errors: list[AdapterError] = []
            for project in (fresh or turn[:1])[: A_LOOK // 2]:
                left -= 1
                try:
                    await self._list(project)
                except _ONE as err:
                    errors.append(err)
                    self._listed[project] = self._look
            if errors and not self._sets and len(errors) == len(mine):
                self._listed.clear()
                raise errors[0]
        errors = []
        turns = sorted(self._sets.values(), key=lambda s: s.read)[: max(left, 0)]
        for one in turns:
            try:
                await self._info(one)
            except _ONE as err:
                errors.append(err)
            one.read = self._look
        if errors and len(errors) == len(turns):
            raise errors[0]
        return [self._asset(s, tuple(makers.get(s.native, ()))) for s in self._sets.values()]

    async def _list(self, project: str) -> None:
        found, _ = await self._http.get(f"{project_path(project)}/datasets/", list[_Item])
        names = {f"{project}.{d.name}": d.name for d in found}
        for native in [n for n, s in self._sets.items() if s.project == project and n not in names]:
            del self._sets[native]
        for native, name in names.items():
            if not self._wanted or any(fnmatchcase(native, w) for w in self._wanted):
                self._sets.setdefault(native, _Set(project, name))
        self._listed[project] = self._look

    async def _info(self, one: _Set) -> None:
        found, _ = await self._http.get(f"{dataset_path(one.project, one.name)}/info", _Info)
        last = found.last_build
        ended = at(last.build_end_time) if last is not None else None
        if last is None or ended is None:
            return
        if last.build_success is True:
            one.built, one.failed = ended, None
        elif last.build_success is False:
            one.failed = ended

    def _asset(self, one: _Set, makers: tuple[str, ...]) -> Asset:
        return Asset(
            key=pipeline_key(self._source, f"{one.project}{DATASET}{one.name}"),
            name=self._http.words(one.name),
            uri=self._http.words(one.native),
            group=self._http.words(one.project),
            last_event=one.built,
            producers=makers,
        )

    # --- checks, metrics, what is at work -------------------------------------------------------------------------

    async def items(self) -> list[SourceItem]:
        """Jobs and other long tasks that run now, failed last builds, and checks and metrics of the datasets named."""
        jobs, tasks = await self._jobs(), await self._tasks()
        if jobs is None and tasks is None:  # neither is for this DSS and key: whether it answers at all
            await self._http.get(f"{API}/projects/", list[Project])
        out = [*(jobs or ()), *(tasks or ())]
        for native in self._named:
            self._sets.setdefault(native, _named(native))
        self._look += 1
        turns = sorted((self._sets[n] for n in self._named), key=lambda s: s.checked)[:CHECKS_A_LOOK]
        for one in turns:
            one.found = await self._checks(one)
            one.checked = self._look
        for one in self._sets.values():
            if one.failed is not None:
                out.append(
                    self._said("warning", f"{one.native} build", Standing.BAD, "its last build failed", one.failed)
                )
            out += one.found
        return list({(i.kind, i.name): i for i in out}.values())

    async def _jobs(self) -> list[SourceItem] | None:
        """Build jobs at work on the whole instance; None: older DSS has no such list."""
        if self._no_running_jobs:
            return None
        try:
            found, _ = await self._http.get(f"{API}/jobs/running/", list[_Job], {"allUsers": "true"})
        except NotFound:
            await self._http.get(f"{API}/projects/", list[Project])  # a source that lost everything is not an old one
            self._no_running_jobs = True
            return None
        except Forbidden:
            return None
        out: list[SourceItem] = []
        for job in found:
            said = job.definition or _JobDef()
            name, project = text(said.id) or text(job.job_id), text(said.project_key) or text(job.project_key)
            if name is None:
                raise BadResponse("a running job without an id", f"from {API}/jobs/running/")
            who = f" by {said.initiator}" if text(said.initiator) else ""
            words = f"job {text(job.state) or 'running'}{who}: {text(said.name) or name}"
            out.append(
                self._said("job", f"{project}.{name}" if project else name, Standing.FINE, words, at(job.start_time))
            )
        return out

    async def _tasks(self) -> list[SourceItem] | None:
        """Other long tasks at work; None where those of all users may not be seen (the probe says so)."""
        params = {"withScenarios": "false", "withNotScenarios": "true", "allUsers": "true"}
        try:
            found, _ = await self._http.get(f"{API}/futures/", list[_Task], params)
        except (Forbidden, NotFound):
            return None
        return [
            self._said("task", t.job_id, Standing.FINE, text(t.job_display_name) or "long task", at(t.start_time))
            for t in found
        ]

    async def _checks(self, one: _Set) -> list[SourceItem]:
        """Of one dataset. A check that is not well is a warning of it; what a DSS or key does not tell is left out."""
        path, out = dataset_path(one.project, one.name), list[SourceItem]()
        try:
            rules, _ = await self._http.get(f"{path}/data-quality/last-rules-result", list[_Rule], {"partition": "NP"})
        except _ONE as err:
            out.append(self._said("warning", f"{one.native} checks", Standing.WARNING, f"checks not told: {err.what}"))
            rules = []
        for rule in rules:
            word = rule.outcome.upper() if isinstance(rule.outcome, str) else ""
            standing = _STANDINGS.get(word, Standing.WARNING)
            kind = "check" if standing is Standing.FINE else "warning"
            name = f"{one.native} {text(rule.name) or text(rule.id) or 'check'}"
            raw = word if word in _STANDINGS else f"{word}?"
            said = f"{raw}: {rule.message}" if text(rule.message) else raw
            out.append(self._said(kind, name, standing, said, at(rule.compute_date)))
        try:
            found = await metrics.last(self._http, (one.project, one.name, metrics.WHOLE))
        except _ONE:
            return out
        out += (
            SourceItem(
                kind="metric",
                name=self._http.words(f"{one.native} {ident}"),
                words=f"{value:.10g}",
                value=value,
                unit=metrics.UNITS.get(ident, ""),
                since=computed,
            )
            for ident, (value, computed) in found.items()
        )
        return out

    def _said(self, kind: str, name: str, standing: Standing, words: str, since: int | None = None) -> SourceItem:
        clean = self._http.words
        return SourceItem(kind=kind, name=clean(name), standing=standing, words=clean(words), since=since)


def _named(native: str) -> _Set:
    project, _, name = native.partition(".")
    return _Set(project, name)


def _may_match(glob: str, project: str) -> bool:
    """Whether a glob of ``PROJECT.dataset`` can name a dataset of that project."""
    return glob == "*" or fnmatchcase(project, glob.partition(".")[0])
