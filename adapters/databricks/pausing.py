"""``pause`` and ``resume`` of a job: what starts it by itself is read, and sent back whole with another ``pause_status``.

Databricks replaces each field of a job's settings whole. So between plan and call the job is read once more: where what starts
it is no longer as it was planned on, nothing is sent, since it would be put back. Afterwards all of its settings are compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from adapters.base import Action, Done, NotDone, NotSent, Prepared, Reconciled
from adapters.databricks import reads
from adapters.databricks.calls import UPDATE, call
from adapters.databricks.wire import Settings, pausable, paused
from adapters.errors import AdapterError, Conflict, NotFound, Unsupported
from adapters.http import Answer, Http
from adapters.model import Key, Verb

_STARTS: Final = frozenset(("schedule", "trigger", "continuous", "triggers"))
_WORD: Final = {True: "PAUSED", False: "UNPAUSED"}


class _Raw(msgspec.Struct):
    """A job with its settings as they arrive, unknown fields included."""

    job_id: int
    settings: dict[str, Any] | None = None
    next_page_token: str | None = None


async def _whole(http: Http, job_id: int) -> tuple[dict[str, Any], Answer]:
    """All settings of a job; lists that are paged are put together."""
    params: dict[str, str | int] = {"job_id": job_id}
    one, first = await http.get("/api/2.2/jobs/get", _Raw, params)
    found = dict(one.settings or {})
    token, seen = one.next_page_token, 0
    while token and seen < 50:
        more, _ = await http.get("/api/2.2/jobs/get", _Raw, {**params, "page_token": token})
        for name, value in (more.settings or {}).items():
            if isinstance(value, list) and isinstance(found.get(name), list) and name != "triggers":
                found[name] = [*found[name], *value]
        token, seen = (more.next_page_token if more.next_page_token != token else None), seen + 1
    return found, first


def _typed(found: Mapping[str, Any]) -> Settings:
    try:
        return msgspec.convert({k: found[k] for k in Settings.__struct_fields__ if k in found}, Settings)
    except msgspec.ValidationError as err:
        raise Unsupported(f"the job's settings are of another shape ({err})") from None


def prints(settings: Mapping[str, Any]) -> dict[str, str]:
    """A print of each field of the settings, whatever is paused in it."""
    return {name: _print(_bare(name, value)) for name, value in settings.items()}


def _bare(name: str, value: Any) -> Any:
    if name == "triggers" and isinstance(value, list):
        return [_without(one) for one in value]
    return _without(value) if name in _STARTS else value


def _without(value: Any) -> Any:
    return {k: v for k, v in value.items() if k != "pause_status"} if isinstance(value, dict) else value


def _print(value: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()[:16]


def _kept(prepared: Prepared) -> dict[str, str]:
    """Prints as they were planned on; kept as pairs, since a field may be called like a secret."""
    return {str(name): str(value) for name, value in prepared.memo["prints"]}


def differ(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Names of fields that are not as they were."""
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))


def _set(value: Any, word: str) -> Any:
    if isinstance(value, list):
        return [_set(one, word) for one in value]
    return {**value, "pause_status": word}


async def prepare(http: Http, key: Key, action: Action) -> Prepared:
    """Unsupported for a job that nothing starts by itself; Conflict where it is so already."""
    job_id = reads.number(key.pipeline, "job")
    settings, _ = await _whole(http, job_id)
    has = _typed(settings)
    want = action.verb is Verb.PAUSE
    what = pausable(has)
    name = has.name or str(job_id)
    if not what:
        raise Unsupported(f"nothing starts {name} by itself: it has no schedule or trigger that could be paused")
    if len(what) > 1:
        raise Conflict(f"{name} has {' and '.join(what)} at once, which Databricks cannot be sent back")
    if paused(has) == want:
        raise Conflict(f"{name} is already {'paused' if want else 'active'}")
    (field, value), *_ = what.items()
    mixed = len({one.get("pause_status") for one in value}) > 1 if isinstance(value, list) else False
    notes = ["some of its triggers are paused already; resume will start all of them"] if want and mixed else []
    if not want and isinstance(value, list) and len(value) > 1:
        notes.append(f"all {len(value)} triggers of it, also those that were paused before")
    notes.append(f"the whole {field} is sent back; runs that are active go on")
    if settings.get("deployment"):
        notes.append("the job is deployed from elsewhere: its next deployment may undo this")
    return Prepared(
        action=action,
        calls=(call(http, UPDATE, {"job_id": job_id, "new_settings": {field: _set(value, _WORD[want])}}),),
        idempotent=True,
        effect=f"no new runs of {name} by its {field}" if want else f"runs of {name} by its {field} again",
        proof=f"Databricks says pause_status = {_WORD[want]} in two readings, and nothing else of the job has changed",
        undo="resume" if want else "pause",
        note="; ".join(notes),
        steady=2,
        patience_s=60.0,
        memo={"paused": want, "field": field, "prints": [[k, v] for k, v in prints(settings).items()]},
    )


async def may_go(http: Http, key: Key, prepared: Prepared) -> NotSent | None:
    """Read once more just before it is sent: None where the job is as it was planned on."""
    try:
        settings, _ = await _whole(http, reads.number(key.pipeline, "job"))
    except AdapterError as err:
        return NotSent(f"the job could not be read again before it is changed: {err.what}")
    changed = [name for name in differ(_kept(prepared), prints(settings)) if name in _STARTS]
    if changed:
        return NotSent(f"the job was changed since this was planned ({', '.join(changed)}): plan it again")
    return None


async def reconcile(http: Http, key: Key, prepared: Prepared) -> Reconciled:
    try:
        settings, _ = await _whole(http, reads.number(key.pipeline, "job"))
    except NotFound:
        return NotDone("Databricks no longer has this job", final=True)
    field = str(prepared.memo["field"])
    if not settings.get(field):
        return NotDone(f"the job has no {field} any more")
    words = "paused" if paused(_typed(settings)) else "active"
    if (words == "paused") is not prepared.memo["paused"]:
        return NotDone(f"the job is still {words}")
    changed = differ(_kept(prepared), prints(settings))
    if field in changed:
        return NotDone(f"the job is {words}, but its {field} is not as it was sent: look at it in Databricks")
    also = f"; meanwhile somebody changed {', '.join(changed)} of it" if changed else "; nothing else has changed"
    return Done(f"the job is {words}{also}")
