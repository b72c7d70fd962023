"""docs/systems/sql.md: each sample goes into a configuration as it stands, and makes an adapter whose queries may be asked."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from adapters.sql import SqlAdapter
from adapters.sql.guard import DIALECTS, FIRST, wrong
from adapters.sql.where import PORTS, Options
from engine.adapters_in import make_adapter
from engine.config.load import load
from engine.config.paths import places

ROOT = Path(__file__).resolve().parent.parent.parent
TEXT = (ROOT / "docs" / "systems" / "sql.md").read_text()
SAMPLES = re.findall(r"```toml\n(.*?)```", TEXT, re.S)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: re.search(r'name = "(.+?)"', s)[1])
async def test_a_sample_makes_an_adapter_that_asks_its_queries(tmp_path: Path, sample: str) -> None:
    file = tmp_path / "watchfloor.toml"
    file.write_text(sample)
    config = load(file)
    assert [w for w in config.warnings if "[[route]]" not in w] == []
    (source,) = config.sources
    adapter = make_adapter(source, config, places(file, env={"XDG_STATE_HOME": str(tmp_path)}))
    assert isinstance(adapter, SqlAdapter)
    await adapter.close()
    dialect = DIALECTS[source.url.partition(":")[0]]
    assert config.series
    assert [wrong(series.query, dialect) for series in config.series] == [None] * len(config.series)


def test_each_database_has_a_sample() -> None:
    assert {url.partition(":")[0] for url in re.findall(r'url = "(.+?)"', "".join(SAMPLES))} == set(PORTS)


def test_each_option_is_told_with_its_default() -> None:
    for option in fields(Options):
        assert f"`{option.name}`" in TEXT, option.name
        if isinstance(option.default, float):
            assert f"| {option.default:g} |" in TEXT, option.name


def test_what_is_said_is_so() -> None:
    assert SqlAdapter.nothing in TEXT
    assert all(word in TEXT for word in FIRST)
    extras = (ROOT / "pyproject.toml").read_text()
    for extra in re.findall(r"watchfloor\[(\w+)\]", TEXT):
        assert f"\n{extra} = [" in extras
