"""What a value in the file may be. One declaration reads it, says what is wrong with it, and writes its JSON schema.

``Spec.read`` returns the value in our units or raises ``Bad``; tables and lists gather the problems of their members
and go on, so that one look shows all of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from engine.config import units
from engine.config.at import At, Bad, Node, got, looks_secret, printable, wrong
from engine.config.model import SecretRef

Json = dict[str, Any]
LITERAL = (
    'write a reference: { env = "NAME" }, { file = "PATH" }, { cmd = ["program", "argument"] } or { cred = "NAME" }'
)


class Spec:
    """Base of all."""

    expected = "a value"

    def read(self, at: At, value: Any) -> Any:
        raise NotImplementedError

    def schema(self) -> Json:
        raise NotImplementedError


@dataclass(frozen=True)
class Text(Spec):
    """Text; ``expected`` says ``pattern`` in words, ``parse`` turns it into ours (ValueError: what was expected)."""

    expected: str = "a text in quotes"  # pyright: ignore[reportIncompatibleVariableOverride]
    pattern: str | None = None
    parse: Callable[[str], Any] | None = None
    hint: str = ""
    """What to do."""
    free: bool = False
    """Empty, blank and many lines are fine too: what is handed to a program."""

    def read(self, at: At, value: Any) -> Any:
        if not isinstance(value, str):
            quoted = (
                f'write it in quotes: "{value}"'
                if isinstance(value, int | float) and not isinstance(value, bool)
                else ""
            )
            raise wrong(self.expected, value, quoted if self.parse is None else self.hint)
        if "\0" in value if self.free else not value.strip() or not value.isprintable():
            raise wrong(self.expected, value, self.hint)
        if self.pattern and not re.fullmatch(self.pattern, value, re.ASCII):
            raise wrong(self.expected, value, self.hint)
        if self.parse is None:
            return value
        try:
            return self.parse(value)
        except ValueError as error:
            expected, _, hint = str(error).partition("; ")
            raise wrong(expected, value, hint or self.hint) from None

    def schema(self) -> Json:
        out: Json = {"type": "string"} if self.free else {"type": "string", "minLength": 1}
        return out | ({"pattern": f"^(?:{self.pattern})$"} if self.pattern else {})


@dataclass(frozen=True)
class Choice(Spec):
    words: tuple[str, ...]
    parse: Callable[[str], Any] | None = None

    def read(self, at: At, value: Any) -> Any:
        if not isinstance(value, str) or value not in self.words:
            close = units.nearest(value, self.words) if isinstance(value, str) else None
            raise wrong("one of " + ", ".join(self.words), value, f'did you mean "{close}"?' if close else "")
        return self.parse(value) if self.parse else value

    def schema(self) -> Json:
        return {"enum": list(self.words)}


@dataclass(frozen=True)
class Bool(Spec):
    def read(self, at: At, value: Any) -> bool:
        if not isinstance(value, bool):
            raise wrong("true or false", value, "write it without quotes" if isinstance(value, str) else "")
        return value

    def schema(self) -> Json:
        return {"type": "boolean"}


@dataclass(frozen=True)
class Int(Spec):
    low: int = 0
    high: int = 1_000_000

    def read(self, at: At, value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not self.low <= value <= self.high:
            raise wrong(f"a whole number from {self.low} to {self.high}", value)
        return value

    def schema(self) -> Json:
        return {"type": "integer", "minimum": self.low, "maximum": self.high}


@dataclass(frozen=True)
class Number(Spec):
    """``own_unit``: in the unit of what it is held against, so that ``"90%"`` is 90."""

    own_unit: bool = False

    def read(self, at: At, value: Any) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool) or value != value:
            said = re.fullmatch(r"\s*(-?\d+(?:\.\d+)?)\s*%?\s*", value) if isinstance(value, str) else None
            raise wrong("a number", value, f"write {said[1]}" if self.own_unit and said else "")
        return float(value)

    def schema(self) -> Json:
        return {"type": "number"}


@dataclass(frozen=True)
class Share(Spec):
    """A probability, more than 0."""

    def read(self, at: At, value: Any) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= 1:
            raise wrong("a share above 0 and at most 1, like 0.5", value)
        return float(value)

    def schema(self) -> Json:
        return {"type": "number", "exclusiveMinimum": 0, "maximum": 1}


@dataclass(frozen=True)
class Duration(Spec):
    """Milliseconds, at least ``low``."""

    low: int = 1

    def read(self, at: At, value: Any) -> int:
        if not isinstance(value, str):
            plain = isinstance(value, int) and not isinstance(value, bool)
            raise wrong(units.DURATION, value, f'write "{value}s"' if plain else "")
        try:
            ms = units.duration(value)
        except ValueError as error:
            raise wrong(str(error), value) from None
        if ms < self.low:
            raise wrong(f"at least {self.low // 1000} s" if self.low >= 1000 else "more than nothing", value)
        return ms

    def schema(self) -> Json:
        return {"type": "string", "pattern": r"^(\d+(\.\d+)?(ms|s|m|h|d|w))+$"}


@dataclass(frozen=True)
class FilePath(Spec):
    """A path, relative to the file that names it."""

    def read(self, at: At, value: Any) -> Path:
        from engine.config.paths import relative

        if not isinstance(value, str) or not value or "\0" in value:
            raise wrong("a path", value)
        return relative(at.doc.folder, value)

    def schema(self) -> Json:
        return {"type": "string", "minLength": 1}


@dataclass(frozen=True)
class Secret(Spec):
    """A reference to a secret. ``literal``: a plain text may stand here too (a user name)."""

    literal: bool = False

    def read(self, at: At, value: Any) -> SecretRef | str:
        if isinstance(value, str):
            if self.literal:
                return value
            raise Bad("expected a reference to a secret, got the secret itself", LITERAL)  # never what stands there
        if not isinstance(value, dict):
            raise Bad("expected a reference to a secret, got something else", LITERAL)
        table = cast("dict[str, Any]", value)
        unknown = [k for k in table if k not in ("env", "file", "cmd", "cred")]
        if unknown or len(table) != 1:
            raise Bad("expected exactly one of env, file, cmd, cred", LITERAL)
        kind, what = next(iter(table.items()))
        if kind == "cmd":
            argv = cast("list[Any]", what) if isinstance(what, list) else []
            if not argv or not all(isinstance(word, str) and word for word in argv):
                raise Bad(
                    "expected a program and its arguments as a list", 'write { cmd = ["pass", "show", "airflow"] }'
                )
            return SecretRef("cmd", tuple(cast("list[str]", argv)))
        if not isinstance(what, str) or not what:
            raise wrong("a name in quotes" if kind != "file" else "a path in quotes", what)
        if kind == "env" and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", what):
            raise Bad("expected the name of an environment variable", LITERAL)  # may be the secret itself: not shown
        if kind == "cred" and ("/" in what or what.startswith(".")):
            raise Bad(
                "expected the name of a systemd credential, without a folder", 'write { cred = "airflow-password" }'
            )
        return SecretRef(kind, what)

    def schema(self) -> Json:
        one: Json = {
            "type": "object",
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": False,
            "properties": {
                "env": {"type": "string"},
                "file": {"type": "string"},
                "cmd": {"type": "array", "items": {"type": "string"}, "minItems": 1},
                "cred": {"type": "string"},
            },
        }
        return {"anyOf": [{"type": "string"}, one]} if self.literal else one


@dataclass(frozen=True)
class ListOf(Spec):
    """A list; tuple of what was good. ``unique``: no entry twice."""

    of: Spec
    least: int = 0
    most: int = 10_000
    unique: bool = False
    what: str = "a list"
    hint: str = ""

    def read(self, at: At, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            hint = self.hint or (f"write [{got(value)}]" if isinstance(value, str) else "")
            raise wrong(self.what, value, hint)
        items = cast("list[Any]", value)
        if not self.least <= len(items) <= self.most:
            raise Bad(f"expected {self.what} of {self._count()}, got {len(items)}", self.hint)
        out: list[Any] = []
        for n, item in enumerate(items):
            try:
                read = self.of.read(at / n, item)
            except Bad as bad:
                (at / n).problem(bad.message, bad.hint)
                continue
            if self.unique and read in out:
                (at / n).problem(f"{got(item)} is there twice", "remove one")
                continue
            out.append(read)
        return tuple(out)

    def _count(self) -> str:
        if self.least == self.most:
            return f"{self.least} entries"
        return "at least one entry" if self.least == 1 else f"{self.least} to {self.most} entries"

    def schema(self) -> Json:
        out: Json = {"type": "array", "items": self.of.schema()}
        return (
            out
            | ({"minItems": self.least} if self.least else {})
            | ({"maxItems": self.most} if self.most < 10_000 else {})
        )


@dataclass(frozen=True)
class KeysOfAction(Spec):
    """``"x"`` or ``["x", "X"]``; always a tuple."""

    def read(self, at: At, value: Any) -> tuple[str, ...]:
        if isinstance(value, dict):
            inner = next(iter(cast("dict[str, Any]", value)), "")
            raise Bad(
                "expected a key or a list of keys, got a table",
                f'write the id in quotes: "{at.path[-1]}.{inner}" = "x"',
            )
        keys = [cast("Any", value)] if isinstance(value, str) else value
        return ListOf(Text("a key in quotes"), least=1, unique=True, what="a key or a list of keys").read(at, keys)

    def schema(self) -> Json:
        one = Text().schema()
        return {"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]}


@dataclass(frozen=True)
class MapOf(Spec):
    """A table of any names. ``special`` picks another spec by name (secrets among settings)."""

    of: Spec
    name: str = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
    special: Callable[[str], Spec | None] = field(default=lambda name: None)
    hint: str = ""
    what: str = "a name"

    def read(self, at: At, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise Bad("expected a table, got something else", self.hint)  # what stands there may be a secret
        out: dict[str, Any] = {}
        for key, item in cast("dict[str, Any]", value).items():
            try:
                if not re.fullmatch(self.name, key, re.ASCII):
                    raise Bad(f'expected {self.what}, got "{printable(key)}"')
                out[key] = (self.special(key) or self.of).read(at / key, item)
            except Bad as bad:
                (at / key).problem(bad.message, bad.hint)
        return out

    def schema(self) -> Json:
        return {
            "type": "object",
            "propertyNames": {"pattern": f"^(?:{self.name})$"},
            "additionalProperties": self.of.schema(),
        }


@dataclass(frozen=True)
class Anything(Spec):
    """The adapter's own: any value, but no literal secret. Where an adapter takes references to secrets, they may stand."""

    def read(self, at: At, value: Any) -> Any:
        if isinstance(value, dict) and set(cast("dict[str, Any]", value)) in ({"env"}, {"file"}, {"cmd"}, {"cred"}):
            return value
        if isinstance(value, str | dict) and isinstance(at.path[-1], str) and looks_secret(at.path[-1]):
            raise Bad("expected no secret here, got one", "put it under auth, as a reference")
        if isinstance(value, dict):
            for key, item in cast("dict[str, Any]", value).items():
                try:
                    self.read(at / key, item)
                except Bad as bad:
                    (at / key).problem(bad.message, bad.hint)
        return value

    def schema(self) -> Json:
        return {}


@dataclass(frozen=True)
class Field:
    spec: Spec
    doc: str
    """One clause for people: it goes into the schema."""
    required: bool = False
    default: Any = None


_CREDENTIALS = frozenset({"user", "username", "login", "password", "passwd", "token", "api_key", "apikey", "secret"})
"""Keys that people write beside ``url`` and that belong under ``auth``."""


@dataclass(frozen=True)
class Table(Spec):
    """A table with known keys; ``Node``. Unknown keys are problems that name the nearest known one."""

    fields: Mapping[str, Field]
    doc: str = ""

    def read(self, at: At, value: Any) -> Node:
        if not isinstance(value, dict):
            raise wrong("a table", value)
        node = Node(at)
        given = cast("dict[str, Any]", value)
        node.given = set(given)
        for key in given:
            if key not in self.fields:
                self.unknown(at / key, key, self.fields)
        for key, spec in self.fields.items():
            node[key] = spec.default
            if key not in given:
                if spec.required:
                    at.problem(f"expected {key}, which is missing", f"add {key}: {spec.doc}")
                continue
            try:
                node[key] = spec.spec.read(at / key, given[key])
            except Bad as bad:
                (at / key).problem(bad.message, bad.hint)
        return node

    @staticmethod
    def unknown(at: At, key: str, known: Iterable[str]) -> None:
        if key.casefold() in _CREDENTIALS and "auth" in known:  # "did you mean name?" would lead nowhere
            wants = 'auth = { user = "ops", password = { env = "NAME" } }, or auth = { token = { env = "NAME" } }'
            at.problem(f'expected a known key, got "{printable(key)}"', f"credentials stand under auth: {wants}")
            return
        close = units.nearest(key, known)
        at.problem(
            f'expected a known key, got "{printable(key)}"',
            f'did you mean "{close}"?' if close else "known here: " + ", ".join(sorted(known)),
        )

    def schema(self) -> Json:
        properties = {k: f.spec.schema() | ({"description": f.doc} if f.doc else {}) for k, f in self.fields.items()}
        out: Json = {"type": "object", "additionalProperties": False, "properties": properties}
        required = [k for k, f in self.fields.items() if f.required]
        return out | ({"required": required} if required else {}) | ({"description": self.doc} if self.doc else {})
