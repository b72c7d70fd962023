"""What is done to DSS: the exact calls, how they are sent, and how the world is asked whether they took effect.

DSS knows no client-chosen id. A run that we start carries the action's id among its trigger parameters, which its runs
tell; where a DSS does not tell them, what a lost answer did is left to a person rather than guessed.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

import msgspec

from adapters.base import (
    Action,
    Call,
    Done,
    NotDone,
    NotSent,
    Prepared,
    Reconciled,
    SendResult,
    Sent,
    Several,
)
from adapters.dataiku import steps as run_steps
from adapters.dataiku.dss import API, DssHttp, KeyAuth, project_path, scenario_path, segment
from adapters.dataiku.wire import (
    OURS,
    OURS_AGAIN,
    Fired,
    Light,
    RunForTrigger,
    ScenarioRun,
    Settings,
    native_id,
    outcome,
    text,
)
from adapters.errors import AdapterError, Conflict, NotFound, Unsupported
from adapters.http import Answer
from adapters.model import Key, Verb, parse_key, pipeline_key, run_key
from adapters.shared import not_taken

VERBS: Final = (Verb.START, Verb.PAUSE, Verb.RESUME, Verb.STOP, Verb.RERUN)
WHY_NOT: Final[Mapping[str, str]] = {
    Verb.HOLD: "Dataiku cannot hold a run; pause stops its scenario from starting further runs",
    Verb.RELEASE: "Dataiku cannot hold a run",
    Verb.RERUN_FAILED: "Dataiku runs a scenario as a whole only; rerun does that",
    Verb.RERUN_FROM: "Dataiku runs a scenario as a whole only; rerun does that",
    Verb.MARK: "Dataiku's outcomes cannot be changed",
    Verb.BACKFILL: "Dataiku has no backfill; one partition is built by start of a dataset (options.builds)",
    Verb.BACKFILL_PAUSE: "Dataiku has no backfill",
    Verb.BACKFILL_RESUME: "Dataiku has no backfill",
    Verb.BACKFILL_CANCEL: "Dataiku has no backfill",
    "operations": "Dataiku has no backfill",
    "metrics-past": "the shape of Dataiku's history of metrics is documented nowhere",
}
_BACK_MS: Final = 5_000
_LOOK_BACK: Final = 20
_WRITABLE: Final = ("active", "checklists", "description", "shortDesc", "tags")
_PART: Final = "[^/]+"
_KNOWN: Final = (
    ("POST", re.compile(f"{API}/projects/{_PART}/scenarios/{_PART}/(?:run|abort)")),
    ("PUT", re.compile(f"{API}/projects/{_PART}/scenarios/{_PART}/light")),
    ("POST", re.compile(f"{API}/projects/{_PART}/jobs/")),
    ("POST", re.compile(f"{API}/projects/{_PART}/jobs/{_PART}/abort")),
)


def call(http: DssHttp, method: str, path: str, body: Any = None) -> Call:
    """One call as it is shown and sent; Conflict for one that is not among the few known here."""
    if not known(method, path):
        raise Conflict(f"{method} {path} is no call that is made here")
    auth = http.auth.shown if isinstance(http.auth, KeyAuth) else "****"
    headers = {"Authorization": auth, "Content-Type": "application/json"}
    return Call(method=method, target=http.url(path), body=body, headers=headers)


def known(method: str, path: str) -> bool:
    return any(method == m and shape.fullmatch(path) for m, shape in _KNOWN)


async def last_runs(http: DssHttp, project: str, scenario: str, limit: int) -> tuple[list[ScenarioRun], Answer]:
    path = f"{scenario_path(project, scenario)}/get-last-runs"
    return await http.get(path, list[ScenarioRun], {"limit": limit, "onlyFinishedRuns": "false"})


# --- prepare --------------------------------------------------------------------------------------------------------


async def prepare(http: DssHttp, project: str, scenario: str, key: Key, action: Action, date_param: str) -> Prepared:
    """Reads the thing again and works out the calls. Conflict where it makes no sense now, NotFound, Unsupported."""
    match action.verb:
        case Verb.PAUSE | Verb.RESUME:
            return await _prepare_active(http, project, scenario, action)
        case Verb.START:
            return await _prepare_start(http, project, scenario, action, dict(action.params), date_param)
        case Verb.STOP | Verb.RERUN:
            if key.run is None:
                raise Unsupported(f"{key} is a scenario; this needs one of its runs")
            found = await run_steps.details(http, project, scenario, key.run)
            if action.verb is Verb.STOP:
                return _prepare_stop(http, project, scenario, action, found.scenario_run)
            if found.scenario_run.active:
                raise Conflict("the run still goes on: stop it first")
            params = {**(found.scenario_run.params or {}), **action.params, OURS_AGAIN: key.run}
            params.pop(OURS, None)
            told = found.scenario_run.params is not None
            note = "" if told else "DSS does not tell the parameters of that run: it runs without them"
            return await _prepare_start(http, project, scenario, action, params, date_param, note)
        case _:
            raise Unsupported(WHY_NOT.get(action.verb, f"{action.verb} is not offered for Dataiku"))


async def _prepare_start(
    http: DssHttp,
    project: str,
    scenario: str,
    action: Action,
    params: dict[str, Any],
    date_param: str,
    note: str = "",
) -> Prepared:
    if OURS in action.params or OURS_AGAIN in action.params:
        raise Conflict(f"the parameter {OURS!r} is Watchfloor's own: it says which run is this one")
    path = scenario_path(project, scenario)
    await http.get(f"{path}/light", Light)  # NotFound where there is no such scenario
    runs, answer = await last_runs(http, project, scenario, _LOOK_BACK)
    if any(r.active for r in runs):
        raise Conflict(f"{native_id(project, scenario)} is running: Dataiku cancels a second run; stop that one first")
    if action.business_date is not None:
        try:
            params[date_param] = date.fromisoformat(action.business_date).isoformat()
        except ValueError:
            raise Conflict(f"{action.business_date!r} is not a business date: expected YYYY-MM-DD") from None
    params[OURS] = action.client_id
    try:
        body = msgspec.to_builtins(params, str_keys=True)
    except (TypeError, ValueError):
        raise Conflict("the parameters cannot be written as JSON") from None
    again = "again, as a whole" if action.verb is Verb.RERUN else "now"
    more = f" for {action.business_date}" if action.business_date else ""
    return Prepared(
        action=action,
        calls=(call(http, "POST", f"{path}/run", body),),
        idempotent=False,
        effect=f"one run of {native_id(project, scenario)} {again}{more}",
        proof=f"Dataiku shows a run whose trigger parameters hold {OURS} = {action.client_id}",
        undo="stop the run",
        note=note,
        memo={"t0": answer.server_time, "known": [r.run_id for r in runs]},
    )


def _prepare_stop(http: DssHttp, project: str, scenario: str, action: Action, run: ScenarioRun) -> Prepared:
    if not run.active:
        raise Conflict(f"the run has already ended: {outcome(run.result, True)[0]}")
    return Prepared(
        action=action,
        calls=(call(http, "POST", f"{scenario_path(project, scenario)}/abort"),),
        idempotent=True,
        effect="ends the run: the step at work is aborted, further ones do not begin",
        proof="Dataiku says the run has ended",
        undo="rerun runs the scenario as a whole; what steps did is not undone",
        note="Dataiku aborts whatever run the scenario has at that moment; right before it, it is asked whether it is this one",
        patience_s=300.0,
    )


async def _prepare_active(http: DssHttp, project: str, scenario: str, action: Action) -> Prepared:
    """By ``/light``, of which DSS takes nothing but whether it is active, its description, tags and checklists: triggers
    and steps are not in what is sent, so they cannot be lost."""
    path = scenario_path(project, scenario)
    light, _ = await http.get(f"{path}/light", dict[str, Any])
    want = action.verb is Verb.RESUME
    name = native_id(project, scenario)
    if light.get("active") is want:
        raise Conflict(f"{name} is already {'active' if want else 'paused'}")
    before = await _triggers(http, path)
    live = [t for t in before if t.get("active") is not False]
    note = "" if live else "it has no active trigger: it starts only by hand or by another scenario either way"
    return Prepared(
        action=action,
        calls=(call(http, "PUT", f"{path}/light", {**light, "active": want}),),
        idempotent=True,
        effect=f"the triggers of {name} start runs again" if want else f"no new scheduled runs of {name}",
        proof=f"Dataiku says active = {str(want).lower()} in two readings, with the {len(before)} triggers as they were",
        undo="pause" if want else "resume",
        note=note or ("" if want else "a run that is under way goes on"),
        steady=2,
        patience_s=60.0,
        memo={"active": want, "triggers": len(before), "digest": _digest(before)},
    )


async def _triggers(http: DssHttp, path: str) -> list[dict[str, Any]]:
    settings, _ = await http.get(path, Settings)
    found = settings.triggers if isinstance(settings.triggers, list) else []
    return [t for t in found if isinstance(t, dict)]


def _digest(triggers: list[dict[str, Any]]) -> int:
    return zlib.crc32(msgspec.json.encode(triggers, order="deterministic"))


# --- send -----------------------------------------------------------------------------------------------------------

Fires = dict[str, tuple[str, str]]
"""By client id: the trigger and its fire that DSS answered with. Lost with the engine; the runs tell the rest."""


async def send(http: DssHttp, project: str, scenario: str, prepared: Prepared, fires: Fires) -> SendResult:
    """Sends the prepared call as it is. What fails before it left this host is NotSent, what may have arrived without a
    readable answer is Unknown."""
    (one,) = prepared.calls
    path = one.target.removeprefix(http.base)
    if not one.target.startswith(http.base + "/") or not known(one.method, path):
        return NotSent("the call is not one of this source")
    try:
        if http.auth is not None:
            await http.auth.headers(http)
        if (why := await _meanwhile(http, project, scenario, prepared)) is not None:
            return NotSent(why)
    except AdapterError as err:
        return NotSent(err.what)
    try:
        answer = await http.ask(one.method, path, body=one.body)
        return _taken(prepared, answer, fires)
    except AdapterError as err:
        return not_taken(err)


async def _meanwhile(http: DssHttp, project: str, scenario: str, prepared: Prepared) -> str | None:
    """What has changed since the plan so that the call would do something else than it says."""
    verb, path = prepared.action.verb, scenario_path(project, scenario)
    if verb is Verb.STOP:
        run = parse_key(prepared.action.key).run or ""
        found = await run_steps.details(http, project, scenario, run)
        if not found.scenario_run.active:
            return f"the run had already ended: {outcome(found.scenario_run.result, True)[0]}"
    if verb in (Verb.PAUSE, Verb.RESUME):
        light, _ = await http.get(f"{path}/light", dict[str, Any])
        planned = dict(prepared.calls[0].body or {})
        if light.get("active") is planned.get("active"):
            return None  # as wanted already: taking it again changes nothing
        if any(light.get(f) != planned.get(f) for f in _WRITABLE if f != "active"):
            return "the scenario was edited since the plan was made: plan it again"
    return None


def _taken(prepared: Prepared, answer: Answer, fires: Fires) -> SendResult:
    if prepared.action.verb in (Verb.START, Verb.RERUN):
        fired = answer.decode(Fired)
        if fired.cancelled is True:
            return NotSent("Dataiku cancelled it at once: the scenario is running already, or another trigger fired")
        fires[prepared.action.client_id] = (text(fired.trigger.id) or "manual", fired.run_id)
        while len(fires) > 500:
            fires.pop(next(iter(fires)))
        return Sent("Dataiku has fired the trigger; the run itself follows")
    answer.decode(dict[str, Any])
    if prepared.action.verb is Verb.STOP:
        return Sent("Dataiku took the abort", prepared.action.key)
    return Sent("Dataiku took the change")


# --- reconcile ------------------------------------------------------------------------------------------------------


async def reconcile(
    http: DssHttp, source: str, project: str, scenario: str, key: Key, prepared: Prepared, fires: Fires
) -> Reconciled:
    """Reads only. Done needs a fact that was not so when the action was prepared."""
    match prepared.action.verb:
        case Verb.PAUSE | Verb.RESUME:
            return await _is_active(http, scenario_path(project, scenario), prepared)
        case Verb.STOP:
            return await _is_stopped(http, project, scenario, key)
        case _:
            return await _is_started(http, source, project, scenario, prepared, fires)


async def _is_active(http: DssHttp, path: str, prepared: Prepared) -> Reconciled:
    settings, _ = await http.get(path, Settings)
    want = bool(prepared.memo["active"])
    word = {True: "active", False: "paused"}.get(settings.active, "not saying whether it is active")
    if settings.active is not want:
        return NotDone(f"still {word}")
    found = [t for t in settings.triggers or [] if isinstance(t, dict)] if isinstance(settings.triggers, list) else []
    if _digest(found) != prepared.memo["digest"]:
        before = prepared.memo["triggers"]
        what = f"it is {word}, but its triggers are not as they were ({before} before, {len(found)} now): look at it in Dataiku"
        return NotDone(what, final=True)
    return Done(f"{word}, its {len(found)} triggers as they were")


async def _is_stopped(http: DssHttp, project: str, scenario: str, key: Key) -> Reconciled:
    try:
        run = (await run_steps.details(http, project, scenario, key.run or "")).scenario_run
    except NotFound:
        return NotDone("Dataiku no longer has this run", final=True)
    if run.active:
        return NotDone("the abort was asked for, the run still goes on")
    word, _ = outcome(run.result, True)
    return Done("the run was aborted" if word == "ABORTED" else f"the run had ended by itself: {word}", str(key))


async def _is_started(
    http: DssHttp, source: str, project: str, scenario: str, prepared: Prepared, fires: Fires
) -> Reconciled:
    pipeline = pipeline_key(source, native_id(project, scenario))
    client_id = prepared.action.client_id
    begun: bool | None = False
    if (fire := fires.get(client_id)) is not None:
        path = scenario_path(project, scenario)
        params = {"triggerId": fire[0], "triggerRunId": fire[1]}
        try:
            found, _ = await http.get(f"{path}/get-run-for-trigger", RunForTrigger, params)
        except NotFound:
            found = RunForTrigger()
        if found.scenario_run is not None:
            return _done(found.scenario_run, pipeline)
        begun = await _fired(http, project, scenario, fire)
        if begun is None:
            return NotDone(
                "Dataiku cancelled it: the scenario was running already, or another trigger fired", final=True
            )
    runs, _ = await last_runs(http, project, scenario, _LOOK_BACK)
    ours = [r for r in runs if (r.params or {}).get(OURS) == client_id]
    if ours:
        return _done(ours[0], pipeline)
    t0 = prepared.memo.get("t0")
    since = t0 - _BACK_MS if isinstance(t0, int) else 0
    old = {str(known) for known in prepared.memo.get("known") or ()}
    maybe = [
        r for r in runs
        if r.manual and r.params is None and r.run_id not in old and isinstance(r.start, (int, float)) and r.start >= since
    ]  # fmt: skip
    if maybe and fire is None:
        said = "Dataiku does not tell what started a run by hand since then"
        return Several(said, tuple(run_key(pipeline, r.run_id) for r in maybe))
    return NotDone(
        "the trigger has fired, no run yet" if begun else "no run of this action is there", begun=bool(begun)
    )


async def _fired(http: DssHttp, project: str, scenario: str, fire: tuple[str, str]) -> bool | None:
    """Whether that fire stands; None: it was cancelled. A DSS that does not know it says nothing about it."""
    where = f"{project_path(project)}/scenarios/trigger/{segment(scenario)}/{segment(fire[0])}"
    try:
        found, _ = await http.get(where, Fired, {"triggerRunId": fire[1]})
    except NotFound:
        return False
    return None if found.cancelled is True else True


def _done(run: ScenarioRun, pipeline: str) -> Reconciled:
    word = "running" if run.active else outcome(run.result, True)[0]
    return Done(f"run {run.run_id} is {word}", run_key(pipeline, run.run_id))
