"""A whole configuration: the published sample, further files, defaults, selectors, the hash."""

from __future__ import annotations

import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from adapters.model import Severity
from engine.config.load import ConfigError, load, load_text
from engine.config.model import Facts, SecretRef, matches
from engine.config.units import Moment
from engine.owed.calendar import parse_days

SAMPLE = Path(__file__).parent / "data" / "sample.toml"
KINDS = ("airflow", "local", "prometheus")
JOB = '[[job]]\nname = "{}"\n[[job.step]]\nname = "s"\nrun = ["true"]\n'
SOURCE = '[[source]]\nname = "af"\nkind = "airflow"\nurl = "https://a.example"\n'


def test_the_published_sample_loads_with_everything_in_our_units() -> None:
    config = load(SAMPLE, kinds=KINDS)
    folder = SAMPLE.parent
    assert (config.timezone, config.ui, config.keys) == ("Europe/Paris", {"theme": "dark"}, {"run.stop": ("x",)})
    assert config.store.path == folder / "floor.db"
    assert config.store.retain_runs_ms == 400 * 86_400_000
    assert config.runbooks == folder / "runbooks"
    assert [(e.name, e.color) for e in config.environments] == [("prod", "red"), ("local", "")]

    airflow, local = config.sources
    assert (airflow.name, airflow.kind, airflow.environment, airflow.protected) == (
        "prod-airflow",
        "airflow",
        "prod",
        True,
    )
    assert (airflow.poll_ms, airflow.requests_per_min, airflow.include, airflow.timezone) == (
        10_000,
        60,
        ("cdm_*",),
        "UTC",
    )
    assert airflow.auth == {"user": "ops", "password": SecretRef("env", "AIRFLOW_PASSWORD")}
    assert (airflow.tls_verify, airflow.tls_ca) == (True, folder / "corp.pem")
    assert (local.name, local.kind, local.environment, local.protected) == ("local", "local", "local", False)

    (rule,) = config.pipelines
    assert (rule.match, rule.application, rule.layer, rule.criticality) == (
        "prod-airflow:cdm_*",
        "CDM",
        "LDZ",
        Severity.HIGH,
    )
    assert (rule.business_date, rule.consumers, rule.done_when) == ("start - 1d", ("bi-team",), ("rows-ldz",))
    (job,) = config.jobs
    assert (job.schedule, job.timezone, job.after) == ("*/5 * * * *", "Europe/Paris", ("mart_to_ldz",))
    assert (job.timeout_ms, job.retries, job.retry_delay_ms, job.overlap, job.catchup) == (
        600_000,
        1,
        30_000,
        "skip",
        "none",
    )
    assert job.steps[0].run == ("python", "load.py", "--date", "{business_date}")
    assert [(c.name, c.url) for c in config.contacts] == [
        ("ana", SecretRef("env", "ANA_APPRISE_URL")),
        ("desk", SecretRef("file", "desk.url")),
    ]
    (route,) = config.routes
    op, severity = route.severity
    assert (route.match, op, severity, route.to, route.fallback) == (
        "env:prod",
        ">=",
        Severity.MEDIUM,
        ("ana",),
        "desk",
    )
    owed, whole, comes = config.expectations
    assert (owed.due, owed.days, owed.alert_if_late_by_ms, owed.severity) == (
        360,
        parse_days("mon-fri"),
        900_000,
        Severity.HIGH,
    )
    assert (owed.calendar, owed.expected_ms, owed.warn, owed.place) == ("fr-bank", 2_640_000, 0.5, "sample.toml:91")
    assert (whole.on, whole.of, whole.days.text) == ("set:night-set", ("prod-airflow:cdm_*",), "last business day")
    assert (comes.on, comes.due, comes.margin_ms) == ("feed:eia", 285, 600_000)
    works = config.calendars["fr-bank"]
    assert (works.zone, works.hours) == ("Europe/Paris", ((540, 1080),))
    assert works.why_closed(date(2026, 12, 25)) == "holiday of fr-bank: Noël"
    assert works.why_closed(date(2026, 7, 14)) == "holiday of fr-bank: Fête nationale"
    assert works.is_business_day(date(2026, 11, 20))
    (feed,) = config.feeds
    assert (feed.file, feed.feeds, feed.buffer_ms) == (
        str(folder / "in/eia_{business_date}.csv"),
        ("prod-airflow:cdm_*",),
        900_000,
    )
    (check,) = config.checks
    assert (check.name, check.run, check.timeout_ms) == ("rows-ldz", ("python", "rows.py", "{business_date}"), 20_000)
    assert rule.after == ("feed:eia",)
    (window,) = config.windows
    assert (window.start, window.end, window.expect) == (Moment(120, 6), Moment(240), "shift")
    assert (config.access[0].allow, config.access[0].role) == (("group:dataops",), "operator")
    assert config.series[0].normal == (0.0, 5000.0)


def test_what_the_sample_cannot_keep_is_said() -> None:
    said = [text.removeprefix(f"{SAMPLE}:") for text in load(SAMPLE, kinds=KINDS).warnings]
    assert said == [
        '65: job[ldz_to_rdv].after[1]: no job is called "mart_to_ldz"; until there is one, ldz_to_rdv is not started after it',
        '134: series[cdm_lag].source: no source is called "prom"; nothing is kept until there is one',
    ]


def test_a_source_is_protected_unless_it_says_otherwise() -> None:
    text = SOURCE + SOURCE.replace('"af"', '"dev"') + "protected = false\n" + JOB.format("j")
    config = load_text(text, kinds=KINDS)
    assert {s.name: s.protected for s in config.sources} == {"af": True, "dev": False, "local": False}
    assert {s.name: s.environment for s in config.sources} == {"af": "af", "dev": "dev", "local": "local"}


def test_local_may_be_written_out_and_then_exists_once() -> None:
    text = '[[source]]\nname = "local"\nkind = "local"\nenvironment = "prod"\nprotected = true\n' + JOB.format("j")
    (local,) = load_text(text, kinds=KINDS).sources
    assert (local.environment, local.protected) == ("prod", True)


def test_a_program_may_be_given_any_words() -> None:
    text = (
        JOB.format("j").replace('["true"]', '["sh", "", " ", "a\\nb\\t\\u00e9"]')
        + 'env = { EMPTY = "", LINES = "1\\n2" }\n'
    )
    step = load_text(text).jobs[0].steps[0]
    assert step.run == ("sh", "", " ", "a\nb\té")
    assert step.env == {"EMPTY": "", "LINES": "1\n2"}


def test_options_are_the_adapters_own_and_pass_as_they_are() -> None:
    text = SOURCE + 'options = { partition_key = "id", token_url = "https://t", deep = { list = [1, "a"] } }'
    options = load_text(text, kinds=KINDS).sources[0].options
    assert options == {"partition_key": "id", "token_url": "https://t", "deep": {"list": [1, "a"]}}


def test_no_jobs_no_local_source_and_an_empty_file_is_a_configuration() -> None:
    config = load_text("")
    assert (config.sources, config.timezone) == ((), "UTC")
    assert config.warnings == (
        "watchfloor.toml: nobody would be told: there is no [[route]]; alerts are seen on screen only",
    )


def test_further_files_add_entries_by_name_and_see_each_other(tmp_path: Path) -> None:
    (tmp_path / "watchfloor.d").mkdir()
    (tmp_path / "watchfloor.toml").write_text(JOB.format("b").replace('"b"', '"b"\nafter = ["a"]'))
    (tmp_path / "watchfloor.d" / "20.toml").write_text(JOB.format("a"))
    (tmp_path / "watchfloor.d" / "10.toml").write_text(JOB.format("c") + '[environment.prod]\ncolor = "red"\n')
    (tmp_path / "watchfloor.d" / "ignored.txt").write_text("not toml")
    config = load(tmp_path / "watchfloor.toml")
    assert [j.name for j in config.jobs] == ["b", "c", "a"]
    assert config.environment("prod").color == "red"
    assert [p.name for p in config.files] == ["watchfloor.toml", "10.toml", "20.toml"]
    assert not any("no job is called" in w for w in config.warnings)


def test_the_hash_is_of_all_files_and_not_of_line_ends(tmp_path: Path) -> None:
    main, more = tmp_path / "watchfloor.toml", tmp_path / "watchfloor.d"
    more.mkdir()
    main.write_bytes(b'timezone = "UTC"\n')
    first = load(main).hash
    main.write_bytes(b'timezone = "UTC"\r\n')
    assert load(main).hash == first
    (more / "a.toml").write_text(JOB.format("a"))
    second = load(main).hash
    assert second != first
    shutil.move(more / "a.toml", more / "b.toml")
    assert load(main).hash not in (first, second)


def test_a_bad_file_changes_nothing_and_every_problem_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        load_text('timezone = 5\n[ui]\ntheme = ""\n[[route]]\nmatch = "*"\nto = ["ana"]\n')
    assert [(p.line, p.key) for p in caught.value.problems] == [(1, "timezone"), (3, "ui.theme"), (6, "route[*].to[1]")]
    assert len(str(caught.value).splitlines()) == 3


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*", True),
        ("prod-airflow:cdm_sales", True),
        ("prod-airflow:cdm_*", True),
        ("prod-airflow:cdm_?", False),
        ("*:cdm_sales", True),
        ("other:cdm_sales", False),
        ("app:CDM", True),
        ("app:cdm", False),
        ("layer:L*", True),
        ("tag:nightly", True),
        ("tag:hourly", False),
        ("env:prod", True),
        ("env:pro", False),
        ("src:prod-airflow", True),
        ("src:prod", False),
    ],
)
def test_selectors(pattern: str, expected: bool) -> None:
    facts = {
        "environment": "prod",
        "source": "prod-airflow",
        "application": "CDM",
        "layer": "LDZ",
        "tags": ("nightly",),
    }
    assert matches(pattern, Facts(key="prod-airflow:cdm_sales", **facts)) is expected
    assert matches(pattern, Facts(key="prod-airflow:cdm_sales/r1#load.3", **facts)) is expected


def test_selectors_of_a_source_itself_and_of_unknown_facts() -> None:
    assert matches("prod-airflow:*", Facts(key="prod-airflow"))
    assert not matches("prod-airflow:cdm_*", Facts(key="prod-airflow"))
    assert matches("src:prod-*", Facts(key="prod-airflow"))
    assert not matches("app:*", Facts(key="a:b"))
    assert not matches("env:*", Facts(key="a:b"))


def test_reading_a_configuration_loads_nothing_heavy() -> None:
    code = (
        f"import sys; from pathlib import Path; from engine.config.load import load; load(Path({str(SAMPLE)!r}), kinds={KINDS!r});"
        "import engine.config.doctor, engine.config.starter, engine.config.schema;"
        "print([m for m in ('httpx','apprise','sqlite_utils','textual','pydantic','msgspec') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert done.stdout.strip() == "[]"
