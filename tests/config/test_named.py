"""Names of series that somebody else must answer to: known beforehand, or not to be known and so not refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.config.load import ConfigError, load_text
from engine.request import EXIT_BAD_INPUT, EXIT_OK
from tui.cli import main

BASE = """\
[[source]]
name = "prom"
kind = "prometheus"
url = "https://p.example"
[[source]]
name = "sea"
kind = "seatunnel"
url = "https://s.example"
[[series]]
name = "cdm_lag"
source = "prom"
query = "max(lag)"
[[run_metric]]
name = "rows_loaded"
on = "*"
regex = 'loaded (\\d+) rows'
[[contact]]
name = "desk"
url = { env = "HOME" }
[[route]]
match = "*"
to = ["desk"]
"""
AT = BASE.count("\n")


def owes(kind: str, more: str, on: str = "series:cdm_lag") -> str:
    return f'[[expectation]]\nid = "e"\non = "{on}"\ntype = "{kind}"\n{more}\n'


MORE = {
    "metric": "above = 1.0",
    "resource": "mean_above = 1.0",
    "volume": "normal = [1, 2]",
    "reconcile": 'against = "series:cdm_lag"',
    "quota": 'most = 5\nresets = "0 0 * * *"',
    "budget": "most = 5",
    "forecast": 'most = 5\nwithin = "3d"',
    "freshness": 'max_age = "1h"',
}
UNKNOWN = 'expected the name of a series that is measured, got "cdm_lgg"; did you mean "cdm_lag"?'


def refused(text: str) -> list[str]:
    load_text(
        BASE + text, Path("/nowhere")
    )  # only check refuses: a floor with one limit of nothing is better than none
    with pytest.raises(ConfigError) as caught:
        load_text(BASE + text, Path("/nowhere"), deep=True)
    return str(caught.value).splitlines()


def noted(text: str) -> list[str]:
    return list(load_text(BASE + text, Path("/nowhere"), deep=True).warnings)


@pytest.mark.parametrize("kind", MORE)
def test_what_is_owed_of_an_unknown_series_is_told(kind: str) -> None:
    more = MORE[kind].replace("series:cdm_lag", "series:rows_loaded")
    unit = BASE.replace('query = "max(lag)"', 'query = "max(lag)"\nunit = "time"')
    fine = unit if kind == "freshness" else BASE
    assert load_text(fine + owes(kind, more), Path("/nowhere"), deep=True).warnings == ()
    assert refused(owes(kind, more, "series:cdm_lgg")) == [f"watchfloor.toml:{AT + 3}: expectation[e].on: {UNKNOWN}"]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('[[limit]]\non = "cdm_lgg"\nlimit = 3\n', 2, f"limit[1].on: {UNKNOWN}"),
        ('[[limit]]\non = "cdm_lgg{topic=a}"\nlimit = 3\n', 2, f"limit[1].on: {UNKNOWN}"),
        ('[[limit]]\non = "spend"\nlimit = 3\n', 2, 'limit[1].on: expected the name of a series that is measured, got "spend"; add a [[series]] with name = "spend"'),
        ('[[limit]]\non = "hosts.cpu"\nlimit = 3\n', 2, 'limit[1].on: expected the name of a series that is measured, got "hosts.cpu"; did you mean "host.cpu"?'),
        ('[[limit]]\non = "rows_loaded"\nlimit = 3\n', 2, 'limit[1].on: expected the name of a series, got "rows_loaded", which each pipeline has one of; write "rows_loaded{*" for all of them, or "rows_loaded{pipeline=KEY}"'),
        (owes("reconcile", 'against = "series:cdm_lgg"'), 5, f"expectation[e].against: {UNKNOWN}"),
        (owes("reconcile", 'against = "series:cdm_*"'), 5, 'expectation[e].against: expected the name of one series, got the pattern "cdm_*"; write its name'),
        (owes("metric", 'above = 1\nevents = "series:cdm_lgg"'), 6, f"expectation[e].events: {UNKNOWN}"),
        ('[[check]]\nname = "c"\non = "*"\nseries = "cdm_lgg"\n', 4, f"check[c].series: {UNKNOWN}"),
        ('[[check]]\nname = "c"\non = "*"\nseries = "cdm_*"\n', 4, 'check[c].series: expected the name of one series, got the pattern "cdm_*"; write its name'),
        ('[[check]]\nname = "c"\non = "*"\nseries = "rows_loaded"\n', 4, 'check[c].series: expected the name of a [[series]], got "rows_loaded", which runs tell; hold it with an [[expectation]] that has series = "rows_loaded"'),
        ('[[check]]\nname = "c"\non = "*"\nseries = "host.cpu"\n', 4, 'check[c].series: expected the name of a [[series]], got "host.cpu", which this host has of itself; name a number that a source is asked for'),
        ('[[window]]\nname = "w"\non = "series:cdm_lgg"\nkind = "freeze"\nstart = "sun 02:00"\nend = "04:00"\n', 3, f"window[w].on: {UNKNOWN}"),
        ('[[route]]\nmatch = "series:cdm_lgg"\nto = ["desk"]\n', 2, f"route[series:cdm_lgg].match: {UNKNOWN}"),
    ],
)  # fmt: skip
def test_a_name_that_can_be_known_is_refused_at_its_line(text: str, line: int, words: str) -> None:
    assert refused(text) == [f"watchfloor.toml:{AT + line}: {words}"]


@pytest.mark.parametrize(
    "name",
    [
        "cdm_lag", "cdm_lag{topic=a}", "cdm_*", "cdm_lag{*", "*", "*lag*", "[a-z]*", "rows_loaded{pipeline=a:b}", "rows_loaded{*",
        "host.cpu", "host.disk:/data", "host.*", "h*", "host@db1:cpu", "host@*:disk:*", "own.memory", "own.poll.prom.ms",
        "run.*", "sea@orders:read.rows_s", "sea@*", "se*",
    ],
)  # fmt: skip
def test_what_can_be_answered_or_cannot_be_known_is_fine(name: str) -> None:
    assert noted(f'[[limit]]\non = "{name}"\nlimit = 3\n') == []
    assert noted(owes("metric", "above = 1", f"series:{name}")) == []


def test_an_expectation_of_what_each_pipeline_tells_means_all_of_them() -> None:
    assert noted(owes("metric", "above = 1", "series:rows_loaded")) == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cdm_lgg*", 'no series is called "cdm_lgg*"; did you mean "cdm_lag"?'),
        ("spend_*", 'no series is called "spend_*"; it means nothing until there is one'),
        ("rows_loaded_?", 'no series is called "rows_loaded_?"; did you mean "rows_loaded"?'),
        ("see@orders:read.rows_s", 'no source is called "see"; did you mean "sea"?'),
        ("talend@x:y", 'no source is called "talend"; it means nothing until there is one'),
    ],
)
def test_what_may_come_is_noted_and_not_refused(name: str, words: str) -> None:
    assert noted(f'[[limit]]\non = "{name}"\nlimit = 3\n') == [f"watchfloor.toml:{AT + 2}: limit[1].on: {words}"]


@pytest.mark.parametrize(
    ("name", "hint"), [("porm", 'did you mean "prom"?'), ("dwh", "nothing is kept until there is one")]
)
def test_a_series_of_no_source_is_noted_with_the_nearest(name: str, hint: str) -> None:
    text = f'[[series]]\nname = "x"\nsource = "{name}"\nquery = "up"\n'
    assert noted(text) == [f'watchfloor.toml:{AT + 3}: series[x].source: no source is called "{name}"; {hint}']


def test_a_name_of_another_file_is_known() -> None:
    more = {"b.toml": '[[series]]\nname = "spend"\nsource = "prom"\nquery = "up"\n'}
    text = BASE + '[[limit]]\non = "spend"\nlimit = 3\n'
    assert load_text(text, Path("/nowhere"), more, deep=True).warnings == ()


def test_check_says_it_with_its_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "watchfloor.toml"
    file.write_text(BASE + '[[limit]]\non = "cdm_lgg"\nlimit = 3\n')
    assert main(["check", "--config", str(file)]) == EXIT_BAD_INPUT
    assert capsys.readouterr().err == f"{file}:{AT + 2}: limit[1].on: {UNKNOWN}\n"
    file.write_text(BASE + '[[limit]]\non = "cdm_lgg*"\nlimit = 3\n')
    assert main(["check", "--config", str(file)]) == EXIT_OK
    shown = capsys.readouterr()
    assert f"warning: {file}:{AT + 2}: limit[1].on: no series is called" in shown.out
    assert "fine" in shown.out
