"""Options of a source of this kind: typed, checked, each refused with a sentence."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from adapters.base import Secret
from adapters.commands.argv import Template, places, wrong
from adapters.errors import Unsupported
from adapters.model import State, Verb
from adapters.parameters import TYPES, Parameter

READS: Final[Mapping[str, tuple[str, ...]]] = {
    "version": (),
    "list": (),
    "status": ("pipeline", "run"),
    "logs": ("pipeline", "run", "step", "attempt", "offset"),
    "operations": (),
    "dry_run": ("pipeline", "from", "to", "business_date", "client_id", "who"),
}
"""What is only asked, with the placeholders that have a value there."""
_RUN: Final = ("pipeline", "run", "client_id", "who")
ACTS: Final[Mapping[Verb, tuple[str, ...]]] = {
    Verb.START: ("pipeline", "run", "business_date", "client_id", "who"),
    Verb.PAUSE: ("pipeline", "client_id", "who"),
    Verb.RESUME: ("pipeline", "client_id", "who"),
    Verb.HOLD: _RUN,
    Verb.RELEASE: _RUN,
    Verb.STOP: _RUN,
    Verb.RERUN: (*_RUN, "business_date"),
    Verb.RERUN_FAILED: (*_RUN, "business_date"),
    Verb.RERUN_FROM: (*_RUN, "step", "business_date"),
    Verb.BACKFILL: ("pipeline", "from", "to", "client_id", "who"),
    Verb.BACKFILL_PAUSE: ("pipeline", "id", "client_id", "who"),
    Verb.BACKFILL_RESUME: ("pipeline", "id", "client_id", "who"),
    Verb.BACKFILL_CANCEL: ("pipeline", "id", "client_id", "who"),
}
"""Option name = the verb with ``_`` for ``-``."""
WITH_PARAMETERS: Final = frozenset((Verb.START, Verb.RERUN, Verb.RERUN_FAILED, Verb.RERUN_FROM, Verb.BACKFILL))
FORMATS: Final = ("json", "lines", "blocks")
STATUS_FORMATS: Final = ("json", "blocks", "exit")
FIELDS: Final = (
    *("pipeline", "name", "paused", "schedule", "next_run", "owner", "tags", "description", "timezone"),
    *("run", "runs", "state", "sub", "queued", "started", "ended", "updated", "business_date", "params", "error", "exit_code"),
    *("kind", "attempt", "url", "client_id", "rerun_of", "done", "total", "steps", "step", "id", "from", "to", "failed", "now"),
)  # fmt: skip
EXIT: Final[Mapping[int, str]] = {0: "running", 1: "failed", 2: "failed", 3: "success"}
"""Of ``status`` where it answers by its exit code; 4 (LSB: unknown) and any other code is an error."""
REFUSED: Final = (2, 64, 65, 66, 69, 75, 77, 78, 126, 127)
"""Exit codes by which a command says that it did nothing: usage, sysexits.h, and a shell that found no program."""
_WORD: Final = re.compile(r"[A-Za-z_][\w-]*")
_STATES: Final = {s.name.lower(): s for s in State if s not in (State.EXPECTED, State.MISSED)}


@dataclass(frozen=True, slots=True)
class FieldOf:
    """Where a value stands in an entry: keys joined by dots; ``match``: its first group is the value."""

    path: tuple[str, ...]
    match: re.Pattern[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    reads: Mapping[str, Template]
    acts: Mapping[Verb, Template]
    pipelines: tuple[str, ...] = ()
    list_format: str = "json"
    status_format: str = "json"
    items: tuple[str, ...] = ()
    fields: Mapping[str, FieldOf] = field(default_factory=dict[str, FieldOf])
    states: Mapping[str, State] = field(default_factory=dict[str, State])
    exit: Mapping[int, State] = field(default_factory=lambda: dict(EXIT_STATES))
    refused: frozenset[int] = frozenset(REFUSED)
    warning_codes: frozenset[int] = frozenset()
    timeout: float = 30.0
    output_kib: int = 1024
    keep: int = 50
    folder: str = ""
    env: Mapping[str, str | Secret] = field(default_factory=dict[str, "str | Secret"])
    allow_dash: frozenset[str] = frozenset()
    parameters: Mapping[str, Parameter] = field(default_factory=dict[str, Parameter])

    @property
    def own(self) -> bool:
        """Whether a run is the process that ``start`` is: nobody else can be asked about it."""
        return Verb.START in self.acts and not self.reads.keys() & {"list", "status"}

    @property
    def status_of_run(self) -> bool:
        """Whether ``status`` is asked about one run; else about a pipeline."""
        return "status" in self.reads and "run" in places(self.reads["status"])


def option_of(verb: Verb) -> str:
    return verb.value.replace("-", "_")


def checked(given: Mapping[str, Any]) -> Options:
    """Unsupported, in one sentence, for what there is not or cannot be."""
    parameters = _parameters(given.get("parameters", {}))
    reads: dict[str, Template] = {}
    acts: dict[Verb, Template] = {}
    rest: dict[str, Any] = {}
    by_option = {option_of(v): v for v in ACTS}
    for name, value in given.items():
        if name in READS:
            with_parameters = name == "dry_run"
            reads[name] = _template(name, value, READS[name], parameters if with_parameters else ())
        elif name in by_option:
            verb = by_option[name]
            acts[verb] = _template(name, value, ACTS[verb], parameters if verb in WITH_PARAMETERS else ())
        elif name in _READERS:
            rest[name] = _READERS[name](name, value)
        elif name != "parameters":
            known = ", ".join((*READS, *by_option, *_READERS, "parameters"))
            raise Unsupported(f"the commands adapter has no option {name!r}", f"it has {known}")
    found = Options(reads=reads, acts=acts, parameters=parameters, **rest)
    if "list" not in reads and not found.pipelines:
        raise Unsupported(
            "a source of kind commands needs options.list (a command) or options.pipelines (names)",
            "see docs/systems/commands.md",
        )
    if found.status_of_run and ("list" not in reads or found.status_format == "exit"):
        raise Unsupported(
            "options.status with {run} needs options.list, which names the runs, and a status_format that tells of a run",
            "without {run} it is asked how a pipeline stands",
        )
    if found.status_format == "exit" and "status" in reads and not found.exit:
        raise Unsupported("options.exit says no state for any exit code")
    return found


def _bad(name: str, expected: str, value: object) -> Unsupported:
    said = "something else" if isinstance(value, Secret) else f"{value!r}"[:60]
    return Unsupported(f"option {name!r} of the commands adapter is {expected}, not {said}")


def _template(name: str, value: Any, places: tuple[str, ...], parameters: Any) -> Template:
    expected = 'a list of a program and its arguments like ["driver", "list"], never one shell string'
    if not isinstance(value, list) or not value:
        raise _bad(name, expected, value)
    out: list[str | tuple[str, ...]] = []
    for word in cast("list[Any]", value):
        if isinstance(word, list):
            group = cast("list[Any]", word)
            if not group or not all(isinstance(w, str) for w in group):
                raise _bad(name, "a list of texts, and of groups of texts", word)
            out.append(tuple(cast("list[str]", group)))
        elif isinstance(word, str):
            out.append(word)
        else:
            raise _bad(name, expected, value)
    if not isinstance(out[0], str) or not out[0] or "{" in out[0]:
        raise _bad(name, "a list that begins with a program, which is no placeholder", value)
    if any("\0" in w for word in out for w in ((word,) if isinstance(word, str) else word)):
        raise _bad(name, "a list of texts without NUL", value)
    if said := wrong(tuple(out), places, tuple(parameters)):
        raise Unsupported(f"options.{name}: {said}")
    return tuple(out)


# --- parameters -------------------------------------------------------------------------------------------------------

_OF_PARAMETER: Final = ("type", "default", "recommended", "hard", "choices", "pattern", "required", "means")


def _parameters(value: Any) -> dict[str, Parameter]:
    if not isinstance(value, dict):
        raise _bad("parameters", "a table of parameters", value)
    return {name: _parameter(name, table) for name, table in cast("dict[str, Any]", value).items()}


def _parameter(name: str, value: Any) -> Parameter:
    where = f"parameters.{name}"
    if not _WORD.fullmatch(name):
        raise Unsupported(f"option {where!r}: a parameter's name is letters, digits, _ and -")
    if name in ("from", "to", "id"):
        raise Unsupported(f"option {where!r}: {name} is known without being described")
    if not isinstance(value, dict):
        raise _bad(where, 'a table like { type = "int", default = 3 }', value)
    table = cast("dict[str, Any]", value)
    for key in table:
        if key not in _OF_PARAMETER:
            raise Unsupported(f"option {where!r} has no {key!r}; it has {', '.join(_OF_PARAMETER)}")
    kind = table.get("type", "string")
    if kind not in TYPES:
        raise _bad(f"{where}.type", f"one of {', '.join(TYPES)}", kind)
    choices = table.get("choices", [])
    if not isinstance(choices, list) or not all(isinstance(c, str) and c for c in cast("list[Any]", choices)):
        raise _bad(f"{where}.choices", "a list of texts", choices)
    if (kind == "choice") != bool(choices):
        raise Unsupported(f"option {where!r}: choices go with type choice, and with no other")
    pattern = table.get("pattern")
    if pattern is not None:
        _regex(f"{where}.pattern", pattern)
        if kind != "string":
            raise Unsupported(f"option {where!r}: a pattern goes with type string only")
    bounds = {key: _bounds(f"{where}.{key}", table.get(key), kind) for key in ("recommended", "hard")}
    required = table.get("required", False)
    if not isinstance(required, bool):
        raise _bad(f"{where}.required", "true or false", required)
    default = table.get("default")
    found = Parameter(
        name=name,
        type=kind,
        default=None if default is None else str(default).lower() if isinstance(default, bool) else str(default),
        recommended=bounds["recommended"],
        hard=bounds["hard"],
        choices=tuple(cast("list[str]", choices)),
        pattern=pattern,
        required=required,
        means=str(table.get("means", "")),
    )
    if found.default is not None:
        try:
            found.read(found.default)
        except Exception as error:
            raise Unsupported(f"option '{where}.default' is not allowed by itself: {error}") from None
    return found


def _bounds(where: str, value: Any, kind: str) -> tuple[float | None, float | None] | None:
    if value is None:
        return None
    pair = cast("list[Any]", value) if isinstance(value, list) else []
    if kind not in ("int", "number"):
        raise Unsupported(f"option {where!r} goes with type int and number only")
    if len(pair) != 2 or any(isinstance(v, bool) or not isinstance(v, (int, float)) for v in pair) or pair[0] > pair[1]:
        raise _bad(where, "a list of the least and the most, like [1, 5]", value)
    return (float(pair[0]), float(pair[1]))


# --- the others -------------------------------------------------------------------------------------------------------


def _regex(name: str, value: Any) -> re.Pattern[str]:
    try:
        return re.compile(value)
    except (re.error, TypeError):
        raise _bad(name, "a regular expression", value) from None


def _names(name: str, value: Any) -> tuple[str, ...]:
    found = cast("list[Any]", value) if isinstance(value, list) else []
    if not found or not all(isinstance(v, str) and v for v in found) or len(set(found)) != len(found):
        raise _bad(name, "a list of names, each once", value)
    return tuple(found)


def _one_of(*known: str) -> Callable[[str, Any], str]:
    def read(name: str, value: Any) -> str:
        if value not in known:
            raise _bad(name, f"one of {', '.join(known)}", value)
        return str(value)

    return read


def _path(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, str) or not all(value.split(".")):
        raise _bad(name, "keys joined by dots, like data.jobs", value)
    return tuple(value.split("."))


def _fields(name: str, value: Any) -> dict[str, FieldOf]:
    if not isinstance(value, dict):
        raise _bad(name, "a table of our names and theirs", value)
    out: dict[str, FieldOf] = {}
    for key, where in cast("dict[str, Any]", value).items():
        if key not in FIELDS:
            raise Unsupported(f"option {name!r} has no {key!r}; it has {', '.join(FIELDS)}")
        if isinstance(where, dict):
            table = cast("dict[str, Any]", where)
            if set(table) != {"path", "match"}:
                raise _bad(f"{name}.{key}", "a path, or { path = …, match = … }", table)
            match = _regex(f"{name}.{key}.match", table["match"])
            if match.groups < 1:
                raise _bad(f"{name}.{key}.match", "a regular expression with a group ( )", table["match"])
            out[key] = FieldOf(_path(f"{name}.{key}", table["path"]), match)
        else:
            out[key] = FieldOf(_path(f"{name}.{key}", where))
    return out


def _state(name: str, value: Any) -> State:
    if not isinstance(value, str) or value.lower() not in _STATES:
        raise _bad(name, f"one of {', '.join(_STATES)}", value)
    return _STATES[value.lower()]


def _state_map(name: str, value: Any) -> dict[str, State]:
    if not isinstance(value, dict):
        raise _bad(name, "a table of the driver's words and ours", value)
    return {k.casefold(): _state(f"{name}.{k}", v) for k, v in cast("dict[str, Any]", value).items()}


def _exit(name: str, value: Any) -> dict[int, State]:
    if not isinstance(value, dict) or not all(k.isdigit() and int(k) < 256 for k in cast("dict[str, Any]", value)):
        raise _bad(name, 'a table of exit codes and states, like { 0 = "running", 3 = "success" }', value)
    return {int(k): _state(f"{name}.{k}", v) for k, v in cast("dict[str, Any]", value).items()}


def _codes(name: str, value: Any) -> frozenset[int]:
    codes = cast("list[Any]", value) if isinstance(value, list) else [None]
    if not all(isinstance(v, int) and not isinstance(v, bool) and 1 <= v <= 255 for v in codes):
        raise _bad(name, "a list of exit codes from 1 to 255", value)
    return frozenset(cast("list[int]", codes))


def _number(least: float, most: float, words: str, whole: bool) -> Callable[[str, Any], Any]:
    def read(name: str, value: Any) -> Any:
        kinds = (int,) if whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= most:
            raise _bad(name, words, value)
        return value

    return read


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise _bad(name, "a path", value)
    return value


def _env(name: str, value: Any) -> dict[str, str | Secret]:
    if not isinstance(value, dict):
        raise _bad(name, "a table of variables", value)
    for key, one in cast("dict[str, Any]", value).items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key):
            raise Unsupported(f"option {name!r}: {key!r} is no name of a variable")
        if not isinstance(one, (str, Secret)) or (isinstance(one, str) and "\0" in one):
            what = 'a text, or a reference to a secret like { env = "NAME" }'
            raise Unsupported(f"option '{name}.{key}' of the commands adapter is {what}")
    return cast("dict[str, str | Secret]", value)


_READERS: Final[Mapping[str, Callable[[str, Any], Any]]] = {
    "pipelines": _names,
    "list_format": _one_of(*FORMATS),
    "status_format": _one_of(*STATUS_FORMATS),
    "items": _path,
    "fields": _fields,
    "states": _state_map,
    "exit": _exit,
    "refused": _codes,
    "warning_codes": _codes,
    "timeout": _number(0.05, 600, "a number of seconds up to 600", False),
    "output_kib": _number(1, 32_768, "a whole number of KiB up to 32768", True),
    "keep": _number(1, 10_000, "a whole number of runs up to 10000", True),
    "folder": _text,
    "env": _env,
    "allow_dash": lambda name, value: frozenset(_names(name, value)),
}
EXIT_STATES: Final[Mapping[int, State]] = {code: _STATES[word] for code, word in EXIT.items()}
