"""One run: what happened, why, so what; its steps with queue time on one axis; the first error; what can be done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from adapters.model import AlertState, Mode, State
from engine.store.rows import AlertEventRow, AlertRow, DeliveryRow, LogRow, RunDetail, SourceRow, StepRow
from tui import keymap
from tui.present import floor, frame, run_outputs, run_panes, run_steps, running_on, story, words
from tui.present.about import about
from tui.present.cut import clean
from tui.present.head import refresh_word, source_now
from tui.present.lines import fit, rule
from tui.present.running_on import RunningOn
from tui.screens import ack, answered, arm, run_deeds, run_log
from tui.screens.run_log import worth_a_look
from tui.screens.run_owed import RunOwed
from tui.view import Context, Copy, Effect, Line, Open, Say, Span, View


class RunView(View):
    name = "run"
    title = "Run"
    contexts = ("run", "global")
    topics: frozenset[str] = frozenset(
        {"run", "step", "log", "pipeline", "health", "source", "alert", "action", "arm", "outbox", "owed"}
    )

    def __init__(self, context: Context, arg: str | None = None) -> None:
        super().__init__(context)
        self.key = None if arg is None else arg.partition("#")[0]
        self._asked = arg if arg is not None and "#" in arg else None
        """Key of a step to put the cursor on, once it is there."""
        self.on: RunningOn | None = None
        self.detail: RunDetail | None = None
        self.source: SourceRow | None = None
        self._at: tuple[str, int] | None = None
        self._moved = False
        self._top = 0
        self._story: list[tuple[int, str, str, str]] = []
        self._story_title = ""
        self._alert: AlertRow | None = None
        self._told: list[tuple[AlertEventRow | None, DeliveryRow | None]] = []
        self._copying = False
        self._menu = False
        self.owed = RunOwed(context)

    # --- reading ----------------------------------------------------------------------------------------------------

    def load(self) -> None:
        reader = self.context.reader
        self.head = frame.Head.read(self.context)
        if self.key is None:
            newest = reader.runs(limit=1)
            self.key = newest[0].key if newest else None
        self.detail = reader.run(self.key) if self.key else None
        if self.detail is None:
            return
        self.source = self.head.source(self.detail.row.source)
        self.on = running_on.of_detail(self.detail, reader.step_plan(self.detail.row.pipeline_key))
        self._go_to_asked()
        if not self._moved:
            pick = worth_a_look(self.detail)
            self._at = (pick.key, pick.attempt) if pick else None
        self.owed.read(self.detail)
        self._read_log()
        alerts = [a for a in reader.alerts(open_only=False) if a.key in (self.key, self.detail.row.pipeline_key)][:1]
        self._alert = alerts[0] if alerts else None
        self._told = []
        if self._alert:
            self._told += [(e, None) for e in reader.alert_events(self._alert.id)][-6:]
            self._told += [(None, d) for d in reader.deliveries(self._alert.id)][-4:]

    def _go_to_asked(self) -> None:
        found = [s for s in self._steps() if s.key == self._asked]
        if found:
            self._at, self._moved, self._asked = (found[-1].key, max(s.attempt for s in found)), True, None

    def _steps(self) -> Sequence[StepRow]:
        return self.detail.steps if self.detail else ()

    def _index(self) -> int:
        for i, step in enumerate(self._steps()):
            if (step.key, step.attempt) == self._at:
                return i
        return 0

    def _step(self) -> StepRow | None:
        steps = self._steps()
        return steps[self._index()] if steps else None

    def about(self) -> str | None:
        """The step under the cursor, else the run."""
        step = self._step()
        return step.key if step is not None else self.key

    def _log_of(self, step: StepRow | None) -> LogRow | None:
        if self.detail is None or step is None:
            return None
        return next((r for r in self.detail.logs if (r.step_key, r.attempt) == (step.key, step.attempt)), None)

    def _read_log(self) -> None:
        """The lines around the first error of the step that failed, or the last lines of the one that runs."""
        detail = self.detail
        assert detail is not None
        step = self._step() if self._moved else (worth_a_look(detail) or self._step())
        self._story, self._story_title = run_log.read(step, self._log_of(step))

    # --- painting ---------------------------------------------------------------------------------------------------

    def paint(self, width: int, height: int) -> list[Line]:
        ctx = self.context
        if self.detail is None:
            return self._nothing(width, height)
        detail = self.detail
        now = ctx.now()
        there = source_now(self.source, now)
        spot = about(detail.row.environment, detail.row.source, self.source)
        top: list[Line] = [frame.band_row(ctx, self.head, self.title, width, about=spot)]
        silent = frame.silent(ctx, self.head.engine)
        if silent:
            top += frame.silent_rows(ctx, self.head, frame.Verdict(total=1), width)[:2]
        stale = silent or (self.source is not None and self.source.stale(now))
        top.append(run_panes.verdict(detail, stale, ctx.timezone, there, width, self.owed.owes.checks))
        running = detail.row.state.active
        top.append(
            fit(
                [(" Now  " if running else " Why  ", "dim"), *self._why(detail, width - 7)],
                width,
            )
        )
        so = words.sentence(story.meaning(detail, there, ctx.timezone, self._owes(stale)), width - 7)
        top.append(fit([(" So   ", "dim"), *so], width))
        foot = self._footer(width)
        room = height - len(top) - 1
        body: list[Line] = []
        do = self._do(width) if not self._menu else self._all_actions(width)
        panes = self._beside(width, now)
        log = run_panes.log(self._story, self._story_title, detail.row.state.bad, width)
        gap = 0 if height < 30 else 1
        # what gives way first when there is little room: who was told, then log lines, then steps
        kept = len(self._made(width)) if gap or not detail.row.state.bad else 0
        steps_room = max(3, min(len(detail.steps) + 3, room - len(do) - 3 - 2 * gap - (kept and kept + gap)))
        body += [[(" " * width, "")]] * gap + self._step_lines(width, steps_room, there)
        left = room - len(body) - len(do) - gap
        made = self._made(width)
        if not gap and detail.row.state.bad:  # where there is little room, the error comes first
            panes, made = [made, *panes], []
        if made and left >= len(made):
            body += [[(" " * width, "")]] * gap + made
            left -= len(made) + gap
        if left >= 3:
            body += [[(" " * width, "")]] * gap + log[: max(0, left - gap)]
        for pane in panes:
            left = room - len(body) - len(do) - gap
            if pane and left >= len(pane) + gap:
                body += [[(" " * width, "")]] * gap + pane
        body += [[(" " * width, "")]] * gap + do
        body = self.owed.over(body, width, room)
        return frame.page(ctx, top, body[:room], foot, width, height)

    def _made(self, width: int) -> list[Line]:
        """What its steps were expected to make, and what was seen."""
        step, narrow = self._step(), frame.is_narrow(width)
        order = [s.step for s in self._steps()]
        return run_outputs.pane(
            self.owed.outputs, order, step.step if step is not None else None, width, 3 if narrow else 5
        )

    def _why(self, detail: RunDetail, cells: int) -> list[Span]:
        """What happened; of a run that goes on after a step of it failed, that first."""
        why: list[Span] = [(story.why(detail, self.owed.owes.checks), "text b")]
        if self.on is None:
            return fit(why, cells)
        said = self.on.said(self.context.timezone, self.context.now())
        return words.sentence([[(said, "run-late b")], f"{self.on.names()} still runs, not after it", why], cells)

    def _owes(self, stale: bool) -> story.Owes:
        """What it owes; of a source that is not seen, since when."""
        owes = self.owed.owes
        if not stale:
            return owes
        seen = self.source.last_ok if self.source is not None else None
        return replace(owes, unseen=seen if seen is not None else 0)

    def _beside(self, width: int, now: int) -> list[list[Line]]:
        """What it blocks, or its checks, beside who was told; one below the other where it is narrow."""
        tz, half = self.context.timezone, width * 56 // 120

        def told(cells: int) -> list[Line]:
            return run_panes.told(self._alert, self._told, tz, now, cells)

        left, right = self.owed.pane(half), told(width - half - 2)
        if frame.is_narrow(width) or not (left and right):
            return [self.owed.pane(width), told(width)]
        return [run_panes.side(left, right, width, half)]

    def _nothing(self, width: int, height: int) -> list[Line]:
        ctx = self.context
        top = [frame.band_row(ctx, self.head, self.title, width)]
        said = f"The run {clean(self.key)} is not in the store." if self.key else "No run has been seen yet."
        body: list[Line] = [
            [(" " * width, "")],
            [(f"  {said}", "text b")],
            [("  It may have been removed by retention, or its source has not answered yet.", "dim")],
            [("  ", ""), (keymap.key_of("screen.runs"), "key b"), (" all runs   ", "dim"), (keymap.key_of("screen.sources"), "key b"), (" sources", "dim")],
        ]  # fmt: skip
        return frame.page(ctx, top, body, self._footer(width), width, height)

    def _step_lines(self, width: int, room: int, now: int) -> list[Line]:
        assert self.detail is not None
        detail, steps = self.detail, self._steps()
        narrow = frame.is_narrow(width)
        hint = "" if narrow else "░ queued  █ running  ┊ usual end"
        missed = detail.row.state is State.MISSED and not steps
        note = "none" if missed else story.steps_note(steps)
        out: list[Line] = [rule("Steps", note, hint, width, focused=True)]
        if not steps:
            why = (
                "no run was made: there are no steps and there is no log"
                if missed
                else "this system does not show steps"
                if self.source and "steps" not in self.source.offers
                else "steps are read while this screen is open"
            )
            return [*out, fit([(f"  {why}", "dim")], width)]
        curve = self._curve(width, now) if room >= 4 else []
        at, visible = self._index(), max(1, room - 2 - len(curve))
        self._top = run_steps.first_shown(self._top, at, visible, len(steps))
        shown = range(self._top, min(self._top + visible, len(steps)))
        on = self.on.going if self.on is not None else ()
        tz, mono = self.context.timezone, self.context.mono
        bars = run_steps.lines(steps, detail.usual_steps, tz, now, width, shown, at, on=on, mono=mono)
        return [*out, *bars, *curve]

    def _curve(self, width: int, now: int) -> list[Line]:
        """What a run of this host used, else the host's own CPU, on the axis of the steps."""
        assert self.detail is not None
        axis = run_steps.axis_of(self._steps(), self.detail.usual_steps, now, width)
        if axis is None or self.source is None or self.source.kind != "local" or self.detail.row.generated:
            return []
        own = f"run.cpu:{self.detail.row.key}"
        found = self.context.reader.chart([own, "host.cpu"], axis.start, axis.end, axis.cells)
        chart = found.get(own)
        if chart is not None and chart.peak is not None:
            return [run_steps.curve("CPU of this run", chart, "%", None, width)]
        chart = found.get("host.cpu")
        return (
            []
            if chart is None or chart.peak is None
            else [run_steps.curve("CPU of the host", chart, "%", 100.0, width)]
        )

    def _can(self) -> tuple[frozenset[str], dict[str, str]]:
        return (self.source.offers, self.source.why_not) if self.source else (frozenset(), {})

    def _do(self, width: int) -> list[Line]:
        assert self.detail is not None
        can, why_not = self._can()
        out: list[Line] = [rule("Do", "what makes sense now", f"{keymap.key_of('action.menu')} all actions", width)]
        verbs = {action: verb for action, verb, _ in run_deeds.entries(self.detail)}
        for offer in story.offers(self.detail, self._step(), can, why_not):
            if self.on is not None and offer.action == "run.stop":
                offer = replace(
                    offer,
                    means=f"{self.on.names()} goes on; nothing stops it by itself",
                )
            locked = offer.locked or (self._why_not(verbs[offer.action]) if offer.action in verbs else None)
            off = locked is not None
            style = "dim" if off else "text"
            out.append(
                fit(
                    [(f" {keymap.key_of(offer.action):<3}", "dim" if off else "key b"), (f"{offer.what:<30} ", style), (f"cannot: {locked}" if off else offer.means, "dim")],
                    width,
                )
            )  # fmt: skip
        return out

    def _all_actions(self, width: int) -> list[Line]:
        assert self.detail is not None
        out: list[Line] = [rule("Actions", "each opens its plan first", "Esc close", width)]
        for action, verb, text in run_deeds.entries(self.detail):
            why = self._why_not(verb)
            out.append(
                fit([(f" {keymap.key_of(action):<3}", "dim" if why else "key b"), (f"{text:<40} ", "dim" if why else "text"), (f"cannot: {why}" if why else "", "dim")], width)
            )  # fmt: skip
        return out

    def _why_not(self, verb: str) -> str | None:
        assert self.detail is not None
        return run_deeds.why_not(verb, self.detail, self.source, self.context)

    def _footer(self, width: int) -> Line:
        if self._copying:
            return frame.footer_row(
                [],
                width,
                left=[("copy: ", "dim"), *_choices((("i", "key"), ("e", "error"), ("l", "log lines"), ("u", "URL")))],
            )
        keys = keymap.footer(self.contexts, width, only=self._offered(), words=self._words())
        return frame.footer_row(keys, width)

    def _offered(self) -> list[str]:
        """What makes sense on this run."""
        if self.detail is None:
            return ["screen.runs", "screen.sources", "app.refresh", "screen.floor", "nav.back", "app.quit"]
        ids = ["list.open", "run.log"]
        order = ("run.stop", "run.hold", "run.rerun_failed", "run.rerun_from", "run.rerun", "pipeline.start", "pipeline.pause")  # fmt: skip
        verbs = {action: verb for action, verb, _ in run_deeds.entries(self.detail)}
        bad = self.detail.row.state.bad
        can = [a for a in order if self._why_not(verbs[a]) is None and (bad or a != "run.rerun_failed")]
        ids += can[:3]
        acting = self.context.engine_alive and not self.context.read_only
        if acting and self._alert is not None and self._alert.state == AlertState.FIRING:
            ids.append("alert.ack")
        ids += self.owed.offered()
        ids += ["action.menu", *can[3:], "run.history", "run.newer", "run.older", "run.diff", "copy.menu", "nav.back"]
        return ids if self.context.engine_alive else ["app.refresh", *ids]

    def _words(self) -> dict[str, str]:
        out = {"list.open": "step log", "app.refresh": refresh_word(self.context)}
        if self.detail:
            if self.detail.mode is Mode.PAUSED:
                out["pipeline.pause"] = "resume"
            if self.detail.row.state is State.HELD:
                out["run.hold"] = "release"
        return out

    @property
    def typing(self) -> bool:
        return self._copying

    # --- acting -----------------------------------------------------------------------------------------------------

    def act(self, action: str) -> Sequence[Effect]:
        if self.detail is not None and (done := self.owed.act(action, self.detail)) is not None:
            return done
        if action.startswith("move."):
            self._move(action)
            return ()
        if action == "nav.back" and (self._menu or self._copying):
            self._menu = self._copying = False
            return ()
        if self.detail is None:
            return ()
        d, step = self.detail, self._step()
        match action:
            case "list.open" | "run.log":
                if step is None:
                    if self.source is not None and "steps" not in self.source.offers:
                        return [Say(f"{_no_steps(self.source)}; nothing to open", "warn")]
                    return [Open("log", d.row.key)]
                return [Open("log", f"{step.key} {step.attempt}")]
            case "run.history":
                return [Open("history", step.key if step is not None and self._moved else d.row.key)]
            case "run.diff":
                return [Open("diff", d.row.key)]
            case "run.older" | "run.newer":
                return self._neighbour(d.older if action == "run.older" else d.newer, action)
            case "action.menu":
                self._menu = not self._menu
                return ()
            case "copy.menu":
                self._copying = True
                return ()
            case "alert.ack":
                return self._ack()
            case "action.arm":
                armed = any(
                    a.environment == d.row.environment and a.until > self.context.now() for a in self.head.armed
                )
                protected = self.source is not None and self.source.protected
                return [arm(d.row.environment or "", protected, armed, self.context)]
            case _:
                return self._verb(action, d, step)

    def _ack(self) -> Sequence[Effect]:
        alert = self._alert if self._alert and self._alert.state in (AlertState.FIRING, AlertState.ACKED) else None
        acked = alert is not None and alert.state == AlertState.ACKED
        return [ack(alert and alert.id, "this run", acked, self.context)]

    def _verb(self, action: str, d: RunDetail, step: StepRow | None) -> Sequence[Effect]:
        target = run_deeds.target(action, d, step)
        if target is None:
            return ()
        self._menu = False
        why = self._why_not(target[0])
        if why:
            return [Say(f"cannot {target[0]}: {why}", "warn")]
        return [Open("plan", f"{target[0]} {target[1]}")]

    def _neighbour(self, key: str | None, action: str) -> Sequence[Effect]:
        if key is None:
            return [Say("this is the newest run" if action == "run.newer" else "no older run is kept", "info")]
        self.key, self._at, self._moved, self._top, self._asked = key, None, False, 0, None
        self.load()
        return ()

    def _move(self, action: str) -> None:
        steps = self._steps()
        if not steps:
            return
        at, last = self._index(), len(steps) - 1
        to = {
            "move.down": at + 1, "move.up": at - 1, "move.top": 0, "move.bottom": last, "move.page_down": at + 10,
            "move.page_up": at - 10, "move.half_down": at + 5, "move.half_up": at - 5,
        }.get(action, at)  # fmt: skip
        step = steps[min(max(to, 0), last)]
        self._at, self._moved = (step.key, step.attempt), True
        self._read_log()

    def type(self, text: str) -> Sequence[Effect] | None:
        if not self._copying:
            return None
        self._copying = False
        if self.detail is None:
            return ()
        d = self.detail
        match text:
            case "i":
                return [Copy(d.row.key, "the run's key")]
            case "e":
                return [Copy(story.why(d), "the error")]
            case "l":
                lines = "\n".join(" ".join(p for p in (c, w, t) if p) for _, c, w, t in self._story)
                return [Copy(lines, f"{len(self._story)} log lines")]
            case "u":
                return [Copy(d.url, "the URL")] if d.url else [Say("this run has no URL", "info")]
            case _:
                return ()

    def answer(self, tag: str, reply: dict[str, Any] | None, error: dict[str, str] | None) -> Sequence[Effect]:
        row = self.detail.row if self.detail else None
        what = "" if row is None else clean(row.name) if tag == "ack" else clean(row.environment or "")
        return answered(tag, what, error)

    def watch(self) -> dict[str, Any] | None:
        if self.key is None:
            return None
        step = self._step()
        return {"run": self.key, **({"log": step.key, "attempt": step.attempt} if step else {})}

    def data(self) -> Any:
        if self.detail is None:
            return None
        d, now = self.detail, self.context.now()
        stale = self.source is not None and self.source.stale(now)
        return {
            "key": d.row.key, "pipeline": d.row.pipeline_key, "state": d.row.state.name.lower(), "native": d.row.native, "sub": d.row.sub,
            "attempt": d.row.attempt, "business_date": d.row.business_date, "queued": d.row.queued, "started": d.row.started,
            "ended": d.row.ended, "usual_ms": d.row.usual_ms, "why": story.why(d, self.owed.owes.checks), "so": [words.clause_text(c) for c in story.meaning(d, now, self.context.timezone, self._owes(stale))],
            "owed": None if self.owed.owes.row is None else floor.owed_record(self.owed.owes.row, now),
            "blocks": [floor.owed_record(row, now) for row in self.owed.owes.behind],
            "checks": [{"name": c.name, "state": c.state, "at": c.at, "says": c.words} for c in self.owed.owes.checks],
            "outputs": [run_outputs.record(o) for o in self.owed.outputs],
            "running_on": None if self.on is None else {"failed": self.on.failed, "at": self.on.at, "going": list(self.on.going)},
            "url": d.url, "params": d.params, "exit_code": d.exit_code, "stopped_by": d.stopped_by, "rerun_of": d.rerun_of,
            "steps": self.rows(),
        }  # fmt: skip

    def rows(self) -> list[dict[str, Any]]:
        return [
            {"key": s.key, "step": s.step, "map_index": s.map_index, "attempt": s.attempt, "state": s.state.name.lower(), "queued": s.queued, "started": s.started, "ended": s.ended, "error": s.error}
            for s in self._steps()
        ]  # fmt: skip


def _no_steps(source: SourceRow | None) -> str:
    return "this system does not show steps" if source and "steps" not in source.offers else "no steps are known yet"


def _choices(pairs: Sequence[tuple[str, str]]) -> list[Span]:
    out: list[Span] = []
    for key, word in pairs:
        out += [(key, "key b"), (f" {word}   ", "dim")]
    return out
