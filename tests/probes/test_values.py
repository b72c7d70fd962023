"""Numbers, instants, dates and places in JSON: what is one, and that nothing else becomes one."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from adapters.probes.exposition import Wanted
from adapters.probes.values import JsonPath, NoValue, document, number, value_of
from tests.servers.http_probe_like import HttpProbeLike

NOON = int(datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp() * 1000)
MIDNIGHT = int(datetime(2026, 11, 20, tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12.0), (" -3.5\n", -3.5), ("+7", 7.0), ("1e6", 1e6), (".5", 0.5), ("1,234,567", 1234567.0), ("1_234_567.25", 1234567.25),
        ("999,999.5", 999999.5), ("007", 7.0),
    ],
)  # fmt: skip
def test_a_number(text: str, value: float) -> None:
    assert number(text) == value


@pytest.mark.parametrize(
    "text",
    ["", "  ", "12,5", "1.234,5", "1,23,456", "nan", "inf", "-", ".", "1e999", "12 rows", "0x10", "1__2", "٣", "1,234_567", "9" * 400],
)  # fmt: skip
def test_what_is_no_number_is_none(text: str) -> None:
    with pytest.raises(NoValue):
        number(text)


def test_a_number_in_colours_says_what_cannot_be_seen() -> None:
    with pytest.raises(NoValue, match="is no number: it holds control characters"):
        number("\x1b[31m42\x1b[0m")
    with pytest.raises(NoValue, match=r'"12 rows" is no number$'):
        number("12 rows")


@pytest.mark.parametrize(
    "raw", ["2026-11-20T12:00:00Z", "2026-11-20 12:00:00", "2026-11-20T13:00:00+01:00", NOON, NOON / 1000, str(NOON), str(NOON // 1000)]
)  # fmt: skip
def test_an_instant_is_milliseconds(raw: str | float) -> None:
    assert value_of(raw, "time") == NOON


@pytest.mark.parametrize("raw", ["2026-11-20", "20261120", 20261120, "2026-11-20T12:00:00Z", NOON])
def test_a_date_is_its_midnight(raw: str | float) -> None:
    assert value_of(raw, "date") == MIDNIGHT


@pytest.mark.parametrize(
    ("raw", "unit"), [("soon", "time"), ("2026-13-40", "date"), ("20261340", "date"), ("x", "date")]
)
def test_what_is_no_time_is_none(raw: str, unit: str) -> None:
    with pytest.raises(NoValue):
        value_of(raw, unit)


def test_other_things_are_no_values_and_truth_is_one_or_nothing() -> None:
    assert (value_of(True, ""), value_of(False, "rows")) == (1.0, 0.0)
    for raw in (None, [], {"a": 1}, float("nan"), 10**400):
        with pytest.raises(NoValue):
            value_of(raw, "")


DOC = document(
    b'{"data": {"rows": 5, "odd key": 1, "q\\"uote": 2}, "list": [{"n": 1, "name": "a"}, {"n": 2, "name": "b"}], "none": []}'
)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".data.rows", [({}, 5)]), ('.data."odd key"', [({}, 1)]), ('.data["odd key"]', [({}, 1)]), ('.data."q\\"uote"', [({}, 2)]),
        (".list[0].n", [({}, 1)]), (".list[-1].name", [({}, "b")]), (".list | length", [({}, 2)]), (".data | length", [({}, 3)]),
        (".list[].n by .name", [({"name": "a"}, 1), ({"name": "b"}, 2)]),
    ],
)  # fmt: skip
def test_a_place_in_a_document(path: str, found: object) -> None:
    assert JsonPath.parse(path).read(DOC) == found


def test_the_root_is_a_place_too() -> None:
    assert JsonPath.parse(".").read(7) == [({}, 7)]
    assert JsonPath.parse(".[1]").read([1, 2]) == [({}, 2)]
    assert JsonPath.parse(".[].n by .name").read(DOC["list"])[1] == ({"name": "b"}, 2)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        (".data.gone.x", "there is no .data.gone"), (".list[5].n", "there is no .list[5]"), (".data[0]", "there is no .data[0]"),
        (".list[].gone by .name", "there is no .list[0].gone"), (".none[].n by .name", ".none is empty"), (".data[].n by .name", "no list"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_named(path: str, why: str) -> None:
    with pytest.raises(NoValue, match=r".") as error:
        JsonPath.parse(path).read(DOC)
    assert why in error.value.what


@pytest.mark.parametrize("path", ["", "data", ".data..x", ".a[x]", ".l[].n", ".a by .b", ".l[][].n by .b", ".l[].n by .b[0]", ". b"])  # fmt: skip
def test_a_wrong_path_is_told(path: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        JsonPath.parse(path)


def test_a_document_that_is_none() -> None:
    for data, why in ((b"<html>", "HTML"), (b'{"a":', "broken JSON"), (b"", "empty"), (b"[" * 100_000, "broken JSON")):
        with pytest.raises(NoValue, match=why):
            document(data)


def read(text: str) -> object:
    return Wanted.parse(text).read(HttpProbeLike().metrics.encode())


def test_metrics_of_an_exposition() -> None:
    assert read("queue_depth") == [({}, 4.0)]
    assert read('rows_total{table="b"}') == [({}, 2500.0)]
    assert read("rows_total") == [({"table": "a"}, 10.0), ({"table": "b"}, 2500.0)]
    assert read('odd{name="a \\"quoted\\" }{ one"}') == [({}, 7.0)]
    for gone in ("rows", 'rows_total{table="c"}'):
        with pytest.raises(NoValue, match="no sample"):
            read(gone)


@pytest.mark.parametrize("text", ["", "1x", "a{", "a{b=1}", 'a{b="x"', "a b"])
def test_a_wrong_metric_is_told(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Wanted.parse(text)


def test_an_exposition_that_is_made_to_hurt_is_read_quickly() -> None:
    body = (b"a" + b"{" * 8000 + b'"\n') * 200 + (b'a{x="' + b'\\"' * 4000 + b"\n") * 200 + b"a 5\n"
    assert Wanted.parse("a").read(body) == [({}, 5.0)]
