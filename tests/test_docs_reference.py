"""The reference says what the program says, and links within the documentation lead somewhere."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from tui import cli

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])


@pytest.fixture(scope="module")
def reference() -> Any:
    spec = spec_from_file_location("reference", ROOT / "docs" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["keys.md", "configuration.md", "command-line.md"])
def test_the_reference_is_what_the_program_says(reference: Any, name: str):
    if name == "command-line.md" and sys.version_info >= (3, 13):
        pytest.skip("argparse writes its help otherwise from 3.13 on")
    made = reference.pages()[name].rstrip() + "\n"
    assert made == (ROOT / "docs" / "reference" / name).read_text("utf-8"), (
        "python docs/reference.py brings it up to date"
    )


def _examples() -> list[str]:
    """Each of our commands in the examples of ``--help``, without what stands before and after it."""
    out: list[str] = []
    for action in cli.parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                for line in (sub.epilog or "").splitlines():
                    part = re.split(r"\s{3,}|\s#|\|\||&&| \| |>|\)\"", line.strip())
                    out += [p[p.index("watchfloor ") :].strip() for p in part if "watchfloor " in p]
    return out


@pytest.mark.parametrize("example", _examples())
def test_an_example_of_the_help_is_understood(example: str):
    words = shlex.split(example)
    assert cli.parser().parse_args(words[1:]).command == words[1]


def anchors(text: str) -> set[str]:
    """As they are made of headings: small letters, blanks to dashes, no other signs."""
    found = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path):
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path) if path else page
        assert file.exists(), f"{page.name}: {target}"
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file.read_text("utf-8")), f"{page.name}: {target}"
