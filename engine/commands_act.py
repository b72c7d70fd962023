"""Verbs that act on the outside world, and the record of them: ``plan``, ``act``, ``settle``, ``audit``. Registered in
``engine.commands``.
"""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from engine.commands import asking, fail, print_json, simple, where
from engine.request import (
    EXIT_NO_ENGINE,
    EXIT_NOT_WELL,
    EXIT_OK,
    EXIT_REFUSED,
    EXIT_UNKNOWN,
    EXIT_UNREACHABLE,
    RequestError,
)

if TYPE_CHECKING:
    from engine.store.reader import Reader

GONE_S: Final = 10.0
"""So long nobody may hold the engine's lock before what is in flight is left to the next engine."""
CHANGES = ("backfill-pause", "backfill-resume", "backfill-cancel")
SHORT = {"from_": ("from", ("backfill",)), "to": ("to", ("backfill",)), "as_": ("as", ("mark",)), "id": ("id", CHANGES)}
"""Options that are parameters (``--from D`` is ``--param from=D``), and the verbs that have them."""


def _asked(args: Namespace) -> dict[str, Any]:
    """What the engine is asked with. RequestError in a sentence for what cannot be meant."""
    params: dict[str, str] = {}
    for pair in args.param or []:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise RequestError("bad_request", f"--param {pair!r}: expected NAME=VALUE", "")
        params[name] = value
    for option, (name, verbs) in SHORT.items():
        value = getattr(args, option, None)
        if value is None:
            continue
        if args.verb not in verbs:
            raise RequestError(
                "bad_request", f"--{name} does not go with {args.verb}: only with {', '.join(verbs)}", ""
            )
        if params.get(name, value) != value:
            raise RequestError(
                "bad_request", f"--{name} {value} and --param {name}={params[name]} differ: give one", ""
            )
        params[name] = value
    _check(args.verb, params)
    body: dict[str, Any] = {"verb": args.verb, "key": args.key, "params": params}
    if args.date:
        body["business_date"] = args.date
    return body


def _check(verb: str, params: dict[str, str]) -> None:
    """What a verb cannot do without, said before anything is asked."""
    if verb == "mark" and params.get("as") not in ("success", "failed"):
        said = f", not {params['as']!r}" if "as" in params else ""
        raise RequestError("bad_request", f"mark needs --as success or --as failed{said}", "")
    if verb != "backfill":
        return
    days: list[date] = []
    for name in ("from", "to"):
        if not params.get(name):
            raise RequestError("bad_request", f"backfill needs --{name}: a date like 2026-11-01", "")
        try:
            days.append(date.fromisoformat(params[name]))
        except ValueError:
            raise RequestError(
                "bad_request", f"--{name} {params[name][:40]!r} is not a date like 2026-11-01", ""
            ) from None
    if days[1] < days[0]:
        raise RequestError("bad_request", f"--to {days[1]} is before --from {days[0]}: the first date comes first", "")


def plan(args: Namespace) -> int:
    """Print what an action would do; nothing is sent."""
    from engine.ask import NoEngine

    try:
        with asking(args) as ask:
            reply = ask("plan", **_asked(args))
    except NoEngine as error:
        return fail(str(error), EXIT_NO_ENGINE)
    except RequestError as error:
        return fail(f"{error.message}{'; ' + error.hint if error.hint else ''}", error.exit_code)
    _show_plan(args, reply)
    return EXIT_REFUSED if reply.get("blocked") else EXIT_OK


def act(args: Namespace) -> int:
    """Plan, confirm and do; wait for the proof. Exit 0 only when the world shows the effect."""
    from engine.ask import NoEngine

    try:
        with asking(args) as ask:
            reply = ask("plan", **_asked(args))
            if args.arm and _unarmed(reply):
                ask("arm", environment=reply["environment"])
                reply = ask("plan", **_asked(args))
            if reply.get("blocked"):
                _show_plan(args, reply)
                return fail(f"refused: {reply['blocked']}", EXIT_REFUSED)
            needs = reply["needs"]
            if not _confirmed(args, reply, needs):
                _show_plan(args, reply)
                return fail(_how_to_confirm(args, reply, needs), EXIT_REFUSED)
            done = ask(
                "act",
                plan=reply["plan"],
                nonce=reply["nonce"],
                hash=reply["hash"],
                reason=args.reason or "",
                typed=args.confirm or "",
            )
    except NoEngine as error:
        return fail(str(error), EXIT_NO_ENGINE)
    except RequestError as error:
        how = ": --arm does it for this act" if error.hint.startswith("arm ") and not args.arm else ""
        return fail(f"{error.message}{'; ' + error.hint + how if error.hint else ''}", error.exit_code)
    return _follow(args, str(done["action"]))


def _show_plan(args: Namespace, reply: dict[str, Any]) -> None:
    from engine.actions.render import plan_text

    if args.format == "json":
        print_json("plan", reply)
    else:
        print(plan_text(reply, 100))


def _unarmed(reply: dict[str, Any]) -> bool:
    return any(guard["name"] == "armed" and guard["ok"] is False for guard in reply["guards"])


def _confirmed(args: Namespace, reply: dict[str, Any], needs: dict[str, Any]) -> bool:
    if needs.get("typed"):
        return args.confirm == needs["typed"] and bool(args.reason or not needs.get("reason"))
    if needs.get("reason") and not args.reason:
        return False
    if args.yes or args.confirm == reply["name"]:
        return True
    if needs.get("key") == "enter":
        return not sys.stdin.isatty() or _ask_enter()
    if sys.stdin.isatty():
        _show_plan(args, reply)
        return input("Type y and Enter to do it: ").strip() == "y"
    return False


def _ask_enter() -> bool:
    try:
        return input("Enter to do it, Ctrl+C to leave it: ") == ""
    except EOFError:
        return False


def _how_to_confirm(args: Namespace, reply: dict[str, Any], needs: dict[str, Any]) -> str:
    import shlex

    parts: list[str] = ["--arm"] if _unarmed(reply) else []
    if needs.get("reason") and not args.reason:
        parts.append('--reason "why, ten characters or more"')
    if needs.get("typed"):
        if args.confirm != needs["typed"]:
            parts.append(f"--confirm {shlex.quote(needs['typed'])}")
    elif not args.yes:
        parts.append("--yes")
    return f"nothing was done: to {reply['verb']} {reply['name']} add {' '.join(parts)}"


class Alone:
    """Whether the engine that was asked is gone and none came after it: then nobody writes how an action ends."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._seen = time.monotonic()

    def __call__(self) -> bool:
        now = time.monotonic()
        if self._reader.lock_held():
            self._seen = now
        return now - self._seen >= GONE_S


ALONE_WORDS: Final = (
    "the engine is gone and nobody knows what became of it; the next engine asks: watchfloor engine run"
)


def _follow(args: Namespace, action: str) -> int:
    """Words of the action as they come, until it ends or nobody is there any more to tell."""
    from adapters.model import ActionState
    from engine.store.reader import Reader

    reader = Reader(where(args).store)
    alone = Alone(reader)
    said = 0
    try:
        while True:
            row = reader.action(action)
            if row is None:
                return fail("the action is not in the store", EXIT_UNKNOWN)
            for _, state, words in row.events[said:]:
                if args.format != "json":
                    print(f"{state.name.lower().replace('_', ' ')}: {words}", flush=True)
            said = len(row.events)
            if not row.state.in_flight or (row.state is ActionState.UNKNOWN and row.ended is not None):
                break
            if alone():
                return fail(ALONE_WORDS, EXIT_UNKNOWN)
            time.sleep(0.2)
    except KeyboardInterrupt:
        return fail("the engine goes on with it; see: watchfloor show actions", EXIT_UNKNOWN)
    finally:
        reader.close()
    if args.format == "json":
        data = {"id": row.id, "state": row.state.name, "words": row.words, "verb": row.verb, "key": row.key}
        print_json("action", data | {"result": row.result_key})
    if row.state in (ActionState.DONE, ActionState.RECONCILED_DONE):
        return EXIT_OK
    if row.state in (ActionState.REFUSED, ActionState.FAILED_NOT_EXECUTED, ActionState.RECONCILED_NOT_DONE):
        return EXIT_REFUSED if row.state is ActionState.REFUSED else EXIT_UNREACHABLE
    if row.state is ActionState.UNKNOWN:
        print(
            f'when you have looked: watchfloor settle {row.id} done|not-done --reason "how you know"', file=sys.stderr
        )
    return EXIT_UNKNOWN


def settle(args: Namespace) -> int:
    """A person who looked says how an UNKNOWN action ended; it is recorded with their name."""
    words = f"recorded: {args.action} is {args.outcome.replace('-', ' ')}"
    return simple(args, "cancel", words, action=args.action, outcome=args.outcome, reason=args.reason)


def audit(args: Namespace) -> int:
    from engine.actions.audit import export, verify_file

    place = where(args)
    if args.what == "export":
        return export(place.store, args.format, sys.stdout)
    broken = verify_file(place.store, place.audit)
    if broken:
        return fail(f"the chain breaks at {broken}", EXIT_NOT_WELL)
    print("every record is where it was and as it was")
    return EXIT_OK
