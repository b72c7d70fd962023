"""The palette: find anything and do anything by a few letters. Verbs on pipelines, keys of the screen below, pipelines, runs,
screens, sources, cards, themes. Drawn over the screen it was called from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from adapters.model import VERBS, KeyOf, Mode, Verb
from engine.store.rows import FloorRow, SourceRow
from tui import keymap, themes
from tui.present import frame, lines
from tui.present.cut import clean, cut_middle, pad
from tui.present.field import Field
from tui.present.found import Found, best
from tui.present.glyphs import STALE_MARK, Look, look_of
from tui.screens import VERB_OF, cannot, window
from tui.view import App, Back, Context, Effect, Line, Open, Say, Span, View

SCREENS = {
    "floor": "screen.floor", "timeline": "screen.timeline", "runs": "screen.runs", "deadlines": "screen.deadlines",
    "hosts": "screen.hosts", "layers": "screen.layers", "morning": "screen.morning", "actions": "screen.actions",
    "sources": "screen.sources", "card": "app.card", "help": "app.help",
}  # fmt: skip
"""Screen → the action that opens it."""
LOOK = {"history": "all its runs, step by step", "log": "the log of its run", "card": "its reference card", "links": "where more can be read", "diff": "its run beside the last good one"}  # fmt: skip
"""Words that open a screen about a pipeline: ``history daily_sales``."""
_NOT_HERE = frozenset({"app.palette", "nav.back", "palette.go", "palette.next", "palette.prev"})
PIPELINES = 20


class PaletteView(View):
    """Typing narrows; Enter opens or does what the cursor is on, behind the same plan and guards as its key."""

    name = "palette"
    title = "Palette"
    contexts = ("palette", "global")
    topics: frozenset[str] = frozenset({"pipeline", "run", "configured"})
    over = True

    def __init__(self, context: Context, arg: str | None = None) -> None:
        super().__init__(context)
        self.field = Field(arg or "")
        self.at = 0
        self._top = 0
        self.found: list[Found] = []
        self.sources: dict[str, SourceRow] = {}

    # --- reading ----------------------------------------------------------------------------------------------------

    def load(self) -> None:
        if self.under is not None:
            self.under.load()
        self.sources = {s.name: s for s in self.context.reader.sources()}
        was = self.found[self.at] if self.found else None
        self._find()
        if was is not None:  # what came or went meanwhile puts nothing else under the cursor
            same = (i for i, f in enumerate(self.found) if _what(f) == _what(was))
            self.at = next(same, self.at)

    def _find(self) -> None:
        typed = self.field.text.strip()
        entries = [*self._doing(typed), *self._here(), *self._screens(), *self._things(typed), *self._settings()]
        self.found = best(entries, typed)
        self.at = min(self.at, max(len(self.found) - 1, 0))

    def _doing(self, typed: str) -> Iterator[Found]:
        """``stop daily`` → the plan for stopping daily_sales; ``history daily`` → its history."""
        word, _, rest = typed.partition(" ")
        word = word.casefold()
        if not rest.strip():
            return
        verbs = [v for v in VERBS if v.value.startswith(word)]
        looks = [w for w in LOOK if w.startswith(word)]
        if not verbs and not looks:
            return
        rows = self._pipelines(rest)
        for row in rows:
            for verb in verbs:
                yield self._verb(verb, row)
            for look in looks:
                yield self._look(look, row)

    def _verb(self, verb: Verb, row: FloorRow) -> Found:
        spec, name = VERBS[verb], clean(row.name)
        key: str | None = row.key
        why = cannot(verb, self.sources.get(row.source), self.context)
        if spec.of != KeyOf.PIPELINE:
            key = row.key if row.active > 1 else row.run_key
            if key is None:
                why = why or "it has not run yet"
            elif verb in (Verb.STOP, Verb.HOLD, Verb.RELEASE) and not row.active:
                why = why or "no run of it is active"
        elif verb == Verb.PAUSE and row.mode == Mode.PAUSED:
            why = why or "its schedule is paused already"
        elif verb == Verb.RESUME and row.mode != Mode.PAUSED:
            why = why or "its schedule is not paused"
        if verb == Verb.RERUN_FROM:
            why = why or "it starts from a step: open the run and put the cursor on it"
        effects = (Open("plan", f"{verb} {key}"),) if key else ()
        return Found(
            "do", f"{verb} {name}", f"{spec.means} · {clean(row.source)}", effects=effects, why=why, also=row.key
        )

    def _look(self, look: str, row: FloorRow) -> Found:
        key = row.run_key if look in ("log", "diff") else row.key
        why = None if key else "it has not run yet"
        return Found("do", f"{look} {clean(row.name)}", LOOK[look], effects=(Open(look, key),), why=why, also=row.key)

    def _here(self) -> Iterator[Found]:
        """Keys of the screen below, and of the app: the palette is the long way to the same."""
        if self.under is None:
            return
        on = self.under.about()
        for action, keys in keymap.active().reach(self.under.contexts):
            if action.id in _NOT_HERE or action.id.startswith(("move.", "dialog.")):
                continue
            verb = VERB_OF.get(action.id)
            source = self.sources.get(on.partition(":")[0]) if on else None
            why = cannot(verb, source, self.context) if verb is not None and on else None
            note = action.help + (f" · on {clean(on)}" if verb is not None and on else "")
            yield Found(
                "do",
                action.label,
                note,
                keymap.shown(keys[0]),
                (App("act", action.id),),
                why,
                f"{action.id} {verb or ''}",
            )

    def _screens(self) -> Iterator[Found]:
        for screen, action in SCREENS.items():
            if keymap.active().by_id[action].keys:
                yield Found(
                    "screen", screen, keymap.active().by_id[action].help, keymap.key_of(action), (App("act", action),)
                )

    def _pipelines(self, text: str) -> list[FloorRow]:
        reader = self.context.reader
        return reader.floor_rows(reader.pipeline_ids(text.split(), PIPELINES))

    def _things(self, typed: str) -> Iterator[Found]:
        for source in self.sources.values():
            yield Found(
                "source",
                clean(source.name),
                f"{source.kind} · {clean(source.environment)}",
                effects=(Open("sources", source.name),),
            )
        engine = self.context.reader.engine()
        if engine is not None:
            yield Found(
                "host", clean(engine.host), "this host: processor, memory, disks", effects=(Open("hosts", None),)
            )
        for card in self.context.reader.cards():
            yield Found("card", clean(card.name), "reference card", effects=(Open("card", f"card:{card.name}"),))
        if not typed:
            return
        for row in self._pipelines(typed):
            state = self._now(look_of(row.state, row.mode), row.source)
            effects = (Open("run", row.run_key),) if row.run_key else (Open("runs", row.key),)
            yield Found(
                "pipeline",
                clean(row.name),
                f"{state} · {clean(row.source)}",
                effects=effects,
                also=row.key,
            )
        if len(typed) >= 4 and " " not in typed:
            for run in self.context.reader.runs_of_id(typed, 8):
                look = look_of(run.state)
                native = clean(run.key.partition("/")[2])
                ended = run.state.terminal  # an end stays what it was, whoever looks away
                state = f"{look.glyph} {look.word}" if ended else self._now(look, run.key.partition(":")[0])
                yield Found("run", native, f"{state} · {clean(run.name)}", effects=(Open("run", run.key),))

    def _now(self, look: Look, source: str) -> str:
        """The state in a word; of a source that is not heard of (or not watched) only what was seen last: ``✓? ok, stale``."""
        known = self.sources.get(source)
        if self.context.engine_alive and known is not None and not known.stale(self.context.now()):
            return f"{look.glyph} {look.word}"
        return f"{look.glyph}{STALE_MARK} {look.word}, stale"

    def _settings(self) -> Iterator[Found]:
        current = self.context.extra.get("theme")
        for name in themes.names(self.context.extra.get("folder")):
            why = "it is in force" if name == current else None
            yield Found("setting", f"theme {clean(name)}", "until you leave", effects=(App("theme", name),), why=why)

    # --- painting -----------------------------------------------------------------------------------------------------

    def paint(self, width: int, height: int) -> list[Line]:
        below = list(self.under.paint(width, height)) if self.under else [[(" " * width, "")] for _ in range(height)]
        room = max(1, min(height - 4, 18 if height >= 36 else 12))
        self._top = window(self._top, self.at, room, len(self.found))
        shown = self.found[self._top : self._top + room]
        note = f"{self.at + 1} of {len(self.found)}" if self.found else "nothing fits"
        hint = "verb and name, name alone, or a word" if width >= 80 else ""
        rows: list[Line] = [lines.rule("Palette", note, hint, width, focused=True)]
        if not shown:
            key = "Backspace"
            rows.append(
                lines.fit(
                    [
                        ("   no verb, pipeline, run, screen or setting is called so   ", "dim"),
                        (key, "key b"),
                        (" shorter", "dim"),
                    ],
                    width,
                )
            )
        for i, entry in enumerate(shown, self._top):
            line = self._row(entry, width, i == self.at)
            rows.append(lines.cursor(line, width, mono=self.context.mono) if i == self.at else line)
        while len(rows) < min(room, 6) + 1:
            rows.append([(" " * width, "")])
        typed: list[Span] = [
            (": ", "key b"),
            *self.field.spans(max(width // 2, 12)),
            ("  Enter go · Esc clear" if self.field.text else "  Enter go · Esc close", "dim"),
        ]
        rows.append(frame.footer_row([], width, left=typed, typed=bool(self.field.text)))
        rows = rows[-height:]
        return [*below[: height - len(rows)], *rows]

    def _row(self, entry: Found, width: int, here: bool) -> Line:
        can = entry.why is None
        name = 34 if width < 110 else 46
        left: list[Span] = [
            (" ", ""),
            (pad(entry.kind, 8), "dim"),
            (" ", ""),
            (pad(cut_middle(entry.label, name), name), ("text b" if here else "text") if can else "dim"),
            ("  ", ""),
            (entry.note if can else f"not now: {entry.why}", "dim"),
        ]
        right: list[Span] = [(entry.key, "key")] if entry.key and can else []
        return lines.ends(left, right, width)

    # --- keys -------------------------------------------------------------------------------------------------------

    @property
    def typing(self) -> bool:
        return True

    def type(self, text: str) -> Sequence[Effect] | None:
        if text == "edit.tab":
            return self._complete()
        if not (text.startswith("edit.") and not self.field.takes(text)) and self.field.takes(text):
            if self.field.type(text):
                self.at = 0
                self._find()
            return ()
        return None

    def paste(self, text: str) -> Sequence[Effect]:
        if self.field.type(text):
            self.at = 0
            self._find()
        return ()

    def _complete(self) -> Sequence[Effect]:
        """Tab takes the label of the entry under the cursor."""
        if self.found:
            self.field = Field(self.found[self.at].label + " ")
            self._find()
        return ()

    def act(self, action: str) -> Sequence[Effect]:
        match action:
            case "palette.next":
                self.at = min(self.at + 1, max(len(self.found) - 1, 0))
            case "palette.prev":
                self.at = max(self.at - 1, 0)
            case "nav.back" if self.field.text:
                self.field = Field()
                self.at = 0
                self._find()
            case "nav.back":
                return (Back(),)
            case "palette.go":
                return self._go()
            case _:
                pass
        return ()

    def _go(self) -> Sequence[Effect]:
        if not self.found:
            return (Say("nothing fits: type less, or Esc"),)
        entry = self.found[self.at]
        if entry.why is not None:
            return (Say(f"{entry.label}: {entry.why}", "warn"),)
        return (Back(), *entry.effects)

    def about(self) -> str | None:
        return self.under.about() if self.under is not None else None

    def data(self) -> Any:
        return [{"kind": f.kind, "label": f.label, "note": f.note, "key": f.key, "why": f.why} for f in self.found]


def _what(entry: Found) -> tuple[str, str, str]:
    """Which entry it is, whatever is said of it now."""
    return entry.kind, entry.label, entry.also or repr(entry.effects)
