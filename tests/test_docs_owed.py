"""docs/owed.md: each sample is copied into a configuration as it stands, and each command is one that there is."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from engine.config.load import load
from engine.config.shapes import TAKES
from tui.cli import parser
from tui.present.owed import LOOKS

TEXT = (Path(__file__).resolve().parent.parent / "docs" / "owed.md").read_text()
FIRST, *SAMPLES = re.findall(r"```toml\n(.*?)```", TEXT, re.S)
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", TEXT, re.S) for line in block.splitlines()]


def loaded(tmp_path: Path, *parts: str):
    file = tmp_path / "watchfloor.toml"
    file.write_text("\n".join(parts))
    return load(file)


@pytest.mark.parametrize("sample", ["", *SAMPLES], ids=lambda s: (re.search(r'"(.+?)"', s) or [0, "the first"])[1])
def test_a_sample_loads_as_it_stands(tmp_path: Path, sample: str) -> None:
    config = loaded(tmp_path, FIRST, sample)
    assert [w for w in config.warnings if "[[route]]" not in w] == []
    assert config.expectations


def test_all_samples_go_together_and_show_each_type(tmp_path: Path) -> None:
    config = loaded(tmp_path, FIRST, *SAMPLES)
    assert {e.type for e in config.expectations} == set(TAKES)
    assert all(f"**{kind}**" in TEXT for kind in TAKES)


def test_each_state_is_explained_by_the_word_that_the_screens_use() -> None:
    told = re.findall(r"^\| ([a-z ]+) \|", TEXT, re.M)[1:]
    assert sorted(told) == sorted(look.word for look in LOOKS.values())


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_understood(command: str) -> None:
    words = shlex.split(command.partition(" ||")[0])
    assert words[0] == "watchfloor"
    assert parser().parse_args(words[1:]).command == words[1]
