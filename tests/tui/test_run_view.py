"""The Run screen: what, why, so what, steps on one axis, the first error, what can be done."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from adapters.model import AlertState, Severity, State, StepRun, Verb, step_key
from engine.store.rows import AlertEventRow
from tests.tui.stores import ALL_VERBS, HOUR, MINUTE, NOW, SECOND, SIZES, TZ, House, painted, story, text_of
from tui import keymap
from tui.present import run_panes
from tui.screens.run import RunView
from tui.view import Copy, Open, Request, Say

KEY = "prod-airflow:ldz_to_rdv_contracts/r1"
HOSTILE = "\x1b]0;owned\x07[bold red]boo[/] \x1b[31mred\u202e rtl 日本語"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    h = story(tmp_path)
    t = h.now - 164 * MINUTE

    def step(
        name: str, state: State, start: int | None, took: int | None, queue: int = 2 * SECOND, **more: object
    ) -> StepRun:
        began = None if start is None else t + start
        return StepRun(
            run=KEY, step=name, native=state.name.lower(), state=state, started=began, queued=None if began is None else began - queue,
            ended=None if began is None or took is None else began + took, **more,  # type: ignore[arg-type]
        )  # fmt: skip

    h.steps(
        KEY,
        [
            step("check_source", State.SUCCESS, 0, 14 * SECOND, order=0),
            step("extract_ldz", State.SUCCESS, 20 * SECOND, 60 * SECOND, order=1),
            step("load_fact", State.FAILED, 90 * SECOND, 40 * SECOND, order=2, attempt=1),
            step(
                "load_fact", State.FAILED, 200 * SECOND, 42 * SECOND, 60 * SECOND, order=2, attempt=2, error="ORA-00001"
            ),
            step("publish", State.SKIPPED, None, None, order=3),
        ],
    )
    log = tmp_path / "load.log"
    lines = [f"2026-11-20 03:11:{i:02} INFO merge batch {i}" for i in range(40)]
    lines += ["2026-11-20 03:12:08 ERROR ORA-00001: unique constraint violated " + HOSTILE, "    at load_fact.sql:88"]
    log.write_bytes("\n".join(lines).encode() + b"\n\xff\xfe broken utf-8\n")
    h.log(KEY, "load_fact", log, attempt=2)
    yield h
    h.close()


def view(h: House, key: str | None = KEY, **more: object) -> RunView:
    v = RunView(h.context(**more), key)
    v.load()
    return v


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_story_stands_on_every_size(house: House, width: int, height: int) -> None:
    shown = painted(view(house), width, height)
    text = "\n".join(shown)
    assert shown[0].startswith(" Run ")
    assert "PROD" in shown[0]
    assert "failed" in shown[1]
    assert "ldz_to_rdv_con" in shown[1]
    assert "Why  load_fact: ORA-00001 duplicate key" in text
    assert " So " in text
    for name in ("check_source", "load_fact", "publish"):
        assert name in text
    assert "First error" in text
    assert "ORA-00001: unique constraint" in text
    assert "? help" in shown[-1]
    assert "Do" in text


@pytest.mark.parametrize(("width", "height"), [(20, 5), (40, 10), (60, 16), (79, 23), (300, 80)])
def test_no_size_breaks_it(house: House, width: int, height: int) -> None:
    painted(view(house), width, height)


def test_hostile_log_text_stays_text(house: House) -> None:
    text = "\n".join(painted(view(house), 200, 50))
    assert "\x1b" not in text
    assert "[bold red]boo[/]" in text


def test_cursor_starts_on_the_try_that_failed_and_its_log_opens(house: House) -> None:
    v = view(house)
    row = next(
        line for line in painted(v, 120, 40) if line.startswith("▌✗") or (line.startswith("▌") and "load_fact" in line)
    )
    assert "#2" in row
    assert v.act("run.log") == [Open("log", f"{step_key(KEY, 'load_fact')} 2")]
    v.act("move.top")
    assert v.act("list.open") == [Open("log", f"{step_key(KEY, 'check_source')} 1")]


def test_verbs_open_their_plan(house: House) -> None:
    v = view(house)
    assert v.act("run.rerun_failed") == [Open("plan", f"rerun-failed {KEY}")]
    assert v.act("run.rerun") == [Open("plan", f"rerun {KEY}")]
    assert v.act("pipeline.start") == [Open("plan", "start prod-airflow:ldz_to_rdv_contracts")]
    assert v.act("pipeline.pause") == [Open("plan", "pause prod-airflow:ldz_to_rdv_contracts")]
    v.act("move.top")
    assert v.act("run.rerun_from") == [Open("plan", f"rerun-from {step_key(KEY, 'check_source')}")]
    said = v.act("run.stop")[0]
    assert isinstance(said, Say)
    assert "ended" in said.text


def test_what_a_system_lacks_is_greyed_with_its_reason(tmp_path: Path) -> None:
    h = House(tmp_path)
    h.engine()
    h.source("s", offers=frozenset({Verb.START, "steps"}), why_not={"stop": "the token may not cancel runs"})
    h.pipeline("s", "p")
    key = h.run("s", "p", "r", State.RUNNING, started_ago=MINUTE)
    v = view(h, key)
    v.act("action.menu")
    text = "\n".join(painted(v, 120, 40))
    assert "cannot: the token may not cancel runs" in text
    said = v.act("run.stop")[0]
    assert isinstance(said, Say)
    assert "the token may not cancel runs" in said.text
    h.close()


def test_a_held_run_is_released_and_a_paused_schedule_resumed(tmp_path: Path) -> None:
    from adapters.model import Mode

    h = House(tmp_path)
    h.engine()
    h.source("s", offers=ALL_VERBS | {Verb.HOLD, Verb.RELEASE})
    h.pipeline("s", "p", mode=Mode.PAUSED)
    key = h.run("s", "p", "r", State.HELD, started_ago=MINUTE)
    v = view(h, key)
    assert v.act("run.hold") == [Open("plan", f"release {key}")]
    assert v.act("pipeline.pause") == [Open("plan", "resume s:p")]
    h.close()


def test_copy_takes_one_letter_and_says_what(house: House) -> None:
    v = view(house)
    assert v.type("i") is None
    v.act("copy.menu")
    assert v.type("i") == [Copy(KEY, "the run's key")]
    v.act("copy.menu")
    copied = v.type("e")
    assert copied is not None
    assert isinstance(copied[0], Copy)
    assert "ORA-00001" in copied[0].text


def test_a_run_that_is_not_there_says_what_to_do(house: House) -> None:
    text = "\n".join(painted(view(house, "prod-airflow:gone/x"), 120, 40))
    assert "is not in the store" in text
    assert "all runs" in text


def test_an_empty_store_is_no_error(tmp_path: Path) -> None:
    h = House(tmp_path)
    h.engine()
    assert "No run has been seen yet" in "\n".join(painted(view(h, None), 80, 24))
    h.close()


def test_neighbours_and_ack(house: House) -> None:
    v = view(house)
    assert v.act("run.newer")[0] == Say("this is the newest run", "info")
    v.act("run.older")
    assert v.key != KEY
    v = view(house)
    assert v.act("alert.ack") == [Request("ack", {"alert": "7K2F"}, "ack")]


def test_engine_silent_is_said(house: House) -> None:
    v = view(house, engine_alive=False, engine_silent_since=house.now - HOUR)
    assert "NOBODY IS WATCHING" in "\n".join(painted(v, 120, 40))


def test_json_has_the_models_names(house: House) -> None:
    data = view(house).data()
    assert data["state"] == "failed"
    assert data["steps"][-1]["step"] == "publish"
    assert data["why"].startswith("load_fact")


def test_each_key_of_the_help_means_something_here(house: House) -> None:
    """Every action that the help lists for this screen is answered by the screen or is the app's own."""
    own = {
        "app.quit",
        "app.help",
        "app.theme",
        "app.plain",
        "app.refresh",
        "problem.first",
        "view.pane",
        "link.menu",
        "app.palette",
        "app.card",
    }
    for action, _ in keymap.active().reach(RunView.contexts):
        if action.id in own or action.id.startswith(("screen.", "move.", "nav.")):
            continue
        v = view(house)
        before = painted(v, 120, 40)
        answered = v.act(action.id)
        assert answered or painted(v, 120, 40) != before, action.id


def test_a_run_that_was_never_made_has_no_steps_to_wait_for(tmp_path: Path) -> None:
    tale = story(tmp_path)
    missed = "prod-airflow:tmc_cards_to_ldz/due"
    shown = "\n".join(painted(view(tale, missed), 120, 40))
    assert "no run was made: there are no steps and there is no log" in shown
    assert "not read yet" not in shown
    tale.close()


def test_who_was_told_is_no_author(tmp_path: Path) -> None:
    events = [
        AlertEventRow(at=NOW - MINUTE, what="told the end", who="ana", detail=None),
        AlertEventRow(at=NOW - MINUTE, what="acked", who="ben", detail=None),
    ]
    alert = SimpleNamespace(id="0000D3WW", severity=Severity.HIGH, state=AlertState.ACKED, held_back=None)
    shown = text_of(run_panes.told(alert, [(e, None) for e in events], TZ, NOW, 80))  # type: ignore[arg-type]
    assert "ana told the end" in shown[1]
    assert "acked by ben" in shown[2]
