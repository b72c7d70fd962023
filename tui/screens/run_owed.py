"""What a run owes, on the Run screen: read when it moved, its two keys, its panes. The screen itself is in run.py."""

from __future__ import annotations

from collections.abc import Sequence

from engine.store.rows import OutputRow, RunDetail
from tui.present import run_panes, story
from tui.present.cut import clean
from tui.present.floor_owed import Owing
from tui.present.owed import PER_RUN
from tui.screens.owed_pane import OwedPane, cannot_waive
from tui.view import Context, Effect, Line, Open, Say


class RunOwed:
    """``owes``: what is known; ``basis``: the pane that says where its numbers come from, while it is open."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.owes = story.NOTHING
        self.basis: OwedPane | None = None
        self.outputs: Sequence[OutputRow] = ()
        self._read: tuple[object, ...] = ()

    def read(self, detail: RunDetail) -> None:
        """Its promise, who waits behind it and its checks, when any of that may have moved."""
        reader, key = self.context.reader, detail.row.key
        read = (key, detail.row.state, detail.newer, reader.topics().get("owed"))
        if read == self._read:
            return
        self._read = read
        self.outputs = reader.outputs(key)
        thing, date = detail.row.pipeline_key, detail.row.business_date
        owing = Owing.of(reader.owed_now(), reader.edges())
        mine = [row for row in reader.owed_of(thing) if row.run_key == key and row.type not in PER_RUN]
        mine.sort(key=lambda row: (not row.declared, not row.state.unsettled, row.type != "finish_by"))
        latest = detail.newer is None
        now_row = owing.now.get(thing) if latest else None
        if now_row is not None and not now_row.declared and now_row.state.waiting:
            now_row = None  # the next tick of its schedule is not owed by this run
        checks = reader.checks(key)
        # an older run and one that is done and proved block nobody
        open_ = latest and (not detail.row.state.finished or any(c.state != 1 for c in checks))
        self.owes = story.Owes(
            mine[0] if mine else now_row,
            owing.behind(thing, date, self.context.now()) if open_ else (),
            owing.late_sources(thing) if open_ else (),
            checks,
        )

    def offered(self) -> list[str]:
        """Its keys, where they mean something."""
        if self.owes.row is None:
            return []
        return ["owed.basis"] if cannot_waive(self.owes.row) else ["owed.basis", "owed.waive"]

    def act(self, action: str, detail: RunDetail) -> Sequence[Effect] | None:
        """What a key does here; None: it is not ours. An open pane is closed by any key but those that scroll it."""
        if self.basis is not None:
            pane, self.basis = self.basis, None
            if pane.takes(action):
                return ()
            if pane.scroll(action):
                self.basis = pane
                return ()
        row = self.owes.row
        if action == "owed.basis":
            if row is None:
                return [Say("this run owes nothing that is declared: no number to ask about")]
            self.basis = OwedPane(row, row.name)
            return ()
        if action == "owed.waive":
            why = cannot_waive(row)
            if why or row is None:
                return [Say(f"waive {clean(detail.row.name)}: {why}", "warn")]
            return [Open("waive", row.key)]
        return None

    def pane(self, cells: int) -> list[Line]:
        """Its checks, else what it blocks."""
        tz, now = self.context.timezone, self.context.now()
        return run_panes.checks(self.owes.checks, tz, now, cells) or run_panes.blocks(self.owes.behind, tz, now, cells)

    def over(self, body: list[Line], width: int, room: int) -> list[Line]:
        """The panes of the screen, their lower rows under the open one."""
        if self.basis is None:
            return body
        return self.basis.over(body, width, room, self.context.timezone, self.context.now())
