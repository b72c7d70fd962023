"""docs/systems/kafka_connect.md: samples load as they stand, what is said of options and of what is lacking is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from adapters.kafka_connect import KafkaConnectAdapter, acts
from adapters.kafka_connect.adapter import _OTHER, _SECONDS, _WHY_NOT
from engine.adapters_in import make_adapter
from engine.config.load import load
from engine.config.paths import places

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "systems" / "kafka_connect.md").read_text()
SAMPLES = re.findall(r"```toml\n(.*?)```", TEXT, re.S)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: re.search(r'name = "(.+?)"', s)[1])
async def test_a_sample_makes_an_adapter(tmp_path: Path, sample: str) -> None:
    file = tmp_path / "watchfloor.toml"
    file.write_text(sample)
    config = load(file)
    assert [w for w in config.warnings if "[[route]]" not in w] == []
    for source in config.sources:
        adapter = make_adapter(source, config, places(file, env={"XDG_STATE_HOME": str(tmp_path)}))
        assert isinstance(adapter, KafkaConnectAdapter)
        await adapter.close()


def test_every_option_is_told_with_its_default() -> None:
    for option, default in {**_SECONDS, **_OTHER}.items():
        assert re.search(rf"\| `{option}` \| {default:g} \|", TEXT), option


def test_what_is_lacking_is_said_in_the_same_words() -> None:
    told = " ".join(TEXT.split())
    for what in ("hold", "rerun", "rerun-from", "mark", "backfill", "history", "assets"):
        assert _WHY_NOT[what] in told, what
    assert acts.NO_STOP in told


def test_every_call_that_is_made_is_told() -> None:
    for end, method in acts._PATHS.items():
        assert re.search(rf"^{method} +/connectors/NAME{end}$", TEXT, re.M), end
