"""What is done by a driver's commands: prepared as the exact argv, sent once, and proved by what the driver tells afterwards.

An exit code of 0 proves nothing; a command that was ended, or that failed with a code which does not say that it did nothing,
may have had its effect. Both are found out by asking the driver again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final, Protocol

from adapters.base import Action, Call, Done, NotDone, Prepared, Reconciled, Several
from adapters.commands.argv import fill, places
from adapters.commands.calls import Driver, refuse
from adapters.commands.options import WITH_PARAMETERS, Options, option_of
from adapters.commands.own import GRACE_S
from adapters.commands.wire import RunTold, Told
from adapters.errors import Conflict, NotFound
from adapters.extras import Operation
from adapters.first_error import clean, tidy
from adapters.model import VERBS, Key, KeyOf, Mode, Pipeline, State, Verb
from adapters.parameters import Parameter, read_all

BACKFILLS: Final = (Verb.BACKFILL_PAUSE, Verb.BACKFILL_RESUME, Verb.BACKFILL_CANCEL)
_OF_ONE: Final = (Verb.STOP, Verb.HOLD, Verb.RELEASE)
DRY_RUN_S: Final = 8.0
"""For a dry run: a plan is not waited for longer than ten seconds."""
MOST_DAYS: Final = 3_700
_FROM_TO: Final = (
    Parameter(name="from", type="date", required=True, means="first date"),
    Parameter(name="to", type="date", required=True, means="last date, it counts too"),
)
_ID: Final = Parameter(name="id", means="which backfill, if there are several")


class World(Protocol):
    """What must be asked to prepare and to prove."""

    async def look(self, key: Key) -> Told:
        """All that can be told now about what the key names."""
        ...

    async def operations(self, known: Sequence[str] = ()) -> Sequence[Operation]: ...


def parameters(options: Options, verb: Verb) -> tuple[Parameter, ...]:
    """What a verb asks: what its command has a place for."""
    template = options.acts.get(verb)
    if template is None:
        return ()
    found: tuple[Parameter, ...] = ()
    if verb is Verb.BACKFILL:
        found = _FROM_TO
    elif verb in BACKFILLS:
        found = (_ID,)
    if verb not in WITH_PARAMETERS:
        return found
    named = places(template)
    if verb is Verb.BACKFILL and "dry_run" in options.reads:
        named |= places(options.reads["dry_run"])
    used = {name.partition(":")[2] for name in named if ":" in name}
    return (*found, *(p for name, p in options.parameters.items() if name in used))


def own_run(action: Action) -> str:
    """The name that we give a run which we start."""
    return f"wf-{action.client_id}"


async def prepare(world: World, driver: Driver, options: Options, key: Key, action: Action) -> Prepared:
    verb = action.verb
    given, warnings = read_all(verb.value, parameters(options, verb), action.params)
    values: dict[str, str | None] = {f"param:{n}": v for n, v in given.items()}
    values |= {f"if:{n}": v for n, v in given.items()}
    values |= {"pipeline": key.pipeline, "client_id": action.client_id, "who": action.who or "watchfloor"}
    values |= {"business_date": action.business_date, "run": key.run, "step": key.step}
    values |= {n: given.get(n) for n in ("from", "to", "id")}
    template = options.acts[verb]
    told = await world.look(_looked(verb, key))
    pipeline = told.pipelines.get(key.pipeline)
    if pipeline is None:
        raise NotFound(f"the driver lists no pipeline {clean(key.pipeline, 80)!r}")
    run = told.runs.get(key.run_key or "")
    if VERBS[verb].of is not KeyOf.PIPELINE and run is None:
        raise NotFound(f"the driver lists no run {clean(key.run or '?', 60)!r} of {clean(key.pipeline, 60)!r}")
    memo: dict[str, Any] = {"before": [r.run.key for r in told.of(pipeline.key)][-2000:]}
    notes: list[str] = []
    if verb is Verb.START:
        values["run"] = own_run(action)
        memo["named"] = bool(places(template) & {"run", "client_id"}) or options.own
        if pipeline.mode is Mode.PAUSED:
            notes.append("its schedule is paused; this starts it all the same")
        if not memo["named"]:
            notes.append(
                "the command is told no name for the run: a new one that appears is taken for it once the command has ended well"
            )
        if options.own and (active := [r for r in told.of(pipeline.key) if not r.run.state.terminal]):
            raise Conflict(
                f"{clean(key.pipeline, 80)} is {active[0].run.native} already", "stop that run or wait for its end"
            )
    elif verb in (Verb.PAUSE, Verb.RESUME):
        paused = pipeline.mode is Mode.PAUSED
        refuse(
            (verb is Verb.PAUSE) == paused,
            f"{clean(key.pipeline, 80)} is {'paused already' if paused else 'not paused'}",
        )
    elif verb in (Verb.BACKFILL, *BACKFILLS):
        memo |= await _backfill(world, driver, options, verb, key, pipeline, values, notes)
        if verb is Verb.BACKFILL:
            memo["named"] = "client_id" in places(template) and driver.has("operations")
    elif run is not None:
        _check_run(verb, run.run.state, run.run.native, key)
        memo |= {"attempt": run.run.attempt, "named": "client_id" in places(template)}
    argv = fill(template, values, options.allow_dash)
    effect, proof, undo = _words(verb, key, given, options)
    return Prepared(
        action=action,
        calls=(driver.shown(argv),),
        idempotent=verb in (Verb.PAUSE, Verb.RESUME) or (options.own and verb is Verb.START),
        effect=effect,
        proof=proof,
        undo=undo,
        note="; ".join(notes),
        warnings=tuple(warnings),
        steady=2 if verb is Verb.PAUSE else 1,
        memo=memo | {"values": {n: v for n, v in values.items() if n in ("from", "to", "id")}},
    )


def _looked(verb: Verb, key: Key) -> Key:
    """Of one run where only that matters; else of its pipeline, with all its runs."""
    return key if verb in _OF_ONE else Key(key.source, key.pipeline)


def signal_call(key: Key) -> Call:
    return Call(method="signal", target=f"SIGTERM → the process group of run {key.run}, SIGKILL after {GRACE_S:.0f} s")


def argv_of(options: Options, key: Key, prepared: Prepared) -> list[str]:
    """The same argv once more: it is not kept in the memo, which is stored, for a parameter may be confidential."""
    action = prepared.action
    given, _ = read_all(action.verb.value, parameters(options, action.verb), action.params)
    values: dict[str, str | None] = {f"{kind}:{n}": v for n, v in given.items() for kind in ("param", "if")}
    values |= {"pipeline": key.pipeline, "client_id": action.client_id, "who": action.who or "watchfloor"}
    values |= {"business_date": action.business_date, "step": key.step}
    values |= {"run": own_run(action) if action.verb is Verb.START else key.run}
    values |= prepared.memo["values"]
    return fill(options.acts[action.verb], values, options.allow_dash)


def _check_run(verb: Verb, state: State, native: str, key: Key) -> None:
    name = clean(key.run or "?", 60)
    if verb in (Verb.STOP, Verb.HOLD, Verb.RELEASE):
        refuse(state.terminal, f"run {name} has ended already: {native}")
        refuse(verb is Verb.HOLD and state is State.HELD, f"run {name} is held already")
        refuse(verb is Verb.RELEASE and state is not State.HELD, f"run {name} is not held, it is {native}")
    else:
        refuse(not state.terminal, f"run {name} is {native}: it has not ended", "stop it first")


def _words(verb: Verb, key: Key, given: Mapping[str, str], options: Options) -> tuple[str, str, str]:
    """Effect, proof, undo."""
    name, run = clean(key.pipeline, 100), clean(key.run or "", 60)
    undo_of = {Verb.PAUSE: Verb.RESUME, Verb.RESUME: Verb.PAUSE, Verb.HOLD: Verb.RELEASE, Verb.RELEASE: Verb.HOLD}
    undo_of |= {Verb.BACKFILL: Verb.BACKFILL_CANCEL, Verb.BACKFILL_PAUSE: Verb.BACKFILL_RESUME}
    back = undo_of.get(verb)
    undo = back.value if back is not None and back in options.acts else "stop that run" if verb is Verb.START else ""
    new = f"a run of {name} that was not there before"
    match verb:
        case Verb.START:
            return (
                f"one run of {name}",
                "the run is there and has begun" if options.own else f"the driver tells of {new}",
                undo,
            )
        case Verb.PAUSE:
            return f"no new scheduled runs of {name}", "the driver tells that it is paused, twice in a row", undo
        case Verb.RESUME:
            return f"scheduled runs of {name} again", "the driver tells that it is not paused", undo
        case Verb.HOLD:
            return f"run {run} stands still", "the driver tells that it is held", undo
        case Verb.RELEASE:
            return f"run {run} goes on", "the driver tells that it runs", undo
        case Verb.STOP:
            return f"run {run} of {name} ends", "the run has ended", ""
        case Verb.BACKFILL:
            return (
                f"{name} again for {given['from']} to {given['to']}",
                "the driver tells of a new backfill of these dates",
                undo,
            )
        case Verb.BACKFILL_PAUSE | Verb.BACKFILL_RESUME | Verb.BACKFILL_CANCEL:
            what = {Verb.BACKFILL_PAUSE: "starts no further runs", Verb.BACKFILL_RESUME: "goes on"}.get(verb, "ends")
            return f"the backfill of {name} {what}", "the driver tells that of it", undo
        case _:
            what = {Verb.RERUN_FAILED: "what failed of it", Verb.RERUN_FROM: f"from {clean(key.step or '', 60)} on"}
            return (
                f"run {run} of {name} again: {what.get(verb, 'all of it')}",
                f"the driver tells of {new}, or of a new try",
                "",
            )


async def _backfill(
    world: World, driver: Driver, options: Options, verb: Verb, key: Key, pipeline: Pipeline,
    values: dict[str, str | None], notes: list[str],
) -> dict[str, Any]:  # fmt: skip
    there = [o for o in await world.operations() if o.pipeline == pipeline.key] if driver.has("operations") else []
    if verb is not Verb.BACKFILL:
        one = _which(there, values.get("id"), key)
        refuse(one.state.terminal, f"backfill {clean(one.id, 40)} is over")
        held = one.state is State.HELD
        refuse(verb is Verb.BACKFILL_PAUSE and held, f"backfill {clean(one.id, 40)} is paused already")
        refuse(verb is Verb.BACKFILL_RESUME and not held, f"backfill {clean(one.id, 40)} is not paused")
        values["id"] = one.id
        done = f"{one.done} of {one.planned}" if one.done is not None and one.planned else ""
        notes.append(f"{one.first or '?'} to {one.last or '?'}" + (f", {done} done so far" if done else ""))
        return {"operation": one.id}
    first, last = date.fromisoformat(values["from"] or ""), date.fromisoformat(values["to"] or "")
    refuse(last < first, f"to = {last} is before from = {first}: the first date comes first")
    days = (last - first).days + 1
    refuse(days > MOST_DAYS, f"{days:,} days at once are not meant: at most {MOST_DAYS:,}")
    if active := next((o for o in there if not o.state.terminal), None):
        notes.append(f"backfill {clean(active.id, 40)} ({active.first or '?'} to {active.last or '?'}) is not over yet")
    notes.append(f"{days} day{'s' * (days > 1)}, both ends count")
    if driver.has("dry_run"):
        argv = fill(options.reads["dry_run"], values, options.allow_dash)
        limit = min(options.timeout, DRY_RUN_S)
        ran = await driver.try_("dry_run", argv, timeout_s=limit)
        if ran.code is not None and ran.code > 0 and not ran.flooded:
            raise Conflict(driver.words(f"its dry run refuses: {driver.end_words(ran)}"))
        driver.refuse("dry_run", ran, limit)
        said = [driver.words(t) for t in map(tidy, driver.hide(ran.out).decode("utf-8", "replace").splitlines()) if t]
        more = f" … and {len(said) - 6} lines more" if len(said) > 6 else ""
        notes.append(f"dry run: {' · '.join(said[:6])}{more}" if said else "its dry run said nothing")
    return {"before_ops": [o.id for o in there]}


def _which(there: Sequence[Operation], ident: str | None, key: Key) -> Operation:
    if ident:
        found = [o for o in there if o.id == ident]
        if not found:
            raise NotFound(f"the driver tells of no backfill {clean(ident, 40)!r} of {clean(key.pipeline, 60)}")
        return found[0]
    active = [o for o in there if not o.state.terminal]
    refuse(not active, f"no backfill of {clean(key.pipeline, 60)} is under way")
    names = ", ".join(clean(o.id, 30) for o in active[:5])
    refuse(len(active) > 1, f"{len(active)} backfills are under way: say which with id: {names}")
    return active[0]


# --- proved -------------------------------------------------------------------------------------------------------------


async def reconcile(
    world: World, options: Options, key: Key, prepared: Prepared, made: str | None, ended_well: bool
) -> Reconciled:
    """What the driver tells now. ``made``: the run that its command named itself when it was sent, if it did.

    ``ended_well``: the command is known to have. Else a new run that nobody named may as well be somebody else's."""
    action, memo = prepared.action, prepared.memo
    verb = action.verb
    if verb in BACKFILLS or (verb is Verb.BACKFILL and "operations" in options.reads):
        return _operation(action, memo, [o for o in await world.operations() if o.pipeline == key.pipeline_key])
    told = await world.look(_looked(verb, key))
    if verb in (Verb.PAUSE, Verb.RESUME):
        pipeline = told.pipelines.get(key.pipeline)
        if pipeline is None:
            return NotDone("the driver lists it no more")
        paused = pipeline.mode is Mode.PAUSED
        said = "paused" if paused else "not paused"
        return Done(f"it is {said}") if paused == (verb is Verb.PAUSE) else NotDone(f"it is still {said}")
    run = told.runs.get(key.run_key or "")
    if verb in (Verb.STOP, Verb.HOLD, Verb.RELEASE):
        return _of_run(verb, run)
    before = set(memo.get("before", ()))
    new = [r for r in told.of(key.pipeline_key) if r.run.key not in before and not r.scheduled]
    if (
        verb in (Verb.RERUN, Verb.RERUN_FAILED, Verb.RERUN_FROM)
        and run is not None
        and run.run.attempt > memo["attempt"]
    ):
        return _begun(run, f"it is at try {run.run.attempt}")
    wanted = own_run(action)
    mine = [r for r in new if r.run.client_id in (action.client_id, wanted) or r.run.key.endswith(f"/{wanted}")]
    if made is not None:
        mine = [r for r in new if r.run.key == made] or mine
    elif not memo.get("named"):
        mine = mine or [r for r in new if r.run.client_id is None]  # what another action named is another's
        if mine and mine[0].run.client_id is None and not ended_well:
            said = (
                "1 new run of it is there and has"
                if len(mine) == 1
                else f"{len(mine)} new runs of it are there and have"
            )
            return Several(
                f"{said} no name of ours: the driver does not tell who made it", tuple(r.run.key for r in mine)
            )
    if not mine:
        return NotDone("no new run of it is there")
    if len(mine) > 1 and verb is not Verb.BACKFILL:
        return Several(f"{len(mine)} new runs of it are there", tuple(r.run.key for r in mine))
    return _begun(mine[0], f"{len(mine)} new runs are there" if len(mine) > 1 else "the run is there")


def _begun(told: RunTold, words: str) -> Reconciled:
    run = told.run
    if run.state is State.QUEUED:
        return NotDone(f"{words}, {run.native} still", begun=True)
    return Done(f"{words}: {run.native}", run.key)


def stopped(told: RunTold | None) -> Reconciled:
    return _of_run(Verb.STOP, told)


def _of_run(verb: Verb, told: RunTold | None) -> Reconciled:
    if told is None:
        return NotDone("the driver tells of that run no more, nor how it ended")
    run = told.run
    if verb is Verb.STOP:
        if run.state.terminal:
            return Done(f"it has ended: {run.native}", run.key)
        return NotDone(f"it is still {run.native}", begun=run.state is State.STOPPING)
    if run.state.terminal:
        return NotDone(f"it has ended meanwhile: {run.native}", final=True)
    held = run.state is State.HELD
    return Done(f"it is {run.native}", run.key) if held == (verb is Verb.HOLD) else NotDone(f"it is still {run.native}")


def _operation(action: Action, memo: Mapping[str, Any], there: Sequence[Operation]) -> Reconciled:
    if action.verb is Verb.BACKFILL:
        new = [o for o in there if o.id not in set(memo.get("before_ops", ()))]
        values: Mapping[str, Any] = memo.get("values", {})
        mine = [o for o in new if o.who in (action.client_id, own_run(action))]
        if not mine and not memo.get("named"):
            mine = [o for o in new if (o.first, o.last) == (values.get("from"), values.get("to"))]
        if len(mine) > 1:
            return NotDone(f"{len(mine)} new backfills of these dates are there: which is ours cannot be told")
        if not mine:
            return NotDone("no new backfill of these dates is there")
        return Done(f"backfill {clean(mine[0].id, 40)} is {mine[0].state.name.lower()}")
    one = next((o for o in there if o.id == memo.get("operation")), None)
    if one is None:
        return NotDone("the driver tells of that backfill no more")
    word = one.state.name.lower()
    if action.verb is Verb.BACKFILL_CANCEL:
        return Done(f"it is over: {word}") if one.state.terminal else NotDone(f"it is still {word}")
    if one.state.terminal:
        return NotDone(f"it is over meanwhile: {word}", final=True)
    held = one.state is State.HELD
    return Done(f"it is {word}") if held == (action.verb is Verb.BACKFILL_PAUSE) else NotDone(f"it is still {word}")


def why_not(options: Options) -> dict[str, str]:
    """Of each verb that no command is described for, why it is greyed."""
    out = {v.value: f"no command is described for it: add options.{option_of(v)}" for v in Verb}
    out[Verb.MARK] = "a driver's commands say how a run ended; nothing declares it otherwise"
    if options.own:
        out |= {v.value: "without options.list or options.status nothing could prove it" for v in options.acts}
        out |= {v.value: "its runs are processes started here: start it again" for v in (Verb.RERUN, Verb.RERUN_FAILED)}
    for verb in BACKFILLS:
        if verb in options.acts:
            out[verb] = "it cannot be proved without options.operations"
    return out
