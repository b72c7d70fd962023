"""docs/systems/seatunnel.md: samples load as they stand and make an adapter, what is lacking is told in the same words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from adapters.seatunnel import SeaTunnelAdapter
from adapters.seatunnel.adapter import WHY_NOT
from adapters.seatunnel.options import FORMATS, SECONDS
from adapters.seatunnel.rates import COUNTS
from adapters.seatunnel.states import STATES
from engine.adapters_in import make_adapter
from engine.config.load import load
from engine.config.paths import places

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "systems" / "seatunnel.md").read_text()
SAMPLES = re.findall(r"```toml\n(.*?)```", TEXT, re.S)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: re.search(r'name = "(.+?)"', s)[1])
async def test_a_sample_makes_an_adapter(tmp_path: Path, sample: str) -> None:
    file = tmp_path / "watchfloor.toml"
    file.write_text(sample)
    config = load(file)
    assert [w for w in config.warnings if "[[route]]" not in w] == []
    for source in config.sources:
        adapter = make_adapter(source, config, places(file, env={"XDG_STATE_HOME": str(tmp_path)}))
        assert isinstance(adapter, SeaTunnelAdapter)
        assert adapter.caps.can("start") is ("options.jobs" in sample)
        await adapter.close()
    for series in config.series:
        assert SeaTunnelAdapter.wrong_query(series.query) is None


def test_every_option_word_and_query_is_told() -> None:
    for what in (*SECONDS, "jobs"):
        assert f"`{what}`" in TEXT
    for what in (*FORMATS, *STATES, *COUNTS):
        assert what in TEXT, what


def test_what_is_lacking_is_said_in_the_same_words() -> None:
    told = " ".join(TEXT.split())
    for what in ("pause", "rerun-failed", "mark", "backfill", "history", "assets"):
        assert WHY_NOT[what].split(";")[0] in told, what
