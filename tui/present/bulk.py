"""An action on several rows: what each of them will do or why it cannot, how far it is, how it ended. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from adapters.model import VERBS, KeyOf, Verb
from tui.present.cut import clean, cut, cut_middle, pad
from tui.present.lines import cells, fit

if TYPE_CHECKING:
    from engine.store.rows import ActionRow
    from tui.view import Line, Span


class Stage(Enum):
    """Where a row stands: glyph, word, style."""

    ASKING = ("·", "asking", "dim")
    READY = ("○", "will", "run-queued")
    CANNOT = ("✗", "cannot", "run-failed")
    ACTING = ("►", "asked", "run-running")
    SENT = ("►", "sent", "run-running b")
    CHECKING = ("»", "checking", "run-late")
    DONE = ("✓", "done", "run-ok b")
    UNPROVED = ("▲", "unproved", "run-late b")
    UNKNOWN = ("?", "unknown", "run-late b")
    LOST = ("?", "no word", "run-late b")
    FAILED = ("✗", "failed", "run-failed b")
    REFUSED = ("✗", "refused", "run-failed b")
    VOID = ("-", "void", "run-late b")
    LEFT = ("-", "left", "dim")

    @property
    def glyph(self) -> str:
        return self.value[0]

    @property
    def word(self) -> str:
        return self.value[1]

    @property
    def style(self) -> str:
        return self.value[2]


ON_ITS_WAY: Final = (Stage.ACTING, Stage.SENT)
"""The one row that the next ones wait for."""
WRONG: Final = (Stage.UNPROVED, Stage.UNKNOWN, Stage.FAILED, Stage.REFUSED)
"""What counts as gone wrong, when several in a row hold the rest back."""


@dataclass(slots=True)
class Row:
    """One of the marked ones. ``words``: why it cannot, what was answered, how it goes."""

    key: str
    name: str
    stage: Stage = Stage.ASKING
    words: str = ""
    plan: dict[str, Any] = field(default_factory=dict[str, Any])
    action: str | None = None
    began: int = 0
    seen: ActionRow | None = None

    @property
    def needs(self) -> dict[str, Any]:
        found = self.plan.get("needs")
        return found if isinstance(found, dict) else {}

    @property
    def environment(self) -> str:
        return clean(str(self.plan.get("environment") or ""))

    @property
    def protected(self) -> bool:
        return bool(self.plan.get("protected"))


def noun(verb: str, n: int) -> str:
    """``7 pipelines``, ``1 run``: what the verb acts on."""
    if verb == "ack":
        what = "alert"
    else:
        known = next((v for v in Verb if v.value == verb), None)
        what = "pipeline" if known is None or VERBS[known].of == KeyOf.PIPELINE else "run"
    return f"{n} {what}{'' if n == 1 else 's'}"


def phrase(verb: str, rows: Sequence[Row]) -> str | None:
    """What is typed to confirm: environments and count where one is protected, verb and count where it disturbs; None:
    nothing.
    """
    typed = {r.environment for r in rows if r.needs.get("typed")}
    if typed:  # whatever else is among them is named too
        return f"{'+'.join([*sorted(typed), *sorted({r.environment for r in rows} - typed)])}/{noun(verb, len(rows))}"
    return f"{verb} {len(rows)}" if any(r.needs.get("key") == "y" for r in rows) else None


def too_many(rows: Sequence[Row]) -> str | None:
    """Why these rows cannot be confirmed together: more than one protected environment. None: they can."""
    held = sorted({r.environment for r in rows if r.protected})
    if len(held) < 2:
        return None
    return f"{', '.join(held[:-1])} and {held[-1]} are protected: one environment at a time, take marks away"


def counted(rows: Iterable[Row]) -> list[Span]:
    """``7 will  2 cannot``, or how far it is."""
    found = Counter(r.stage for r in rows)
    out: list[Span] = []
    for stage in (Stage.DONE, Stage.ACTING, Stage.SENT, Stage.CHECKING, *WRONG, Stage.LOST, Stage.VOID, Stage.READY, Stage.LEFT, Stage.CANNOT, Stage.ASKING):  # fmt: skip
        if found[stage]:
            out += [
                ("  " if out else "", ""),
                (f"{stage.glyph} ", stage.style),
                (f"{found[stage]} {stage.word}", "text"),
            ]
    return out


def environments(rows: Iterable[Row]) -> list[Span]:
    """Where they are: ``prod 5 protected · local 2``."""
    found = Counter((r.environment or "no environment", r.protected) for r in rows if r.plan)
    out: list[Span] = []
    for (name, protected), n in sorted(found.items(), key=lambda f: (not f[0][1], f[0][0])):
        out += [(" · " if out else "", "dim"), (name, "text b"), (f" {n}{' protected' if protected else ''}", "dim")]
    return out


def one_effect(rows: Iterable[Row]) -> str:
    """What all of them would do, where that is the same: it is said once. Empty where they differ."""
    found = {clean(str(r.plan.get("effect") or "")) for r in rows if r.stage is Stage.READY}
    return found.pop() if len(found) == 1 else ""


_LEAST_NAME: Final = 10


def name_cells(rows: Iterable[Row], room: int, said: str = "") -> int:
    """How wide names are in these rows: narrower where an effect would be cut otherwise."""
    narrow = room < 80
    name = min(30, max(14, room // 4 if narrow else room // 3))
    before = 2 + 9 + 1 + (0 if narrow else 14)
    needs = max((cells(_effect(r, said)) for r in rows if r.stage is Stage.READY), default=0)
    return max(min(name, room - before - needs), _LEAST_NAME)


def row_line(row: Row, room: int, name: int, *, here: bool = False, said: str = "") -> Line:
    """One of them: glyph, word, name in ``name`` cells, and what it will do, why it cannot, how it goes. ``said``: an effect that
    stands above."""
    narrow = room < 80
    stage = row.stage
    line: list[Span] = [
        (f"{stage.glyph} ", stage.style),
        (pad(stage.word, 9), stage.style),
        (pad(cut_middle(row.name, name), name), "text b" if here else "text"),
        (" ", ""),
    ]
    if not narrow:
        line += [(pad(cut(clean(str(row.plan.get("source") or row.key.partition(":")[0])), 13), 13), "dim"), (" ", "")]
    left = room - cells(line)
    return fit([*line, *_about(row, left, said)], room)


def _about(row: Row, left: int, said: str) -> list[Span]:
    if row.stage is not Stage.READY:
        return [(cut(row.words, left), "text" if row.stage is not Stage.CANNOT else "run-failed")]
    warned = [clean(str(g.get("words") or "")) for g in row.plan.get("guards") or () if g.get("ok") is None]
    out = _effect(row, said)
    if cells(out) > left and len(out) > 1:  # as it is now stands on the screen below, what will be does not
        out = out[1:]
    if warned:
        spare = left - cells(out) - 5
        words: list[Span] = [(cut(warned[0], spare), "run-warning"), (" · ", "dim")] if spare >= 8 else []
        out = [("▲ ", "run-warning b"), *words, *out]
    return out


def _effect(row: Row, said: str) -> list[Span]:
    """``running → no new runs from now on``; as it is now alone where the effect stands above."""
    now = clean(str((row.plan.get("now") or {}).get("words") or ""))
    effect = clean(str(row.plan.get("effect") or "")) or row.words
    if said and effect == said:
        return [(now, "text")]
    return [(f"{now} → ", "dim"), (effect, "text")] if now else [(effect, "text")]
