"""Through the whole engine with a backfill driver: what it sees, one alert, a start beyond what is recommended, one proved stop."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Secret
from adapters.model import ActionState, Health, State
from engine.request import EXIT_OK, EXIT_UNREACHABLE, RequestError
from tests.commands.world import TOKEN, Driver
from tests.engine.rig import Rig, until
from tui.cli import main


@pytest.fixture
def drv(tmp_path: Path) -> Iterator[Driver]:
    found = Driver(tmp_path)
    found.add_pipeline("daily")
    yield found
    assert found.state["invented"] == []


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)


def rig(drv: Driver) -> Rig:
    options = drv.options()
    (drv.folder / "token").write_text(TOKEN)
    (drv.folder / "token").chmod(0o600)
    assert isinstance(options["env"]["DRIVER_TOKEN"], Secret)
    options["env"] = {"DRIVER_TOKEN": {"file": "token"}, "MODE": "test"}
    lines = "\n".join(f"{name} = {toml(value)}" for name, value in options.items())
    return Rig(
        drv.folder,
        f"""
[[source]]
name = "drv"
kind = "commands"
environment = "prod"
protected = false
poll = "5s"
requests = "600/min"
[source.options]
{lines}
""",
    )


def state_of(r: Rig, key: str) -> State | None:
    detail = r.reader().run(key)
    return detail.row.state if detail else None


def poll(r: Rig) -> None:
    with r.ask() as ask:
        ask("poll", source="drv")


def test_fill_and_a_failure_is_one_alert_with_its_first_error(drv: Driver) -> None:
    key = drv.add_run("daily")
    drv.add_pipeline("hourly", paused=True)
    with rig(drv) as r:
        until(lambda: state_of(r, key) is State.RUNNING)
        until(lambda: {f.key for f in r.reader().floor()} == {"drv:daily", "drv:hourly"})
        drv.say(key, "12:00:01 ERROR ORA-00001: unique constraint violated")
        drv.finish(key, "failed")
        poll(r)
        until(lambda: state_of(r, key) is State.FAILED)
        until(lambda: [f for f in r.reader().floor() if "ORA-00001" in (f.error or "")], 30)
        for _ in range(3):
            poll(r)
        until(lambda: len(r.reader().alerts(open_only=False)) == 1)
        assert all(s.health is Health.FRESH for s in r.reader().sources())
        drv.day("flood")
        poll(r)
        until(lambda: [s for s in r.reader().sources() if s.health is Health.BAD_ANSWER])
        assert state_of(r, key) is State.FAILED, "a bad answer changes nothing"


def test_a_start_is_asked_warned_refused_and_proved(drv: Driver) -> None:
    with rig(drv) as r:
        until(lambda: [f for f in r.reader().floor() if f.key == "drv:daily"])
        with r.ask() as ask:
            never = ask("plan", verb="start", key="drv:daily", params={"concurrency": 11})
            assert never["blocked"] == "concurrency = 11: never above 10 here; nothing was sent"
            assert never["plan"] == ""
            with pytest.raises(RequestError):
                ask("act", plan=never["plan"], nonce=never["nonce"], hash=never["hash"])
            plan = ask("plan", verb="start", key="drv:daily", params={"concurrency": "8"}, business_date="2026-11-20")
            assert not plan["blocked"]
            (warning,) = [g for g in plan["guards"] if g["name"] == "parameters"]
            assert warning == {
                "name": "parameters",
                "ok": None,
                "words": "concurrency = 8 is outside of what is recommended: 1 to 5",
            }
            assert [(a["name"], a["default"], a["words"]) for a in plan["asks"]] == [
                ("concurrency", "3", "whole number, usually 1 to 5, only 1 to 10"),
                ("mode", None, "fast or safe"),
                ("full", None, "true or false"),
            ]
            assert "--date 2026-11-20 --concurrency 8" in plan["calls"][0]["target"]
            assert plan["calls"][0]["headers"]["DRIVER_TOKEN"] == "****"
            assert drv.state["done"] == []
            done = ask("act", plan=plan["plan"], nonce=plan["nonce"], hash=plan["hash"])
        action = str(done["action"])
        until(lambda: len(drv.state["done"]) == 1, 20)
        assert r.reader().action(action).state is not ActionState.DONE  # type: ignore[union-attr]
        drv.settle()
        until(lambda: r.reader().action(action).state is ActionState.DONE, 30)  # type: ignore[union-attr]
        (run,) = until(lambda: [x for x in r.runs() if "/wf-" in x.key])
        assert run.business_date == "2026-11-20"
        assert len(drv.state["done"]) == 1
        r.stop()
        for file in (drv.folder / "state").rglob("*"):
            assert not file.is_file() or TOKEN.encode() not in file.read_bytes(), file


def test_a_stop_is_sent_once_and_proved_by_the_list(drv: Driver) -> None:
    key = drv.add_run("daily")
    with rig(drv) as r:
        until(lambda: state_of(r, key) is State.RUNNING)
        with r.ask() as ask:
            plan = ask("plan", verb="stop", key=key)
            assert not plan["blocked"], plan["blocked"]
            done = ask(
                "act",
                plan=plan["plan"],
                nonce=plan["nonce"],
                hash=plan["hash"],
                reason="a reason long enough",
                typed="",
            )
        action = str(done["action"])
        until(lambda: len(drv.state["done"]) == 1, 20)
        assert r.reader().action(action).state is not ActionState.DONE  # type: ignore[union-attr]
        drv.settle()
        until(lambda: r.reader().action(action).state is ActionState.DONE, 30)  # type: ignore[union-attr]
        poll(r)
        until(lambda: state_of(r, key) is State.STOPPED)
        assert r.reader().alerts(open_only=False) == []
        assert [d[0] for d in drv.state["done"]] == ["stop"]


def test_doctor_says_what_a_driver_lacks(drv: Driver, capsys: pytest.CaptureFixture[str]) -> None:
    with rig(drv) as r:
        r.stop()
        assert main(["doctor", "--config", str(r.config)]) == EXIT_OK
        assert "driver 4.2" in capsys.readouterr().out
        (drv.folder / "token").unlink()
        assert main(["doctor", "--config", str(r.config)]) == EXIT_UNREACHABLE
        said = capsys.readouterr().out
        assert "no file" in said
        assert TOKEN not in said
        r.config.write_text(r.config.read_text().replace("timeout = 3.0", "timeout = -1"))
        assert main(["doctor", "--config", str(r.config)]) == EXIT_UNREACHABLE
        assert (
            "option 'timeout' of the commands adapter is a number of seconds up to 600, not -1"
            in capsys.readouterr().out
        )


def test_a_script_outlives_the_engine_and_is_never_begun_twice(tmp_path: Path) -> None:
    script = tmp_path / "work.sh"
    script.write_text(
        '#!/bin/sh\necho "$1 begins"; echo $$ >> began\nwhile [ ! -e go ]; do sleep 0.05; done\necho "ERROR disk is full"; exit 3\n'
    )
    script.chmod(0o700)
    text = """
[[source]]
name = "drv"
kind = "commands"
environment = "uat"
protected = false
poll = "5s"
requests = "600/min"
[source.options]
pipelines = ["load"]
start = ["./work.sh", "{pipeline}"]
"""
    began = tmp_path / "began"
    with Rig(tmp_path, text) as r:
        until(lambda: [f for f in r.reader().floor() if f.key == "drv:load"])
        with r.ask() as ask:
            plan = ask("plan", verb="start", key="drv:load")
            assert plan["calls"][0]["target"] == "./work.sh load"
            done = ask("act", plan=plan["plan"], nonce=plan["nonce"], hash=plan["hash"])
        until(lambda: r.reader().action(str(done["action"])).state is ActionState.DONE, 30)  # type: ignore[union-attr]
        run = until(lambda: [x for x in r.runs() if x.state is State.RUNNING])[0]
        r.kill()
        r.start()
        poll(r)
        with r.ask() as ask:
            again = ask("plan", verb="start", key="drv:load")
            assert again["blocked"].startswith("load is running already")
        (tmp_path / "go").touch()

        def ended() -> bool:
            poll(r)
            return state_of(r, run.key) is State.FAILED

        until(ended, every_s=0.3)
        until(lambda: [f for f in r.reader().floor() if "disk is full" in (f.error or "")])
        until(lambda: len(r.reader().alerts(open_only=False)) == 1)
        assert len(began.read_text().split()) == 1
