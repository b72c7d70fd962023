"""docs/systems/dataiku.md: each sample goes into a configuration as it stands, and says what the adapter says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from adapters.dataiku import DataikuAdapter
from adapters.dataiku.acts import WHY_NOT, known
from adapters.dataiku.dss import API
from adapters.dataiku.options import BUILDS, Options
from adapters.dataiku.probing import BY_EFFECT, RIGHTS
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


def rows(first: str) -> list[tuple[str, ...]]:
    """The table whose head begins so: its rows, without the quotes of code."""
    lines = TEXT[TEXT.index(first) :].split("\n\n")[0].splitlines()[2:]
    return [tuple(cell.strip().replace("`", "") for cell in line.strip("|").split("|")) for line in lines]


def test_the_smallest_right_is_what_doctor_tries_and_no_more() -> None:
    assert rows("| privilege | tried by |") == [(r.privilege, r.call, r.without) for r in RIGHTS]
    assert all(r.call.startswith("GET ") for r in RIGHTS), "without any effect"


def test_what_only_an_effect_tells_is_what_is_never_tried() -> None:
    assert rows("| privilege | call |") == list(BY_EFFECT)
    assert {call.partition(" ")[0] for _, call, _ in BY_EFFECT} == {"POST", "PUT"}
    sent = [call.partition(" ")[2].format(project="CDM", scenario="daily") for _, call, _ in BY_EFFECT]
    assert all(known(call.partition(" ")[0], API + path) for (_, call, _), path in zip(BY_EFFECT, sent, strict=True))
