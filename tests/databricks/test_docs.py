"""docs/systems/databricks.md: each sample goes into a configuration as it stands, and the page names all options and reasons."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from adapters.base import SourceSettings
from adapters.databricks import DatabricksAdapter
from adapters.databricks.options import checked
from adapters.databricks.states import RESULTS
from engine.adapters_in import make_adapter
from engine.config.load import load
from engine.config.paths import places

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "systems" / "databricks.md").read_text()
SAMPLES = re.findall(r"```toml\n(.*?)```", TEXT, re.S)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: re.search(r'name = "(.+?)"', s)[1])
async def test_a_sample_makes_an_adapter(tmp_path: Path, sample: str) -> None:
    file = tmp_path / "watchfloor.toml"
    file.write_text(sample)
    config = load(file)
    assert [w for w in config.warnings if "[[route]]" not in w] == []
    (source,) = config.sources
    adapter = make_adapter(source, config, places(file, env={"XDG_STATE_HOME": str(tmp_path)}))
    assert isinstance(adapter, DatabricksAdapter)
    assert set(source.auth) in ({"token"}, {"client_id", "client_secret"})
    await adapter.close()


def test_the_page_names_each_credential_option_and_state() -> None:
    assert any("client_secret" in s for s in SAMPLES)
    assert any("token = " in s for s in SAMPLES)
    for option in checked({}):
        assert f"| `{option}` |" in TEXT
    for word in RESULTS:
        assert f"`{word}`" in TEXT


async def test_what_is_lacking_is_said_in_the_same_words() -> None:
    adapter = DatabricksAdapter(SourceSettings(name="x", kind="databricks", url="https://adb.example.com"))
    for what in ("hold", "mark", "backfill", "metrics", "assets", "operations"):
        assert adapter.caps.why(what).partition(";")[0] in TEXT, what
    await adapter.close()
