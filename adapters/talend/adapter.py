"""Talend Management Console: tasks and plans as pipelines, their executions as runs.

Ids are ``task.ID`` and ``plan.ID``. Two requests a poll, four while older runs go on; see ``changes`` for why. Nothing here
reads a clock: every "now" is the server's, except of a service account's token, which lives by the loop's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from typing import Any, ClassVar, Final

from adapters.base import (
    Action,
    Adapter,
    Listing,
    Page,
    Prepared,
    Probe,
    Reconciled,
    SendResult,
    SourceSettings,
)
from adapters.errors import AdapterError, NotFound, Unsupported
from adapters.extras import Readings, SeriesQuery, SourceItem
from adapters.http import Http, bare_url, words
from adapters.model import Caps, Key, LogChunk, Pipeline, Run, StepRun, Verb, parse_key
from adapters.shared import read_cursor, write_cursor, zone_of
from adapters.talend import acts, changes, engines, metrics, probing, proofs, reads
from adapters.talend import steps as stepping
from adapters.talend.auth import TalendAuth
from adapters.talend.changes import AnyRun, Cursor
from adapters.talend.estate import Estate
from adapters.talend.logs import LogCursor, Logs
from adapters.talend.wire import JOB, PLAN, TASK, Named, native, run_of, split

API: Final = "2021-03"
REGIONS: Final = ("eu", "us", "us-west", "ap", "au")
DAY_MS: Final = 86_400_000
ENDS_SOON_MS: Final = 14 * DAY_MS
HISTORY_DAYS: Final = 60
"""How far back TMC's lists reach."""
PLAN_STEPS_KEPT: Final = 200
MOMENT_S: Final = 0.8
"""How long a reading serves those who ask for more of the same run."""

_SECONDS: Final[Mapping[str, float]] = {"connect_timeout": 5.0, "read_timeout": 15.0, "total_timeout": 60.0}
_WORDS: Final = ("region", "environment", "workspace", "token_expires", "user")
_WHY_NOT: Final[Mapping[str, str]] = {
    Verb.HOLD: "TMC cannot hold a run; pause keeps new ones from beginning",
    Verb.RELEASE: "TMC cannot hold a run",
    Verb.MARK: "TMC has no call that sets how a run ended",
    Verb.BACKFILL: "TMC knows no partitions: a task takes its dates as parameters",
    Verb.BACKFILL_PAUSE: "TMC has no backfills",
    Verb.BACKFILL_RESUME: "TMC has no backfills",
    Verb.BACKFILL_CANCEL: "TMC has no backfills",
    "assets": "TMC's API tells nothing of what tasks read and write",
    "operations": "TMC has no backfills",
    "metrics-past": "TMC tells rows and components of single runs only",
}


class TalendAdapter(Adapter):
    """One region of Talend Management Console. ``options``: ``region`` instead of a url; ``environment`` and ``workspace``, names or
    ids that narrow it; ``token_expires``, the date on which the personal access token ends; ``user``, the id by which TMC names who
    starts runs with this credential; ``requests_per_second`` (8);
    ``connect_timeout``, ``read_timeout``, ``total_timeout`` in seconds."""

    kind: ClassVar[str] = "talend"
    min_poll_s: ClassVar[float] = 10.0

    def __init__(self, settings: SourceSettings, *, transport: Any = None) -> None:
        super().__init__(settings)
        options = _options(settings.options)
        region = str(options["region"])
        if not settings.url and not region:
            raise Unsupported(f"a talend source needs a url or options.region, one of {', '.join(REGIONS)}")
        base = settings.url or f"https://api.{region}.cloud.talend.com"
        audience = f"https://api.{region}.cloud.talend.com" if region else bare_url(base)
        self._ends: date | None = options["token_expires"]
        self._auth = TalendAuth(settings.auth, audience)
        self._how: dict[str, Any] = {
            "verify": settings.tls_verify,
            "ca": settings.tls_ca,
            "connect_s": options["connect_timeout"],
            "read_s": options["read_timeout"],
            "total_s": options["total_timeout"],
            "transport": transport,
        }
        self._http = reads.TalendHttp(
            base, gap_s=1 / options["requests_per_second"], auth=self._auth, in_flight=2, **self._how
        )
        self._zone = zone_of(settings.timezone)
        self._estate = Estate(self._http, settings.name, str(options["environment"]), str(options["workspace"]))
        self._acts = acts.Context(self._http, settings.name, self._estate, str(options["user"]))
        self._logs = Logs(self._http, self._elsewhere)
        self._metrics = metrics.Metrics(self._http, settings.name)
        self._plan_steps: dict[str, stepping.PlanSteps] = {}
        self._running = stepping.Running()
        self._just_read: tuple[str, float, Any] = ("", 0.0, None)
        self._no_components = ""
        self._notes: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"TalendAdapter({self.settings.name!r}, {self._http.base!r})"

    def _elsewhere(self, base: str) -> Http:
        """A client without credentials, for the address of a log file."""
        return Http(base, **self._how)

    @property
    def caps(self) -> Caps:
        return Caps(frozenset({*acts.VERBS, "steps", "log", "history", "items", "metrics"}), _WHY_NOT)

    @property
    def notes(self) -> tuple[str, ...]:
        return (*self._ending(), *self._estate.notes, *self._notes.values())

    @property
    def spent(self) -> tuple[int, int]:
        return (self._http.requests, self._http.bytes)

    async def close(self) -> None:
        await self._http.close()

    # --- the source as a whole --------------------------------------------------------------------------------------

    async def probe(self) -> Probe:
        """TMC has no call for its version or for who asks: what may be read is found out by reading it."""
        environments, answer = await self._http.get("/orchestration/environments", list[Named])
        params = await self._estate.params()
        can, warnings = await probing.rights(self._http, params)
        if not environments:
            warnings.append("TMC shows no environment to this credential")
        if not self.settings.tls_verify:
            warnings.append("the server's certificate is not verified (tls.verify = false)")
        return Probe(
            version=API,
            identity=words(self._identity()),
            permissions=can,
            server_time=answer.server_time,
            warnings=(*self.notes, *map(self._http.words, warnings)),
        )

    def _identity(self) -> str:
        left = self._auth.life_s
        if left is not None:
            return f"{self._auth.who}; its token is good for {left / 60:.0f} min and renewed by itself"
        ends = self._token_ends()
        until = "" if ends is None else f", good until {datetime.fromtimestamp(ends / 1000, UTC):%Y-%m-%d}"
        return self._auth.who + until

    def _token_ends(self) -> int | None:
        """Of a personal access token: what the configuration says, or what it says itself."""
        if self._auth.service:
            return None
        if self._ends is not None:
            return int(datetime(self._ends.year, self._ends.month, self._ends.day, tzinfo=UTC).timestamp() * 1000)
        return self._auth.ends_ms()

    def _ending(self) -> tuple[str, ...]:
        ends, now = self._token_ends(), self._http.server_time
        if ends is None or now is None or ends - now > ENDS_SOON_MS:
            return ()
        day = f"{datetime.fromtimestamp(ends / 1000, UTC):%Y-%m-%d}"
        days = (ends - now) // DAY_MS
        when = f"ended on {day}" if ends <= now else f"ends on {day}, in {days} days" if days else f"ends on {day}"
        return (f"the personal access token {when}: make a new one in the console",)

    async def pipelines(self) -> Listing:
        """All tasks and plans that ``include`` and the options name; of a large estate afresh only every five minutes."""
        complete, at = await self._estate.look()
        items = [p for p in self._estate.pipelines() if self._wanted(parse_key(p.key).pipeline)]
        return Listing(tuple(items), complete, at)

    async def items(self) -> Sequence[SourceItem]:
        """Its remote engines."""
        return await engines.items(self._http, self._estate)

    async def samples(self, queries: Sequence[SeriesQuery]) -> Readings:
        """Rows, durations and components of the latest run of single tasks; see ``metrics``. Without queries nothing is asked."""
        return await self._metrics.samples(queries)

    @classmethod
    def wrong_query(cls, text: str) -> str | None:
        """Why this is no query for numbers of a task or plan."""
        try:
            metrics.parsed(text)
        except ValueError as err:
            return str(err)
        return None

    # --- runs -------------------------------------------------------------------------------------------------------

    async def runs(self, cursor: str | None, active_only: bool = False) -> Page:
        """Active runs and what changed since ``cursor``; None: what is active, and of the last two days."""
        params = await self._estate.params()
        if active_only:
            found: list[Run] = []
            at: int | None = None
            for kind in reads.KINDS:
                going, at = await changes.all_active(self._http, kind, params)
                found += self._mapped(going)
            return Page(tuple(found), cursor, True, at)
        known = read_cursor(cursor, Cursor)
        after = Cursor()
        complete, now = True, None
        seen: list[Run] = []
        for kind in reads.KINDS:
            got = await changes.look(self._http, kind, known.task if kind == TASK else known.plan, params)
            seen += self._mapped(got.runs)
            complete = complete and got.complete
            now = got.server_time or now
            if kind == TASK:
                after.task = got.side
            else:
                after.plan = got.side
            self._note(f"{kind} runs", got.note)
        return Page(tuple(seen), write_cursor(after), complete, now)

    async def history(self, pipeline: str, depth: int = 60, days: int = 60) -> Sequence[Run]:
        """Ended executions of one task or plan, newest first; TMC keeps them for 60 days."""
        key, kind, ident = self._key(pipeline)
        enough = -(-depth // reads.PAGE)
        asked = {"lastDays": min(max(days, 1), HISTORY_DAYS)}
        found, _, _ = await reads.runs(self._http, kind, asked, ident=ident, most=enough)
        past = [run_of(r, key.source, self._zone, ident) for r in found]
        return [replace(r, backfilled=True) for r in past if r.state.terminal][:depth]

    async def read(self, key: str) -> Pipeline | Run:
        """One task, plan or execution as it is now."""
        parsed, kind, ident = self._key(key)
        if parsed.run is not None:
            item, _ = await reads.run(self._http, kind, ident, parsed.run)
            self._just_read = (parsed.run, _now(), item)
            return run_of(item, parsed.source, self._zone, ident)
        thing = await reads.thing(self._http, kind, ident)
        await self._estate.learn_if_old(native(kind, ident))
        if isinstance(thing, reads.PlanItem):
            self._estate.plans[ident] = thing
            return self._estate.plan_pipeline(thing)
        return self._estate.task_pipeline(thing.id, thing)

    async def _again(self, kind: str, ident: str, execution: str) -> Any:
        """The execution as it was read a moment ago, since whoever looks at a run asks for it, its steps and its log in one go."""
        known, at, item = self._just_read
        if known == execution and _now() - at < MOMENT_S and isinstance(item, changes.TaskRun) == (kind == TASK):
            return item
        item, _ = await reads.run(self._http, kind, ident, execution)
        return item

    def _mapped(self, items: Mapping[str, AnyRun]) -> list[Run]:
        """Only what ``include`` names; one that names no task or plan belongs nowhere and is left out, with a word."""
        out: list[Run] = []
        for item in items.values():
            if not item.of:
                self._note("nameless", "TMC lists runs without saying of which task or plan; they are left out")
                continue
            kind = TASK if isinstance(item, changes.TaskRun) else PLAN
            if self._wanted(native(kind, item.of)):
                run = run_of(item, self.settings.name, self._zone)
                self._metrics.ended(native(kind, item.of), run)
                out.append(run)
        return out

    def _wanted(self, ours: str) -> bool:
        globs = self.settings.include
        return not globs or any(fnmatchcase(ours, g) for g in globs)

    def _note(self, what: str, text: str) -> None:
        if text:
            self._notes[what] = words(text)
        else:
            self._notes.pop(what, None)

    # --- steps and logs ---------------------------------------------------------------------------------------------

    async def steps(self, run: str) -> Sequence[StepRun]:
        """Of a plan's run its steps with the tasks that they ran, of a task's run its job and measured components."""
        key, kind, ident = self._key(run, "run")
        item = await self._again(kind, ident, key.run or "")
        seen = run_of(item, key.source, self._zone, ident)
        if kind == PLAN:
            return (await self._of_plan(ident, item, seen)).steps
        found, why = await stepping.of_task(self._http, item, seen, not self._no_components)
        if why:
            self._no_components = why
            self._note("components", f"components of runs may not be read: {why}")
        return found

    async def _of_plan(self, ident: str, item: Any, run: Run) -> stepping.PlanSteps:
        found = await stepping.of_plan(self._http, self._estate, ident, item, run, self._running)
        self._plan_steps.pop(run.key, None)
        self._plan_steps[run.key] = found
        while len(self._plan_steps) > PLAN_STEPS_KEPT:
            self._plan_steps.pop(next(iter(self._plan_steps)))
        return found

    async def log(self, step: str, attempt: int, cursor: str | None) -> LogChunk:
        """New lines of a task's execution. A plan's step has the log of its failed task, or of its only one."""
        del attempt  # each run is an execution of its own
        key, kind, ident = self._key(step, "step")
        known = read_cursor(cursor, LogCursor)
        if kind == TASK:
            item = await self._again(TASK, ident, key.run or "")
            if key.step != JOB:
                return LogChunk(b"", None, True, f"a component has no log of its own: it stands in that of {JOB}")
        else:
            execution = known.e or await self._execution_of(key, ident)
            if not execution:
                return LogChunk(b"", None, True, "a step has no log of its own: its tasks have")
            item, _ = await self._http.get(reads.run_path(TASK, execution), reads.TaskRun)
        run = run_of(item, key.source, self._zone, item.of or ident)
        return await self._logs.read(item.executionId, known, run.ended, run.state.terminal)

    async def _execution_of(self, key: Key, ident: str) -> str:
        """Task execution whose log a step of a plan's run has; empty where it has none."""
        run_key = key.run_key or ""
        known = self._plan_steps.get(run_key)
        if known is None or key.step not in known.logs:
            item, _ = await reads.run(self._http, PLAN, ident, key.run or "")
            known = await self._of_plan(ident, item, run_of(item, key.source, self._zone, ident))
        if key.step not in {s.step for s in known.steps}:
            raise NotFound(words(f"the run has no step {key.step}"))
        return next(iter(known.logs.get(key.step or "", ())), "")

    # --- actions ----------------------------------------------------------------------------------------------------

    async def prepare(self, action: Action) -> Prepared:
        try:
            made = await self._prepare(action)
        except AdapterError as err:  # names come from outside
            err.what = self._http.words(err.what)
            err.args = (err.what,)
            raise
        clean = self._http.words
        return replace(made, effect=clean(made.effect), proof=clean(made.proof), note=clean(made.note))

    async def _prepare(self, action: Action) -> Prepared:
        if action.verb not in acts.VERBS:
            raise Unsupported(_WHY_NOT.get(action.verb, f"{action.verb} is not offered for TMC"))
        key, kind, ident = self._key(action.key)
        if wrong := acts.wrong_target(kind, key, action.verb):
            raise Unsupported(wrong)
        if key.run is None:
            return await acts.prepare(self._acts, kind, ident, key, None, None, action)
        item, _ = await reads.run(self._http, kind, ident, key.run)
        run = run_of(item, key.source, self._zone, ident)
        return await acts.prepare(self._acts, kind, ident, key, run, item, action)

    async def send(self, prepared: Prepared) -> SendResult:
        _, kind, ident = self._key(prepared.action.key)
        said = await acts.send(self._acts, kind, ident, prepared)
        return replace(said, words=self._http.words(said.words))

    async def reconcile(self, prepared: Prepared) -> Reconciled:
        key, kind, ident = self._key(prepared.action.key)
        found = await proofs.reconcile(self._acts, kind, ident, key.run or "", prepared)
        return replace(found, words=self._http.words(found.words))

    def _key(self, text: str, of: str = "") -> tuple[Key, str, str]:
        """A key of this source, ``task`` or ``plan``, and its id; NotFound for anything else."""
        try:
            key = parse_key(text)
        except ValueError as err:
            what = words(str(err))
        else:
            kind, ident = split(key)
            whole = not (of and key.run is None) and not (of == "step" and key.step is None)
            if key.source == self.settings.name and kind and whole:
                return key, kind, ident
            what = words(f"{text} is no {of or 'key'} of source {self.settings.name}")
        raise NotFound(what)


# --- small things ---------------------------------------------------------------------------------------------------


def _now() -> float:
    return asyncio.get_running_loop().time()


def _options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Typed and checked; Unsupported with one sentence."""
    out: dict[str, Any] = {**_SECONDS, "requests_per_second": 8.0, **dict.fromkeys(_WORDS, "")}
    for name, value in given.items():
        if name not in out:
            raise Unsupported(f"the talend adapter has no option {name!r}; it has {', '.join(out)}")
        if name in _WORDS and name != "token_expires":
            if not isinstance(value, str) or not value.strip():
                raise Unsupported(f"option {name!r} of the talend adapter is a text, not {value!r}")
        elif name != "token_expires":
            most = 1_000.0 if name == "requests_per_second" else 600.0
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= most:
                raise Unsupported(f"option {name!r} of the talend adapter is a number up to {most:.0f}, not {value!r}")
            value = float(value)
        out[name] = value
    if out["region"] and out["region"] not in REGIONS:
        raise Unsupported(
            f"option 'region' of the talend adapter is one of {', '.join(REGIONS)}, not {out['region']!r}"
        )
    out["token_expires"] = _day(out["token_expires"])
    return out


def _day(value: Any) -> date | None:
    if value == "":
        return None
    if isinstance(value, date):
        return value.date() if isinstance(value, datetime) else value
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        pass
    raise Unsupported(f"option 'token_expires' of the talend adapter is a date as 2027-01-31, not {value!r}")
