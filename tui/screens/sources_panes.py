"""The panes of Sources that are not about one source: the engine, messages that did not arrive, actions of late."""

from __future__ import annotations

from collections.abc import Sequence

from adapters.model import ActionState
from engine.store.rows import ActionRow, DeliveryRow, OwnState
from tui import keymap
from tui.present import lines, own, words
from tui.present.cut import clean, cut, first_line
from tui.present.frame import Head
from tui.present.head import hung
from tui.view import Context, Line, Span


def fact(label: str, value: Sequence[Span], width: int, label_width: int = 8) -> Line:
    """One labelled line of a pane."""
    return lines.fit([(" ", ""), (f"{cut(label, label_width):<{label_width}}", "dim"), ("  ", ""), *value], width)


def engine(ctx: Context, head: Head, health: OwnState, width: int) -> list[Line]:
    """Who writes the store, since when, from which configuration, and how it is itself."""
    e, tz, now = head.engine, ctx.timezone, ctx.now()
    if e is None:
        return [
            lines.rule("Engine", "none has run here", "", width),
            fact("Do", [(f"{keymap.key_of('app.refresh')} starts one", "text b")], width),
        ]
    dead = "stopped" if e.stopped is not None else "there, and says nothing" if hung(ctx) else "gone"
    state = "runs" if ctx.engine_alive else dead
    out: list[Line] = [
        lines.rule("Engine", f"pid {e.pid} on {clean(e.host)} · {state} · version {clean(e.version)}", "", width)
    ]
    life = f"since {words.clock(e.started, tz, now)}, {words.running(now - e.started)}"
    if not ctx.engine_alive:
        life += f" · last sign of life {words.clock(e.stopped or e.heartbeat, tz, now)}"
    out.append(fact("Life", [(life, "text")], width))
    if e.last_words or e.note:
        out.append(
            fact(
                "Said",
                [(first_line(e.last_words or e.note or ""), "run-failed" if not ctx.engine_alive else "text")],
                width,
            )
        )
    out.append(
        fact(
            "Store",
            [(clean(str(ctx.reader.path)), "text"), (f" · {words.count(ctx.reader.run_count())} runs", "dim")],
            width,
        )
    )
    out.append(
        fact(
            "Config",
            [
                (clean(e.config_path), "text"),
                (f" · {clean(e.config_hash)[:12]}", "dim"),
                (" · demo" if e.demo else "", "dim"),
            ],
            width,
        )
    )
    if e.config_error:
        folder = e.config_path.rpartition("/")[0]
        why = first_line(e.config_error.replace(f"{folder}/", "") if folder else e.config_error)
        out.append(fact("", [("newer configuration refused: ", "run-late b"), (why, "text")], width))
    return [*out, *own.engine_lines(health, ctx, width)]


def letters(ctx: Context, undelivered: Sequence[DeliveryRow], width: int) -> list[Line]:
    """Messages that did not arrive, and when they are tried again."""
    tz, now = ctx.timezone, ctx.now()
    out: list[Line] = [
        lines.rule("Messages not delivered", str(len(undelivered)) if undelivered else "none", "", width)
    ]
    for d in undelivered[:20]:
        state = "given up" if d.state == 3 else f"next try {words.clock(d.next_at, tz, now)}"
        clauses: list[words.Clause] = [
            [(first_line(d.last_error or "?"), "text")],
            f"{words.many(d.attempts, 'try', 'tries')}",
            state,
            d.kind,
        ]
        out.append(fact(clean(d.recipient), words.sentence(clauses, width - 16), width, 12))
    return out


def actions(ctx: Context, lately: Sequence[ActionRow], width: int) -> list[Line]:
    """What was done of late and what came of it."""
    tz, now = ctx.timezone, ctx.now()
    out: list[Line] = [lines.rule("Actions of late", str(len(lately)) if lately else "none", "", width)]
    for a in lately:
        style = (
            "run-failed"
            if a.state in (ActionState.FAILED_EXECUTED, ActionState.FAILED_NOT_EXECUTED, ActionState.UNKNOWN)
            else "text"
        )
        word = a.state.name.lower().replace("_", " ")
        clauses: list[words.Clause] = [
            [(f"{a.verb} ", "text b"), (clean(a.key), "text")],
            [(word, style)],
            [(first_line(a.words), style)],
            clean(a.who),
            clean(a.reason or ""),
        ]
        out.append(fact(words.clock(a.created, tz, now), words.sentence(clauses, width - 14), width, 10))
    return out


def version(said: str | None) -> str:
    """The number of ``SQLite 3.40.1``; what tells none (``this host``, ``not told``) has none."""
    last = clean(said or "?").rpartition(" ")[2]
    return last if any(c.isdigit() for c in last) else "n/a" if said else "?"


def skew(ms: int | None) -> str:
    """How far its clock is from ours; "?" where it does not tell its time."""
    if ms is None:
        return "?"
    if abs(ms) >= 1000:
        return words.duration(abs(ms))
    return f"{ms} ms" if len(str(ms)) < 3 else f"{ms / 1000:.1f}s"  # in five cells
