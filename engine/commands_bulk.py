"""``plan`` and ``act`` with a pattern instead of a key: each pipeline that it names is planned; one confirmation; then each is
an action of its own, one after the other. The terminal's bulk (marks) follows the same rules.
"""

from __future__ import annotations

import shlex
import time
from argparse import Namespace
from fnmatch import fnmatchcase
from typing import Any, Final

from adapters.model import VERBS, ActionState, KeyOf, Verb
from engine.commands import asking, fail, print_json, where
from engine.commands_act import ALONE_WORDS, Alone
from engine.request import EXIT_BAD_INPUT, EXIT_BUG, EXIT_NO_ENGINE, EXIT_OK, EXIT_REFUSED, EXIT_UNKNOWN, RequestError
from engine.store.reader import Reader

MOST: Final = 100
"""Pipelines of one confirmation."""
IN_A_ROW: Final = 3
"""So many that went wrong one after the other end it."""
ALONE: Final = frozenset({Verb.RERUN_FROM, Verb.MARK, Verb.BACKFILL, Verb.BACKFILL_PAUSE, Verb.BACKFILL_RESUME, Verb.BACKFILL_CANCEL})  # fmt: skip
_DONE: Final = (ActionState.DONE, ActionState.RECONCILED_DONE)


def noun(verb: str, n: int) -> str:
    """``7 pipelines``, ``1 run``: what the verb acts on."""
    known = next((v for v in Verb if v.value == verb), None)
    what = "pipeline" if known is None or VERBS[known].of == KeyOf.PIPELINE else "run"
    return f"{n} {what}{'' if n == 1 else 's'}"


def phrase(verb: str, plans: list[dict[str, Any]]) -> str | None:
    """What confirms them all: environments and count where one is protected, verb and count where it disturbs."""
    typed = {p["environment"] for p in plans if p["needs"].get("typed")}
    if typed:
        rest = sorted({p["environment"] for p in plans} - typed)
        return f"{'+'.join([*sorted(typed), *rest])}/{noun(verb, len(plans))}"
    return f"{verb} {len(plans)}" if any(p["needs"].get("key") == "y" for p in plans) else None


def chosen(reader: Reader, verb: str, pattern: str) -> list[str]:
    """Keys of the pipelines that a pattern names. RequestError in a sentence where it may not be used."""
    source, colon, native = pattern.partition(":")
    if not colon or not native.strip("*") or not source.strip("*"):
        raise RequestError(
            "refused",
            f"{verb} of several needs a pattern that chooses, not {pattern}",
            "for example prod-airflow:cdm_*",
        )
    if "/" in native:
        raise RequestError("bad_request", f"{pattern}: a pattern names pipelines, a run is given by its whole key")
    if verb in ALONE:
        raise RequestError("bad_request", f"{verb} asks something about each pipeline: do one after the other")
    keys = sorted(row.key for row in reader.floor() if fnmatchcase(row.key, pattern))
    if not keys:
        raise RequestError(
            "not_found", f"no pipeline is like {pattern}", "watchfloor show floor --format csv lists them"
        )
    if len(keys) > MOST:
        raise RequestError(
            "refused", f"{pattern} names {len(keys)} pipelines, {MOST} are the most for one confirmation", "narrow it"
        )
    return keys


def plan(args: Namespace) -> int:
    """What each would do; nothing is sent."""
    return _run(args, act=False)


def act(args: Namespace) -> int:
    """Plan all, confirm once, do one after the other and wait for each proof."""
    return _run(args, act=True)


def _run(args: Namespace, *, act: bool) -> int:
    from engine.ask import NoEngine

    reader = Reader(where(args).store)
    try:
        keys = chosen(reader, args.verb, args.key)
        with asking(args) as ask:
            plans = [_planned(ask, args, key) for key in keys]
            if act and args.arm:
                _arm(ask, plans)
            ready = [p for p in plans if not p.get("blocked")]
            why = _refusal(args, ready) if act else None
            if why or not act or args.format != "json":  # one object is printed: what was done, or what would be
                _show(args, plans, ready)
            if not act:
                return EXIT_OK if len(ready) == len(plans) else EXIT_REFUSED
            if why:
                return fail(why, EXIT_REFUSED)
            return _do(ask, args, reader, plans, ready)
    except NoEngine as error:
        return fail(f"{error}; what was done so far shows in: watchfloor show actions", EXIT_NO_ENGINE)
    except RequestError as error:
        return fail(f"{error.message}{'; ' + error.hint if error.hint else ''}", error.exit_code)
    except KeyboardInterrupt:
        return fail("stopped: the engine ends what it has begun; see: watchfloor show actions", EXIT_UNKNOWN)
    finally:
        reader.close()


def _planned(ask: Any, args: Namespace, key: str) -> dict[str, Any]:
    """One plan; what cannot be planned is a row that cannot."""
    params = dict(pair.partition("=")[::2] for pair in args.param or [])
    body: dict[str, Any] = {"verb": args.verb, "key": key, "params": params}
    if args.date:
        body["business_date"] = args.date
    try:
        reply: dict[str, Any] = ask("plan", **body)
    except RequestError as error:
        if error.exit_code == EXIT_BAD_INPUT and error.code != "not_found":
            raise
        reply = {"key": key, "environment": "", "needs": {}, "blocked": error.message, "candidates": []}
    if reply.get("candidates"):
        reply["blocked"] = f"{len(reply['candidates'])} runs are active: choose one by its key"
    return reply


def _arm(ask: Any, plans: list[dict[str, Any]]) -> None:
    for environment in sorted({p["environment"] for p in plans if p["needs"].get("armed") and not p.get("blocked")}):
        ask("arm", environment=environment)
        for p in plans:
            if p["environment"] == environment:
                p["needs"] = {**p["needs"], "armed": False}


def _show(args: Namespace, plans: list[dict[str, Any]], ready: list[dict[str, Any]]) -> None:
    if args.format == "json":
        print_json("plans", plans)
        return
    for p in plans:
        said = p["blocked"] or f"{(p.get('now') or {}).get('words', '')} -> {p.get('effect', '')}"
        print(f"{'cannot' if p.get('blocked') else 'will':<7} {p['key']}: {said}")
    print(f"{args.verb}: {noun(args.verb, len(ready))} will, {len(plans) - len(ready)} cannot")
    if words := phrase(args.verb, ready):
        print(f"confirmed by: --confirm {shlex.quote(words)}")


def _refusal(args: Namespace, ready: list[dict[str, Any]]) -> str | None:
    """Why nothing is done, with what would have to be added."""
    if not ready:
        return "nothing was done: none of them can be"
    held = sorted({p["environment"] for p in ready if p.get("protected")})
    if len(held) > 1:
        return f"nothing was done: {', '.join(held)} are protected, one environment at a time: narrow the pattern"
    parts = ["--arm"] if any(p["needs"].get("armed") for p in ready) else []
    if any(p["needs"].get("reason") for p in ready) and len((args.reason or "").strip()) < 10:
        parts.append('--reason "why, ten characters or more"')
    words = phrase(args.verb, ready)
    if words is not None and args.confirm != words:
        parts.append(f"--confirm {shlex.quote(words)}")
    elif words is None and not args.yes and args.confirm != f"{args.verb} {len(ready)}":
        parts.append("--yes")
    return f"nothing was done: to {args.verb} {noun(args.verb, len(ready))} add {' '.join(parts)}" if parts else None


def _do(ask: Any, args: Namespace, reader: Reader, plans: list[dict[str, Any]], ready: list[dict[str, Any]]) -> int:
    wrong, unknown = 0, False
    said = phrase(args.verb, ready)
    reason = (args.reason or "").strip() + (f" · in bulk, confirmed by {said}" if said else "")
    ended: list[dict[str, Any]] = [
        {"key": p["key"], "done": False, "words": p["blocked"]} for p in plans if p.get("blocked")
    ]
    for n, p in enumerate(ready, 1):
        ok, words, lost = _one(ask, args, reader, p, reason)
        ended.append({"key": p["key"], "done": ok, "words": words})
        if args.format != "json":
            print(f"{n}/{len(ready)} {p['key']}: {words}", flush=True)
        wrong, unknown = (0 if ok else wrong + 1), unknown or lost
        if wrong >= IN_A_ROW and n < len(ready):
            fail(f"{wrong} in a row went wrong: {len(ready) - n} were not asked for", EXIT_REFUSED)
            ended += [{"key": q["key"], "done": False, "words": "not asked for"} for q in ready[n:]]
            break
    if args.format == "json":
        print_json("actions", ended)
    if unknown:
        return EXIT_UNKNOWN
    return EXIT_OK if all(e["done"] for e in ended) else EXIT_REFUSED


def _one(ask: Any, args: Namespace, reader: Reader, p: dict[str, Any], reason: str) -> tuple[bool, str, bool]:
    """Do one and wait for its end: whether it is done, in words, and whether that is not known."""
    body = {"plan": p["plan"], "nonce": p["nonce"], "hash": p["hash"], "reason": reason, "typed": p["needs"].get("typed") or ""}  # fmt: skip
    try:
        try:
            done = ask("act", **body)
        except RequestError as error:
            if not (args.arm and error.hint.startswith("arm ")):
                raise
            ask("arm", environment=p["environment"])  # the minute ran out on the way
            done = ask("act", **body)
    except RequestError as error:
        return False, f"{error.code}: {error.message}", error.exit_code in (EXIT_UNKNOWN, EXIT_BUG)
    alone = Alone(reader)
    while True:
        row = reader.action(str(done["action"]))
        if row is None:
            return False, "the action is not in the store", True
        if not row.state.in_flight or (row.state is ActionState.UNKNOWN and row.ended is not None):
            state = row.state.name.lower().replace("_", " ")
            lost = row.state in (ActionState.UNKNOWN, ActionState.VERIFY_TIMEOUT)
            return row.state in _DONE, f"{state}: {row.words}", lost
        if alone():
            return False, ALONE_WORDS, True
        time.sleep(0.2)
