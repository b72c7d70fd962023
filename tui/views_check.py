"""Whether a [[view]] of the configuration can be used: ``watchfloor check`` asks, for only the screens know their fields."""

from __future__ import annotations

import difflib
from importlib import import_module

from tui import registry
from tui.present.filters import FilterError, parse

SCREENS = ("floor", "runs", "timeline", "deadlines", "layers")
"""Screens that can be narrowed to a saved view."""


def wrong_view(name: str, screen: str, text: str) -> str | None:
    """One sentence; None: it can be used."""
    if screen not in SCREENS:
        near = difflib.get_close_matches(screen, SCREENS, 1, 0.5)
        hint = f"did you mean {near[0]}?" if near else f"expected one of {' '.join(SCREENS)}"
        return f"[[view]] {name!r}: {screen!r} is no screen with views, {hint}"
    module, _, cls = registry.VIEWS[screen].partition(":")
    view = getattr(import_module(module), cls)
    try:
        parse(text, view.filter_states, view.fields, view.numbers)
    except FilterError as error:
        return f"[[view]] {name!r}: column {error.at} of its filter: {error}"
    return None
