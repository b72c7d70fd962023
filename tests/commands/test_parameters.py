"""Parameters of verbs and the argvs they are filled into: nothing splits, nothing slips in, bad ones are refused in a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adapters.commands.argv import fill
from adapters.commands.options import checked
from adapters.errors import Conflict, Unsupported
from adapters.model import Verb
from adapters.parameters import Parameter, read_all
from tests.commands.world import Driver, action

CONCURRENCY = Parameter(name="concurrency", type="int", default="3", recommended=(1, 5), hard=(1, 10))


@pytest.mark.parametrize(
    ("given", "text", "warns"), [(1, "1", False), ("5", "5", False), ("6", "6", True), (10, "10", True)]
)
def test_recommended_warns(given: Any, text: str, warns: bool) -> None:
    read, warning = CONCURRENCY.read(given)
    assert read == text
    assert warning == (f"concurrency = {text} is outside of what is recommended: 1 to 5" if warns else None)


@pytest.mark.parametrize(
    ("parameter", "given", "says"),
    [
        (CONCURRENCY, 11, "concurrency = 11: never above 10 here; nothing was sent"),
        (CONCURRENCY, "0", "concurrency = 0: never below 1 here; nothing was sent"),
        (CONCURRENCY, "3.5", "concurrency = '3.5': expected a whole number, 1 to 10"),
        (CONCURRENCY, "three", "concurrency = 'three': expected a whole number, 1 to 10"),
        (Parameter(name="rate", type="number"), "nan", "rate = 'nan': expected a number"),
        (Parameter(name="day", type="date"), "20.11.2026", "day = '20.11.2026': expected a date like 2026-11-20"),
        (Parameter(name="how", type="choice", choices=("fast", "safe")), "FAST", "how = 'FAST': expected fast or safe"),
        (Parameter(name="full", type="flag"), "maybe", "full = 'maybe': expected true or false"),
        (Parameter(name="key", pattern=r"[a-z]+_\d+"), "x; rm -rf", r"key = 'x; rm -rf': expected something like [a-z]+_\d+"),
        (Parameter(name="api_key", pattern="k-.*"), "hunter2", "api_key = '****': expected something like k-.*"),
        (Parameter(name="key"), "a\0b", "key holds a NUL character, which no argument can"),
        (Parameter(name="key"), "x" * 5000, "key is 5,000 characters long: at most 4,096"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_a_sentence(parameter: Parameter, given: Any, says: str) -> None:
    with pytest.raises(Conflict) as refused:
        parameter.read(given)
    assert refused.value.what == says


def test_all_of_a_verb() -> None:
    rate = Parameter(name="rate", type="number", required=True, recommended=(50, 80))
    assert read_all("start", (CONCURRENCY, rate), {"rate": 90}) == (
        {"concurrency": "3", "rate": "90"},
        ["rate = 90 is outside of what is recommended: 50 to 80"],
    )
    with pytest.raises(Conflict, match="start needs rate: number, usually 50 to 80"):
        read_all("start", (CONCURRENCY, rate), {})
    with pytest.raises(Conflict, match="start has no parameter 'speed'; it has concurrency, rate"):
        read_all("start", (CONCURRENCY, rate), {"speed": 1})


def test_each_value_is_one_argument() -> None:
    template = (
        "drv",
        "{pipeline}",
        "--at={business_date}",
        ("--note", "{param:note}"),
        ("--full", "{if:full}"),
        "{}",
        "{{x}}",
    )
    values = {
        "pipeline": "a b; $(id) `x` *",
        "business_date": "-1",
        "param:note": "{pipeline} --force",
        "if:full": "true",
    }
    assert fill(template, values) == [
        "drv", "a b; $(id) `x` *", "--at=-1", "--note", "{pipeline} --force", "--full", "{}", "{{x}}",
    ]  # fmt: skip
    assert fill(template, values | {"param:note": None, "if:full": "false"})[3:] == ["{}", "{{x}}"]
    with pytest.raises(Conflict, match="the command needs business_date, which is not given"):
        fill(template, {"pipeline": "a"})
    with pytest.raises(Conflict, match="holds a NUL character"):
        fill(template, values | {"pipeline": "a\0--force"})


@pytest.mark.parametrize("value", ["--force", "-x", "-"])
@pytest.mark.parametrize("word", ["{pipeline}", "{pipeline}.service"])
def test_no_value_becomes_an_option(word: str, value: str) -> None:
    with pytest.raises(Conflict, match="would be taken for an option of the command; nothing was sent"):
        fill(("drv", word), {"pipeline": value})
    assert fill(("drv", word), {"pipeline": "-x"}, {"pipeline"})[1].startswith("-x")


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"start": "drv start {pipeline}"}, "never one shell string, not 'drv start {pipeline}'"),
    ({"start": []}, "never one shell string, not []"),
    ({"start": ["{pipeline}"]}, "a list that begins with a program, which is no placeholder"),
    ({"start": ["drv", 3]}, "never one shell string"),
    ({"start": ["drv", "{pipline}"]}, "options.start: there is no {pipline} here; did you mean {pipeline}?"),
    ({"list": ["drv", "{run}"]}, "options.list: there is no {run} here"),
    ({"start": ["drv", "{param:rate}"]}, "not described: add options.parameters.rate"),
    ({"start": ["drv", "{if:x}"], "parameters": {"x": {"type": "flag"}}}, "{if:x} stands outside of a group"),
    ({"strat": ["drv"]}, "the commands adapter has no option 'strat'"),
    ({"pipelines": ["a", "a"]}, "a list of names, each once"),
    ({"states": {"x": "green"}}, "option 'states.x' of the commands adapter is one of queued, running"),
    ({"exit": {"x": "running"}}, "a table of exit codes and states"),
    ({"fields": {"pipelin": "a"}}, "option 'fields' has no 'pipelin'"),
    ({"fields": {"pipeline": {"path": "a", "match": "x"}}}, "a regular expression with a group"),
    ({"timeout": 0}, "a number of seconds up to 600, not 0"),
    ({"refused": [0]}, "a list of exit codes from 1 to 255"),
    ({"env": {"A": {"envv": "X"}}}, "a text, or a reference to a secret"),
    (
        {"parameters": {"x": {"type": "int", "default": 20, "hard": [1, 10]}}},
        "not allowed by itself: x = 20: never above 10",
    ),
    ({"parameters": {"x": {"type": "integer"}}}, "one of int, number, string, date, choice, flag, not 'integer'"),
    ({"parameters": {"x": {"type": "choice"}}}, "choices go with type choice"),
    ({"parameters": {"x": {"recommended": [1, 5]}}}, "goes with type int and number only"),
    ({"parameters": {"x": {"type": "int", "hard": [5, 1]}}}, "a list of the least and the most"),
    ({"parameters": {"from": {"type": "date"}}}, "from is known without being described"),
    ({"status": ["drv", "{run}"], "status_format": "exit"}, "options.status with {run} needs options.list"),
]


@pytest.mark.parametrize(("options", "says"), WRONG, ids=lambda v: v[:40] if isinstance(v, str) else "")
def test_a_wrong_option_is_one_sentence(options: dict[str, Any], says: str) -> None:
    with pytest.raises(Unsupported) as wrong:
        checked({"pipelines": ["a"]} | options)
    assert says in wrong.value.what
    with pytest.raises(Unsupported, match=r"needs options.list \(a command\) or options.pipelines"):
        checked({})


async def test_a_plan_warns_refuses_and_sends_what_it_shows(tmp_path: Path) -> None:
    drv = Driver(tmp_path)
    key = drv.add_pipeline("daily")
    adapter = drv.adapter()
    assert [p.name for p in adapter.parameters(Verb.START, key)] == ["concurrency", "mode", "full"]
    assert [p.name for p in adapter.parameters(Verb.BACKFILL, key)] == ["from", "to", "concurrency"]
    assert adapter.parameters(Verb.PAUSE, key) == ()
    with pytest.raises(Conflict, match="concurrency = 11: never above 10"):
        await adapter.prepare(action(Verb.START, key, params={"concurrency": 11}))
    prepared = await adapter.prepare(
        action(Verb.START, key, params={"concurrency": "8", "full": True}, business_date="2026-11-20")
    )
    assert prepared.warnings == ("concurrency = 8 is outside of what is recommended: 1 to 5",)
    (call,) = prepared.calls
    assert call.target.endswith("start --pipeline daily --run wf-01jtest --date 2026-11-20 --concurrency 8 --full")
    assert call.headers == {"DRIVER_TOKEN": "****", "MODE": "test"}
    assert drv.state["done"] == []
    await adapter.send(prepared)
    assert drv.state["done"] == [
        ["start", {"pipeline": "daily", "run": "wf-01jtest", "date": "2026-11-20", "concurrency": "8", "full": "true"}]
    ]


async def test_a_pipeline_named_like_an_option_reaches_no_command(tmp_path: Path) -> None:
    drv = Driver(tmp_path)
    key = drv.add_pipeline("--run=1")
    adapter = drv.adapter()
    with pytest.raises(Conflict, match="would be taken for an option"):
        await adapter.prepare(action(Verb.PAUSE, key))
    assert drv.state["done"] == []
