"""Rule ``failed-run``: a run that ended badly opens one alert a pipeline and business date; a later success ends it. Of a source
whose runs never end well (streams) it ends when the pipeline runs again.

Not for history, not for what was made up, not for our own stops, not while the source tries again, and not for what had
failed before this engine first knew the source.
"""

from __future__ import annotations

from adapters.model import Run, State, parse_key
from engine.alerts import owed_parts
from engine.alerts.lifecycle import Finding, Lifecycle, dedup
from engine.config.model import Facts, matches
from engine.notify import message
from engine.notify.message import Story
from engine.store import alerts as rows
from engine.store import alerts_owed
from engine.store.alerts import Alert, PipelineFacts
from engine.store.runs import RunChange
from engine.store.writer import Tx

RULE = rows.FAILED_RUN
WAIT_FOR_WHY_MS = 4_000
"""A failure without an error yet waits this long before it is told: its log is being read."""
_DATELESS = "run:"
_WORD = {State.TIMED_OUT: "timed out", State.LOST: "was lost", State.MISSED: "did not run"}


def moment(change: RunChange, now: int) -> int:
    """When what this change tells of happened, by the source's clock where it says so."""
    run = change.run
    for at in (run.ended, run.source_updated, run.started, run.queued):
        if at is not None:
            return at
    return now


def not_failed(tx: Tx, life: Lifecycle, change: RunChange) -> None:
    """A changed run that is not bad, of a pipeline with an open alert."""
    if change.after is State.SUCCESS:
        if change.before is not State.SUCCESS or change.new_attempt:
            _succeeded(tx, life, change)
    elif change.after is State.WARNING and change.before is not State.LOST:
        if change.before is not State.WARNING:
            _half_well(tx, change)
    elif change.before is not None and change.before.bad and not change.new_attempt:
        _after_all(tx, life, change)
    elif change.after is State.RUNNING and change.before is not State.RUNNING and rows.streams(tx, change.source_id):
        _goes_on(tx, life, change)


def occurrence(run: Run) -> str:
    """The business date, or the run itself where it has none."""
    return run.business_date or f"{_DATELESS}{parse_key(run.key).run}"


def facts(known: PipelineFacts, key: str) -> Facts:
    return Facts(
        key=key,
        source=known.source,
        environment=known.environment,
        application=known.application,
        layer=known.layer,
        tags=known.tags,
    )


def failed(tx: Tx, life: Lifecycle, change: RunChange, first_seen: int) -> None:
    """A changed run that is bad. What had ended before ``first_seen`` is no news."""
    run = change.run
    known = rows.pipeline(tx, change.pipeline_id)
    if known is None:
        return
    repeated = change.before is not None and change.before.bad and not change.new_attempt
    alert = next((found for found, of in alerts_owed.failures(tx, known.key) if of == occurrence(run)), None)
    if alert is not None:
        if alert.run_key == run.key or not repeated:
            life.reword(tx, alert, _story(tx, known, change, life), tx.now)
        if not repeated:
            rows.update(tx, alert.id, run_key=run.key)
            rows.event(tx, alert.id, "failed again", detail=f"{parse_key(run.key).run}, attempt {run.attempt}")
        return
    if repeated:
        return  # known for bad before; whatever else is now known of it is no news
    when = moment(change, tx.now)
    if change.before is None and when - rows.skew(tx, change.source_id) < first_seen:
        return  # it was over before anybody watched
    if rows.later_success(tx, change.pipeline_id, _yyyymmdd(run.business_date), when) is not None:
        return
    late = owed_parts.failure_joins(tx, known.key, run.business_date, run.key) or rows.open_by_dedup(
        tx, dedup(RULE, known.key, occurrence(run))
    )  # the second: its failure was over, and something that is owed goes on
    if late is not None:
        _join(tx, life, late, known, change)
        return
    found = Finding(
        rule=RULE, key=known.key, occurrence=occurrence(run), severity=known.criticality, since=when, run_key=run.key,
        story=_story(tx, known, change, life), facts=facts(known, run.key),
    )  # fmt: skip
    life.open(tx, found, wait_ms=0 if run.error else WAIT_FOR_WHY_MS)


def _join(tx: Tx, life: Lifecycle, alert: Alert, known: PipelineFacts, change: RunChange) -> None:
    """What is owed for that date had an alert already: the failure is its cause, and the next message of the same alert."""
    run = change.run
    owed_parts.raised(tx, life, alert, known.criticality)
    rows.update(tx, alert.id, failure=occurrence(run), run_key=run.key, parent=None, told_with=None)
    story = _story(tx, known, change, life)
    rows.event(tx, alert.id, "failed", detail=story.title)
    alert = life.reword(tx, rows.get(tx, alert.id) or alert, story, tx.now)
    life.tell(tx, alert, facts(known, run.key), "escalate", wait_ms=0 if run.error else WAIT_FOR_WHY_MS)


def _succeeded(tx: Tx, life: Lifecycle, change: RunChange) -> None:
    run = change.run
    known = rows.pipeline(tx, change.pipeline_id)
    if known is None:
        return
    for alert, of in alerts_owed.failures(tx, known.key):
        dateless = of.startswith(_DATELESS)
        if not dateless and of != run.business_date:
            continue  # another date's success proves nothing for this one
        if alert.run_key != run.key:
            bad = rows.bad_end(tx, change.pipeline_id, parse_key(alert.run_key).run or "")
            if run.ended is not None and run.ended < (alert.since if bad is None else bad):
                continue  # it succeeded before the failure
        about = facts(known, run.key)
        verified = not any(rule.done_when and matches(rule.match, about) for rule in life.ctx.config.pipelines)
        owed_parts.success(tx, life, alert, run.ended, _evidence(alert, run), about, verified=verified)


def _evidence(alert: Alert, run: Run) -> str:
    name = parse_key(run.key).run
    how = f"attempt {run.attempt} of {name} succeeded" if alert.run_key == run.key else f"{name} succeeded"
    return how + (f" for business date {run.business_date}" if run.business_date else "")


def _half_well(tx: Tx, change: RunChange) -> None:
    """Finished with warnings: said in the history, and no proof that what is owed is there."""
    known = rows.pipeline(tx, change.pipeline_id)
    if known is None:
        return
    for alert, of in alerts_owed.failures(tx, known.key):
        if of == occurrence(change.run):
            rows.event(
                tx,
                alert.id,
                "finished with warnings",
                detail=f"{parse_key(change.run.key).run}: does not end this alert",
            )


def _after_all(tx: Tx, life: Lifecycle, change: RunChange) -> None:
    """It had not failed: the lost one is seen again, or the stop was ours."""
    run = change.run
    known = rows.pipeline(tx, change.pipeline_id)
    for alert, _ in alerts_owed.failures(tx, known.key) if known else ():
        if known and alert.run_key == run.key:
            by = f" by {run.stopped_by}" if run.stopped_by else ""
            proof = f"{parse_key(run.key).run} is {change.after.name.lower()}{by} after all"
            owed_parts.not_failed(tx, life, alert, proof, facts(known, run.key))


def _goes_on(tx: Tx, life: Lifecycle, change: RunChange) -> None:
    """A stream has no better end than to run."""
    known = rows.pipeline(tx, change.pipeline_id)
    for alert, _ in alerts_owed.failures(tx, known.key) if known else ():
        if known:
            proof = f"{parse_key(change.run.key).run} runs again"
            owed_parts.not_failed(tx, life, alert, proof, facts(known, change.run.key))


def _story(tx: Tx, known: PipelineFacts, change: RunChange, life: Lifecycle) -> Story:
    run, timezone = change.run, life.ctx.config.timezone
    native = parse_key(run.key).run or ""
    word = _WORD.get(change.after, "failed")
    step = rows.failed_step(tx, change.run_id)
    error = run.error or (step[1] if step else None) or ""
    why = error or (f"in {step[0]}" if step else "") or run.sub or f"its source says {run.native}"
    return Story(
        object=known.name, fact=f"{word}: {why}", environment=known.environment, source=known.source, business_date=run.business_date,
        now=_now(tx, known, run, native, word, step[0] if step else None, error, timezone),
        impact=_impact(known),
        do=_do(known, run),
        ends=_ends(tx, change),
    )  # fmt: skip


def _ends(tx: Tx, change: RunChange) -> str:
    if rows.streams(tx, change.source_id):
        return "the first look at which it runs again"
    date = change.run.business_date
    return f"a later success for business date {date}" if date else "any later success of this pipeline"


def _now(
    tx: Tx, known: PipelineFacts, run: Run, native: str, word: str, step: str | None, error: str, timezone: str
) -> str:
    parts = [f"run {native} {word}"]
    if run.ended is not None:
        parts.append(f"at {message.clock_time(run.ended, timezone)}")
    if run.started is not None and run.ended is not None:
        parts.append(f"after {message.length(run.ended - run.started)}")
        usual = rows.usual_ms(tx, known.id)
        if usual:
            parts.append(f"(usually {message.length(usual)})")
    if step:
        parts.append(f"in {step}")
    text = " ".join(parts)
    if run.attempt > 1:
        text += f", attempt {run.attempt}"
    if run.exit_code is not None and f"exit {run.exit_code}" not in error:
        text += f", exit {run.exit_code}"
    return text + (f". Error: {error}" if error else ". No error text is known yet")


def _impact(known: PipelineFacts) -> str:
    if known.consumers:
        count = len(known.consumers)
        return f"{count} consumer{'s' if count > 1 else ''}: {message.names(known.consumers)}"
    return f"criticality {known.criticality.name.lower()}; no consumer is configured"


def _do(known: PipelineFacts, run: Run) -> str:
    parts = [f"runbook {known.runbook}"] if known.runbook else []
    parts.append(f"log: watchfloor logs {message.quoted(run.key)}")
    if known.owner:
        parts.append(f"owner {known.owner}")
    return " · ".join(parts)


def _yyyymmdd(date: str | None) -> int | None:
    return int(date.replace("-", "")) if date else None
