"""Which view stands behind which name; imported when first opened, so that the first frame loads one screen only."""

from __future__ import annotations

from importlib import import_module

from tui.view import Context, View

VIEWS: dict[str, str] = {
    "floor": "tui.screens.floor:FloorView",
    "runs": "tui.screens.runs:RunsView",
    "run": "tui.screens.run:RunView",
    "log": "tui.screens.log:LogView",
    "sources": "tui.screens.sources:SourcesView",
    "help": "tui.screens.help:HelpView",
    "plan": "tui.screens.plan:PlanView",
    "wall": "tui.screens.wall:WallView",
    "timeline": "tui.screens.timeline:TimelineView",
    "deadlines": "tui.screens.deadlines:DeadlinesView",
    "layers": "tui.screens.layers:LayersView",
    "gaps": "tui.screens.gaps_view:GapsView",
    "morning": "tui.screens.morning:MorningView",
    "waive": "tui.screens.waive:WaiveView",
    "hosts": "tui.screens.hosts:HostsView",
    "actions": "tui.screens.actions:ActionsView",
    "history": "tui.screens.history:HistoryView",
    "diff": "tui.screens.diff:DiffView",
    "card": "tui.screens.card:CardView",
    "links": "tui.screens.links:LinksView",
    "palette": "tui.screens.palette:PaletteView",
    "bulk": "tui.screens.bulk:BulkView",
    "themes": "tui.screens.theme_menu:ThemesView",
}
SHOWN = (
    "floor", "runs", "run", "log", "sources", "help", "wall", "timeline", "deadlines", "layers", "morning", "hosts", "actions",
    "history", "diff", "card", "gaps",
)  # fmt: skip
"""What ``watchfloor show`` prints."""


def make(name: str, context: Context, arg: str | None = None) -> View:
    """A fresh view; ``arg`` is what the screen is about (a run key, a log's step key …)."""
    module, _, cls = VIEWS[name].partition(":")
    view = getattr(import_module(module), cls)
    return view(context, arg) if arg is not None else view(context)
