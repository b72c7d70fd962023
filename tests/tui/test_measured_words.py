"""What a person reads of a number that owes something: what was measured, since when, by which rule, from which reading."""

from __future__ import annotations

import pytest

from adapters.model import Owed
from engine.owed.occurrences import Evidence
from tests.tui.deadlines_parts import due, line_of
from tests.tui.owed_stores import owe
from tests.tui.stores import HOUR, MINUTE, NOW, SIZES, TZ, House
from tui.present import owed, owed_basis, words
from tui.present.words import clause_text


@pytest.fixture
def house(tmp_path):
    h = House(tmp_path)
    h.engine()
    h.source("s")
    yield h
    h.close()


def row(house, **more):
    """A lag that is out of its limits since a quarter of an hour."""
    said = "42,000 messages, above 20,000 messages"
    given = {
        "due_in": -15 * MINUTE, "state": Owed.BREACHED, "type": "metric", "reason": said, "words": "not above 20,000",
        "since": NOW - 15 * MINUTE, "evidence": (Evidence("value", "cdm_lag", NOW - MINUTE, said),),
    }  # fmt: skip
    owe(house, "series:cdm_lag", **{**given, **more})
    (found,) = house.reader().owed(0, 1 << 60)
    return found


def test_its_sentence_is_the_number_and_no_due_time(house):
    assert owed.sentence(row(house), TZ, NOW) == ["42,000 messages, above 20,000 messages"]


def test_what_is_unknown_and_what_is_over(house):
    why = "not measured since 05:40: refused; last known: 42,000 messages"
    said = owed.sentence(row(house, state=Owed.UNKNOWN, reason=why), TZ, NOW)
    assert said == ["nobody can tell", why]


def test_it_was_broken_for_so_long(house):
    over = row(
        house, state=Owed.MET_LATE, reason="well again 05:50: 10 messages", met_in=-5 * MINUTE, lateness_ms=10 * MINUTE
    )
    assert [clause_text(c) for c in owed.sentence(over, TZ, NOW)] == ["well again 05:50: 10 messages", "for 10m"]
    assert owed.lateness(over, NOW) == "+10m"


def test_the_lateness_of_a_quota_is_how_long_it_is_used_up(house):
    used = row(house, type="quota", due_in=6 * HOUR, reason="1,000 calls of 1,000 calls used (100%), anew Sun 00:00")
    assert owed.lateness(used, NOW) == "+15m"


def test_where_its_number_comes_from(house):
    said = dict(owed_basis.basis(row(house), TZ, NOW))
    at, read = words.clock(NOW - 15 * MINUTE, TZ, NOW), words.clock(NOW - MINUTE, TZ, NOW)
    assert said[at] == "declared in watchfloor.toml:12: not above 20,000, severity high"
    assert said[f"read {read}"] == "cdm_lag: 42,000 messages, above 20,000 messages"
    assert "first reading that was bad" in said[f"since {at}"]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_it_is_no_hole_in_a_history(house, width, height):
    row(house)
    line = line_of(due(house), "cdm_lag", width, height)
    assert "42,000" in line
    assert "∅" not in line


def test_a_waiver_of_a_number_speaks_of_no_run(house):
    assert owed.still_counts(row(house)) == "what comes of it still counts"
