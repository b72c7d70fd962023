"""Textual's own DataTable with as many runs as it loads in a bearable time, ``j`` moves the cursor."""

import sqlite3
import sys

from textual.app import App, ComposeResult
from textual.widgets import DataTable, Static


class Table(DataTable[str]):
    BINDINGS = [("j", "cursor_down", "down"), ("k", "cursor_up", "up")]  # noqa: RUF012


class Runs(App[None]):
    def compose(self) -> ComposeResult:
        yield Static("Runs")
        yield Table(cursor_type="row")

    def on_mount(self) -> None:
        table = self.query_one(Table)
        table.add_columns("id", "pipeline", "at", "started", "ended")
        db = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
        sql = "SELECT id, pipeline_id, at, started, ended FROM run ORDER BY at DESC LIMIT ?"
        table.add_rows([tuple(map(str, row)) for row in db.execute(sql, (int(sys.argv[2]),))])
        table.focus()


if __name__ == "__main__":
    Runs().run(mouse=False)
