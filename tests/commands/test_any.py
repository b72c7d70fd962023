"""Whatever a driver writes is read or refused; whatever a person gives stays inside its own argument."""

from __future__ import annotations

import json
import unicodedata
from datetime import UTC
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from adapters.commands.argv import fill
from adapters.commands.options import FIELDS, checked
from adapters.commands.wire import Reading
from adapters.errors import BadResponse, Conflict
from adapters.model import State, parse_key

OPTIONS = checked({"list": ["drv"]})
LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
VALUE = st.recursive(
    LEAF,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=6),
    max_leaves=12,
)
ENTRY = st.fixed_dictionaries(
    {"pipeline": st.text(min_size=1, max_size=12)}, optional={name: VALUE for name in FIELDS[1:]}
)


def harmless(text: str | None) -> bool:
    return not any(unicodedata.category(c) == "Cc" or c in "\u202a\u202e\u2066\u2069" for c in text or "")


@given(st.lists(ENTRY, max_size=4) | VALUE)
def test_any_json_is_read_or_refused(value: Any) -> None:
    data = json.dumps(value).encode()
    try:
        told = Reading("drv", UTC, OPTIONS, "list", 1_795_150_800_000).told(data, "json")
    except BadResponse:
        return
    for pipeline in told.pipelines.values():
        assert str(parse_key(pipeline.key)) == pipeline.key
        assert harmless(pipeline.name)
    for key, one in told.runs.items():
        assert str(parse_key(key)) == key
        assert one.steps
        assert harmless(one.run.error)
        assert harmless(one.run.sub)
        assert one.run.ended is None or one.run.state.terminal


@given(st.binary(max_size=60), st.sampled_from(("json", "lines", "blocks")))
def test_any_bytes_are_read_or_refused(data: bytes, form: str) -> None:
    try:
        told = Reading("drv", UTC, OPTIONS, "list", 0).told(data, form)
    except BadResponse:
        return
    assert told.runs == {}


@given(st.text(min_size=1, max_size=30))
def test_no_unknown_word_is_green(word: str) -> None:
    native, state = Reading("drv", UTC, OPTIONS, "list", 0).state(word, ended=True)
    assert native.endswith("?") <= (state is State.WARNING)


@given(st.text(max_size=40), st.text(max_size=40))
def test_a_value_is_one_argument(pipeline: str, note: str) -> None:
    try:
        argv = fill(
            ("drv", "{pipeline}", ("--note", "{param:note}"), "end"), {"pipeline": pipeline, "param:note": note}
        )
    except Conflict:
        assert "\0" in pipeline + note or pipeline.startswith("-") or note.startswith("-")
        return
    assert argv == ["drv", pipeline, *(["--note", note] if note else []), "end"]
    assert not pipeline.startswith("-")
