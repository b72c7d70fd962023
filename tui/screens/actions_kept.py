"""What the Actions screen has read: actions, backfills, records; its cursor, its filter, and work done in slices."""

from __future__ import annotations

from typing import Any, ClassVar

from engine.store.rows import ActionDetail, AuditRow, Checked, EndedRow, OperationRow, Wanted
from tui.present import actions, audit, words
from tui.present.frame import Head
from tui.screens.lists import ListScreen
from tui.view import Context

PAGE = 60
KEPT = 5000
"""Rows kept of a list that is read on and on."""
SLICE = 250
"""Records of the chain that one slice recomputes: 3 to 5 ms."""
WEEK = 7 * words.DAY

Item = EndedRow | OperationRow


class ActionsKept(ListScreen):
    """The Actions without their rows: what is under way, what ended, the records of the audit."""

    of_a_row: ClassVar[frozenset[str]] = ListScreen.of_a_row - {"view.pane"} | {"audit.detail"}

    def __init__(self, context: Context, arg: str | None = None) -> None:
        super().__init__(context)
        self.head: Head | None = None
        self.auditing = arg == "audit"
        """Whether the records of the audit are listed instead of actions."""
        self.flying: list[EndedRow] = []
        self.operations: list[OperationRow] = []
        self.done: list[EndedRow] = []
        self.records: list[AuditRow] = []
        self.last = 0
        """Number of the newest record."""
        self.cursor: str | None = arg if arg and arg != "audit" else None
        self.at_record: int | None = None
        self.wanted: tuple[Wanted, ...] = ()
        self.checked: Checked | None = None
        self.whole = False
        self._text = ""
        self._first = self.cursor
        self._sought = False
        self._made: tuple[tuple[Any, ...], tuple[list[Item], list[Item], dict[str, Item]]] | None = None
        self._older: str | None = None
        self._older_record: int | None = None
        self._read: object = None
        self._searching = False
        self._checking = False
        self._today: dict[Any, int] = {}
        self._detail: ActionDetail | None = None
        self._top = self._top_under = self._scroll = 0
        self._space = 10

    # --- reading ----------------------------------------------------------------------------------------------------

    def load(self) -> None:
        """The head always; actions, backfills and records where they moved, and once a minute what the clock changes."""
        reader, now = self.context.reader, self.context.now()
        self.head = Head.read(self.context)
        topics = dict(reader.topics())
        read = (topics.get("action"), topics.get("item"), topics.get("source"), now // words.MINUTE)
        self.last = reader.audit_last()
        if read != self._read:
            self._read = read
            self._refresh(now)
        self._refresh_records()

    def _refresh(self, now: int) -> None:
        reader = self.context.reader
        before = {a.id for a in self.flying}
        self.flying = reader.actions_under_way()
        found = reader.operations()
        self.operations = [o for o in found if o.active or now - (o.ended or o.created or 0) < WEEK]
        self._today = reader.actions_since(actions.midnight(now, self.context.timezone))
        page = reader.actions_ended(None, PAGE, self.wanted)
        known = {a.id for a in self.done}
        if len(page.rows) == PAGE and not any(a.id in known for a in page.rows):
            self.done = []  # more came at once than a page holds: what lies between is read from here on again
        afresh = not self.done
        if afresh:
            self._older = page.reached
        here = {a.id: a for a in (*self.done, *page.rows)}
        for gone in before - {a.id for a in self.flying} - here.keys():  # it ended, whenever it was asked for
            here |= {a.id: a for a in reader.actions_ended(f"{gone}~", 1).rows if a.id == gone and self._passes(a)}
        self.done = sorted(here.values(), key=lambda a: a.id, reverse=True)
        self._detail = None
        if not self.auditing and afresh:
            self._searching = self._short()
        if self._first is not None and not self._sought:
            self._sought = True
            while self._first not in {a.id for a in (*self.flying, *self.done)} and self._read_on():
                pass
        if self.cursor not in self._keys():
            self.cursor = next(iter(self._keys()), None)

    def _refresh_records(self) -> None:
        """New records in front of those that are there; they never change."""
        if not self.auditing:
            return
        newest = self.records[0].seq if self.records else 0
        if self.records and newest >= self.last:
            return
        page = self.context.reader.audit_records(None, PAGE, self.wanted)
        fresh = [r for r in page.rows if r.seq > newest]
        if not self.records or len(fresh) == PAGE:
            self.records = list(page.rows)
            self._older_record = page.reached
            self._searching = self._short()
        else:
            self.records = [*fresh, *self.records]
        if self.at_record is None and self.records:
            self.at_record = self.records[0].seq

    def _short(self) -> bool:
        """Whether the list that is shown holds less than a page although there is more to look at."""
        if self.auditing:
            return self._older_record is not None and len(self.records) < PAGE
        return self._older is not None and len(self.done) < PAGE

    def _passes(self, a: EndedRow) -> bool:
        facts = {"who": a.who, "verb": a.verb, "key": a.key, "state": a.state.name.lower().replace("_", " ")}
        return audit.holds(self.wanted, {**facts, "said": f"{a.words} {a.reason or ''}"})

    def _read_on(self) -> bool:
        """The next page of the list that is shown; False where there is none."""
        reader = self.context.reader
        if self.auditing:
            if self._older_record is None or len(self.records) >= KEPT:
                return False
            page = reader.audit_records(self._older_record, PAGE, self.wanted)
            self.records += page.rows
            self._older_record = page.reached
        else:
            if self._older is None or len(self.done) >= KEPT:
                return False
            found = reader.actions_ended(self._older, PAGE, self.wanted)
            had = {a.id for a in self.done}  # one that just ended may stand there before its page was read
            self.done = sorted(
                [*self.done, *(a for a in found.rows if a.id not in had)], key=lambda a: a.id, reverse=True
            )
            self._older = found.reached
        return True

    def work(self) -> bool:
        """A slice of a search that has not found a page yet, or of the chain that is recomputed."""
        if self._searching:
            self._searching = self._read_on() and self._short()
            return True
        if self._checking:
            assert self.checked is not None
            self.checked, self._checking = self.context.reader.audit_follow(self.checked, SLICE)
            return True
        return False

    # --- the cursor -------------------------------------------------------------------------------------------------

    @property
    def under_way(self) -> list[Item]:
        """Actions in flight, then backfills that are not over."""
        return self._arranged()[0]

    @property
    def ended(self) -> list[Item]:
        """Actions and backfills that are over, newest first, as far as they were read."""
        return self._arranged()[1]

    def _keys(self) -> dict[str, Item]:
        """Every row of the list by its key, in order."""
        return self._arranged()[2]

    def _arranged(self) -> tuple[list[Item], list[Item], dict[str, Item]]:
        """Kept until one of the lists is another: they are replaced, never changed."""
        made_of = (self.flying, self.operations, self.done, self.wanted, self._older)
        if self._made is None or any(a is not b for a, b in zip(self._made[0], made_of, strict=True)):
            under: list[Item] = [a for a in self.flying if self._passes(a)]
            under += [o for o in self.operations if o.active and self._wants(o)]
            oldest = self.done[-1].created if self.done and self._older is not None else 0
            over = [o for o in self.operations if not o.active and self._wants(o) and when_of(o) >= oldest]
            ended: list[Item] = sorted([*self.done, *over], key=when_of, reverse=True) if over else [*self.done]
            self._made = made_of, (under, ended, {key_of(i): i for i in (*under, *ended)})
        return self._made[1]

    def _wants(self, o: OperationRow) -> bool:
        facts = {"who": o.who or "", "verb": o.kind, "key": o.pipeline, "state": o.state.name.lower()}
        return not self.wanted or audit.holds(self.wanted, facts)

    def _items(self) -> list[Item]:
        return list(self._keys().values())

    @property
    def here(self) -> Item | None:
        return None if self.auditing or self.cursor is None else self._keys().get(self.cursor)

    @property
    def record(self) -> AuditRow | None:
        return next((r for r in self.records if r.seq == self.at_record), None) if self.auditing else None

    @property
    def length(self) -> int:
        return len(self.records) if self.auditing else len(self._keys())

    def move(self, by: int) -> None:
        """Steps read on at the lower edge; ``G`` goes to the oldest row that was read."""
        self._scroll = 0
        if self.auditing:
            places = [r.seq for r in self.records]
            at = places.index(self.at_record) if self.at_record in places else 0
            if at + by >= len(places) and self._read_on():
                places = [r.seq for r in self.records]
            self.at_record = places[min(max(at + by, 0), len(places) - 1)] if places else None
            return
        keys = list(self._keys())
        at = keys.index(self.cursor) if self.cursor in keys else 0
        if at + by >= len(keys) and self._read_on():
            keys = list(self._keys())
        self.cursor = keys[min(max(at + by, 0), len(keys) - 1)] if keys else None

    def _look(self) -> ActionDetail | None:
        item = self.here
        if not isinstance(item, EndedRow):
            return None
        if self._detail is None or self._detail.row.id != item.id:
            self._detail = self.context.reader.action_detail(item.id)
        return self._detail

    def about(self) -> str | None:
        r, item = self.record, self.here
        if r is not None:
            return r.key
        return item.key if isinstance(item, EndedRow) else item.pipeline if item is not None else None

    # --- the filter -------------------------------------------------------------------------------------------------

    @property
    def filter_text(self) -> str:
        return self._text

    def set_filter(self, text: str) -> None:
        try:
            self.wanted = audit.parse(text)
            self.filter_error = None
        except audit.FilterError as error:
            self.filter_error = str(error)
            return
        self._text = text
        self._first = None
        self.done, self.records, self.at_record, self._top = [], [], None, 0
        self._refresh(self.context.now())
        self._refresh_records()

    def read_whole(self) -> None:
        """For scripts: as much as a list holds."""
        if self.head is None:
            self.load()
        while self._read_on():
            pass
        self._searching = False


def key_of(item: Item) -> str:
    return item.id if isinstance(item, EndedRow) else f"{item.source} {item.id}"


def when_of(item: Item) -> int:
    return item.created if isinstance(item, EndedRow) else item.ended or item.created or 0
