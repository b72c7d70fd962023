"""[[check]] as the output of a step: what is read, and what is refused in which words."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from engine.config.load import ConfigError, load_text

KINDS = ("airflow", "local", "prometheus")
CHECK = '[[check]]\nname = "rows"\n'


def test_what_is_read(tmp_path: Path) -> None:
    text = CHECK + 'on = "local:*"\nstep = "load"\nseries = "fact_rows"\nnormal = [1, inf]\n'
    (check,) = load_text(text, tmp_path, None, kinds=KINDS).checks
    assert (check.on, check.step, check.series, check.normal) == ("local:*", "load", "fact_rows", (1.0, math.inf))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('step = "load"', "expected on beside step, there is none"),
        ('normal = [1, 2]', "expected series beside normal, there is none"),
        ('series = "s"\nnormal = [3, 2]', "expected the lowest value first; write [2, 3]"),
        ('series = "s"\nfile = "x.csv"', "expected either file or series, got both"),
        ('run = ["x"]\nfile = "x.csv"', "expected either run or file, got both"),
        ('on = "feed:x"', 'expected a selector of pipelines, got "feed:x"'),
    ],
)  # fmt: skip
def test_what_is_refused(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text(CHECK + text, tmp_path, None, kinds=KINDS)
    assert words in str(caught.value)
