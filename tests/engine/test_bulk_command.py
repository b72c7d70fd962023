"""``watchfloor act VERB PATTERN``: refused without a choice, listed, confirmed once, each an action of its own."""

from __future__ import annotations

import json
import random
from argparse import Namespace
from collections.abc import Iterator
from typing import Any

import pytest

from adapters.model import Mode
from engine import commands_bulk
from engine.request import EXIT_REFUSED, RequestError
from tests.engine.rig import Rig, until
from tui.cli import main
from tui.present import bulk
from tui.screens import bulk as screen
from tui.screens import marks

JOBS = "\n".join(
    f'[[job]]\nname = "{name}"\nschedule = "0 0 1 1 *"\n[[job.step]]\nname = "a"\nrun = ["true"]\n'
    for name in ("cdm_a", "cdm_b", "ldz_c")
)
REASON = ("--reason", "the month end is moved")


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with Rig(tmp_path_factory.mktemp("bulk"), JOBS) as rig:
        until(lambda: len(rig.reader().floor()) == 3)
        rig.polled("local")
        yield rig


def run(rig: Rig, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main([*words, "--config", str(rig.config)])
    out = capsys.readouterr()
    return code, out.out + out.err


def modes(rig: Rig) -> dict[str, Mode]:
    return {r.name: r.mode for r in rig.reader().floor()}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("pause", "*"), 3, "needs a pattern that chooses, not *; for example prod-airflow:cdm_*"),
        (("pause", "local:*"), 3, "needs a pattern that chooses"),
        (("pause", "*:cdm_*"), 3, "needs a pattern that chooses"),
        (("stop", "local:cdm_*/r*"), 2, "a pattern names pipelines"),
        (("mark", "local:cdm_*", "--as", "failed"), 2, "one after the other"),
        (("pause", "local:nix_*"), 2, "no pipeline is like local:nix_*"),
    ],
)
def test_what_is_no_choice_is_refused(rig: Rig, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int, said: str) -> None:  # fmt: skip
    for verb in ("plan", "act"):
        got, text = run(rig, capsys, verb, *words)
        assert got == code, text
        assert said in text
    assert set(modes(rig).values()) == {Mode.ACTIVE}


def test_a_pattern_is_listed_confirmed_once_and_done_one_after_the_other(
    rig: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = run(rig, capsys, "plan", "pause", "local:cdm_*")
    assert code == 0
    assert "will    local:cdm_a: active" in text
    assert "pause: 2 pipelines will, 0 cannot" in text
    assert "confirmed by: --confirm 'pause 2'" in text
    assert "ldz_c" not in text
    for missing in (
        (),
        ("--yes",),
        REASON,
        (*REASON, "--yes"),
        (*REASON, "--confirm", "pause 3"),
        ("--confirm", "pause 2"),
    ):
        code, text = run(rig, capsys, "act", "pause", "local:cdm_*", *missing)
        assert code == 3, text
        assert "nothing was done: to pause 2 pipelines add" in text
    assert set(modes(rig).values()) == {Mode.ACTIVE}

    code, text = run(rig, capsys, "act", "pause", "local:cdm_*", *REASON, "--confirm", "pause 2", "--format", "json")
    assert code == 0, text
    actions = json.loads(text)["data"]
    assert [(a["key"], a["done"]) for a in actions] == [("local:cdm_a", True), ("local:cdm_b", True)]
    until(lambda: modes(rig) == {"cdm_a": Mode.PAUSED, "cdm_b": Mode.PAUSED, "ldz_c": Mode.ACTIVE})
    done = [a for a in rig.reader().actions() if a.verb == "pause"]
    assert {a.reason for a in done} == {"the month end is moved · in bulk, confirmed by pause 2"}

    code, text = run(rig, capsys, "act", "resume", "local:cdm_*", "--yes")
    assert code == 0, text
    assert "2/2 local:cdm_b: done" in text
    until(lambda: set(modes(rig).values()) == {Mode.ACTIVE})


def test_screen_and_command_ask_for_the_same_words() -> None:
    rng = random.Random(7)
    for _ in range(200):
        plans: list[dict[str, Any]] = []
        for _ in range(rng.randint(1, 5)):
            protected = rng.random() < 0.4
            key = "typed" if protected else rng.choice(["y", "enter"])
            needs = {"typed": "x" if protected else None, "key": key}
            plans.append(
                {
                    "environment": "prod" if protected else rng.choice(["lab", "dev"]),
                    "needs": needs,
                    "protected": protected,
                }
            )
        verb = rng.choice(["pause", "stop", "start", "rerun"])
        rows = [bulk.Row("s:p", "p", plan=p) for p in plans]
        assert bulk.phrase(verb, rows) == commands_bulk.phrase(verb, plans)


def test_screen_and_command_have_the_same_limits() -> None:
    assert marks.ALONE == commands_bulk.ALONE
    assert marks.MOST == commands_bulk.MOST
    assert screen.IN_A_ROW == commands_bulk.IN_A_ROW


def test_two_protected_environments_are_never_one_confirmation() -> None:
    plans = [{"environment": e, "protected": True, "needs": {}} for e in ("prod", "pre")]
    args = Namespace(verb="stop", reason="a reason that is long enough", confirm="stop 2", yes=True)
    said = commands_bulk._refusal(args, plans)
    assert said is not None
    assert "pre, prod are protected, one environment at a time" in said
    assert commands_bulk._refusal(args, plans[:1] * 2) is None


@pytest.mark.parametrize(("code", "lost"), [("bug", True), ("unknown", True), ("refused", False), ("plan_void", False)])
def test_an_answer_that_does_not_say_whether_it_was_taken_is_unknown(rig: Rig, code: str, lost: bool) -> None:
    def ask(do: str, **body: Any) -> dict[str, Any]:
        raise RequestError(code, "x")

    plan = {"key": "s:p", "plan": "p", "nonce": "n", "hash": "h", "needs": {}, "environment": "lab"}
    args = Namespace(verb="stop", arm=False, format="text")
    assert commands_bulk._one(ask, args, rig.reader(), plan, "")[::2] == (False, lost)


def test_three_that_went_wrong_one_after_the_other_end_it(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[str] = []

    def ask(do: str, **body: Any) -> dict[str, Any]:
        asked.append(body["plan"])
        raise RequestError("plan_void", "was running")

    plans = [{"key": f"s:p{n}", "plan": f"p{n}", "nonce": "n", "hash": "h", "needs": {}, "environment": "lab"} for n in range(5)]  # fmt: skip
    args = Namespace(verb="stop", reason="because it must be", confirm="", arm=False, format="text")
    assert commands_bulk._do(ask, args, rig.reader(), plans, plans) == EXIT_REFUSED
    assert asked == ["p0", "p1", "p2"]
    assert "3 in a row went wrong: 2 were not asked for" in capsys.readouterr().err
