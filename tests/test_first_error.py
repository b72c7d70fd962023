"""Which line of a log is the cause."""

from __future__ import annotations

import pytest

from adapters.first_error import first_error_of


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2026-11-20 03:12:08.123 ERROR duplicate key: UNIQUE failed\n  at x\n", "duplicate key: UNIQUE failed"),
        (
            "2026-11-20T03:12:08 ERROR task Task failed with exception\nTraceback (most recent call last):\n  File 'x', line 3\n"
            "ValueError: the flag file is not there\n",
            "ValueError: the flag file is not there",
        ),
        ("INFO fine\nORA-00001: unique constraint violated\nINFO after", "ORA-00001: unique constraint violated"),
        ("copying\ncp: cannot stat 'x': No such file or directory\n", "cp: cannot stat 'x': No such file or directory"),
        ("2026-11-20 03:12:08 WARN  184 of 20,000 rows rejected\n", "184 of 20,000 rows rejected"),
        ("all is well\n", None),
        ("\x1b[31mERROR\x1b[0m \x1b]0;owned\x07bad \u202ething\n", "bad  thing"),
        ("java.lang.IllegalStateError: closed\n", "java.lang.IllegalStateError: closed"),
    ],
)
def test_the_line_that_names_the_cause(text: str, said: str | None) -> None:
    assert first_error_of(text) == said


def test_a_very_long_line_is_cut() -> None:
    found = first_error_of("ERROR " + "x" * 100_000)
    assert found is not None
    assert 250 < len(found) <= 300
    assert found.endswith("…")
