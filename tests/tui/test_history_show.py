"""``watchfloor show history KEY`` and ``show diff RUN [OTHER]``: text, JSON, CSV, and one sentence where a key is nothing."""

from __future__ import annotations

import csv
import io
import json

import pytest

from tests.tui.history_stores import CONTRACTS, tale
from tui import cli
from tui.show import show


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    house = tale(tmp_path_factory.mktemp("show"))
    yield house
    house.close()


@pytest.fixture
def say(story, capsys):
    def run(*words: str) -> tuple[int, str, str]:
        args = cli.parser().parse_args(["show", *words])
        args.ascii = getattr(args, "ascii", False)
        code = show(args, story.path, lambda name, data: print(json.dumps({"schema": name, "data": data})))
        out = capsys.readouterr()
        return code, out.out, out.err

    return run


def test_history_as_text_json_and_csv(say):
    code, out, _ = say("history", CONTRACTS, "--width", "120", "--height", "40")
    assert code == 0
    assert "load_fact is flaky: failed in 5 of 26 runs" in out
    code, out, _ = say("history", CONTRACTS, "--format", "json")
    assert json.loads(out)["data"]["steps"][2]["failed"] == 5
    code, out, _ = say("history", CONTRACTS, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert len(rows) == 34 * 5
    assert {r["state"] for r in rows if r["run"].endswith("/d00")} == {"not read"}


def test_diff_with_the_last_success_and_with_a_run_of_ones_choice(say):
    code, out, _ = say("diff", f"{CONTRACTS}/d30", "--format", "json")
    assert code == 0
    assert json.loads(out)["data"]["other"] == f"{CONTRACTS}/d29"
    code, out, _ = say("diff", f"{CONTRACTS}/d30", f"{CONTRACTS}/d20", "--format", "json")
    assert json.loads(out)["data"]["other"] == f"{CONTRACTS}/d20"
    code, out, _ = say("diff", f"{CONTRACTS}/d30", "--format", "csv")
    assert next(r["name"] for r in csv.DictReader(io.StringIO(out)) if r["what"] == "step") == "check_source"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("history", "x:none"), "no pipeline 'x:none' is known; watchfloor show floor --format csv lists them"),
        (("diff", f"{CONTRACTS}/none"), "no run "),
        (("diff", CONTRACTS), "no run "),
        (("diff", f"{CONTRACTS}/d30", f"{CONTRACTS}/none"), "no run "),
        (("diff", f"{CONTRACTS}/d30", "local:probe/h000"), "is a run of another pipeline than"),
        (("run", f"{CONTRACTS}/d30", f"{CONTRACTS}/d20"), "the screen run takes one key"),
    ],
)
def test_a_key_that_nothing_has_is_one_sentence(say, words, said):
    code, _, err = say(*words)
    assert code == 2
    assert said in err
    assert err.count("\n") == 1
