"""The story of one run in sentences: what, why, so what, and what to do next. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from adapters.model import Course, Mode, RunKind, State
from engine.store.rows import CheckRow, OwedRow, RunDetail, StepRow
from tui.present import owed, words
from tui.present.cut import clean, first_line
from tui.present.words import Clause


@dataclass(frozen=True, slots=True)
class Owes:
    """What a run owes and who waits behind it. ``row``: its own promise; ``behind``: promises of what waits, soonest first."""

    row: OwedRow | None = None
    behind: Sequence[OwedRow] = ()
    late: Sequence[OwedRow] = ()
    checks: Sequence[CheckRow] = ()
    unseen: int | None = None
    """Its source is not seen since then: nothing is predicted now."""


NOTHING = Owes()


@dataclass(frozen=True, slots=True)
class Do:
    """One offer: the action id whose key it shows, words, what it means, and why it is locked (or None)."""

    action: str
    what: str
    means: str
    locked: str | None = None


def why(detail: RunDetail, checks: Sequence[CheckRow] = ()) -> str:
    """The reason in one sentence, or where the run is now."""
    row = detail.row
    if row.error:
        return first_line(row.error)
    open_ = sorted((c for c in checks if c.state != 1), key=lambda c: -c.state)
    if open_ and row.state.finished:
        said = first_line(open_[0].words)
        word = "failed" if open_[0].state == 2 else "waits"
        return f"finished, not yet verified: check {clean(open_[0].name)} {word}" + (f": {said}" if said else "")
    if row.state is State.STOPPED:
        return f"stopped by {clean(detail.stopped_by)}" if detail.stopped_by else "stopped by a person or by the system"
    if row.state is State.LOST:
        return "it vanished: " + clean(row.sub or "nobody saw its end")
    if row.state is State.MISSED:
        return "it was due and no run was seen"
    failed = [s for s in detail.steps if s.state.bad]
    if failed:
        step = failed[0]
        text = first_line(step.error or "")
        return f"{clean(step.step)}: {text}" if text else f"{clean(step.step)} {clean(step.native or 'failed')}"
    active = [s for s in detail.steps if s.state in (State.RUNNING, State.RETRYING, State.HELD)]
    if active:
        return "step " + ", ".join(clean(s.step) for s in active[:3]) + f" of {len({s.step for s in detail.steps})}"
    if row.state is State.QUEUED:
        return "waits to be started"
    if row.state is State.SUCCESS:
        return "every step ended well"
    return clean(row.sub or row.native or row.state.name.lower())


def meaning(detail: RunDetail, now: int, tz: str, owes: Owes = NOTHING) -> list[Clause]:
    """What it means: what it owes and who waits behind it, then its usual duration, the next run, consumers."""
    row = detail.row
    out: list[Clause] = _owes(owes, tz, now)
    if out:
        pass  # what is owed says when it is done
    elif row.usual_ms is None:
        out.append("usual duration not known yet")
    elif row.state.active and row.started is not None:
        elapsed = now - row.started
        if elapsed > row.usual_ms:
            out.append(
                f"longer than usual: {words.running(elapsed)} against {words.rough(row.usual_ms)} ({words.times(elapsed / max(row.usual_ms, 1))})"
            )
        else:
            out.append(
                f"usually done {words.clock(row.started + row.usual_ms, tz, now)}, after {words.rough(row.usual_ms)}"
            )
    elif row.state.bad or row.state is State.STOPPED:
        out.append(f"if rerun now, usually {words.rough(row.usual_ms)}")
    else:
        out.append(f"usually {words.rough(row.usual_ms)}")
    if detail.mode is Mode.PAUSED:
        out.append("the schedule is paused: no next run")
    elif detail.next_run is not None:
        out.append(f"next run {words.clock(detail.next_run, tz, now)}")
    if detail.consumers and not _consumers(owes):
        out.append("used by " + ", ".join(clean(c) for c in detail.consumers))
    return out


def _owes(owes: Owes, tz: str, now: int) -> list[Clause]:
    """``customer_360 due 06:30`` · ``if rerun now 06:34 ± 5`` · ``had to start by 05:48, 4m ago`` · ``3 consumers``.

    Of a failed run those who wait lead, of any other its own promise.
    """
    row = owes.row
    waits: list[Clause] = []
    if owes.behind:
        first = owes.behind[0]
        late = "" if owes.unseen is not None else owed.lateness(first, now)
        more = f" +{len(owes.behind) - 1} more" if len(owes.behind) > 1 else ""
        due = f"{clean(first.name)} due {words.clock(first.due, tz, now)}"
        waits.append([(due, "text b"), (f" {late}" if late else "", owed.late_style(first)), (more, "dim")])
    out = waits
    if row is not None and owes.unseen is not None and row.state.waiting:
        out = [f"{owed.due_words(row, tz, now)}, not seen since {words.clock(owes.unseen or None, tz, now)}", *waits]
    elif row is not None:
        p = row.prediction
        if waits and p is not None and p.course is Course.RERUN and row.state.unsettled:
            head, _, end = owed.rerun_words(p, tz, now).partition("now ")
            out = [*waits, [(f"{head}now ", "dim"), (end, owed.late_style(row))]]
            out += owed.start_clauses(row, tz, now, ago=True)
        else:
            start = owed.start_clauses(row, tz, now)
            said = [c for c in owed.sentence(row, tz, now) if c not in start]
            out = [*said, *owed.start_clauses(row, tz, now, ago=True), *waits]
    out = [*out, *(owed.source_words(feed, tz, now) for feed in owes.late)]
    if n := _consumers(owes):
        out.append(words.many(n, "consumer"))
    return out


def _consumers(owes: Owes) -> int:
    rows = [*owes.behind, *([owes.row] if owes.row is not None else [])]
    return len({name for row in rows for name in row.consumers})


def offers(detail: RunDetail, cursor: StepRow | None, can: frozenset[str], why_not: dict[str, str]) -> list[Do]:
    """At most three that make sense now, the next step first."""
    row = detail.row
    out: list[Do] = []

    def add(action: str, verb: str, what: str, means: str) -> None:
        locked = None if verb in can else why_not.get(verb, "this system does not offer it")
        out.append(Do(action, what, means, locked))

    if row.state.active:
        add("run.log", "log", "follow its log", "what it says while it runs")
        add("run.stop", "stop", "stop it", "this run ends; the schedule goes on")
        add("run.hold", "release" if row.state is State.HELD else "hold", "release it" if row.state is State.HELD else "hold it", "goes on where it stands" if row.state is State.HELD else "it stands still until released")  # fmt: skip
    elif row.state.bad or row.state in (State.STOPPED, State.WARNING):
        add("run.log", "log", "read the log", "opens at the first error")
        failed = [s for s in detail.steps if s.state.bad or s.state is State.STOPPED]
        step = failed[0] if failed else cursor
        if step is not None and "rerun-from" in can:
            add(
                "run.rerun_failed",
                "rerun-failed",
                f"rerun from {clean(step.step)}",
                f"usually {words.rough(row.usual_ms)} in all",
            )
        add("run.rerun", "rerun", "rerun the whole run", f"usually {words.rough(row.usual_ms)}")
    else:
        add("run.log", "log", "read the log", "of the step under the cursor")
        add("run.rerun", "rerun", "run it again", f"same business date {row.business_date or '–'}")
        add("pipeline.start", "start", "start a new run", "with a business date of your choice")
    return out[:3]


def kind_word(kind: RunKind) -> str:
    return kind.name.lower()


def steps_note(steps: Sequence[StepRow]) -> str:
    """``5 · 2 ok, 2 failed, 1 not run``."""
    last: dict[tuple[str, int], StepRow] = {}
    for step in steps:
        old = last.get((step.step, step.map_index))
        if old is None or step.attempt >= old.attempt:
            last[(step.step, step.map_index)] = step
    groups: dict[str, int] = {}
    for step in last.values():
        if step.state in (State.FAILED, State.TIMED_OUT, State.LOST):
            word = "failed"
        elif step.state is State.SUCCESS:
            word = "ok"
        elif step.state in (State.SKIPPED, State.EXPECTED):
            word = "not run"
        else:
            word = step.state.name.lower().replace("_", " ")
        groups[word] = groups.get(word, 0) + 1
    return f"{len(last)} · " + ", ".join(f"{n} {word}" for word, n in groups.items()) if last else "not read yet"
