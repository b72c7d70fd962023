"""What a screen is: it reads the store, paints rows of (text, style name), and answers action ids.

A View knows nothing of Textual, so ``watchfloor show`` prints the same rows that the terminal paints, and tests read
them as text. The app gives it size, keys and time; it gives back lines and effects.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from engine.store.reader import Reader

Span = tuple[str, str]
"""Text and a style name: space-separated words, a palette token (``run-failed``, ``dim``, ``key``, ``text`` …), ``b`` for
bold, ``rev`` for reverse, ``strike``, and ``on:TOKEN`` for the ground (``on:cursor-bg``). The empty style is plain text."""
Line = Sequence[Span]


@dataclass(slots=True)
class Context:
    """What every view may look at. ``now`` is the app's clock (ms UTC); ``ascii`` chooses the second glyph column."""

    reader: Reader
    now: Callable[[], int]
    timezone: str = "UTC"
    ascii: bool = False
    mono: bool = False
    read_only: bool = True
    engine_alive: bool = True
    engine_silent_since: int | None = None
    extra: dict[str, Any] = field(default_factory=dict[str, Any])


# --- effects: what a view asks the app to do -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Open:
    """Go to a screen (``floor runs run log sources help``), with an argument such as a run key."""

    screen: str
    arg: str | None = None


@dataclass(frozen=True, slots=True)
class Back:
    pass


@dataclass(frozen=True, slots=True)
class Request:
    """Ask the engine; the app calls ``view.answer(tag, reply or error)`` when it comes."""

    do: str
    body: dict[str, Any]
    tag: str = ""


@dataclass(frozen=True, slots=True)
class Copy:
    """Copy by OSC 52; the app says what happened with ``words``."""

    text: str
    words: str


@dataclass(frozen=True, slots=True)
class Say:
    """One sentence in the footer for a few seconds. ``level``: ``info``, ``warn``, ``bad``."""

    text: str
    level: str = "info"


@dataclass(frozen=True, slots=True)
class Quit:
    pass


@dataclass(frozen=True, slots=True)
class App:
    """Something only the app can do: ``theme``, ``lofi``, ``refresh`` (poll all, or start the engine)."""

    what: str
    arg: str | None = None


Effect = Open | Back | Request | Copy | Say | Quit | App


class View(ABC):
    """One screen. ``load`` reads, ``paint`` draws, ``act`` answers a key's action id; none may wait for anything remote."""

    name: ClassVar[str]
    """Digit-screen name, also for ``watchfloor show NAME``."""
    title: ClassVar[str]
    contexts: ClassVar[tuple[str, ...]]
    """Keymap contexts, nearest first (``("log", "global")``)."""
    topics: frozenset[str]
    """Store topics that make ``load`` worth calling again."""

    under: View | None = None
    """The screen below, for those that are drawn over it; set by the app before ``begin``."""
    over: ClassVar[bool] = False
    """Drawn over the screen below: what stands there stays true, so the topics of ``under`` move this view, too."""

    def __init__(self, context: Context) -> None:
        self.context = context

    @abstractmethod
    def load(self) -> None:
        """Query the store. Called at first, whenever a topic of ours moved, and once a second if ``ticks``."""

    @property
    def typing(self) -> bool:
        """Whether the last row is a field that is being typed: no sentence may cover it."""
        return False

    def moved_by(self) -> frozenset[str]:
        """The topics that make this view worth loading again, with those of the screens seen below it."""
        below = self.under.moved_by() if self.over and self.under is not None else frozenset[str]()
        return self.topics | below

    def begin(self) -> Sequence[Effect]:
        """What to ask for when the screen is opened, after its first ``load``."""
        return ()

    @abstractmethod
    def paint(self, width: int, height: int) -> list[Line]:
        """Exactly ``height`` lines of exactly ``width`` cells, header and footer included."""

    @abstractmethod
    def act(self, action: str) -> Sequence[Effect]:
        """Do what a key means here; unknown ids are ignored with ()."""

    def type(self, text: str) -> Sequence[Effect] | None:
        """Plain characters (and the ids ``edit.backspace``, ``edit.left`` …) while a field is open; None: no field is open."""
        return None

    def paste(self, text: str) -> Sequence[Effect]:
        return ()

    def answer(self, tag: str, reply: dict[str, Any] | None, error: dict[str, str] | None) -> Sequence[Effect]:
        """A Request's answer, in the UI loop."""
        return ()

    def go_on(self) -> Sequence[Effect]:
        """What to ask for now that the store was read again; for what takes several steps. Only while it is on top."""
        return ()

    def beat(self) -> Sequence[Effect] | None:
        """A turn of its own, ten times a second while it is on top, for what comes without a word in the store; some
        milliseconds at most. None: nothing to paint; else it is painted, after these effects.
        """
        return None

    def plain(self) -> str | None:
        """What ``Ctrl+L`` prints for the terminal's own selection; None: the rows of the screen as they stand."""
        return None

    def about(self) -> str | None:
        """Key of the pipeline, run or step that the cursor is on: what a card, a palette or a link speaks of."""
        return None

    def work(self) -> bool:
        """Do a slice of something long, a few ms at most; True: something was done, come again soon. Asked while on top."""
        return False

    def watch(self) -> dict[str, Any] | None:
        """What the engine should look at closely while we are here (``{"run": key}``, ``{"log": step key, "attempt": n}``)."""
        return None

    def data(self) -> Any:
        """JSON-able content for ``show --format json``; field names are the model's."""
        return None

    def rows(self) -> list[dict[str, Any]]:
        """Flat rows for ``show --format csv``."""
        return []
