"""docs/systems/kafka.md: each sample goes into a configuration as it stands, and what is said there is so."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from adapters.kafka import KafkaAdapter
from adapters.kafka.access import KNOWN
from adapters.kafka.adapter import NO_PAST
from adapters.kafka.options import MECHANISMS, Options
from adapters.kafka.parts import MOST
from adapters.kafka.queries import FOLDS, FUNCTIONS
from adapters.kafka.queries import MOST as MOST_SERIES
from engine.adapters_in import make_adapter
from engine.config.load import load
from engine.config.paths import places

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "systems" / "kafka.md").read_text()
TOLD = " ".join(TEXT.split())
SAMPLES = re.findall(r"```toml\n(.*?)```", TEXT, re.S)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: re.search(r'name = "(.+?)"', s)[1])
async def test_a_sample_makes_an_adapter(tmp_path: Path, sample: str) -> None:
    file = tmp_path / "watchfloor.toml"
    file.write_text(sample)
    config = load(file)
    assert [w for w in config.warnings if "[[route]]" not in w] == []
    for source in config.sources:
        adapter = make_adapter(source, config, places(file, env={"XDG_STATE_HOME": str(tmp_path)}))
        assert isinstance(adapter, KafkaAdapter)
        await adapter.close()


def test_each_option_and_credential_is_told() -> None:
    for option in fields(Options):
        assert f"`{option.name}`" in TEXT, option.name
        if isinstance(option.default, float):
            assert f"| {option.default:g} |" in TEXT, option.name
    assert all(f"`{name}`" in TEXT for name in (*KNOWN, *MECHANISMS))


def test_what_is_said_is_so() -> None:
    assert KafkaAdapter.nothing in TOLD
    assert NO_PAST in TOLD
    assert all(f"`{name}" in TEXT for name in (*FUNCTIONS, *FOLDS))
    assert f"{MOST:,} of each at most" in TOLD
    assert f"gives {MOST_SERIES} series at most" in TOLD
    assert KafkaAdapter.min_poll_s == 15
