"""``watchfloor notify test``: one message to each contact, through the whole path, and what each service answered.

A running engine sends it (its environment is the one that counts at night). Where none runs, the same path is gone
through here, with an outbox of its own that is thrown away.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.request import EXIT_BAD_INPUT, EXIT_OK, EXIT_UNREACHABLE, RequestError

if TYPE_CHECKING:
    from engine.config.model import Config
    from engine.config.paths import Places

PATIENCE_S = 120.0


def send_test(config: Config, places: Places, to: str | None) -> int:
    """Exit 0 if everyone was reached, 4 if somebody was not, 2 for a name that is not configured."""
    from engine.ask import Ask, NoEngine

    try:
        try:
            with Ask(places.socket, timeout_s=PATIENCE_S) as ask:
                reply = ask("notify", to=to)
            by = "by the engine"
        except RequestError as error:
            if error.code != "bad_request":
                raise
            reply = asyncio.run(_here(config, places, to))
            by = "from here; the running engine is older and does not know how"
        except NoEngine:
            reply = asyncio.run(_here(config, places, to))
            by = "from here; no engine is running"
    except RequestError as error:
        print(f"{error.message}{'; ' + error.hint if error.hint else ''}", file=sys.stderr)
        return error.exit_code
    found: list[dict[str, Any]] = reply.get("reports") or []
    if not found:
        print("nobody to tell: no contact is configured", file=sys.stderr)
        return EXIT_BAD_INPUT
    for one in found:
        print(f"{'✓' if one['ok'] else '✗'} {one['recipient']:<16} {one['ms'] / 1000:.1f}s  {one['words']}")
    missed = sum(not one["ok"] for one in found)
    print(f"{len(found) - missed} of {len(found)} reached, sent {by}")
    return EXIT_UNREACHABLE if missed else EXIT_OK


async def _here(config: Config, places: Places, to: str | None) -> dict[str, Any]:
    from engine.clock import Clock
    from engine.context import Context
    from engine.notify.outbox import Notifier, reports
    from engine.store.writer import Store

    with tempfile.TemporaryDirectory(prefix="watchfloor-") as folder:
        clock = Clock()
        store = Store.open(Path(folder) / "outbox.db", clock)
        ctx = Context(
            clock=clock, store=store, config=config, places=places, adapters={}, source_ids={}, poll_soon=_nothing,
            log=lambda line: print(line, file=sys.stderr),
        )  # fmt: skip
        notifier = Notifier(ctx)
        try:
            return reports(await notifier.test(to))
        finally:
            await notifier.close()
            store.close()


def _nothing(_source: str) -> None:
    return
