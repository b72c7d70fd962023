"""docs/systems/commands.md: each sample goes into a configuration as it stands and makes an adapter; what is said is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from adapters.commands.adapter import MOST_ONE_BY_ONE, WHOLE_LOG, CommandsAdapter
from adapters.commands.options import _READERS, ACTS, EXIT, FIELDS, READS, REFUSED, Options, option_of
from adapters.commands.own import GRACE_S
from adapters.commands.wire import STATES
from adapters.model import Verb
from adapters.parameters import TYPES
from engine.adapters_in import make_adapter
from engine.config.load import load
from engine.config.paths import places

TEXT = (Path(__file__).resolve().parent.parent / "docs" / "systems" / "commands.md").read_text()
SAMPLES = re.findall(r"```toml\n(.*?)```", TEXT, re.S)


async def made(tmp_path: Path, sample: str) -> CommandsAdapter:
    file = tmp_path / "watchfloor.toml"
    file.write_text(sample)
    config = load(file)
    assert [w for w in config.warnings if "[[route]]" not in w] == []
    (source,) = config.sources
    adapter = make_adapter(source, config, places(file, env={"XDG_STATE_HOME": str(tmp_path)}))
    assert isinstance(adapter, CommandsAdapter)
    return adapter


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: re.search(r'name = "(.+?)"', s)[1])
async def test_a_sample_makes_an_adapter(tmp_path: Path, sample: str) -> None:
    adapter = await made(tmp_path, sample)
    assert adapter.caps.can("start")
    await adapter.close()


async def test_the_backfill_driver_offers_what_its_commands_do(tmp_path: Path) -> None:
    adapter = await made(tmp_path, SAMPLES[0])
    verbs = {v for v in Verb if adapter.caps.can(v)}
    assert verbs == set(ACTS) - {Verb.RERUN, Verb.RERUN_FAILED, Verb.RERUN_FROM}
    (concurrency, rate, full) = (
        p for p in adapter.parameters(Verb.START, "backfill:daily") if p.name in ("concurrency", "rate", "full")
    )
    assert f"concurrency = {concurrency.default}: {concurrency.words()} · {concurrency.means}" in TEXT
    assert rate.recommended == (50, 80)
    assert full.type == "flag"
    assert [p.name for p in adapter.parameters(Verb.BACKFILL, "x")] == ["from", "to", "concurrency", "batch"]


async def test_the_units_are_read_as_systemctl_writes_them(tmp_path: Path) -> None:
    """From its manual page; not seen live."""
    adapter = await made(tmp_path, SAMPLES[2])
    said = (
        "Id=etl-rates.service\nDescription=Rates\nActiveState=failed\nResult=exit-code\nInvocationID=0a1b\nExecMainStatus=3\n"
        "ExecMainStartTimestamp=@1795150800\nExecMainExitTimestamp=@1795150860\n\n"
        "Id=etl-fx.service\nDescription=FX\nActiveState=inactive\nResult=success\nInvocationID=\nExecMainStatus=0\n"
        "ExecMainStartTimestamp=\nExecMainExitTimestamp=\n"
    )
    told = adapter._reading("list", 0).told(said.encode(), "blocks")
    assert set(told.pipelines) == {"etl-rates", "etl-fx"}
    run = told.runs["units:etl-rates/0a1b"].run
    assert (run.error, run.exit_code, (run.ended or 0) - (run.started or 0)) == ("exit-code", 3, 60_000)
    assert run.state.bad
    assert list(told.runs) == ["units:etl-rates/0a1b"]
    assert told.bare == {}, "a unit that never ran has no run"


def test_each_option_field_and_word_is_told() -> None:
    for option in (*READS, *map(option_of, ACTS), *_READERS, "parameters"):
        assert f"`{option}`" in TEXT or f"`{option} = " in TEXT, option
    for name in FIELDS:
        assert f"`{name}`" in TEXT, name
    table = TEXT[TEXT.index("| words | state |") :]
    for word in STATES:
        if "-" not in word and word not in ("canceling",):
            assert re.search(rf"\b{word}\b", table), word
    assert ", ".join(map(str, REFUSED)) in TEXT
    assert EXIT == {0: "running", 1: "failed", 2: "failed", 3: "success"}
    assert " ".join(TYPES) in TEXT
    for name in ("timeout", "output_kib", "keep"):
        default = Options.__dataclass_fields__[name].default
        assert f"| `{name}` | {default:g} |" in TEXT
    assert f"{MOST_ONE_BY_ONE} pipelines at most" in TEXT
    assert f"SIGKILL after {GRACE_S:.0f} s" in TEXT
    assert f"{WHOLE_LOG >> 20} MiB" in TEXT
