"""docs/systems/talend.md: each sample goes into a configuration as it stands, and makes an adapter that knows its options."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from adapters.talend import TalendAdapter
from adapters.talend.acts import VERBS, unknown_call
from adapters.talend.adapter import _options
from adapters.talend.probing import BY_EFFECT, RIGHTS
from engine.adapters_in import make_adapter
from engine.config.load import load
from engine.config.paths import places
from tests.servers.talend_like import TalendLike
from tests.talend.world import settings

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "systems" / "talend.md").read_text()
SAMPLES = re.findall(r"```toml\n(.*?)```", TEXT, re.S)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: re.search(r'name = "(.+?)"', s)[1])
async def test_a_sample_makes_an_adapter(tmp_path: Path, sample: str) -> None:
    file = tmp_path / "watchfloor.toml"
    file.write_text(sample)
    config = load(file)
    assert [w for w in config.warnings if "[[route]]" not in w] == []
    (source,) = config.sources
    adapter = make_adapter(source, config, places(file, env={"XDG_STATE_HOME": str(tmp_path)}))
    assert isinstance(adapter, TalendAdapter)
    assert re.fullmatch(r"TalendAdapter\('[\w-]+', 'https://api\.(eu|us-west)\.cloud\.talend\.com'\)", repr(adapter))
    assert set(source.auth) in ({"token"}, {"client_id", "client_secret"})
    await adapter.close()


def test_each_option_and_each_kind_of_credential_is_told() -> None:
    assert len(SAMPLES) == 2
    for option in _options({}):
        assert f"`{option}`" in TEXT


def rows(first: str) -> list[tuple[str, ...]]:
    """The table whose head begins so: its rows, without the quotes of code."""
    lines = TEXT[TEXT.index(first) :].split("\n\n")[0].splitlines()[2:]
    return [tuple(cell.strip().replace("`", "") for cell in line.strip("|").split("|")) for line in lines]


def test_the_smallest_right_is_what_doctor_tries_and_no_more() -> None:
    assert rows("| right | tried by |") == [(r.name, r.call, r.without) for r in RIGHTS]
    assert all(r.call.startswith("GET ") for r in RIGHTS), "without any effect"


def test_what_only_an_effect_tells_is_what_can_be_done() -> None:
    assert rows("| right | call |") == list(BY_EFFECT)
    for method, path in (call.split(" ") for _, call, _ in BY_EFFECT):
        assert unknown_call(method, path) == ""
    assert {v for _, _, which in BY_EFFECT for v in which.removesuffix(" of a plan").split(", ")} == set(VERBS)


def test_what_tmc_lacks_is_said_in_the_same_words(like: TalendLike) -> None:
    for why in set(TalendAdapter(settings(like)).caps.why_not.values()):
        assert why.partition(";")[0] in TEXT or why == "TMC has no backfills", why
