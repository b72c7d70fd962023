"""The Run screen's outputs: what each step was expected to make beside what was seen."""

from __future__ import annotations

import pytest

from adapters.model import State
from engine.store import outputs
from engine.store.rows import OutputRow
from tests.tui import snap
from tests.tui.stores import SIZES, House, painted
from tests.tui.test_run_view import HOSTILE, KEY, house, view
from tui.present import run_outputs, words

__all__ = ["house"]


def expect(h: House, name: str, step: str, state: int, expected: str, saw: str | None, why: str = "") -> None:
    with h.tx() as tx:
        run = tx.db.execute("SELECT id, attempt FROM run WHERE run = 'r1'").fetchone()
        outputs.open_output(tx, run[0], run[1], name, step, expected)
        outputs.put(tx, (run[0], run[1], name), state, saw, why, None)


@pytest.fixture
def made(house: House) -> House:
    expect(house, "fact-rows", "extract_ldz", 1, "≥ 1", "1,204 rows")
    expect(house, "extract", "extract_ldz", 2, "1 to 9", "0 rows")
    expect(house, "loaded", "load_fact", 2, "fact.csv written", None, "the step did not end well: failed")
    expect(house, "signal", "", 0, "ping signal ok", None, "waits for: watchfloor ping signal ok")
    return house


@pytest.mark.parametrize("size", SIZES)
def test_snapshot_of_outputs(made, size):
    snap.same(f"run-outputs-{size[0]}x{size[1]}", painted(view(made), *size))


def test_expected_beside_seen(made):
    shown = "\n".join(painted(view(made), 200, 50))
    for line in (
        "Outputs 1 of 4 as expected",
        "expected ≥ 1 · saw 1,204 rows",
        "expected 1 to 9 · saw 0 rows",
        "expected fact.csv written · not seen · the step did not end well: failed",
        "expected ping signal ok · not seen yet",
    ):
        assert line in shown, line


def test_where_not_all_fits_why_nothing_was_seen_stands_before_what_was_expected():
    one = OutputRow(
        "file", "load", 2, "sales_{business_date}.csv written, 10,240 bytes or more", None, "it has 29 bytes", 0
    )
    for width in (80, 120):
        (line,) = run_outputs.pane([one], ["load"], None, width)[1:]
        assert "it has 29 bytes" in "".join(t for t, _ in line)
    (line,) = run_outputs.pane([one], ["load"], None, 200)[1:]
    assert "or more · not seen · it has 29 bytes" in "".join(t for t, _ in line)


def test_in_the_order_of_the_steps_and_the_cursors_first_where_not_all_fit():
    rows = [OutputRow(f"o{i}", f"s{i}", 1, "x", "y", "", 0) for i in range(8)]
    order = [f"s{i}" for i in reversed(range(8))]

    def steps(at: str | None) -> list[str]:
        return ["".join(t for t, _ in line).split()[1] for line in run_outputs.pane(rows, order, at, 120)[1:-1]]

    assert steps(None) == ["s7", "s6", "s5", "s4", "s3"]
    assert steps("s0")[0] == "s0"


def test_without_outputs_there_is_no_pane(house):
    assert "Outputs" not in "\n".join(painted(view(house), 200, 50))


def test_what_is_seen_is_made_harmless():
    one = OutputRow(HOSTILE, HOSTILE, 2, HOSTILE, HOSTILE, HOSTILE, 0)
    for line in run_outputs.pane([one], [], None, 120):
        assert not any(ord(c) < 32 or c == "\u202e" for c in "".join(t for t, _ in line))


def test_not_seen_is_never_said_as_seen():
    for state in (0, 1, 2):
        said = words.plain(run_outputs.said(OutputRow("o", "s", state, "≥ 1", None, "why", 0)))
        assert "saw" not in said


def test_for_scripts(made):
    data = view(made).data()
    assert {
        "name": "fact-rows",
        "step": "extract_ldz",
        "state": "as expected",
        "expected": "≥ 1",
        "saw": "1,204 rows",
    }.items() <= next(o for o in data["outputs"] if o["name"] == "fact-rows").items()
    assert data["state"] == State.FAILED.name.lower()
    assert view(made).detail.row.key == KEY
