"""How a change of what is owed reads: as an alert, in a list, in a sentence, and what ends it. Words only, nothing is decided here.

Times are in the zone of the promise, which is named where it is not that of the configuration: people know a deadline by
the time it bears.
"""

from __future__ import annotations

from typing import Final

from adapters.model import Course, Owed
from engine.notify import message
from engine.notify.message import Story
from engine.owed.bound import APART, OwedChange
from engine.owed.wording import span, time_words
from engine.store.alerts import PipelineFacts

_LATE: Final = {
    "finish_by": "late",
    "start_by": "did not start",
    "schedule": "did not start",
    "overdue": "overdue",
    "sequence": "out of order",
    "completeness": "incomplete",
    "heartbeat": "silent",
    "source_arrival": "late",
    "max_duration": "runs too long",
    "duration_anomaly": "unusual duration",
    "runaway": "runs away",
    "freshness": "not fresh",
    "metric": "out of its limits",
    "resource": "short",
    "volume": "unusual volume",
    "reconcile": "does not agree",
    "quota": "quota used up",
    "budget": "over budget",
    "forecast": "fills up",
}
_ENDS: Final = {
    "finish_by": "a success, or a waiver",
    "start_by": "its start, or a waiver",
    "schedule": "its start, or a waiver",
    "overdue": "its next success",
    "sequence": "a run after its upstream, or a waiver",
    "completeness": "a success of each that is missing, or a waiver",
    "heartbeat": "the next sign of life",
    "source_arrival": "its arrival, or a waiver",
    "max_duration": "the end of this run",
    "duration_anomaly": "the end of this run",
    "runaway": "the end of this run, or progress",
    "freshness": "something newer, or a waiver",
    "metric": "two readings within its limits, or a waiver",
    "resource": "two readings within its limits, or a waiver",
    "volume": "the next usual volume, or a waiver",
    "reconcile": "both in agreement, or a waiver",
    "quota": "its next period, or a waiver",
    "budget": "its next period, or a waiver",
    "forecast": "room again, or a waiver",
}
_DONE: Final = {"finish_by": "finished", "start_by": "started", "source_arrival": "arrived"}


def name(change: OwedChange, known: PipelineFacts | None) -> str:
    """The thing, as people call it."""
    return message.plain(known.name if known else change.after.on.partition(":")[2] or change.after.on, 80)


def clock(change: OwedChange, at: int, beside: int | None = None) -> str:
    one = change.after
    return time_words(one.zone, at, one.due_at if beside is None else beside)


def due(change: OwedChange, timezone: str) -> str:
    """``due 06:00``, ``due 06:00 America/New_York``."""
    one = change.after
    return f"due {time_words(one.zone, one.due_at)}" + ("" if one.zone == timezone else f" {one.zone}")


def listed(change: OwedChange, known: PipelineFacts | None) -> str:
    """``board_report 07:00``."""
    return f"{name(change, known)} {time_words(change.after.zone, change.after.due_at)}"


def outlook(change: OwedChange, *, start: bool = True) -> str:
    """What prediction says, in one clause: must start by, predicted, if rerun now, longer than all; "" where it says nothing."""
    said = change.prediction
    if said is None:
        return ""
    match said.course:
        case Course.RERUN if said.p50 is not None:
            give = "" if said.spread is None else f" ± {span(max(said.spread, 1000))}"
            return f"if rerun now {clock(change, said.p50)}{give}"
        case Course.OVERRUN:
            return f"longer than all {said.n} known"
        case Course.RUNNING if said.p50 is not None and said.p90 is not None:
            return _predicted(change, said.p50, said.p90)
        case Course.WAITING | Course.LEARNING:
            if start and said.latest_start is not None:
                return f"must start by {clock(change, said.latest_start)}"
            if said.p50 is not None and said.p90 is not None:
                return _predicted(change, said.p50, said.p90)
        case _:
            pass
    return ""


def _predicted(change: OwedChange, p50: int, p90: int) -> str:
    return f"predicted {clock(change, p50)} (p50), {clock(change, p90)} (p90)"


def fact(change: OwedChange, timezone: str) -> str:
    """``late — due 06:00, predicted 06:14 (p50), 06:26 (p90)``, ``at risk — due 06:00, must start by 05:04``.

    Of what nobody sees any more what it was, marked: ``? at risk — due 06:00, not seen since 05:52``.
    """
    one = change.after
    if one.state is Owed.UNKNOWN:
        seen = one.reason.partition(", it was")[0].partition("; ")[0]
        return f"{_was(change)} — {seen}" if _apart(change) else f"{_was(change)} — {due(change, timezone)}, {seen}"
    if _apart(change):
        return f"{'at risk' if one.state is Owed.AT_RISK else _LATE[one.type]} — {one.reason}"
    when = due(change, timezone)
    if one.state is Owed.AT_RISK:
        return f"at risk — {when}, {outlook(change) or one.reason}"
    said = outlook(change, start=False) or _without_due(one.reason)
    return f"{_LATE.get(one.type, 'late')} — {when}" + (f", {said}" if said else "")


def _was(change: OwedChange) -> str:
    """``? at risk``, ``? late``: as it was known last."""
    return "? at risk" if change.before is Owed.AT_RISK else f"? {_LATE.get(change.after.type, 'late')}"


def _without_due(reason: str) -> str:
    """``due 06:00: not started`` → ``not started``."""
    return reason.partition(": ")[2] if reason.startswith("due ") else reason


def headline(change: OwedChange, timezone: str) -> str:
    """``deadline broken: due 06:00``."""
    return f"{_word(change)}: {_due_or_reason(change, timezone)}"


def details(change: OwedChange, timezone: str) -> str:
    """``due 06:00, if rerun now 06:12 ± 9m``."""
    said = "" if _apart(change) else outlook(change, start=change.after.state is Owed.AT_RISK)
    return _due_or_reason(change, timezone) + (f", {said}" if said else "")


def short(change: OwedChange, timezone: str) -> str:
    """``at risk: due 06:00, if rerun now 06:12 ± 9m``, ``deadline broken: due 06:00``: for an alert that it joins."""
    return f"{_word(change)}: {details(change, timezone)}"


def _apart(change: OwedChange) -> bool:
    return change.after.type in APART


def _word(change: OwedChange) -> str:
    one = change.after
    if one.state is Owed.UNKNOWN:
        word = _was(change)
    elif one.state is Owed.AT_RISK:
        word = "at risk"
    elif _apart(change):
        return _LATE[one.type]
    else:
        word = "deadline broken" if change.alerting else "deadline passed"
    return word if one.type == "finish_by" else f"{word} ({one.type.replace('_', ' ')})"


def _due_or_reason(change: OwedChange, timezone: str) -> str:
    return message.plain(change.after.reason, 120) if _apart(change) else due(change, timezone)


def story(change: OwedChange, known: PipelineFacts | None, timezone: str, cause: str = "") -> Story:
    """The whole of it. ``cause``: what upstream makes it so, as people call it."""
    one = change.after
    return Story(
        object=name(change, known),
        fact=fact(change, timezone),
        environment=known.environment if known else "",
        source=known.source if known else one.on,
        business_date=one.business_date or None,
        now=_now(change, cause),
        impact=_impact(change, known),
        do=_do(change, known),
        ends=_ENDS.get(one.type, "that it is done, or a waiver"),
    )


def _now(change: OwedChange, cause: str) -> str:
    said, parts = change.prediction, [change.after.reason or "no more is known"]
    if change.after.state is Owed.AT_RISK or change.after.state is Owed.BREACHED:
        guess = outlook(change)
        if guess and guess not in parts[0]:
            parts.append(guess)
    if said is not None and said.late is not None and change.after.state is Owed.AT_RISK:
        parts.append(f"P(late) {probability(said.late)} from {said.n} runs")
    if cause:
        parts.append(f"because of {cause}")
    if change.bound.words:
        parts.append(f"owed: {change.bound.words}" + ("" if change.bound.declared else " (not configured, learnt)"))
    return ". ".join(parts)


def _impact(change: OwedChange, known: PipelineFacts | None) -> str:
    consumers = change.bound.consumers or (known.consumers if known else ())
    if consumers:
        return f"{len(consumers)} consumer{'s' if len(consumers) > 1 else ''}: {message.names(consumers)}"
    return f"severity {change.bound.severity.name.lower()}; no consumer is configured"


def _do(change: OwedChange, known: PipelineFacts | None) -> str:
    runbook = change.bound.runbook or (known.runbook if known else None)
    parts = [f"runbook {runbook}"] if runbook else []
    if change.run_key and _tells(change):
        parts.append(f"log: watchfloor logs {message.quoted(change.run_key)}")
    if change.prediction is not None and change.prediction.course is Course.RERUN:
        parts.append(outlook(change))
    if known and known.owner:
        parts.append(f"owner {known.owner}")
    return " · ".join(part for part in parts if part) or _first_step(change, known)


def _tells(change: OwedChange) -> bool:
    """Whether the log of that run helps: of a set only the run of somebody who is missing."""
    if change.after.type != "completeness" or not change.run_key:
        return True
    pipeline = change.run_key.partition("/")[0].partition(":")[2]
    return pipeline in change.after.reason.partition("missing ")[2].split(", ")


def _first_step(change: OwedChange, known: PipelineFacts | None) -> str:
    """What somebody with a telephone in the hand does or asks for, where neither a runbook, a run nor an owner is known."""
    one = change.after
    if one.type == "heartbeat":
        beat = one.on.partition(":")[2]
        return f"look where {beat} runs; the next `watchfloor ping {beat} ok` ends this"
    if one.type == "source_arrival":
        return "ask who sends it; this ends when it is there"
    if one.type == "completeness":
        return "see to those that are missing; watchfloor show deadlines has all of them"
    if one.on.startswith("series:"):
        return f"see its curve: watchfloor show hosts, and what it measures: {message.quoted(one.on.partition(':')[2])}"
    if known is not None and one.type in ("start_by", "finish_by", "schedule", "overdue"):
        return f"see why it did not start, or start it: watchfloor act start {message.quoted(one.on)}"
    return f"see what it waits for: watchfloor show deadlines --filter {message.quoted(one.on.partition(':')[2])}"


def probability(value: float) -> str:
    """``0.2``, ``0.35``."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def evidence(change: OwedChange) -> str:
    """What ends it: ``finished 06:14, 14m late``, ``P(late) is 0.2 now: done by 05:48``, ``waived by ana: …``."""
    one, said = change.after, change.prediction
    if one.state.waiting:
        if said is None or said.late is None:
            return f"no longer at risk: {one.reason}" if one.reason else "no longer at risk"
        done = f": done by {clock(change, said.p50)}" if said.p50 is not None else ""
        return f"P(late) is {probability(said.late)} now{done}"
    if one.met_at is not None and one.type in _DONE:
        words = f"{_DONE[one.type]} {clock(change, one.met_at)}"
        if one.state is Owed.MET_LATE and one.lateness_ms is not None:
            return f"{words}, {span(one.lateness_ms)} late"
        return f"{words}, {due(change, one.zone)}"
    return one.reason or one.state.name.lower().replace("_", " ")
