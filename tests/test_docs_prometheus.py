"""docs/systems/prometheus.md: each sample goes into a configuration as it stands, and makes an adapter that knows its options."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from adapters.prometheus import PrometheusAdapter
from adapters.prometheus.adapter import MOST_A_QUERY, PREFIXES, Options
from engine.adapters_in import make_adapter
from engine.config.load import load
from engine.config.paths import places

TEXT = (Path(__file__).resolve().parent.parent / "docs" / "systems" / "prometheus.md").read_text()
SAMPLES = re.findall(r"```toml\n(.*?)```", TEXT, re.S)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: re.search(r'name = "(.+?)"', s)[1])
async def test_a_sample_makes_an_adapter(tmp_path: Path, sample: str) -> None:
    file = tmp_path / "watchfloor.toml"
    file.write_text(sample)
    config = load(file)
    assert [w for w in config.warnings if "[[route]]" not in w] == []
    for source in config.sources:
        adapter = make_adapter(source, config, places(file, env={"XDG_STATE_HOME": str(tmp_path)}))
        assert isinstance(adapter, PrometheusAdapter)
        await adapter.close()


def test_each_option_is_told_with_its_default() -> None:
    for option in fields(Options):
        assert f"`{option.name}`" in TEXT, option.name
        if option.default not in (None, ""):
            shown = f"{option.default:g}" if isinstance(option.default, float) else str(option.default)
            assert shown in TEXT, option


def test_what_is_said_is_so() -> None:
    assert PrometheusAdapter.nothing in TEXT
    assert f"More than {MOST_A_QUERY} are refused" in TEXT
    assert all(prefix in TEXT for prefix in PREFIXES if prefix != "/api/prom")
