"""Verbs about what is owed: ``ping`` and ``waive``. Registered in ``engine.commands``; light, because cron waits for ``ping``."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from typing import Any

from engine.commands import asking, fail, print_json
from engine.request import EXIT_NO_ENGINE, EXIT_OK, RequestError


def _asked(args: Namespace, do: str, body: dict[str, Any]) -> dict[str, Any] | int:
    """The engine's answer, or an exit code whose sentence is said."""
    from engine.ask import NoEngine

    try:
        with asking(args) as ask:
            return ask(do, **body)
    except NoEngine as error:
        return fail(f"{error}; nothing was recorded" if do != "ping" else f"{error}; the ping is lost", EXIT_NO_ENGINE)
    except RequestError as error:
        return fail(f"{error.message}{'; ' + error.hint if error.hint else ''}", error.exit_code)


def ping(args: Namespace) -> int:
    """A sign of life: one sentence, exit 0 when it is recorded."""
    body: dict[str, Any] = {"name": args.name, "what": args.what}
    text = list(args.text)
    if args.code:  # words may follow the number: argparse gives them to the option
        number, *more = args.code
        if not number.isascii() or not number.isdigit() or len(number) > 3:
            return fail(f"--code: expected a number from 0 to 255, got {number[:40]!a}")
        body["code"] = int(number)
        text += more
    if text:
        body["text"] = " ".join(text)
    reply = _asked(args, "ping", body)
    if isinstance(reply, int):
        return reply
    hint = str(reply.get("hint") or "")
    if args.format == "json":
        print_json("ping", reply)
    elif not args.quiet:
        print(f"{reply['words']}{'; ' + hint if hint else ''}")
    return EXIT_OK


def waive(args: Namespace) -> int:
    """A person's word that something is not owed, or (``--undo``) that it is after all."""
    if not args.undo and not args.reason:
        return fail('a waiver needs a reason: --reason "why it is not owed"')
    body: dict[str, Any] = {"occurrence": int(args.key) if args.key.isascii() and args.key.isdigit() else args.key}
    if args.reason:
        body["reason"] = args.reason
    if args.undo:
        body["undo"] = True
    if args.until:
        if args.undo:
            return fail("--undo ends a waiver now: --until does not go with it")
        from engine.config.at import duration_ms

        try:
            body["until"] = int(time.time() * 1000) + duration_ms(args.until)
        except ValueError as error:
            return fail(f"--until: {error}")
    reply = _asked(args, "waive", body)
    if isinstance(reply, int):
        return reply
    if args.format == "json":
        print_json("waive", reply)
    else:
        print(reply["words"], file=sys.stdout)
    return EXIT_OK
