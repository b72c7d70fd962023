"""Remote engines: where tasks run. One that is away matters where tasks run on it."""

from __future__ import annotations

import msgspec

from adapters.errors import BadResponse
from adapters.extras import SourceItem, Standing
from adapters.http import Http
from adapters.talend.estate import Estate
from adapters.talend.wire import Engine

PATH = "/processing/runtimes/remote-engines"


class _Page(msgspec.Struct):
    items: list[Engine]


async def items(http: Http, estate: Estate) -> list[SourceItem]:
    """All of them. The list is a bare array; the form of the other lists is understood, too."""
    answer = await http.ask("GET", PATH)
    try:
        found = answer.decode(list[Engine])
    except BadResponse:
        found = answer.decode(_Page).items
    used: dict[str, int] = {}
    for task in estate.tasks.values():
        if task.runtime is not None and task.runtime.id:
            used[task.runtime.id] = used.get(task.runtime.id, 0) + 1
    out: dict[str, SourceItem] = {}
    for engine in found:
        name = http.words(engine.name or engine.id)
        if name in out:
            place = engine.workspace.environment.name if engine.workspace and engine.workspace.environment else None
            name = http.words(f"{name} ({place or engine.id})")
        if name in out:
            name = http.words(f"{name} {engine.id}")
        out[name] = _item(http, name, engine, used)
    return list(out.values())


def _item(http: Http, name: str, engine: Engine, used: dict[str, int]) -> SourceItem:
    """``runtime`` of a task may name the engine or its runtime (not documented): either counts."""
    tasks = used.get(engine.id, 0) + (used.get(engine.runtimeId, 0) if engine.runtimeId not in (None, engine.id) else 0)
    word = (engine.availability or "").upper()
    said = http.words(word.lower().replace("_", " ")) or "not saying"
    run = f"{tasks} task{'s' * (tasks != 1)} run on it" if tasks else "no task runs on it"
    standing = Standing.FINE
    if word != "AVAILABLE" and word and tasks:
        standing = Standing.BAD
    elif not word:
        standing = Standing.WARNING
    return SourceItem(kind="component", name=name, standing=standing, words=f"{said}; {run}")
