"""The JSON schema takes what the loader takes and refuses what it refuses, as far as a schema can tell."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from engine.config import shapes
from engine.config.fields import ListOf, MapOf, Spec, Table
from engine.config.schema import json_schema
from engine.config.starter import starter

SAMPLE = Path(__file__).parent / "data" / "sample.toml"


def faults(schema: dict[str, Any], value: Any, at: str = "") -> list[str]:
    """A second, independent reading of the parts of JSON Schema that are used here; anything else is a fault."""
    out: list[str] = []
    for word, want in schema.items():
        match word:
            case "$schema" | "title" | "description":
                continue
            case "type":
                kinds = {
                    "object": dict,
                    "array": list,
                    "string": str,
                    "boolean": bool,
                    "integer": int,
                    "number": (int, float),
                }
                good = isinstance(value, kinds[want]) and not (
                    want in ("integer", "number") and isinstance(value, bool)
                )
            case "enum":
                good = value in want
            case "pattern":
                good = not isinstance(value, str) or bool(re.search(want, value))
            case "minLength":
                good = not isinstance(value, str) or len(value) >= want
            case "minimum":
                good = value >= want
            case "exclusiveMinimum":
                good = value > want
            case "maximum":
                good = value <= want
            case "minItems":
                good = len(value) >= want
            case "maxItems":
                good = len(value) <= want
            case "minProperties":
                good = len(value) >= want
            case "maxProperties":
                good = len(value) <= want
            case "anyOf":
                good = any(not faults(s, value) for s in want)
            case "required":
                good = isinstance(value, dict) and set(want) <= set(value)
            case "propertyNames":
                good = all(not faults(want, name) for name in value)
            case "items":
                good = True
                out += [f for n, item in enumerate(value) for f in faults(want, item, f"{at}[{n}]")]
            case "properties":
                good = True
                out += [f for k, s in want.items() if k in value for f in faults(s, value[k], f"{at}.{k}")]
            case "additionalProperties":
                extra = {k: v for k, v in value.items() if k not in schema.get("properties", {})}
                good = bool(want) or not extra or want == {}
                if isinstance(want, dict):
                    out += [f for k, v in extra.items() for f in faults(want, v, f"{at}.{k}")]
            case _:
                good = False
        if not good:
            out.append(f"{at}: {word}")
            if word == "type":
                return out  # the other words speak of that type
    return out


@pytest.mark.parametrize("text", [SAMPLE.read_text(), "", starter()], ids=["sample", "empty", "starter"])
def test_what_the_loader_takes_fits(text: str) -> None:
    assert faults(json_schema(), tomllib.loads(text)) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('timezon = "UTC"', ": additionalProperties"),
        ("timezone = 5", ".timezone: type"),
        ("[[source]]\nname = 'a'", ".source[0]: required"),
        ("[[source]]\nname = 'A'\nkind = 'x'", ".source[0].name: pattern"),
        ("[[source]]\nname = 'a'\nkind = 'x'\npoll = '10 s'", ".source[0].poll: pattern"),
        ("[[contact]]\nname = 'a'\nurl = 'slack://x'", ".contact[0].url: type"),
        ("[[contact]]\nname = 'a'\nurl = { env = 'A', file = 'B' }", ".contact[0].url: maxProperties"),
        ("[[job]]\nname = 'j'\noverlap = 'x'\nstep = []", ".job[0].step: minItems"),
    ],
)
def test_what_the_loader_refuses_does_not(text: str, fault: str) -> None:
    assert fault in faults(json_schema(), tomllib.loads(text))


def test_each_key_of_the_loader_is_in_the_schema_with_a_word_about_it() -> None:
    def walk(spec: Spec, schema: dict[str, Any], at: str) -> int:
        if isinstance(spec, Table):
            assert set(schema["properties"]) == set(spec.fields), at
            assert schema["additionalProperties"] is False, at
            assert set(schema.get("required", ())) == {k for k, f in spec.fields.items() if f.required}, at
            assert all(schema["properties"][k].get("description") for k in spec.fields), at
            return len(spec.fields) + sum(
                walk(f.spec, schema["properties"][k], f"{at}.{k}") for k, f in spec.fields.items()
            )
        if isinstance(spec, ListOf):
            return walk(spec.of, schema["items"], f"{at}[]")
        if isinstance(spec, MapOf):
            return walk(spec.of, schema["additionalProperties"], f"{at}.*")
        return 0

    assert walk(shapes.ROOT, json_schema(), "") > 90


def test_each_setting_that_the_terminal_asks_for_may_be_written() -> None:
    """The terminal reads its own tables, without this loader: what it asks for must not be an error here."""
    sources = (Path(__file__).parents[2] / "tui").rglob("*.py")
    asked = {name for file in sources for name in re.findall(r"\bui\.get\(\"(\w+)\"", file.read_text())}
    assert asked
    assert asked <= set(shapes.UI.fields)


def test_it_is_json() -> None:
    assert json.loads(json.dumps(json_schema())) == json_schema()


def test_the_schema_in_the_documentation_is_the_one_in_force():
    """``watchfloor schema > docs/watchfloor.schema.json`` brings it up to date."""
    file = Path(__file__).parents[2] / "docs" / "watchfloor.schema.json"
    assert json.loads(file.read_text("utf-8")) == json.loads(json.dumps(json_schema()))
