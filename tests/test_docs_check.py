"""Each configuration of the documentation is one that ``watchfloor check`` calls fine: options, queries and names of series too."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from engine import demo
from engine.config.build import installed_kinds
from engine.config.load import load, load_text
from engine.config.model import Config
from engine.config.paths import places
from engine.config.shapes_owed import TAKES

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"


def samples(page: Path) -> list[str]:
    """Those of a page that are a configuration, not the metadata of a package."""
    found = re.findall(r"```toml\n(.*?)```", page.read_text(), re.S)
    return [text for text in found if "project" not in tomllib.loads(text)]


def checked(*parts: str) -> Config:
    config = load_text("\n".join(parts), Path("/nowhere"), kinds=(), deep=True)
    assert [w for w in config.warnings if "[[route]]" not in w] == []
    return config


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets and files of the samples are on the reader's host."""
    monkeypatch.setattr("engine.config.thorough._files", lambda *given: None)


SYSTEMS = [(page, n) for page in sorted((DOCS / "systems").glob("*.md")) for n in range(len(samples(page)))]


@pytest.mark.parametrize(("page", "n"), SYSTEMS, ids=[f"{page.stem}-{n}" for page, n in SYSTEMS])
def test_a_sample_of_a_system_is_fine_as_it_stands(page: Path, n: int) -> None:
    config = checked(samples(page)[n])
    assert config.sources


def test_every_kind_of_source_has_a_sample() -> None:
    kinds = {s.kind for page, n in SYSTEMS for s in checked(samples(page)[n]).sources}
    assert kinds == installed_kinds() - {"local"}


def test_all_of_what_is_owed_goes_together() -> None:
    config = checked(*samples(DOCS / "owed.md"))
    assert {e.type for e in config.expectations} == set(TAKES)
    assert config.series


def test_the_readme_is_fine() -> None:
    assert checked(*samples(ROOT / "README.md")).expectations


HOWTO = """
timezone = "Europe/Paris"
[[source]]
name = "prod-airflow"
kind = "airflow"
url = "https://airflow.example.com"
environment = "prod"
[[source]]
name = "warehouse"
kind = "sql"
url = "sqlite:///srv/dwh.db"
[[series]]
name = "fact_rows"
source = "warehouse"
query = "select count(*) from fact"
"""
"""What a reader has before a page: its orchestrator, and a number."""
HOWTOS = [(page, n) for page in sorted((DOCS / "how-to").glob("*.md")) for n in range(len(samples(page)))]


@pytest.mark.parametrize(("page", "n"), HOWTOS, ids=[f"{page.stem}-{n}" for page, n in HOWTOS])
def test_a_sample_of_a_how_to_is_fine_beside_a_source(page: Path, n: int) -> None:
    checked(HOWTO, samples(page)[n])


def test_the_demo_is_fine(tmp_path: Path) -> None:
    place = places(None, env={"XDG_STATE_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}, demo=True)
    assert demo.prepare(place)
    config = load(place.config, deep=True)
    assert [w for w in config.warnings if "[[route]]" not in w] == []
    assert config.series
