"""docs/owed.md and the README: each sample goes into a configuration as it stands, and each command is one that there is."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from engine.config.load import load
from engine.config.shapes_owed import TAKES
from tui.cli import parser
from tui.present.owed import LOOKS

ROOT = Path(__file__).resolve().parent.parent
TEXT, README = (ROOT / "docs" / "owed.md").read_text(), (ROOT / "README.md").read_text()
FIRST, *SAMPLES = re.findall(r"```toml\n(.*?)```", TEXT, re.S)


def commands(text: str) -> list[str]:
    """Each of our commands in the samples for a shell, without what stands before and after it."""
    lines = [line for block in re.findall(r"```sh\n(.*?)```", text, re.S) for line in block.splitlines()]
    parts = [part.strip() for line in lines for part in re.split(r"&&|\|\|", line)]
    return [part for part in parts if part.startswith("watchfloor")]


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


@pytest.mark.parametrize("command", commands(TEXT) + commands(README))
def test_a_command_is_understood(command: str) -> None:
    words = shlex.split(command, comments=True)
    assert parser().parse_args(words[1:]).command == (words[1] if len(words) > 1 else None)


def test_the_samples_of_the_readme_go_together(tmp_path: Path) -> None:
    config = loaded(tmp_path, *re.findall(r"```toml\n(.*?)```", README, re.S))
    assert [e.id for e in config.expectations] == ["sales-ready"]
    assert [s.name for s in config.sources] == ["prod-airflow", "local"]
    assert len(config.jobs) == len(config.routes) == 1
    assert config.warnings == ()


def test_the_pictures_that_are_named_are_there() -> None:
    for text, folder in ((README, ROOT), (TEXT, ROOT / "docs")):
        for name in re.findall(r"!?\[[^]]*\]\(([^)#:]+)\)", text):
            assert (folder / name).is_file(), name
