"""The gap map by its own name: for scripts, and to open it from elsewhere."""

from __future__ import annotations

from typing import Any

from tui.screens.layers import LayersView
from tui.view import Context


class GapsView(LayersView):
    """The Layers with the gap map in front; what scripts are told is the map alone."""

    def __init__(self, context: Context, arg: str | None = None) -> None:
        super().__init__(context, "gaps")
        self.gaps.cursor = arg

    def data(self) -> Any:
        if self.head is None:
            self.load()
        return self.gaps.data()

    def rows(self) -> list[dict[str, Any]]:
        if self.head is None:
            self.load()
        return self.gaps.records()
