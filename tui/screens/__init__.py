"""The screens, one module each, and what lists have in common."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from adapters.model import Verb
from engine.store.rows import SourceRow
from tui.view import App, Back, Context, Effect, Open, Quit, Request, Say

VERB_OF = {
    "run.rerun": Verb.RERUN,
    "run.rerun_failed": Verb.RERUN_FAILED,
    "run.rerun_from": Verb.RERUN_FROM,
    "run.stop": Verb.STOP,
    "run.hold": Verb.HOLD,
    "pipeline.pause": Verb.PAUSE,
    "pipeline.start": Verb.START,
    "run.mark": Verb.MARK,
    "pipeline.backfill": Verb.BACKFILL,
}
"""Action id → verb; hold and pause turn into release and resume where the thing already stands."""

PAGE_MOVES = {
    "move.down": (1, 0),
    "move.up": (-1, 0),
    "move.page_down": (0, 2),
    "move.page_up": (0, -2),
    "move.half_down": (0, 1),
    "move.half_up": (0, -1),
}
"""Action id → (rows, half pages)."""


def steps(action: str, page: int, total: int) -> int | None:
    """How many rows a moving action goes, with ``page`` rows on the screen; None: it is not a move."""
    if action == "move.top":
        return -total
    if action == "move.bottom":
        return total
    move = PAGE_MOVES.get(action)
    if move is None:
        return None
    rows, halves = move
    return rows + halves * max(page // 2, 1)


def window(top: int, at: int, height: int, total: int) -> int:
    """First row to show so that ``at`` is among ``height`` rows, moved as little as possible."""
    top = min(top, max(total - height, 0))
    if at < top:
        return max(at, 0)
    if at >= top + height:
        return max(at - height + 1, 0)
    return max(top, 0)


def common(action: str, context: Context, screen: str) -> Sequence[Effect]:
    """What the keys of every screen do, where the app does not take them itself (``show`` and tests have no app)."""
    match action:
        case (
            "screen.floor" | "screen.runs" | "screen.run" | "screen.sources" | "screen.timeline" | "screen.deadlines"
            | "screen.layers" | "screen.morning" | "screen.hosts" | "screen.actions"
        ):  # fmt: skip
            return (Open(action.partition(".")[2]),)
        case "problem.first":
            return (Open("floor", "!"),)
        case "nav.back":
            return (Back(),)
        case "app.quit":
            return (Quit(),)
        case "app.help":
            return (Open("help", screen),)
        case "app.palette":
            return (Open("palette"),)
        case "app.card":
            return (Open("card"),)
        case "link.menu":
            return (Open("links"),)
        case "app.theme":
            return (App("theme"),)
        case "app.plain":
            return (App("lofi"),)
        case "app.refresh":
            return (App("refresh"),)
        case _:
            return ()


def plan_arg(verb: str, key: str, **params: str) -> str:
    """What the plan dialog is opened with: the verb, the key, and values of its fields (``id=7``), one word each."""
    return " ".join((verb, key, *(f"{name}={quote(value, safe='')}" for name, value in params.items())))


def open_plan(verb: Verb, key: str, name: str, source: SourceRow | None, context: Context, **params: str) -> Effect:
    """Open the plan dialog for a verb on a key, or say in one sentence why it cannot be."""
    why = cannot(verb, source, context)
    return Say(f"{verb} {name}: {why}", "warn") if why else Open("plan", plan_arg(verb, key, **params))


def cannot(verb: Verb, source: SourceRow | None, context: Context) -> str | None:
    """Why a verb cannot even be planned: read-only, no engine, not offered by this system; None: it can."""
    if context.read_only:
        return "this terminal is read-only"
    if not context.engine_alive:
        return "nobody is watching, no action is possible; Ctrl+R starts the engine"
    if source is None:
        return "its source is not known any more"
    if verb not in source.offers:
        return source.why_not.get(verb, f"{source.name} ({source.kind}) does not offer it")
    return None


def arm(environment: str, protected: bool, armed: bool, context: Context) -> Effect:
    """``A``: ask the engine to arm or disarm an environment."""
    if context.read_only:
        return Say("this terminal is read-only: nothing can be armed", "warn")
    if not context.engine_alive:
        return Say("nobody is watching: nothing can be armed; Ctrl+R starts the engine", "warn")
    if not protected:
        return Say(f"{environment or 'this environment'} is not protected: its actions need no arming, each still asks")
    return Request("disarm" if armed else "arm", {"environment": environment}, tag="disarm" if armed else "arm")


def ack(alert: str | None, what: str, acked: bool, context: Context) -> Effect:
    """``m``: take an open alert, or say why it cannot be taken."""
    if alert is None:
        return Say(f"{what} has no open alert")
    if acked:
        return Say(f"the alert of {what} is acknowledged already")
    if context.read_only:
        return Say("this terminal is read-only: nothing can be acknowledged", "warn")
    if not context.engine_alive:
        return Say("nobody is watching: an acknowledgement cannot be recorded; Ctrl+R starts the engine", "warn")
    return Request("ack", {"alert": alert}, tag="ack")


def answered(tag: str, what: str, error: dict[str, str] | None) -> Sequence[Effect]:
    """Words for the answer to ``poll``, ``ack``, ``arm`` and ``disarm``."""
    if error is not None:
        hint = f": {error['hint']}" if error.get("hint") else ""
        return (Say(f"{error.get('message', 'refused')}{hint}", "bad"),)
    said = {
        "poll": f"{what} is being asked now",
        "ack": f"acknowledged: {what} is yours",
        "arm": f"armed: {what} for 60 s, every action still asks",
        "disarm": f"{what} is disarmed",
    }.get(tag)
    return (Say(said),) if said else ()
