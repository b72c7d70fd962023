"""Work on a log beside the screen, in slices: counting, searching, filtering, looking for the next one of something.

A thread runs while there is something to do and somebody looks (``nudge``); it steps aside for the keys. Small logs are
done at once (``finish``) and never start one.
"""

from __future__ import annotations

import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from tui.log.index import BLOCK, UNKNOWN, Block, Column, Text
from tui.log.lines import ERROR, LOUD, WARN, heads
from tui.log.query import Search, Shown

SMALL: Final = 2 * BLOCK
"""Up to so many bytes everything is counted before the first paint: some milliseconds."""
_TURN_S: Final = 0.004
_AWAKE_S: Final = 2.0
_ASIDE_S: Final = 0.03
_RUN: Final = 8
"""Blocks that are read one after the other before the search looks at the other side of the cursor."""

Task = Generator[None, None, None]
"""One slice of work a step."""


@dataclass(slots=True)
class Found:
    """What was looked for: offset of the line, None where there is none; ``around``: beyond an end of the log."""

    what: str
    offset: int | None
    around: bool = False


class Worker:
    """``shown`` and ``search`` are what is counted besides lines and levels; ``centre`` is where the cursor is."""

    def __init__(self, text: Text) -> None:
        self.text = text
        self.shown = Shown()
        self.search: Search | None = None
        self.centre = 0
        self.tasks: deque[Task] = deque()
        self.found: deque[Found] = deque()
        self.failed = ""
        self._seek: Task | None = None
        self._lock = threading.RLock()
        self._wanted = 0
        self._hold = self._awake = 0.0
        self._thread: threading.Thread | None = None
        self._around: dict[str, Iterator[int]] = {}

    # --- sharing ----------------------------------------------------------------------------------------------------

    @contextmanager
    def mine(self) -> Generator[None]:
        """The log is the screen's: the thread waits."""
        self._wanted += 1
        try:
            with self._lock:
                yield
        finally:
            self._wanted -= 1

    def nudge(self) -> None:
        """Somebody looks: go on, if there is something to do."""
        self._awake = time.monotonic() + _AWAKE_S
        if self._thread is None and self.busy:
            self._thread = threading.Thread(target=_work, args=(weakref.ref(self),), daemon=True, name="log-work")
            self._thread.start()

    def aside(self) -> None:
        """A key came: nothing is done for a moment."""
        self._hold = time.monotonic() + _ASIDE_S

    def finish(self, seconds: float = 60.0) -> bool:
        """Do it here and now; False if there was not time enough."""
        end = time.monotonic() + seconds
        with self.mine():
            while self.slice():
                if time.monotonic() > end:
                    return False
        return True

    @property
    def busy(self) -> bool:
        """Whether there is something left to do."""
        text = self.text
        return bool(
            self.tasks
            or self._seek
            or self.filtering
            or self.searching
            or text.counted < text.size
            or not text.all_judged
        )

    @property
    def filtering(self) -> bool:
        return self.shown.active and self.shown.count.done < self.text.blocks

    @property
    def searching(self) -> bool:
        return self.search is not None and self.search.found.done < self.text.blocks

    @property
    def seeking(self) -> bool:
        return self._seek is not None

    # --- slices -----------------------------------------------------------------------------------------------------

    def slice(self) -> bool:
        """The next small piece of work, what somebody waits for first; False: nothing is left."""
        if self._seek is not None:
            if next(self._seek, True) is True:
                self._seek = None
            return True
        if self.tasks:
            if next(self.tasks[0], True) is True:
                self.tasks.popleft()
            return True
        if self.filtering:
            return self._survey()
        if self.searching:
            return self._search()
        return self.text.count() or self.text.judge()

    def _survey(self) -> bool:
        k = self._next("shown", self.shown.count)
        if k is not None:
            self.shown.survey(self.text, k)
        return True

    def _search(self) -> bool:
        assert self.search is not None
        k = self._next("search", self.search.found)
        if k is not None:
            self.search.count(self.text, k, self.shown)
        return True

    def _next(self, name: str, column: Column) -> int | None:
        """The unknown block next to look at: near the cursor first."""
        order = self._around.get(name)
        if order is None:
            order = self._around[name] = _nearest(self.centre // BLOCK, self.text.blocks)
        for k in order:
            if column[k] == UNKNOWN:
                return k
        del self._around[name]
        return None

    def forget(self, k: int) -> None:
        """From block ``k`` on the log is another."""
        self.shown.forget(k)
        if self.search is not None:
            self.search.found.forget(k)
        self._around.clear()

    def refilter(self) -> None:
        """The filters changed."""
        self.shown.again()
        if self.search is not None:
            self.search.found.forget(0)
        self._around.clear()

    def look_for(self, search: Search | None) -> None:
        """Search for another text, or for none."""
        self.search = search
        self._around.pop("search", None)

    # --- the next one -----------------------------------------------------------------------------------------------

    def seek(self, what: str, way: int, offset: int, patience: float = 0.012) -> Found | None:
        """The next (``way`` 1) or previous ``error``, ``warning`` or ``hit`` from a line on, around the ends.

        None: it takes longer than ``patience`` seconds; the answer comes in ``found``.
        """
        self.found.clear()
        self._seek = self._seeking(what, way, offset)
        end = time.monotonic() + patience
        while self.seeking and time.monotonic() < end:
            self.slice()
        return self.found.popleft() if self.found else None

    def stop_seeking(self) -> None:
        self._seek = None

    def _seeking(self, what: str, way: int, offset: int) -> Task:
        generation, blocks = self.text.generation, self.text.blocks
        here = min(offset // BLOCK, max(blocks - 1, 0))
        for turn in range(blocks + 1):
            if self.text.generation != generation:
                return
            k = (here + way * turn) % blocks if blocks else 0
            around = (here + way * turn) // blocks != 0 if blocks else False
            read = what == "hit" and self.search is not None and self.search.found[k] == UNKNOWN
            if self._none_in(what, k):
                if read or turn % 512 == 511:
                    yield
                continue
            places = self._places(what, k)
            if turn == 0:
                places = [at for at in places if (at > offset if way > 0 else at < offset)]
            elif turn == blocks:
                places = [at for at in places if (at <= offset if way > 0 else at >= offset)]
                around = True
            if places:
                self.found.append(Found(what, places[0] if way > 0 else places[-1], around))
                return
            yield
        self.found.append(Found(what, None))

    def _none_in(self, what: str, k: int) -> bool:
        text = self.text
        if self.shown.active and self.shown.count[k] == 0:
            return True
        if what == "hit":
            if self.search is not None and self.search.found[k] == UNKNOWN:
                self.search.count(text, k, self.shown)  # what the search would do: it need not do it again
            return self.search is None or self.search.found[k] == 0
        column = text.errors if what == "error" else text.warnings
        return (k + 1) * BLOCK <= text.judged and column[k] == 0

    def _places(self, what: str, k: int) -> list[int]:
        block = self.text.block(k)
        if what == "hit":
            places = self.search.needle.in_block(block) if self.search else []
        else:
            places = level_places(self.text, block, what == "error")
        if places and self.shown.active:
            shown = set(self.shown.in_block(self.text, k))
            places = [at for at in places if at in shown]
        return places

    def turn(self) -> float | None:
        """A turn of the thread; how long to wait until the next, None: no further one."""
        now = time.monotonic()
        if now > self._awake:
            self._thread = None
            return None
        if self._wanted or now < self._hold:
            return 0.001
        with self._lock:
            end = now + _TURN_S
            while not self._wanted and time.monotonic() < end:
                if not self.slice():
                    self._thread = None
                    return None
        return 0.0


def level_places(text: Text, block: Block, errors: bool) -> list[int]:
    """Offsets of the entries of a block that are errors, or warnings."""
    if not block.starts:
        return []
    found, _ = heads(block.data, 0, min(block.end - block.at, len(block.data)), text.above(block), LOUD)
    wanted = ERROR if errors else WARN
    return [block.at + at for at, level in found if level == wanted]


def _nearest(centre: int, blocks: int) -> Iterator[int]:
    """Block numbers from the centre outwards, in runs."""
    up = down = centre
    while up < blocks or down > 0:
        yield from range(up, min(up + _RUN, blocks))
        up = min(up + _RUN, blocks)
        low = max(down - _RUN, 0)
        yield from range(low, down)
        down = low


def _work(ref: Callable[[], Worker | None]) -> None:
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.001)  # a key does not wait 5 ms for its turn
    try:
        while True:
            worker = ref()
            if worker is None:
                return
            try:
                pause = worker.turn()
            except Exception as error:  # said on the screen; the log itself stays readable
                worker.failed = f"{type(error).__name__}: {error}"
                return
            del worker
            if pause is None:
                return
            time.sleep(pause)
    finally:
        sys.setswitchinterval(before)
