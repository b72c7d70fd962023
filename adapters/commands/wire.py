"""What a driver writes, read: JSON, lines or blocks of ``NAME=value`` → entries; entries → pipelines, runs, steps, operations.

Tolerant of everything but what names a thing: an entry without it is a BadResponse, for absence from half a list would
look like a deed. A field of a type that cannot be meant is left out, and said once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, tzinfo
from typing import Any, Final, cast

import msgspec

from adapters.commands.options import FieldOf, Options
from adapters.errors import BadResponse
from adapters.extras import Operation
from adapters.first_error import clean
from adapters.model import Mode, Pipeline, Run, RunKind, State, StepRun, Trigger, pipeline_key, run_key

STEP: Final = "run"
"""The one step of a run whose driver tells of none."""
OLD_MS: Final = 2 * 86_400_000
"""What ended longer ago than this when it is first seen is history: no alert comes from it."""
STATES: Final[Mapping[str, State]] = {
    word: state
    for state, words in {
        State.QUEUED: "queued pending waiting scheduled submitted accepted created starting",
        State.RUNNING: "running active started in_progress in-progress executing activating processing",
        State.RETRYING: "retrying restarting",
        State.HELD: "held paused suspended on_hold",
        State.STOPPING: "stopping cancelling canceling deactivating terminating",
        State.SUCCESS: "success succeeded successful done completed complete finished ok",
        State.WARNING: "warning partial partially_failed completed_with_errors",
        State.FAILED: "failed failure error errored crashed",
        State.TIMED_OUT: "timeout timed_out timed-out",
        State.STOPPED: "stopped cancelled canceled aborted killed terminated",
        State.SKIPPED: "skipped",
        State.LOST: "lost",
    }.items()
    for word in words.split()
}
_LISTS: Final = ("items", "pipelines", "runs", "jobs", "operations", "data")
_KINDS: Final = {
    "scheduled": RunKind.SCHEDULED,
    "manual": RunKind.MANUAL,
    "backfill": RunKind.BACKFILL,
    "rerun": RunKind.RERUN,
}
_NOTHING: Final = ("", "n/a", "null", "none", "-", "0")


@dataclass(frozen=True, slots=True)
class RunTold:
    """A run as the driver tells it. ``scheduled``: it says in so many words that its own schedule made it."""

    run: Run
    steps: tuple[StepRun, ...] = ()
    scheduled: bool = False


@dataclass(slots=True)
class Told:
    """All that one answer tells. ``bare``: pipelines with a state and nothing that names a run, by native id."""

    pipelines: dict[str, Pipeline] = field(default_factory=dict[str, Pipeline])
    runs: dict[str, RunTold] = field(default_factory=dict[str, RunTold])
    bare: dict[str, Run] = field(default_factory=dict[str, Run])
    now: int | None = None
    notes: tuple[str, ...] = ()

    def of(self, pipeline: str) -> list[RunTold]:
        """Runs of one pipeline, by its key."""
        return [r for key, r in self.runs.items() if key.partition("/")[0] == pipeline]


# --- what was written ---------------------------------------------------------------------------------------------------


def json_of(data: bytes, what: str) -> Any:
    if not data.strip():
        raise BadResponse(f"{what} wrote nothing where JSON was expected")
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    raise BadResponse(f"{what} wrote truncated or broken JSON", "run it by hand: its log must go to standard error")


def entries(data: bytes, what: str, form: str, options: Options) -> tuple[list[dict[str, Any]], Any]:
    """Entries, and the whole document where it was one object (it may say ``now``)."""
    if form == "lines":
        names = [line.strip() for line in _text(data, what).splitlines()]
        return [{"pipeline": n} for n in names if n and not n.startswith("#")], None
    if form == "blocks":
        return list(_blocks(_text(data, what), what)), None
    whole = json_of(data, what)
    found = _at(whole, options.items) if options.items else whole
    if isinstance(found, dict) and not options.items:
        table = cast("dict[str, Any]", found)
        inner = next((table[n] for n in _LISTS if isinstance(table.get(n), list)), None)
        found = inner if inner is not None and "pipeline" not in table else [table]
    if not isinstance(found, list):
        where = f" at {'.'.join(options.items)}" if options.items else ""
        raise BadResponse(f"{what} wrote JSON of another shape: no list{where}")
    out: list[dict[str, Any]] = []
    for one in cast("list[Any]", found):
        if isinstance(one, str) and one:
            out.append({"pipeline": one})
        elif isinstance(one, dict):
            out.append(cast("dict[str, Any]", one))
        else:
            raise BadResponse(f"{what} wrote JSON of another shape: an entry is no object")
    return out, whole


def _text(data: bytes, what: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        pass
    raise BadResponse(f"{what} wrote bytes that are no UTF-8 text")


def _blocks(text: str, what: str) -> Iterator[dict[str, Any]]:
    block: dict[str, Any] = {}
    for line in [*text.splitlines(), ""]:
        if not line.strip():
            if block:
                yield block
            block = {}
            continue
        name, equals, value = line.partition("=")
        if not equals:
            raise BadResponse(f"{what} wrote a line that is no NAME=value")
        block[name.strip()] = value
    return


def _at(value: Any, path: Sequence[str]) -> Any:
    for part in path:
        if not isinstance(value, dict):
            return None
        value = cast("dict[str, Any]", value).get(part)
    return value


# --- what it means ------------------------------------------------------------------------------------------------------


class Reading:
    """Entries of one answer → what they tell. ``now``: this host's clock, where the driver says no time of its own."""

    def __init__(self, source: str, zone: tzinfo, options: Options, what: str, now: int) -> None:
        self._source = source
        self._zone = zone
        self._options = options
        self._what = what
        self._now = now
        self._odd: set[str] = set()

    def told(self, data: bytes, form: str) -> Told:
        found, whole = entries(data, self._what, form, self._options)
        told = Told(now=self._time(_at(whole, self._path("now")), "now"))
        self._now = told.now or self._now
        for entry in found:
            self._entry(told, entry)
        told.notes = tuple(f"{self._what}: {name} is of a type that cannot be meant" for name in sorted(self._odd))
        return told

    def operations(self, data: bytes) -> list[Operation]:
        found, whole = entries(data, self._what, "json", self._options)
        self._now = self._time(_at(whole, self._path("now")), "now") or self._now
        return [self._operation(entry) for entry in found]

    def _entry(self, told: Told, entry: Mapping[str, Any]) -> None:
        native = self._name(entry, "pipeline", "an entry")
        key = pipeline_key(self._source, native)
        told.pipelines[native] = self._pipeline(entry, key, native, told.pipelines.get(native))
        inner = self._raw(entry, "runs")
        rows = [entry]
        if isinstance(inner, list):
            rows = [cast("dict[str, Any]", r) for r in cast("list[Any]", inner) if isinstance(r, dict)]
            if len(rows) != len(cast("list[Any]", inner)):
                raise BadResponse(f"{self._what} wrote JSON of another shape: a run is no object")
        for row in rows:
            self._run_in(told, row, key, native, nested=row is not entry)

    def _run_in(self, told: Told, row: Mapping[str, Any], key: str, native: str, *, nested: bool) -> None:
        ident = self._text(row, "run")
        started = self._time(self._raw(row, "started"), "started")
        word = self._text(row, "state")
        if ident is None and started is not None and (word or nested):
            ident = iso(started)
        if ident is not None:
            run = self._run(row, run_key(key, ident), word)
            if run.client_id is None and ident.startswith("wf-"):
                run = replace(run, client_id=ident[3:])
            scheduled = (self._text(row, "kind") or "").casefold() == "scheduled"
            told.runs[run.key] = RunTold(run, self._steps(row, run), scheduled)
        elif nested:
            raise BadResponse(f"{self._what} wrote a run without its name")
        elif word and self._raw(row, "run") is None:  # an empty name: it has runs, and none yet
            told.bare[native] = self._run(row, run_key(key, "?"), word)

    def _pipeline(self, entry: Mapping[str, Any], key: str, native: str, known: Pipeline | None) -> Pipeline:
        schedule = self._text(entry, "schedule") or (known.schedule if known else None)
        paused = self._flag(entry, "paused")
        mode = known.mode if known else Mode.ACTIVE
        if paused is not None:
            mode = Mode.PAUSED if paused else Mode.ACTIVE
        tags = self._raw(entry, "tags")
        labels = tuple(clean(str(t), 60) for t in cast("list[Any]", tags)) if isinstance(tags, list) else ()
        said = {n: self._text(entry, n) for n in ("name", "owner", "description", "timezone")}
        base = known or Pipeline(key=key, name=clean(native, 200) or "?")
        url = None if self._text(entry, "run") else self._url(entry)  # beside a run it is the run's
        return replace(
            base,
            name=clean(said["name"] or "", 200) or base.name,
            mode=mode,
            trigger=Trigger.CRON if schedule else base.trigger,
            schedule=None if schedule is None else clean(schedule, 200),
            timezone=base.timezone if said["timezone"] is None else clean(said["timezone"], 60),
            next_run=self._time(self._raw(entry, "next_run"), "next_run") or base.next_run,
            owner=base.owner if said["owner"] is None else clean(said["owner"], 100),
            description=base.description if said["description"] is None else clean(said["description"], 500),
            tags=labels or base.tags,
            url=url or base.url,
        )

    def state(self, word: str | None, *, ended: bool) -> tuple[str, State]:
        """The driver's word as it is shown, and our state; one that nobody knows is shown with ``?`` and never green."""
        if word is None:
            return "?", State.WARNING if ended else State.RUNNING
        folded = word.strip().casefold()
        state = self._options.states.get(folded) or STATES.get(folded.replace(" ", "_"))
        shown = clean(word, 60)
        if state is None:
            return f"{shown}?", State.WARNING if ended else State.RUNNING
        return shown, state

    def _run(self, row: Mapping[str, Any], key: str, word: str | None) -> Run:
        times = {n: self._time(self._raw(row, n), n) for n in ("queued", "started", "ended", "updated")}
        native, state = self.state(word, ended=times["ended"] is not None)
        ended = times["ended"] if not state.active else None
        error = None if state is State.SUCCESS or state.active else self._text(row, "error")
        done, total = self._count(row, "done"), self._count(row, "total")
        sub = self._text(row, "sub")
        if sub is None and done is not None and state.active:
            sub = f"{done:,} of {total:,}" if total is not None else f"{done:,} done"
        params = self._raw(row, "params")
        day = self._date(row, "business_date")
        kind = (self._text(row, "kind") or "").casefold()
        return Run(
            key=key,
            native=native,
            state=state,
            sub=None if sub is None else clean(sub, 120),
            kind=_KINDS.get(kind, RunKind.SCHEDULED),
            params=cast("dict[str, Any]", params) if isinstance(params, dict) else None,
            business_date=day,
            attempt=self._count(row, "attempt") or 1,
            rerun_of=self._text(row, "rerun_of"),
            queued=times["queued"],
            started=times["started"],
            ended=ended,
            source_updated=times["updated"],
            url=self._url(row),
            error=clean(error) if error else None,
            exit_code=self._count(row, "exit_code"),
            client_id=self._text(row, "client_id"),
            backfilled=ended is not None and self._now - ended > OLD_MS,
        )

    def _steps(self, row: Mapping[str, Any], run: Run) -> tuple[StepRun, ...]:
        inner = self._raw(row, "steps")
        if not isinstance(inner, list) or not inner:
            return (
                StepRun(
                    run=run.key, step=STEP, attempt=run.attempt, native=run.native, state=run.state, sub=run.sub,
                    queued=run.queued, started=run.started, ended=run.ended, error=run.error, exit_code=run.exit_code,
                ),
            )  # fmt: skip
        out: dict[tuple[str, int], StepRun] = {}
        for order, one in enumerate(cast("list[Any]", inner)):
            if not isinstance(one, dict):
                raise BadResponse(f"{self._what} wrote JSON of another shape: a step is no object")
            step = cast("dict[str, Any]", one)
            name = self._name(step, "step", "a step")
            as_run = self._run(step, run.key, self._text(step, "state"))
            out[name, as_run.attempt] = StepRun(
                run=run.key, step=name, attempt=as_run.attempt, native=as_run.native, state=as_run.state, sub=as_run.sub,
                queued=as_run.queued, started=as_run.started, ended=as_run.ended, order=order, error=as_run.error,
                exit_code=as_run.exit_code,
            )  # fmt: skip
        return tuple(out.values())

    def _operation(self, entry: Mapping[str, Any]) -> Operation:
        ident = self._name(entry, "id", "an operation")
        native = self._name(entry, "pipeline", "an operation")
        ended = self._time(self._raw(entry, "ended"), "ended")
        _, state = self.state(self._text(entry, "state"), ended=ended is not None)
        sub = self._text(entry, "sub")
        return Operation(
            id=ident,
            pipeline=pipeline_key(self._source, native),
            state=state if state is not State.QUEUED else State.RUNNING,
            first=self._date(entry, "from"),
            last=self._date(entry, "to"),
            planned=self._count(entry, "total"),
            done=self._count(entry, "done"),
            failed=self._count(entry, "failed"),
            created=self._time(self._raw(entry, "started"), "started"),
            ended=ended if state.terminal else None,
            who=self._text(entry, "client_id"),
            words="" if sub is None else clean(sub, 200),
        )

    # --- one field ----------------------------------------------------------------------------------------------------

    def _path(self, name: str) -> tuple[str, ...]:
        return self._options.fields.get(name, FieldOf((name,))).path

    def _raw(self, entry: Mapping[str, Any], name: str) -> Any:
        where = self._options.fields.get(name)
        value = _at(entry, (name,) if where is None else where.path)
        if value is None and name == "step":
            value = entry.get("name")
        if where is not None and where.match is not None and value is not None:
            found = where.match.search(str(value))
            return None if found is None else found[1]
        return value

    def _name(self, entry: Mapping[str, Any], name: str, what: str) -> str:
        text = self._text(entry, name)
        if text is None:
            raise BadResponse(f"{self._what} wrote {what} without {'.'.join(self._path(name))}")
        return text

    def _text(self, entry: Mapping[str, Any], name: str) -> str | None:
        value = self._raw(entry, name)
        if isinstance(value, str):
            return value or None
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
        if value is not None:
            self._odd.add(name)
        return None

    def _flag(self, entry: Mapping[str, Any], name: str) -> bool | None:
        value = self._raw(entry, name)
        if isinstance(value, str):
            word = value.strip().casefold()
            value = True if word in ("true", "yes", "1", "paused") else False if word in ("false", "no", "0") else value
        if value is None or isinstance(value, bool):
            return value
        self._odd.add(name)
        return None

    def _count(self, entry: Mapping[str, Any], name: str) -> int | None:
        value = self._raw(entry, name)
        if isinstance(value, str) and value.strip().lstrip("-").isdigit() and len(value) < 16:
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 53:
            return value
        if value not in (None, ""):
            self._odd.add(name)
        return None

    def _date(self, entry: Mapping[str, Any], name: str) -> str | None:
        value = self._raw(entry, name)
        try:
            return None if value in (None, "") else date.fromisoformat(str(value)[:10]).isoformat()
        except ValueError:
            self._odd.add(name)
            return None

    def _time(self, value: Any, name: str) -> int | None:
        """ISO 8601 (without a zone: the source's), seconds or milliseconds since 1970, ``@seconds`` → ms."""
        if isinstance(value, str):
            text = value.strip()
            if text.lower() in _NOTHING:
                return None
            number = text.removeprefix("@")
            try:
                value = float(number)
            except ValueError:
                return self._iso(text, name)
        if value is None or value == 0:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            self._odd.add(name)
            return None
        ms = value if abs(value) > 1e11 else value * 1000
        if not 0 < ms < 1e14:
            self._odd.add(name)
            return None
        return int(ms)

    def _iso(self, text: str, name: str) -> int | None:
        try:
            at = datetime.fromisoformat(text)
            return int((at if at.tzinfo else at.replace(tzinfo=self._zone)).timestamp() * 1000)
        except (ValueError, OverflowError, OSError):
            self._odd.add(name)
            return None

    def _url(self, entry: Mapping[str, Any]) -> str | None:
        text = self._text(entry, "url")
        return text if text and text.isprintable() and text.startswith(("http://", "https://")) else None


def iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
