"""All-purpose clusters as pipelines of ours, where ``clusters = true`` asks for it: a cluster is a pipeline, its present life a run.

A life is named by the moment in which it began (ms, as Databricks tells it): ``last_restarted_time``, else ``start_time``.
A cluster is read from its list: of 30 days, all-purpose ones only, so that one of a job is never acted on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from adapters.base import Action, Done, NotDone, NotSent, Prepared, Reconciled, SendResult, Sent, Several
from adapters.databricks import calls, clusters
from adapters.databricks.clusters import Cluster
from adapters.databricks.sweep import RECENT_MS
from adapters.databricks.wire import time
from adapters.errors import AdapterError, Conflict, Forbidden, NotFound, Unsupported
from adapters.http import Answer, Http
from adapters.model import Key, LogChunk, Pipeline, Run, RunKind, State, Trigger, Verb, pipeline_key, run_key

PREFIX: Final = "cluster."
PATIENCE_S: Final = 1_200.0
"""A start or restart takes minutes; the vendor's own client waits 20 of them."""
NO_LOG: Final = "Databricks gives no log of a cluster by this API: its event log and driver logs are on its page"
STATES: Final[Mapping[str, tuple[State, str | None]]] = {
    "PENDING": (State.QUEUED, "starting"),
    "RUNNING": (State.RUNNING, None),
    "RESIZING": (State.RUNNING, "resizing"),
    "RESTARTING": (State.RETRYING, None),
    "TERMINATING": (State.STOPPING, None),
    "TERMINATED": (State.STOPPED, None),
    "ERROR": (State.FAILED, None),
}
_ID: Final = re.compile(calls.CLUSTER_ID)
Lives = list[tuple[str, int]]
"""(cluster, life) of what was active at the poll before."""
FRESH_MS: Final = 5_000
"""A whole listing not older than this is read as the poll that follows it."""
Wanted = Callable[[str, str], bool]
"""Whether ``include`` names a native id, or the name that goes with it."""


def native(cluster_id: str) -> str:
    return PREFIX + cluster_id


def id_of(native_id: str) -> str:
    """Id of a cluster of Databricks from ours; NotFound where it is none."""
    ident = native_id.removeprefix(PREFIX)
    if not _ID.fullmatch(ident):
        raise NotFound(f"{ident[:60]!r} is no cluster of Databricks")
    return ident


async def one(http: Http, cluster_id: str) -> Cluster:
    """One all-purpose cluster, looked for in the list. NotFound where that has none such."""
    token: str | None = None
    for _ in range(clusters.PAGES):
        found, _, token = await clusters.listed(http, most=1, start=token)
        for cluster in found:
            if cluster.cluster_id == cluster_id:
                return cluster
        if token is None:
            break
    raise NotFound(f"Databricks lists no all-purpose cluster {cluster_id[:60]} (those of 30 days)")


# --- in our words ---------------------------------------------------------------------------------------------------


def life(cluster: Cluster) -> int | None:
    """When its present life began, ms; None for one that was never started, or whose new life is not told yet."""
    began = time(cluster.last_restarted_time) or time(cluster.start_time)
    gone = time(cluster.terminated_time)
    if began is not None and cluster.state == "PENDING" and gone is not None and gone >= began:
        return None  # still the time of the life before
    return began


def state_of(cluster: Cluster) -> tuple[str, State, str | None, str | None]:
    """Native word, state, what goes with it, error."""
    word = cluster.state or ""
    known = STATES.get(word)
    if known is None:  # as everywhere here: what is no known end goes on
        return f"{word}?", State.RUNNING, None, None
    state, sub = known
    reason = cluster.termination_reason
    code = (reason.code if reason else None) or None
    if word == "TERMINATED":
        if reason is not None and reason.type not in (None, "SUCCESS"):
            return word, State.FAILED, None, code or reason.type
        sub = code.lower().replace("_", " ") if code else None
    return word, state, sub, (code or cluster.state_message) if state is State.FAILED else None


def pipeline_of(cluster: Cluster, source: str, base: str) -> Pipeline:
    return Pipeline(
        key=pipeline_key(source, native(cluster.cluster_id)),
        name=cluster.cluster_name or cluster.cluster_id,
        trigger=Trigger.CONTINUOUS,
        tags=("cluster",),
        url=f"{base}/compute/clusters/{cluster.cluster_id}",
    )


def run_of(cluster: Cluster, source: str, base: str) -> Run | None:
    """Its present life; None where it has none."""
    began = life(cluster)
    if began is None:
        return None
    word, state, sub, error = state_of(cluster)
    gone = time(cluster.terminated_time)
    return Run(
        key=run_key(pipeline_key(source, native(cluster.cluster_id)), str(began)),
        native=word,
        state=state,
        sub=sub,
        kind=RunKind.MANUAL,
        queued=began,
        started=None if state is State.QUEUED else began,
        ended=gone if state.terminal and gone is not None and gone >= began else None,
        url=f"{base}/compute/clusters/{cluster.cluster_id}",
        error=error,
    )


def earlier(cluster: Cluster, began: int, source: str, base: str) -> Run:
    """A life before the present one. Databricks tells its end where that is the latest; else it is over by the next one's start."""
    after, gone = life(cluster), time(cluster.terminated_time)
    ended = gone if gone is not None and gone >= began and (after is None or gone <= after) else after
    return Run(
        key=run_key(pipeline_key(source, native(cluster.cluster_id)), str(began)),
        native="TERMINATED",
        state=State.STOPPED,
        sub="it was started again since",
        kind=RunKind.MANUAL,
        queued=began,
        started=began,
        ended=ended,
        url=f"{base}/compute/clusters/{cluster.cluster_id}",
    )


# --- reading --------------------------------------------------------------------------------------------------------


async def read(http: Http, key: Key, source: str) -> Pipeline | Run:
    """A cluster, or one of its lives: the present one as it is, one before it as over."""
    cluster = await one(http, id_of(key.pipeline))
    if key.run is None:
        return pipeline_of(cluster, source, http.base)
    run = run_of(cluster, source, http.base)
    if run is not None and run.key == str(key.run_key):
        return run
    began = life(cluster) or time(cluster.terminated_time) or 0
    if not (key.run.isascii() and key.run.isdigit() and len(key.run) < 17 and 0 < int(key.run) < began):
        raise NotFound(f"the cluster has no life {key.run[:40]}")
    return earlier(cluster, int(key.run), source, http.base)


async def runs(
    http: Http,
    source: str,
    token: str | None,
    lives: Sequence[tuple[str, int]],
    now: int | None,
    wanted: Wanted,
    listed: tuple[Sequence[Cluster], int | None] | None = None,
) -> tuple[list[Run], str | None, Lives]:
    """Lives on one page of a hundred clusters, the token of the next, and what is active: one request.

    What ended more than two days ago is no news unless it was active at the poll before. What was active and has a newer
    life since is told as over. ``listed``: all clusters as a listing has just told them, and the server's time of it: then nothing is
    asked, and what is active is named whole (after a listing the engine asks about each active run that was not named).
    """
    found: Sequence[Cluster]
    if listed is not None and now is not None and listed[1] is not None and 0 <= now - listed[1] <= FRESH_MS:
        found, token, left = listed[0], None, None
    else:
        try:
            found, left = await _a_page(http, token)
        except (Forbidden, NotFound):
            return [], None, list(lives)
    out: list[Run] = []
    active: Lives = []
    before = dict(lives)
    for cluster in found:
        known = before.pop(cluster.cluster_id, None)
        if not wanted(native(cluster.cluster_id), cluster.cluster_name or ""):
            continue
        run, began = run_of(cluster, source, http.base), life(cluster)
        if known is not None and known != began:
            out.append(earlier(cluster, known, source, http.base))
        if run is None or began is None:
            continue
        old = now is not None and (run.ended or began) < now - RECENT_MS
        if not run.state.terminal:
            active.append((cluster.cluster_id, began))
        if not (run.state.terminal and old and known != began):
            out.append(run)
    if token is None and left is None:
        before = {}  # of the whole list: those are no longer told of
    return out, left, [*active, *list(before.items())[:1_000]]


async def _a_page(http: Http, token: str | None) -> tuple[list[Cluster], str | None]:
    """A token that is no longer known means: from the first page."""
    try:
        found, _, left = await clusters.listed(http, most=1, start=token)
    except AdapterError as err:
        if token is None or err.status not in (400, 404):
            raise
        found, _, left = await clusters.listed(http, most=1)
    return found, left


def no_log() -> LogChunk:
    return LogChunk(b"", None, True, NO_LOG)


# --- acting ---------------------------------------------------------------------------------------------------------


async def prepare(http: Http, key: Key, action: Action) -> Prepared:
    """Conflict where the cluster is not in a state for it, or the run is not its present life."""
    if action.verb not in (Verb.START, Verb.STOP, Verb.RERUN):
        raise Unsupported(
            f"Databricks has no {action.verb} for a cluster: it is started, restarted (rerun) or terminated (stop)"
        )
    if action.params or action.business_date:
        raise Conflict("a cluster takes no parameters and no date")
    cluster = await one(http, id_of(key.pipeline))
    if action.verb is not Verb.START and (why := _not_present(cluster, key)) is not None:
        raise Conflict(why)
    if (why := _not_now(cluster, action.verb)) is not None:
        raise Conflict(why)
    return _PLANS[action.verb](http, cluster, action)


def _not_present(cluster: Cluster, key: Key) -> str | None:
    began = life(cluster)
    if began is not None and key.run == str(began):
        return None
    return "that is not the cluster's present life: it was started or restarted since"


def _not_now(cluster: Cluster, verb: Verb) -> str | None:
    """Why the verb makes no sense in this state. Databricks does nothing then, or answers 400: both are no plan."""
    word, state, _, _ = state_of(cluster)
    name = cluster.cluster_name or cluster.cluster_id
    match verb:
        case Verb.START:
            return None if word == "TERMINATED" else f"{name} is {word}: only one that is TERMINATED can be started"
        case Verb.RERUN:
            return None if word == "RUNNING" else f"{name} is {word}: only one that is RUNNING can be restarted"
        case _:
            if state.terminal:
                return f"{name} is {word} already"
            return f"{name} is being terminated already" if state is State.STOPPING else None


def _memo(cluster: Cluster) -> dict[str, Any]:
    """What it was like: pairs, as elsewhere here."""
    known = {"life": life(cluster) or 0, "gone": time(cluster.terminated_time) or 0}
    return {"was": [[name, value] for name, value in known.items()]}


def _was(prepared: Prepared, name: str) -> int:
    return int(dict(prepared.memo["was"])[name])


def _body(cluster: Cluster) -> dict[str, str]:
    return {"cluster_id": cluster.cluster_id}


def _start(http: Http, cluster: Cluster, action: Action) -> Prepared:
    return Prepared(
        action=action,
        calls=(calls.call(http, calls.CLUSTER_START, _body(cluster)),),
        idempotent=True,
        effect=f"starts the cluster {cluster.cluster_name or cluster.cluster_id}",
        proof="Databricks says RUNNING",
        undo="terminate it (stop)",
        note="it costs from then on until it is terminated; that takes some minutes; one that runs already is left alone",
        patience_s=PATIENCE_S,
        memo=_memo(cluster),
    )


def _stop(http: Http, cluster: Cluster, action: Action) -> Prepared:
    return Prepared(
        action=action,
        calls=(calls.call(http, calls.CLUSTER_DELETE, _body(cluster)),),
        idempotent=True,
        effect=f"terminates the cluster {cluster.cluster_name or cluster.cluster_id}: whatever runs on it ends",
        proof="Databricks says TERMINATED of this life",
        undo="start it again: what was in its memory is gone",
        note="notebooks and jobs attached to it are cut off, and Watchfloor does not see which; the cluster stays configured",
        patience_s=600.0,
        memo=_memo(cluster),
    )


def _again(http: Http, cluster: Cluster, action: Action) -> Prepared:
    return Prepared(
        action=action,
        calls=(calls.call(http, calls.CLUSTER_RESTART, _body(cluster)),),
        idempotent=False,
        effect=f"restarts the cluster {cluster.cluster_name or cluster.cluster_id}: whatever runs on it ends",
        proof="Databricks says RUNNING with a later last_restarted_time",
        note="notebooks and jobs attached to it are cut off, and Watchfloor does not see which; it goes on costing",
        patience_s=PATIENCE_S,
        memo=_memo(cluster),
    )


_PLANS: Final[Mapping[Verb, Callable[[Http, Cluster, Action], Prepared]]] = {
    Verb.START: _start,
    Verb.STOP: _stop,
    Verb.RERUN: _again,
}


async def may_go(http: Http, key: Key, prepared: Prepared) -> NotSent | None:
    """Read once more right before: the calls name the cluster, not its life."""
    try:
        cluster = await one(http, id_of(key.pipeline))
    except AdapterError as err:
        return NotSent(f"the cluster could not be read again before the call: {err.what}")
    verb = prepared.action.verb
    why = _not_present(cluster, key) if verb is not Verb.START else None
    why = why or _not_now(cluster, verb)
    return NotSent(f"changed since it was planned: {why}") if why else None


def taken(key: Key, prepared: Prepared, answer: Answer) -> SendResult:
    answer.decode(dict[str, Any])
    return Sent("Databricks took it", str(key.run_key) if key.run is not None else None)


async def reconcile(http: Http, key: Key, prepared: Prepared, *, taken: bool) -> Reconciled:
    """``taken``: it is known that Databricks took the call. Whether it runs or is terminated is a state, whoever asked for it;
    a restart is somebody's, and without that a person must say whose."""
    try:
        cluster = await one(http, id_of(key.pipeline))
    except NotFound:
        return NotDone("Databricks no longer lists this cluster", final=True)
    match prepared.action.verb:
        case Verb.STOP:
            return _is_stopped(cluster, key)
        case Verb.RERUN:
            return _is_restarted(cluster, key, prepared, taken=taken)
        case _:
            return _is_started(cluster, key, prepared)


def _said(cluster: Cluster) -> str:
    word, _, sub, error = state_of(cluster)
    more = error or sub
    return f"the cluster is {word}" + (f" ({more})" if more else "")


def _present(cluster: Cluster, key: Key) -> str | None:
    began = life(cluster)
    return run_key(key.pipeline_key, str(began)) if began is not None else None


def _is_started(cluster: Cluster, key: Key, prepared: Prepared) -> Reconciled:
    word, state, _, _ = state_of(cluster)
    if word in ("RUNNING", "RESIZING"):
        return Done(_said(cluster), _present(cluster, key))
    if not state.terminal:
        return NotDone(_said(cluster), begun=word in ("PENDING", "RESTARTING"))
    moved = (life(cluster) or 0) > _was(prepared, "life") or (time(cluster.terminated_time) or 0) > _was(
        prepared, "gone"
    )
    if moved:
        return NotDone(f"it was started and has ended again: {_said(cluster)}", final=True)
    return NotDone(f"{_said(cluster)} still")


def _is_stopped(cluster: Cluster, key: Key) -> Reconciled:
    _, state, _, _ = state_of(cluster)
    if _present(cluster, key) != str(key.run_key):
        return NotDone(f"that life is over, but it was started again since: {_said(cluster)}", final=True)
    if state.terminal:
        return Done(_said(cluster), str(key.run_key))
    return NotDone(f"terminate was asked for, {_said(cluster)}", begun=state is State.STOPPING)


def _is_restarted(cluster: Cluster, key: Key, prepared: Prepared, *, taken: bool) -> Reconciled:
    word, state, _, _ = state_of(cluster)
    newer = (life(cluster) or 0) > _was(prepared, "life")
    present = _present(cluster, key)
    if not taken and not state.terminal and (newer or word in ("RESTARTING", "PENDING")):
        said = f"{_said(cluster)}, restarted since, and Databricks does not tell by whom"
        return Several(said, (present,) if present else ())
    if newer and word in ("RUNNING", "RESIZING"):
        return Done(f"{_said(cluster)} in a new life", present)
    if state.terminal:
        return NotDone(f"it does not run: {_said(cluster)}", final=True)
    if newer or word in ("RESTARTING", "PENDING"):
        return NotDone(_said(cluster), begun=True)
    return NotDone(f"{_said(cluster)}, and has not been restarted")
