"""docs/systems/dataiku.md: each sample goes into a configuration as it stands, and says what the adapter says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from adapters.dataiku import DataikuAdapter
from adapters.dataiku.acts import WHY_NOT
from adapters.dataiku.options import BUILDS, Options
from engine.adapters_in import make_adapter
from engine.config.load import load
from engine.config.paths import places

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "systems" / "dataiku.md").read_text()
SAMPLES = re.findall(r"```toml\n(.*?)```", TEXT, re.S)


@pytest.mark.parametrize("sample", SAMPLES, ids=range(len(SAMPLES)))
async def test_a_sample_makes_an_adapter(tmp_path: Path, sample: str) -> None:
    file = tmp_path / "watchfloor.toml"
    file.write_text(sample)
    config = load(file)
    assert [w for w in config.warnings if "[[route]]" not in w] == []
    assert [s.query for s in config.series if DataikuAdapter.wrong_query(s.query)] == []
    for source in config.sources:
        adapter = make_adapter(source, config, places(file, env={"XDG_STATE_HOME": str(tmp_path)}))
        assert isinstance(adapter, DataikuAdapter)
        assert set(source.auth) <= {"key", "token"}
        await adapter.close()


def test_each_kind_of_credential_and_each_option_is_shown() -> None:
    assert {name for name in ("key", "token") if any(f"auth = {{ {name} = {{" in s for s in SAMPLES)} == {
        "key",
        "token",
    }
    assert [name for name in (*Options.__slots__, *BUILDS) if f"`{name}`" not in TEXT] == []


def test_what_it_lacks_is_said_in_the_same_words() -> None:
    for why in set(WHY_NOT.values()):
        assert why.partition(";")[0] in TEXT, why
