"""docs/systems/probes.md: each sample goes into a configuration as it stands, and makes adapters that know their options."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from adapters.probes import command, files, follow, http, matching
from adapters.probes.base import MOST_A_QUERY
from engine.adapters_in import make_adapter
from engine.config.load import load
from engine.config.paths import places
from engine.poll import run_metrics

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "systems" / "probes.md").read_text()
SAMPLES = re.findall(r"```toml\n(.*?)```", TEXT, re.S)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: re.search(r'name = "(.+?)"', s)[1])
async def test_a_sample_makes_an_adapter(tmp_path: Path, sample: str) -> None:
    file = tmp_path / "watchfloor.toml"
    file.write_text(sample)
    config = load(file)
    assert [w for w in config.warnings if "[[route]]" not in w] == []
    assert config.series or config.run_metrics
    for source in config.sources:
        adapter = make_adapter(source, config, places(file, env={"XDG_STATE_HOME": str(tmp_path)}))
        await adapter.close()


def test_each_word_of_a_query_is_told() -> None:
    shown = re.findall(r"^\| `(.+?)` \|", TEXT, re.M)
    words = {word for cell in shown for part in cell.split("`, `") for word in [part.split()[0]]}
    assert set(files.WORDS) | set(http.WORDS) <= words


def test_what_is_said_is_so() -> None:
    for adapter in (files.FilesAdapter, http.HttpAdapter, command.CommandAdapter):
        assert adapter.nothing in TEXT
    assert f"{MOST_A_QUERY} at most" in TEXT
    assert f"{files.FILES} newest files" in TEXT
    assert f"More than {files.COUNTED >> 20} MiB" in TEXT
    assert f"the very same {follow.SEEN} bytes" in TEXT
    assert f"ended after {matching.LIMIT_S:g} seconds" in TEXT
    assert f"at most {files.MOST_S:g} | {files.LIMIT_S:g} |" in TEXT
    assert f"at most {command.MOST_S:g} | {command.LIMIT_S:g} |" in TEXT
    assert ", ".join(f"{s:g}" for s in http.TIMEOUTS.values()) + " |" in TEXT
    assert run_metrics.AGAIN_S == (20.0, 60.0, 300.0)
    assert f"within {run_metrics.LATE_MS // 60_000} minutes" in TEXT
