"""docs/systems/airflow.md: each sample goes into a configuration as it stands, and makes an adapter that knows its options."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from adapters.airflow import AirflowAdapter
from adapters.airflow.v2_acts import caps
from engine.adapters_in import make_adapter
from engine.config.load import load
from engine.config.paths import places

TEXT = (Path(__file__).resolve().parent.parent / "docs" / "systems" / "airflow.md").read_text()
SAMPLES = re.findall(r"```toml\n(.*?)```", TEXT, re.S)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: re.search(r'name = "(.+?)"', s)[1])
async def test_a_sample_makes_an_adapter(tmp_path: Path, sample: str) -> None:
    file = tmp_path / "watchfloor.toml"
    file.write_text(sample)
    config = load(file)
    assert [w for w in config.warnings if "[[route]]" not in w] == []
    for source in config.sources:
        adapter = make_adapter(source, config, places(file, env={"XDG_STATE_HOME": str(tmp_path)}))
        assert isinstance(adapter, AirflowAdapter)
        assert set(source.auth) <= {"user", "password", "token", "web_token"}
        await adapter.close()


def test_each_kind_of_credential_has_a_sample() -> None:
    assert {name for name in ("password", "token", "web_token") if any(f"{name} = {{" in s for s in SAMPLES)} == {
        "password",
        "token",
        "web_token",
    }
    for option in ("api", "token_life", "connect_timeout", "read_timeout", "total_timeout"):
        assert f"`{option}`" in TEXT


def test_what_airflow_2_lacks_is_said_in_the_same_words() -> None:
    for why in set(caps().why_not.values()):
        assert why.partition(";")[0] in TEXT, why
