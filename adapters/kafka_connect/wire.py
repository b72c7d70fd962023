"""Shapes of the REST API of Kafka Connect, and what its words mean.

Only what names a thing is required: a missing word is shown as ``?``. Values of a connector's configuration may be secrets:
they are dropped where they are read, but for a few that never are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from adapters.first_error import first_error_of
from adapters.http import words
from adapters.model import Mode, Pipeline, State, StepDef, Trigger, pipeline_key

CONNECTOR: Final = "connector"
"""The step that stands for the connector's own instance."""
TASK: Final = "task-"
STOPPED: Final = "STOPPED"
UNASSIGNED: Final = "UNASSIGNED"
PAUSED: Final = "PAUSED"
RUNNING: Final = "RUNNING"
FAILED: Final = "FAILED"
STATES: Final[Mapping[str, State]] = {
    RUNNING: State.RUNNING,
    PAUSED: State.HELD,
    STOPPED: State.HELD,
    UNASSIGNED: State.QUEUED,
    "RESTARTING": State.RETRYING,
    FAILED: State.FAILED,
}
_WORST: Final = (State.FAILED, State.RETRYING, State.QUEUED, State.HELD, State.RUNNING)
"""Of a connector and its tasks, the worst first. A stopped connector has no tasks, so it is held whatever they say."""
NO_STATUS: Final = "no status"
"""Ours, for a connector that is configured and has none yet."""
_NAMES_SHOWN: Final = 600


class Version(msgspec.Struct):
    """``GET /``."""

    version: str
    kafka_cluster_id: str | None = None


class Part(msgspec.Struct):
    """State of the connector's own instance."""

    state: str | None = None
    worker_id: str | None = None
    trace: str | None = None


class Task(msgspec.Struct):
    id: int
    state: str | None = None
    worker_id: str | None = None
    trace: str | None = None


class Status(msgspec.Struct):
    """``GET /connectors/NAME/status``."""

    name: str
    connector: Part | None = None
    tasks: list[Task] | None = None
    type: str | None = None

    @property
    def word(self) -> str | None:
        return self.connector.state if self.connector else None

    @property
    def parts(self) -> Sequence[tuple[str, Part | Task]]:
        """The connector first, then its tasks, by the names of their steps."""
        own: list[tuple[str, Part | Task]] = [(CONNECTOR, self.connector or Part())]
        return own + [(f"{TASK}{t.id}", t) for t in sorted(self.tasks or (), key=lambda t: t.id)]


class TaskId(msgspec.Struct):
    task: int


class Info(msgspec.Struct):
    """``GET /connectors/NAME``."""

    name: str
    config: dict[str, Any] | None = None
    tasks: list[TaskId] | None = None
    type: str | None = None


class Entry(msgspec.Struct):
    """One connector of ``GET /connectors?expand=…``."""

    status: Status | None = None
    info: Info | None = None


class Refusal(msgspec.Struct):
    error_code: int | None = None
    message: str | None = None


# --- words ------------------------------------------------------------------------------------------------------------


def state_of(word: str | None) -> tuple[str, State]:
    """Native word and state of one part; an unknown word is marked with ``?`` and goes on."""
    if word is None:
        return "?", State.RUNNING
    known = STATES.get(word)
    return (word, known) if known is not None else (f"{words(word)}?", State.RUNNING)


def judged(status: Status) -> tuple[str, State, str | None]:
    """Native word of the connector, the worst state of it and its tasks, and how many of them are not as they should be."""
    native, own = state_of(status.word)
    tasks = [state_of(t.state) for t in status.tasks or ()]
    odd = next((word for word, _ in (*tasks, (native, own)) if word.endswith("?")), None)
    state = min((own, *(s for _, s in tasks)), key=_WORST.index)
    if native == STOPPED:
        state = State.HELD
    if odd is not None and state is State.RUNNING:
        native = odd
    counts = Counter(word for word, _ in tasks if word != (RUNNING if native.endswith("?") else native))
    total = f"{len(tasks)} task{'' if len(tasks) == 1 else 's'}"
    said = [f"{n} of {total} {word}" for word, n in sorted(counts.items(), key=lambda c: (c[0] != FAILED, c[0]))]
    if not tasks and native != STOPPED:
        said.append("it has no task")
    return native, state, words(", ".join(said)) or None


def mode_of(status: Status | None) -> Mode:
    return Mode.PAUSED if status is not None and status.word in (PAUSED, STOPPED) else Mode.ACTIVE


def cause(trace: str | None) -> str | None:
    """The line of a Java stack trace that says what went wrong: its innermost cause, else the exception itself."""
    if not trace:
        return None
    lines = trace.splitlines()
    last = max((i for i, line in enumerate(lines) if line.lstrip().startswith("Caused by: ")), default=None)
    if last is not None:
        lines = [lines[last].lstrip().removeprefix("Caused by: "), *lines[last + 1 :]]
    said = first_error_of("\n".join(lines)) or next((line.strip() for line in lines if line.strip()), "")
    return words(said) or None


def why(status: Status) -> str | None:
    """What the first part that failed says, by its step."""
    bad = next(((name, part) for name, part in status.parts if part.state == FAILED), None)
    if bad is None:
        return None
    said = cause(bad[1].trace)
    return words(f"{bad[0]}: {said}" if said else f"{bad[0]} FAILED, and no trace is told")


# --- things -----------------------------------------------------------------------------------------------------------


def pipeline_of(source: str, name: str, status: Status | None, info: Info | None, rests: bool = False) -> Pipeline:
    """A connector. Of its configuration the class, the number of tasks, the topics and the names of all that is set.

    ``rests``: it was stopped, though its status does not say so now."""
    config = (info.config if info else None) or {}
    kind = (info.type if info else None) or (status.type if status else None)
    tasks = [t.task for t in info.tasks or ()] if info else [t.id for t in (status.tasks if status else None) or ()]
    short = _said(config, "connector.class").rpartition(".")[2]
    return Pipeline(
        key=pipeline_key(source, name),
        name=name,
        mode=Mode.PAUSED if rests else mode_of(status),
        trigger=Trigger.CONTINUOUS,
        tags=tuple(words(t) for t in (kind,) if t and t != "unknown"),
        description=_described(config),
        steps=(
            StepDef(name=CONNECTOR, operator=short or None),
            *(StepDef(name=f"{TASK}{n}", operator=short or None) for n in sorted(tasks)),
        ),
    )


def _said(config: Mapping[str, Any], name: str) -> str:
    value = config.get(name)
    return words(value) if isinstance(value, str) else ""


def _described(config: Mapping[str, Any]) -> str | None:
    shown = ("connector.class", "tasks.max", "topics", "topics.regex")
    said = [f"{name} {value}" for name in shown if (value := _said(config, name))]
    if not config:
        return None
    names = ", ".join(words(name) for name in sorted(config) if name not in (*shown, "name"))
    if len(names) > _NAMES_SHOWN:
        names = names[: _NAMES_SHOWN - 1] + "…"
    if names:
        said.append(f"also set, values not shown: {names}")
    return "; ".join(said)
