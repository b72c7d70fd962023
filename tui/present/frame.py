"""What every screen has around its panes: band, verdict, counts, hosts, footer; and the rows that say that nobody
watches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from adapters.model import State, Verb
from tui import keymap
from tui.present import own, words
from tui.present.cut import clean, first_line
from tui.present.glyphs import LOOKS, NO_RUNS, NO_VIEW, PAUSED, Look
from tui.present.head import (
    NARROW as NARROW,
)
from tui.present.head import (
    SILENT_MS as SILENT_MS,
)
from tui.present.head import (
    WIDE as WIDE,
)
from tui.present.head import (
    Environment as Environment,
)
from tui.present.head import (
    Head as Head,
)
from tui.present.head import (
    Verdict as Verdict,
)
from tui.present.head import (
    ailing as ailing,
)
from tui.present.head import (
    band as band,
)
from tui.present.head import (
    blind as blind,
)
from tui.present.head import (
    head_data as head_data,
)
from tui.present.head import (
    hung,
)
from tui.present.head import (
    is_narrow as is_narrow,
)
from tui.present.head import (
    is_wide as is_wide,
)
from tui.present.head import (
    silent as silent,
)
from tui.present.head import (
    silent_since as silent_since,
)
from tui.present.head import (
    source_age as source_age,
)
from tui.present.head import (
    trouble as trouble,
)
from tui.present.head import (
    troubled as troubled,
)
from tui.present.head import (
    verdict_of as verdict_of,
)
from tui.present.host_row import hosts_row
from tui.present.lines import cells, ends, finish, fit, merge, recolour

if TYPE_CHECKING:
    from engine.store.rows import Counts, SourceRow
    from tui.view import Context, Line, Span

_ARMING: Final = frozenset({"Floor", "Runs", "Run", "Sources", "Deadlines", "Timeline", "Layers"})
"""Titles of the screens whose keys arm an environment."""
_RUNS: Final = frozenset({*(verb.value for verb in Verb), "steps", "log", "history"})
"""What only a source that runs something offers."""


# --- rows -----------------------------------------------------------------------------------------------------------


def only_measure(sources: Sequence[SourceRow]) -> bool:
    """Whether all that is watched measures and runs nothing, by its own word: no pipeline is then no lack."""
    return bool(sources) and all("metrics" in s.offers and not s.offers & _RUNS for s in sources)


def no_pipeline(sources: Sequence[SourceRow]) -> str:
    """Why a list of pipelines is empty that nobody filtered."""
    if only_measure(sources):
        return f"no pipeline: what is watched here measures and runs nothing; {keymap.key_of('screen.hosts')} Hosts shows it"
    return "no pipeline seen yet: the sources have not been read, or offer none to this credential"


def band_row(ctx: Context, head: Head, title: str, width: int, *, about: Sequence[Span] = ()) -> list[Span]:
    """Row 0: screen, environments (or ``about``, on screens of one object), what may be done, the clock."""
    now, narrow = ctx.now(), is_narrow(width)
    armed = head.armed_now(now)
    clock: list[Span] = [(words.hhmm(now, ctx.timezone), "text")]
    if not narrow:
        clock = [
            (f"{words.weekday(now, ctx.timezone)}  ", "text"),
            *clock,
            (f" {words.zone_word(ctx.timezone)}", "text"),
        ]
    if armed and ctx.engine_alive:
        left_s = max(0, (armed.until - now + 999) // 1000)
        if ctx.extra.get("slow_link"):
            left_s = -(-left_s // 5) * 5
        said = f" ARMED {left_s // 60}:{left_s % 60:02d}  for {clean(armed.environment)} · every action still asks   "
        left: list[Span] = [(said, "b"), (keymap.key_of("action.arm"), "b"), (" disarm", "")]
        line = ends(left, clock, width)
        return merge((t, f"armed-fg {'b ' if 'b' in s.split() else ''}on:armed-bg") for t, s in line)
    left = [(f" {title} ", "text b")]
    if about:
        left += about
    elif not head.environments:
        left.append((" no environment yet", "dim"))
    else:
        for e in head.environments:
            paper = f"band-{e.band}-fg on:band-{e.band}-bg"
            left.append((f" {clean(e.name).upper()} ", f"{paper} b"))
            more = "" if narrow else words.many(e.sources, "source")
            if e.protected:
                more += "protected" if narrow else " · protected"
            if more:
                left.append((f"{more} ", paper))
    right: list[Span] = []
    if not ctx.engine_alive or trouble(ctx) is not None:
        right.append(("actions off", "run-late b"))
    elif ctx.read_only:
        right.append(("read-only", "text"))
    elif any(e.protected for e in head.environments):
        right.append(("read-only", "text"))
        if not narrow and title in _ARMING:
            right += [("  ", ""), (keymap.key_of("action.arm"), "key b"), (" arm", "dim")]
    elif head.sources:
        right.append(("every action asks", "dim"))
    right += [("  " if narrow else "    ", ""), *clock]
    line = ends(left, right, width)
    return merge((t, s if "on:" in s else f"{s} on:surface".strip()) for t, s in line)


def chip(text: str, token: str) -> Span:
    """An inverse word: the only thing on a screen that calls."""
    return (f" {text} ", f"{token} rev b")


def alerts_spans(counts: Counts) -> list[Span]:
    if not counts.alerts:
        return [("no alerts", "dim")]
    out: list[Span] = [(words.many(counts.alerts, "alert"), "text")]
    if counts.unacked:
        out += [(" · ", "dim"), (f"{counts.unacked} not acked", "run-late b")]
    return out


def verdict_row(ctx: Context, head: Head, verdict: Verdict, width: int) -> list[Span]:
    """Row 1: how many are broken, since when, who is blind; or that all is fine."""
    now, tz, narrow = ctx.now(), ctx.timezone, is_narrow(width)
    left: list[Span] = [(" ", "")]
    names = 0

    def add(*spans: Span) -> None:
        if len(left) > 1:
            left.append(("  ", ""))
        left.extend(spans)

    if verdict.broken:
        since = (
            [] if verdict.since is None else [(" since ", "text b"), (words.clock(verdict.since, tz, now), "text b")]
        )
        what = words.many(verdict.broken, "broken run") if verdict.of_runs else f"{verdict.broken} broken"
        add(chip(what, "run-failed"), *since)
    if verdict.danger:
        add(chip(f"{words.many(len(verdict.danger), 'deadline')} in danger", "run-late"))
        names = len(left)
    if verdict.long:
        add(chip(f"{verdict.long} {'long' if verdict.danger else 'longer than usual'}", "run-late"))
    if verdict.mending:
        add(chip(f"{verdict.mending} not made good", "run-late"))
    dark = blind(head.sources, now)
    if dark:
        add(chip(f"{len(dark)} blind" if narrow else f"{words.many(len(dark), 'source')} blind", "run-stale"))
    if silent := troubled(head.sources, now):
        add(chip(f"{len(silent)} silent" if narrow else f"{words.many(len(silent), 'source')} silent", "run-failed"))
    if verdict.danger:
        room = width - cells(left) - (12 if narrow else 2)
        left[names:names] = endangered(verdict, room, tz, now)
    if not verdict.total and only_measure(head.sources):
        add(
            ("Nothing here runs pipelines", "text b"),
            (f"   {keymap.key_of('screen.hosts')} Hosts shows what is measured", "dim"),
        )
    elif not verdict.total:
        add(("No pipeline seen yet", "text b"), ("   nothing here says that all is well", "dim"))
    elif len(left) == 1 and not verdict.unknown and not verdict.unjudged:
        if verdict.warnings:
            add(
                ("No run is broken" if verdict.of_runs else "Nothing broken", "text b"),
                (f"   {words.many(verdict.warnings, 'warning')}", "run-warning"),
            )
        elif verdict.unrun:
            add((f"{verdict.total - verdict.unrun} fine", "run-ok b"), (f"   {verdict.unrun} never ran", "dim"))
        elif verdict.of_runs:
            add(("No run is broken", "run-ok b"))
        else:
            add((f"All {verdict.total} {'as owed' if verdict.promised else 'fine'}", "run-ok b"))
    elif verdict.unknown and not dark:
        add((f"{verdict.unknown} of {verdict.total} unknown", "run-stale b"))
    if verdict.unjudged:
        add((f"{words.many(verdict.unjudged, 'promise')} unknown", "run-stale b"))
    if not verdict.broken and not verdict.danger and verdict.due_name and verdict.due_at is not None:
        add(("next due ", "dim"), *next_due(verdict, tz, now))
    elif not verdict.broken and not verdict.danger and verdict.next_name and verdict.next_at is not None:
        add(
            ("next run ", "dim"),
            (clean(verdict.next_name), "text"),
            (f" {words.clock(verdict.next_at, tz, now)}", "text"),
        )
    right = alerts_spans(head.counts)[:1] if narrow else [] if head.counts.alerts else alerts_spans(head.counts)
    if head.engine is not None and head.engine.config_error:  # what a person just wrote does not hold
        refused: list[Span] = [
            chip("config refused" if narrow else "newer configuration refused", "run-late"),
            *([] if narrow else [("  ", ""), (keymap.key_of("screen.sources"), "key b"), (" why", "dim")]),
        ]
        right = refused if cells(left) + cells(refused) + 2 <= width else right
    return ends(left, right, width)


def endangered(verdict: Verdict, room: int, tz: str, now: int) -> list[Span]:
    """``daily_sales 06:00, customer_360 06:30``: as many as there is room for, whole ones only."""
    out: list[Span] = []
    for i, (name, due) in enumerate(verdict.danger):
        part: list[Span] = [(", " if i else "  ", "dim"), (name, "text"), (f" {words.clock(due, tz, now)}", "text")]
        rest = len(verdict.danger) - i
        more = f" +{rest}" if out else ""
        if cells(out) + cells(part) + (len(f" +{rest - 1}") if rest > 1 else 0) > room:
            return [*out, (more, "dim")] if more and cells(out) + len(more) <= room else out
        out += part
    return out


def next_due(verdict: Verdict, tz: str, now: int) -> list[Span]:
    """``ml_writeback_scores 07:45, 31m to spare``."""
    late = verdict.due_late
    spare = f", {words.running(-late)} to spare" if late is not None and late < 0 else ""
    return [(verdict.due_name or "", "text"), (f" {words.clock(verdict.due_at, tz, now)}", "text"), (spare, "dim")]


_COUNTED: Final[tuple[tuple[State, str], ...]] = (
    (State.FAILED, "failed"), (State.TIMED_OUT, "timeout"), (State.MISSED, "missed"), (State.LOST, "lost"),
    (State.WARNING, "warning"), (State.RETRYING, "retrying"), (State.STOPPING, "stopping"), (State.RUNNING, "running"),
    (State.QUEUED, "queued"), (State.HELD, "held"),
)  # fmt: skip
_SHORT: Final = {"warning": "warn", "running": "run", "queued": "queue", "retrying": "retry", "stopping": "stop"}
_QUIET: Final[tuple[tuple[State, str], ...]] = (
    (State.SUCCESS, "ok"),
    (State.STOPPED, "stopped"),
    (State.SKIPPED, "skipped"),
)


def counts_row(head: Head, width: int, ascii: bool = False) -> list[Span]:
    """Row 2: pipelines by state, those that need someone first; alerts at the right.

    In plain ascii a blank stands between glyph and count: a missed one is ``0``.
    """
    counts, narrow = head.counts, is_narrow(width)
    shown: list[tuple[Look, int, str]] = [
        (LOOKS[s], counts.known.get(s, 0), word) for s, word in _COUNTED if counts.known.get(s, 0)
    ]
    if counts.resting:
        shown.append((PAUSED, counts.resting, "paused"))
    shown += [(LOOKS[s], counts.known.get(s, 0), word) for s, word in _QUIET if counts.known.get(s, 0)]
    if counts.unknown:
        shown.append((NO_VIEW, counts.unknown, "unknown"))
    unrun = counts.total - sum(n for _, n, _ in shown)
    if shown and unrun > 0:  # so that it adds up
        shown.append((NO_RUNS, unrun, "never ran"))
    right = [] if narrow or not counts.alerts else alerts_spans(counts)
    room = width - (cells(right) + 3 if right else 1)
    apart = " " if ascii else ""
    left = _counted(shown, long=not narrow, apart=apart)
    if not shown:  # runs of sources that are watched no more may be in the store all the same
        left.append(("no runs seen yet" if counts.total else "no pipeline is watched now", "dim"))
    bare: list[str] = []
    for word in ("", *_FIRST_BARE):
        if cells(left) <= room:
            break
        bare.append(word)
        left = _counted(shown, long=False, bare=bare, apart=apart)
    return ends(left, right, width)


_FIRST_BARE: Final = (
    "never ran", "skipped", "stopped", "ok", "queued", "stopping", "retrying", "running", "warning", "held", "lost", "timeout",
    "missed", "unknown", "failed", "paused",
)  # fmt: skip
"""Which words go first where all do not fit; glyph and count stay. Held and paused have one glyph: one of them keeps its word."""


def _counted(
    shown: Sequence[tuple[Look, int, str]], *, long: bool, bare: Sequence[str] = (), apart: str = ""
) -> list[Span]:
    """``✗ 2 failed``, shorter ``✗2 failed``, shortest ``✗2``: no count is ever cut off."""
    left: list[Span] = [(" ", "")]
    for i, (look, n, word) in enumerate(shown):
        if i:
            left.append(("  ", ""))
        left.append((look.glyph, look.style))
        if long:
            left += [(f" {n} ", "text b"), (word, "dim")]
        elif word in bare:
            left.append((f"{apart}{n}", "text"))
        else:
            left += [(f"{apart}{n} ", "text"), (_SHORT.get(word, word), "dim")]
    return left


def silent_rows(ctx: Context, head: Head, verdict: Verdict, width: int) -> list[Line]:
    """Rows 1 to 4 when no engine runs: the banner in red, the verdict that was, the engine's last words. The same where one
    runs and can record nothing.
    """
    now, tz, narrow = ctx.now(), ctx.timezone, is_narrow(width)
    engine = head.engine
    since = silent_since(ctx, engine)
    if engine is None or since is None:
        said, at = "no engine has ever run here", ""
    else:
        verb = "stopped at" if engine.stopped is not None and ctx.engine_silent_since is None else "silent since"
        at = words.clock(since, tz, now)
        said = f"engine {verb} {at}, {words.age(max(now - since, 0))}"
    key = keymap.key_of("app.refresh")
    more = "" if narrow else "  ·  no poll, no alert, no action is happening"
    below = f" All below is what was true at {at}.   " if at else " Nothing is known yet.   "
    banner: list[list[Span]] = [
        [(" NOBODY IS WATCHING  ", "b"), (said, "b"), (more, "")],
        [
            (below, ""),
            *([] if hung(ctx) else [(key, "b"), (" start the engine here   ", "")]),
            (keymap.key_of("screen.sources"), "b"),
            (" why", ""),
        ],
    ]
    if not narrow:
        banner[1].append((": last words of the engine", ""))
    if trouble(ctx) is not None:
        banner = own.banner(ctx, narrow)
    red = [merge((t, f"banner-fg {s} on:banner-bg".replace("  ", " ")) for t, s in fit(line, width)) for line in banner]
    parts = [f"{verdict.broken} broken"] if verdict.broken else []
    parts += [f"{words.many(len(verdict.danger), 'deadline')} in danger"] if verdict.danger else []
    parts += [f"{verdict.long} longer than usual"] if verdict.long else []
    rest = verdict.total + verdict.beside - verdict.broken - verdict.long - len(verdict.danger)
    if rest > 0 or not parts:
        parts.append(f"{rest} {'others' if parts else 'pipelines'}")
    oldest: list[Span] = (
        [] if verdict.oldest is None else [(f"oldest truth {words.age(verdict.oldest)}", "run-stale b")]
    )
    then = ends([(f" then  {' · '.join(parts)}", "run-stale")], oldest, width)
    cause: list[Span] = [(" engine  ", "dim")]
    if engine is None:
        cause.append(("none has run with this configuration", "text"))
    else:
        gone = "alive" if trouble(ctx) is not None else "stopped" if engine.stopped is not None else "gone"
        if hung(ctx):
            wakes = f"kill -CONT {engine.pid} wakes it if it was stopped"
            gone = f"is there, and says nothing: {wakes}, kill -9 {engine.pid} ends it"
            gone = f"is there: {wakes}" if narrow else gone
        cause.append((f"pid {engine.pid} on {clean(engine.host)} {gone}", "text"))
        last = own.words_of(ctx) or first_line(engine.last_words or engine.note or "")
        if last:
            cause += [("  last words: " if trouble(ctx) is None else "  says: ", "dim"), (last, "run-failed")]
    return [*red, then, fit(cause, width)]


def head_rows(
    ctx: Context, head: Head, verdict: Verdict, title: str, width: int, *, about: Sequence[Span] = ()
) -> list[Line]:
    """All rows above the first pane: four, five from 110 columns on (a blank), one more when nobody watches."""
    rows: list[Line] = [band_row(ctx, head, title, width, about=about)]
    if silent(ctx, head.engine):
        rows += silent_rows(ctx, head, verdict, width)
    else:
        rows += [
            verdict_row(ctx, head, verdict, width),
            counts_row(head, width, ctx.ascii),
            hosts_row(ctx, head, width),
        ]
    if not is_narrow(width):
        rows.append([(" " * width, "")])
    return rows


def footer_row(
    entries: Sequence[tuple[str, str]], width: int, *, left: Sequence[Span] = (), typed: bool = False
) -> list[Span]:
    """The last row: keys and their words, ``? help`` at the right. ``left`` (a field being typed, a notice)
    replaces the keys; ``typed``: the open field holds text, so that ``?`` is text too and F1 is the help.
    """
    spans: list[Span] = [(" ", "")]
    if left:
        spans += left
    for i, (key, word) in enumerate(() if left else entries):
        spans += [("   " if i else "", ""), (key, "key b"), (f" {word}", "dim")]
    right: list[Span] = [(keymap.key_of("app.help", -1 if typed else 0), "key b"), (" help", "dim")]
    line = ends(spans, right if cells(right) + 4 < width else [], width)
    return merge((t, f"{s} on:surface".strip()) for t, s in line)


def page(ctx: Context, top: Sequence[Line], body: Sequence[Line], foot: Line, width: int, height: int) -> list[Line]:
    """The whole screen: exactly ``height`` lines of ``width`` cells, footer last, ascii where asked."""
    room = max(height - len(top) - 1, 0)
    kept = [*body[:room]]
    while len(kept) < room:
        kept.append([(" " * width, "")])
    return finish([*top[: height - 1], *kept, foot], width, height, ascii=ctx.ascii)


def tiny(
    ctx: Context,
    head: Head,
    verdict: Verdict,
    names: Sequence[Sequence[Span]],
    width: int,
    height: int,
    foot: Line | None = None,
) -> list[Line]:
    """Under 60×16: verdict, counts and problem names; under 20×5 one line. Never a wall of "too small".

    ``foot``: the last row where something is being typed into it: nobody types what they cannot see.
    """
    now = ctx.now()
    when = "" if verdict.since is None else " " + words.clock_short(verdict.since, ctx.timezone, now)
    if silent(ctx, head.engine):
        none = "the engine hangs" if hung(ctx) else "no engine"
        one: list[Span] = [(own.short(ctx) or none, "banner-fg b on:banner-bg")]
    elif verdict.broken:
        what = words.many(verdict.broken, "broken run") if verdict.of_runs else f"{verdict.broken} broken"
        one = [(what + when, "run-failed b")]
    elif verdict.danger:
        one = [(f"{len(verdict.danger)} in danger", "run-late b")]
    elif verdict.unknown or verdict.unjudged or not verdict.total:
        one = [(f"{verdict.unknown + verdict.unjudged or '?'} unknown", "run-stale b")]
    elif dark := blind(head.sources, now):  # what they have may not even be known
        one = [(f"{len(dark)} blind", "run-stale b")]
    elif verdict.of_runs:
        one = [("no run is broken", "run-ok")]
    else:
        said = f"all {verdict.total} fine" if not verdict.unrun else f"{verdict.total - verdict.unrun} fine"
        one = [(f"{verdict.mending} not made good", "run-late b")] if verdict.mending else [(said, "run-ok")]
    if width < 20 or height < 5:
        return finish([one], width, height, ascii=ctx.ascii)
    rows: list[Line] = [[(" ", ""), *one], fit(counts_row(head, width, ctx.ascii), width), *names]
    rows = rows[: height - 1] + [[(" " * width, "")]] * max(0, height - 1 - len(rows))
    return finish([*rows, footer_row([], width) if foot is None else foot], width, height, ascii=ctx.ascii)


def is_tiny(width: int, height: int) -> bool:
    return width < 60 or height < 16


def as_stale(line: Sequence[Span]) -> list[Span]:
    """A row that nobody can vouch for: one warm grey, no other colour; the bold age stays bold."""
    return recolour(line, "run-stale")
