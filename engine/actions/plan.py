"""A plan: what will be sent, to what, as it stands now; what guards say and what a person must still give. Sends nothing."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final, cast

from adapters.base import Action, Adapter, Prepared
from adapters.errors import AdapterError, AuthFailed, Conflict, Forbidden, NotFound, Unsupported
from adapters.model import Verb, VerbClass, unquote_id
from engine.actions.arm import Arming
from engine.actions.audit import canonical
from engine.actions.guards import Guard, evaluate, refusal, typed_name
from engine.actions.target import Observed, Several, Target, adapter_of, observe, resolve, timed, unreachable
from engine.actions.words import clean, copy_text, hide, lasted, mask, secret_values, shown, suggestion
from engine.context import Context
from engine.ids import ulid
from engine.peer import Peer
from engine.request import RequestError
from engine.store import actions as rows

TTL_MS: Final = 15 * 60_000
"""How long a plan may be confirmed."""
REASON_MIN: Final = 10
"""Characters of a reason."""
PREPARE_S: Final = 10.0
MAX_PLANS: Final = 500
"""Plans kept in memory; the oldest goes first. A plan that went can only be made again."""
MAX_PARAMS: Final = 64 * 1024
_CANNOT: Final = (Unsupported, Conflict, NotFound, Forbidden, AuthFailed)
"""The system says why not; everything else means that it could not be asked."""


@dataclass
class Plan:
    """What one person was shown, bound to (key, attempt, version, calls). Confirmed at most once."""

    id: str
    nonce: str
    hash: str
    uid: int
    made: int
    made_mono: float
    target: Target
    observed: Observed
    adapter: Adapter
    prepared: Prepared
    config_hash: str
    last_action: str | None
    typed: str | None
    needs_reason: bool
    shown: dict[str, Any]
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def expired(self, now: int, mono: float) -> bool:
        """By either clock: one set back must not lengthen a plan's life."""
        return now - self.made > TTL_MS or (mono - self.made_mono) * 1000 > TTL_MS


class Planner:
    """Makes plans and keeps them until they are used or too old."""

    def __init__(self, ctx: Context, arming: Arming) -> None:
        self._ctx = ctx
        self._arming = arming
        self._plans: dict[str, Plan] = {}

    def get(self, plan_id: str) -> Plan | None:
        return self._plans.get(plan_id)

    def drop(self, plan_id: str) -> None:
        self._plans.pop(plan_id, None)

    async def plan(self, body: dict[str, Any], peer: Peer) -> dict[str, Any]:
        """The reply that dialog and command line show. RequestError where nothing can be said about the key."""
        ctx = self._ctx
        verb, key, params, business_date = _asked(body)
        found = resolve(ctx, verb, key, params)
        if isinstance(found, Several):
            return _choose(found, ctx.clock.now())
        adapter = adapter_of(ctx, found)
        observed = await observe(ctx, found)
        action = Action(
            verb=verb,
            key=found.key,
            client_id=ulid(ctx.clock.now()),
            params=params,
            business_date=business_date,
            who=peer.who,
        )
        prepared, unable = await _prepare(adapter, found, action)
        with ctx.store.transaction() as tx:
            armed_s = self._arming.left(found.environment, peer.uid)
            warnings = () if prepared is None else prepared.warnings
            guards = evaluate(ctx, tx, found, observed, peer, armed_s, unable, warnings)
            last = rows.latest_on(tx, found.scope)
        reply = _reply(found, observed, prepared, guards)
        reply["asks"] = [p.shown() for p in adapter.parameters(verb, found.key)]
        if prepared is None:
            return reply
        plan = self._keep(found, observed, adapter, prepared, reply, peer, None if last is None else last.id)
        return {**reply, "plan": plan.id, "nonce": plan.nonce, "hash": plan.hash, "expires": plan.made + TTL_MS}

    def _keep(
        self, target: Target, observed: Observed, adapter: Adapter, prepared: Prepared, reply: dict[str, Any], peer: Peer, last: str | None
    ) -> Plan:  # fmt: skip
        now, mono = self._ctx.clock.now(), self._ctx.clock.monotonic()
        for old in [p for p in self._plans.values() if p.expired(now, mono)]:
            self.drop(old.id)
        while len(self._plans) >= MAX_PLANS:
            self.drop(next(iter(self._plans)))
        plan = Plan(
            id=ulid(now),
            nonce=secrets.token_hex(16),
            hash=hash_of(target, observed, prepared),
            uid=peer.uid,
            made=now,
            made_mono=mono,
            target=target,
            observed=observed,
            adapter=adapter,
            prepared=prepared,
            config_hash=self._ctx.config.hash,
            last_action=last,
            typed=reply["needs"]["typed"],
            needs_reason=reply["needs"]["reason"],
            shown=reply,
        )
        self._plans[plan.id] = plan
        return plan


def hash_of(target: Target, observed: Observed, prepared: Prepared) -> str:
    """sha256 over what is confirmed: the target, its params, the exact calls, the state as it was seen."""
    action = prepared.action
    calls = [[c.method, c.target, c.body] for c in prepared.calls]
    seen = [target.verb, target.key, dict(action.params), action.business_date, calls, list(observed.version)]
    return hashlib.sha256(canonical(json.loads(json.dumps(seen, default=str))).encode()).hexdigest()


def _asked(body: dict[str, Any]) -> tuple[Verb, str, dict[str, Any], str | None]:
    word, key = body.get("verb"), body.get("key")
    if not isinstance(word, str) or not isinstance(key, str) or not key:
        raise RequestError("bad_request", "a plan needs a verb and a key")
    try:
        verb = Verb(word)
    except ValueError:
        known = [v.value for v in Verb]
        hint = suggestion(word, known) or f"one of {', '.join(known)}"
        raise RequestError("bad_request", f"{clean(word, 40)!r} is not a verb", hint) from None
    params = body.get("params") or {}
    if not isinstance(params, dict):
        raise RequestError("bad_request", "params must be an object of names and values")
    if len(json.dumps(params)) > MAX_PARAMS:
        raise RequestError("bad_request", f"params are larger than {MAX_PARAMS // 1024} KiB")
    business_date = body.get("business_date") or None
    if business_date is not None:
        try:
            business_date = date.fromisoformat(str(business_date)).isoformat()
        except ValueError:
            raise RequestError(
                "bad_request", f"{clean(str(business_date), 40)!r} is not a date like 2026-11-20"
            ) from None
    return verb, key, dict(cast("dict[str, Any]", params)), business_date


async def _prepare(adapter: Adapter, target: Target, action: Action) -> tuple[Prepared | None, str | None]:
    """The exact calls, or why there are none."""
    if not adapter.caps.can(target.verb.value):
        return None, adapter.caps.why(target.verb.value)
    try:
        return await timed(adapter.prepare(action), PREPARE_S), None
    except _CANNOT as error:
        return None, f"{error.what}; {error.hint}" if error.hint else error.what
    except AdapterError as error:
        raise unreachable(target, error) from None
    except ValueError as error:
        raise RequestError("bad_request", clean(str(error), 300)) from None


def _reply(target: Target, observed: Observed, prepared: Prepared | None, guards: list[Guard]) -> dict[str, Any]:
    hidden = () if prepared is None else secret_values(prepared.action.params)
    calls = [] if prepared is None else [shown(call, hidden) for call in prepared.calls]
    stop = refusal(guards, but="armed")
    unarmed = any(g.name == "armed" and g.ok is False for g in guards)
    return {
        "plan": "",
        "nonce": "",
        "hash": "",
        "expires": None,
        **_head(target),
        "now": observed.now(),
        "effect": "" if prepared is None else clean(hide(prepared.effect, hidden)),
        "so": _so(target),
        "proof": "" if prepared is None else clean(hide(prepared.proof, hidden)),
        "undo": "" if prepared is None else clean(hide(prepared.undo, hidden)),
        "note": "" if prepared is None else clean(hide(prepared.note, hidden)),
        "params": {} if prepared is None else hide(mask(dict(prepared.action.params)), hidden),
        "business_date": None if prepared is None else prepared.action.business_date,
        "calls": calls,
        "copy": copy_text(calls),
        "guards": [g.shown() for g in guards],
        "asks": [],
        "blocked": None if stop is None else stop.words,
        "needs": needs(target, guards, unarmed),
        "candidates": [],
    }


def needs(target: Target, guards: list[Guard], unarmed: bool) -> dict[str, Any]:
    """The ladder: safe → Enter; disruptive → a reason and ``y``; on a protected source, or destructive → the name typed."""
    typed = typed_name(target)
    disruptive = target.spec.klass is not VerbClass.SAFE
    return {
        "armed": unarmed,
        "reason": disruptive or any(g.needs_reason for g in guards),
        "typed": typed,
        "key": "typed" if typed else "y" if disruptive else "enter",
    }


def _head(target: Target) -> dict[str, Any]:
    run, step, index = target.parsed.run, target.parsed.step, target.parsed.map_index
    return {
        "verb": target.verb.value,
        "class": target.spec.klass.value,
        "key": target.key,
        "name": target.name,
        "environment": target.environment,
        "color": target.color,
        "protected": target.source.protected,
        "source": target.source.name,
        "target": target.pipeline_name,
        "run": None if run is None else clean(run, 300),
        "step": None if step is None else clean(step if index < 0 else f"{step}.{index}", 300),
    }


def _so(target: Target) -> str:
    """What follows for others, as far as the store knows: who waits for it, who uses it."""
    parts: list[str] = []
    quiet = target.verb in (Verb.RESUME, Verb.START, Verb.RELEASE, Verb.BACKFILL_RESUME)
    if target.downstream and not quiet:
        names = [clean(name, 60) for name in target.downstream]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        parts.append(f"{', '.join(names[:3])}{more} wait{'s' if len(names) == 1 else ''} for it")
    if target.consumers:
        parts.append(f"used by {', '.join(clean(name, 60) for name in target.consumers[:5])}")
    return " · ".join(parts)


def _choose(found: Several, now: int) -> dict[str, Any]:
    """More than one run is active: which one is a person's choice, none comes first."""
    target, runs = found.target, found.runs
    names = ", ".join(clean(unquote_id(run.partition("/")[2]), 60) for run in runs[:5])
    blocked = f"{len(runs)} runs of {target.name} are active: choose one of {names}" + (" …" if len(runs) > 5 else "")
    return {
        "plan": "",
        "nonce": "",
        "hash": "",
        "expires": None,
        **_head(target),
        "now": {
            "state": None,
            "mode": None,
            "word": "",
            "native": None,
            "since": None,
            "attempt": 0,
            "read_at": now,
            "words": f"{len(runs)} runs active",
        },
        **dict.fromkeys(("effect", "so", "proof", "undo", "note", "copy"), ""),
        "params": {},
        "business_date": None,
        "calls": [],
        "guards": [],
        "asks": [],
        "blocked": blocked,
        "needs": {"armed": False, "reason": False, "typed": None, "key": "enter"},
        "candidates": list(runs),
    }


def moved(plan: Plan, observed: Observed) -> str | None:
    """``was running → now failed`` where the world is not as the plan saw it, else None."""
    if observed.version == plan.observed.version and type(observed.thing) is type(plan.observed.thing):
        return None
    was, now = plan.observed, observed
    if was.word != now.word:
        return f"was {was.word} → now {now.word}"
    if was.attempt != now.attempt:
        return f"was attempt {was.attempt} → now attempt {now.attempt}, {now.word}"
    if was.active != now.active:
        return f"was {_runs(was.active)} → now {_runs(now.active)}"
    return f"was {was.words} → now {now.words}"


def _runs(keys: tuple[str, ...]) -> str:
    names = ", ".join(clean(unquote_id(key.partition("/")[2]), 60) for key in keys[:3])
    return f"{names} active" if keys else "no run active"


def plan_age(plan: Plan, now: int) -> str:
    return lasted(now - plan.made)
