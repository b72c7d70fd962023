"""What ``check`` sees of settings that only an adapter can judge: without network, without secrets, without drivers."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Adapter, Secret, SourceSettings
from adapters.errors import AuthFailed
from adapters.model import Caps
from engine import adapters_in
from engine.config.build import GROUP, installed_kinds
from engine.config.load import ConfigError, load_text
from engine.request import EXIT_BAD_INPUT, EXIT_OK
from tests.engine.rig import ROOT
from tui.cli import main

URLS = {
    "airflow": "https://a.example",
    "dagster": "https://d.example",
    "databricks": "https://d.example",
    "dataiku": "https://d.example",
    "http": "https://h.example",
    "kafka": "kafka://h.example:9092",
    "kafka_connect": "https://k.example",
    "prometheus": "https://p.example",
    "seatunnel": "https://s.example",
    "sql": "postgresql://h.example/d",
    "talend": "https://t.example",
}
NEEDS = {"command": 'commands = { rows = ["rows"] }', "commands": 'pipelines = ["load"], start = ["run"]'}
DRIVERS = ("confluent_kafka", "psycopg", "oracledb", "mssql_python", "pyodbc", "snowflake", "apprise", "textual")


def source(kind: str, options: str = "", name: str = "one", more: str = "") -> str:
    url = f'url = "{URLS[kind]}"\n' if kind in URLS else ""
    auth = 'auth = { user = "w", password = { env = "WF_ABSENT" } }\n' if kind == "sql" else ""
    name = "local" if kind == "local" else name
    given = ", ".join(part for part in (NEEDS.get(kind), options) if part)
    body = f"options = {{ {given} }}\n" if given else ""
    return f'[[source]]\nname = "{name}"\nkind = "{kind}"\n{url}{auth}{more}{body}'


def said(text: str) -> list[str]:
    """Problems of a configuration, without those of secrets that are not there."""
    with pytest.raises(ConfigError) as caught:
        load_text(text, Path("/nowhere"), deep=True)
    return [line for line in str(caught.value).splitlines() if "WF_ABSENT" not in line]


@pytest.fixture
def sealed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is asked, nothing is run, no secret of an adapter is read."""

    def never(*args: Any, **more: Any) -> Any:
        raise AssertionError("check asked somebody")

    monkeypatch.setattr(socket.socket, "connect", never)
    monkeypatch.setattr(socket, "getaddrinfo", never)
    monkeypatch.setattr(subprocess, "Popen", never)
    monkeypatch.setattr("engine.config.thorough._files", lambda *given: None)
    monkeypatch.setattr(Secret, "reveal", never)


@pytest.mark.usefixtures("sealed")
@pytest.mark.parametrize("kind", sorted(installed_kinds()))
def test_each_adapter_refuses_an_option_that_there_is_not(kind: str) -> None:
    text = source(kind, "tiemout = 3")
    (one,) = said(text)
    line = text[: text.index("options")].count("\n") + 1
    name = "local" if kind == "local" else "one"
    assert one.startswith(f"watchfloor.toml:{line}: source[{name}].options.tiemout: "), one
    assert "; did you mean " in one or "; known: " in one or "; it has " in one, one
    assert "\n" not in one
    load_text(text, Path("/nowhere"))  # a floor with one source that says so is better than none


@pytest.mark.usefixtures("sealed")
@pytest.mark.parametrize("kind", sorted(installed_kinds()))
def test_each_adapter_is_made_without_asking_anybody(kind: str) -> None:
    auth = (
        ""
        if kind in ("files", "sql", "local", "command", "commands", "seatunnel")
        else 'auth = { token = { env = "WF_ABSENT" } }\n'
    )
    config = load_text(source(kind, more=auth), Path("/nowhere"), deep=True)
    assert [w for w in config.warnings if "[[route]]" not in w] == []


@pytest.mark.usefixtures("sealed")
@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("airflow", "connect_timeout = 'soon'", "connect_timeout: option 'connect_timeout' of the airflow adapter is a number of seconds up to 600, not 'soon'"),
        ("airflow", "api = 'v3'", "api: option 'api' of the airflow adapter is \"v1\" or \"v2\", not 'v3'"),
        ("prometheus", "max_series = '9'", "max_series: expected a number from 1 to 5000, got '9'"),
        ("prometheus", "flet = 'x'", "flet: unknown key 'flet'; did you mean \"fleet\"?"),
        ("sql", "sslmode = 'on'", "sslmode: expected one of disable, allow"),
        ("sql", "warehouse = 'w'", "warehouse: unknown key 'warehouse' of postgresql; known: statement_timeout"),
        ("kafka", "mechanism = 'GSSAPI'", "mechanism: expected one of PLAIN, SCRAM"),
        ("kafka", "topics = ['t']", "topics: needs options.groups too"),
        ("http", "post = { '/search' = 3 }", "post: expected a path and its body as a table"),
        ("command", "env = { 'A B' = 'x' }", "env: 'A B' is no name of a variable"),
        ("commands", "states = { gone = 'green' }", "states.gone: option 'states.gone' of the commands adapter is one of queued"),
        ("files", "timeout = 31", "timeout: expected seconds, more than 0 and at most 30, got 31"),
        ("kubernetes", "in_cluster = 1", "in_cluster: option 'in_cluster' of the kubernetes adapter is true or false, not 1"),
        ("talend", "region = 'mars'", "region: option 'region' of the talend adapter is one of"),
        ("dataiku", "datasets = 'A.b'", "datasets: option 'datasets' of the dataiku adapter is a list of texts"),
        ("databricks", "clusters = 'yes'", "clusters: option 'clusters' of the databricks adapter is true or false"),
        ("seatunnel", "jobs = { a = 'a.txt' }", "jobs: option 'jobs' of the seatunnel adapter: 'a.txt' ends in none of"),
        ("kafka_connect", "rebalance_retries = 99", "rebalance_retries: option 'rebalance_retries' of the kafka_connect adapter"),
        ("local", "keep = 'all'", "keep: expected a whole number of runs from 1 to 100000, got 'all'"),
        ("local", "keep = 0", "keep: expected a whole number of runs"),
    ],
)  # fmt: skip
def test_an_option_of_another_kind_is_one_sentence_at_its_line(kind: str, options: str, words: str) -> None:
    text = source(kind, options)
    (one,) = said(text)
    line = text[: text.index("options")].count("\n") + 1
    name = "local" if kind == "local" else "one"
    assert one.startswith(f"watchfloor.toml:{line}: source[{name}].options.{words}"), one


@pytest.mark.usefixtures("sealed")
@pytest.mark.parametrize(
    "kind", ["airflow", "databricks", "dataiku", "http", "kafka", "kafka_connect", "prometheus", "talend"]
)
def test_a_credential_that_is_mistyped_is_told(kind: str) -> None:
    (one,) = said(source(kind, more='auth = { tokne = { env = "A" } }\n'))
    assert one.startswith("watchfloor.toml:"), one
    assert one.endswith("source[one].auth.tokne: unknown key 'tokne'; did you mean \"token\"?"), one


@pytest.mark.usefixtures("sealed")
@pytest.mark.parametrize("kind", ["commands", "files"])
def test_a_credential_where_there_is_none_is_told(kind: str) -> None:
    (one,) = said(source(kind, more='auth = { token = { env = "A" } }\n'))
    assert one.endswith(".auth: expected none, since this kind of source has no credentials; remove it"), one


def test_secrets_of_an_option_are_read_as_those_of_auth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WF_NOT_SET", raising=False)
    text = source("command", 'env = { PGPASSWORD = { env = "WF_NOT_SET" }, PGUSER = "w" }')
    assert said(text) == [
        "watchfloor.toml:4: source[one].options.env.PGPASSWORD: expected a secret from env:WF_NOT_SET, got none: "
        "the environment variable WF_NOT_SET is not set; set it where the engine is started"
    ]
    monkeypatch.setenv("WF_NOT_SET", "x")
    assert load_text(text, Path("/nowhere"), deep=True).sources


def test_an_option_of_many_lines_is_found_at_its_own() -> None:
    text = source("prometheus") + "[source.options]\nrate = '2m'\nhost_label = 'a b'\n"
    assert said(text) == [
        "watchfloor.toml:7: source[one].options.host_label: expected the name of a label, got 'a b'",
    ]


@pytest.mark.usefixtures("sealed")
@pytest.mark.parametrize(
    ("text", "words"),
    [
        (source("prometheus", more='auth = { user = "x" }\n'), "watchfloor.toml:5: source[one].auth: user and password belong together"),
        (source("prometheus", more='auth = { tokn = { env = "A" } }\n'), "watchfloor.toml:5: source[one].auth.tokn: unknown key 'tokn'; did you mean \"token\"?"),
        (source("files", more='url = "kafka://x"\n').replace("files", "kafka").replace("x", "h:9:9"), "watchfloor.toml:4: source[one].url: expected hosts with ports"),
        (source("command").replace("commands", "command"), "watchfloor.toml:4: source[one].options.command: unknown key 'command'; did you mean \"commands\"?"),
        ('[[source]]\nname = "c"\nkind = "command"\n', "watchfloor.toml:1: source[c].options.commands: expected names and their argv"),
    ],
)  # fmt: skip
def test_url_and_auth_are_blamed_where_they_are_to_blame(text: str, words: str) -> None:
    (one,) = said(text)
    assert one.startswith(words), one


def test_all_of_it_is_told_at_once() -> None:
    text = (
        source("prometheus", "flet = 'x'", "prom", 'auth = { token = { env = "WF_TEST_ABSENT_TOO" } }\n')
        + source("airflow", "api = 3", "flow")
        + '[[series]]\nname = "load"\nsource = "prom"\nquery = "sum(up"\n'
    )
    with pytest.raises(ConfigError) as caught:
        load_text(text, Path("/nowhere"), deep=True)
    assert [p.line for p in caught.value.problems] == [5, 6, 11, 15]
    assert "WF_TEST_ABSENT_TOO" in str(caught.value.problems[0])
    assert "expected a query of prometheus" in str(caught.value.problems[3])


def test_each_option_that_there_is_not_is_told_and_nothing_that_only_comes_of_another() -> None:
    told = said(source("kafka", "topics = ['t'], groups = 'all', grups = ['a'], rat = 60, rate = 1"))
    assert [one.partition(".options.")[2].partition(":")[0] for one in told] == ["groups", "grups", "rat"]


def test_a_source_that_is_wrong_already_is_told_once() -> None:
    (one,) = said(source("prometheus", "flet = 'x'").replace("https://p.example", "p.example"))
    assert "source[one].url" in one


@pytest.mark.usefixtures("sealed")
@pytest.mark.parametrize("kind", ["airflow", "databricks", "kubernetes", "kafka_connect", "commands"])
def test_a_series_needs_a_source_that_answers_queries(kind: str) -> None:
    text = source(kind) + '[[series]]\nname = "x"\nsource = "one"\nquery = "up"\n'
    (one,) = said(text)
    line = text[: text.index('source = "one"')].count("\n") + 1
    start = f"watchfloor.toml:{line}: series[x].source: expected a source that answers queries, got one ({kind}): "
    assert one.startswith(start), one
    assert one.endswith("; name a source of another kind, like sql or prometheus")


# --- adapters of others -----------------------------------------------------------------------------------------------


class Stumbling(Adapter):
    kind = "odd"

    def __new__(cls, settings: SourceSettings) -> Stumbling:
        cls.__abstractmethods__ = frozenset()
        return super().__new__(cls)

    def __init__(self, settings: SourceSettings) -> None:
        raise KeyError("x")


class Curious(Stumbling):
    """It reads its secret when it is made: that is not for a look."""

    def __init__(self, settings: SourceSettings) -> None:
        token = settings.auth["token"]
        assert isinstance(token, Secret)
        token.reveal()


class Strict(Stumbling):
    def __init__(self, settings: SourceSettings) -> None:
        raise ValueError("options.\x1b[31m: expected \x1b[31mnothing\nat all")


class Odd(Stumbling):
    def __init__(self, settings: SourceSettings) -> None:
        super(Stumbling, self).__init__(settings)

    @classmethod
    def wrong_query(cls, text: str) -> str | None:
        raise IndexError("x")

    caps = Caps(frozenset({"metrics"}))  # pyright: ignore[reportAssignmentType]


@pytest.fixture
def another(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """An adapter of the kind ``odd`` behind an entry point of this value."""
    real = entry_points

    def install(value: str) -> None:
        point = EntryPoint("odd", value, GROUP)

        def found(**asked: str) -> Any:
            return [point] if asked.get("name") == "odd" else real(**asked)

        monkeypatch.setattr(adapters_in, "entry_points", found)

    return install


ODD = '[[source]]\nname = "odd"\nkind = "odd"\nauth = { token = { env = "HOME" } }\noptions = { a = 1 }\n'
KINDS = frozenset({"odd"})


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (
            "not_there_at_all:Adapter",
            "the adapter for kind 'odd' needs the Python package 'not_there_at_all'; install it",
        ),
        ("tests.config.test_thorough:KINDS", "the entry point 'odd' is not an Adapter"),
        ("tests.config.test_thorough:Nobody", "the adapter for kind 'odd' cannot be loaded (AttributeError)"),
        ("tests.config.test_thorough:Stumbling", "the adapter stumbled (KeyError)"),
        ("tests.config.test_thorough:Curious", "no secret from env:HOME"),
    ],
)
def test_what_cannot_be_looked_at_is_said_and_not_refused(
    another: Callable[[str], None], value: str, words: str
) -> None:
    another(value)
    config = load_text(ODD, Path("/nowhere"), kinds=KINDS, deep=True)
    (one,) = [w for w in config.warnings if "[[route]]" not in w]
    assert words in one
    assert "source[odd]" in one


def test_an_adapter_that_stumbles_over_a_query_is_said(another: Callable[[str], None]) -> None:
    another("tests.config.test_thorough:Odd")
    text = ODD + '[[series]]\nname = "x"\nsource = "odd"\nquery = "up"\n'
    config = load_text(text, Path("/nowhere"), kinds=KINDS, deep=True)
    (one,) = [w for w in config.warnings if "[[route]]" not in w]
    assert one.startswith(
        "watchfloor.toml:9: series[x].query: its query could not be looked at: the adapter stumbled (IndexError)"
    )


def test_an_empty_query_is_told_once() -> None:
    assert len(said(source("prometheus") + '[[series]]\nname = "x"\nsource = "one"\nquery = ""\n')) == 1


def test_the_words_of_an_adapter_are_harmless(another: Callable[[str], None]) -> None:
    another("tests.config.test_thorough:Strict")
    with pytest.raises(ConfigError) as caught:
        load_text(ODD, Path("/nowhere"), kinds=KINDS, deep=True)
    assert str(caught.value).isprintable()


def test_a_look_leaves_nothing_behind_and_gives_no_secret() -> None:
    with pytest.raises(AuthFailed):
        adapters_in.try_adapter(Curious, _settings(), Path(), Path())


def _settings() -> Any:
    return load_text(ODD, Path("/nowhere"), kinds=KINDS).sources[0]


# --- the command ------------------------------------------------------------------------------------------------------


def test_check_refuses_with_exit_2_and_names_the_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "watchfloor.toml"
    file.write_text(source("prometheus", "flet = 'x'"))
    assert main(["check", "--config", str(file)]) == EXIT_BAD_INPUT
    shown = capsys.readouterr()
    assert shown.err == f"{file}:5: source[one].options.flet: unknown key 'flet'; did you mean \"fleet\"?\n"
    assert shown.out == ""
    file.write_text(source("prometheus", "fleet = 'job=\"node\"'"))
    assert main(["check", "--config", str(file)]) == EXIT_OK
    assert list(tmp_path.iterdir()) == [file]


def test_check_loads_no_driver(tmp_path: Path) -> None:
    file = tmp_path / "watchfloor.toml"
    names = sorted(installed_kinds() - {"local"})
    text = "".join(source(kind, name=f"a{n}") for n, kind in enumerate(names)).replace("WF_ABSENT", "HOME")
    for scheme in ("oracle", "sqlserver", "snowflake", "sqlite"):
        url, auth = f"{scheme}://h/d", 'auth = { user = "w", password = { env = "HOME" } }\n'
        url, auth = ("sqlite:///d.db", "") if scheme == "sqlite" else (url, auth)
        text += f'[[source]]\nname = "{scheme}"\nkind = "sql"\nurl = "{url}"\n{auth}'
    file.write_text(text)
    code = (
        f"import sys; from tui.cli import main; c = main(['check', '--config', {str(file)!r}]); print(c, *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    last = done.stdout.splitlines()[-1].split()
    assert last[0] == str(EXIT_OK), done.stderr
    assert not [name for name in last if name.partition(".")[0] in DRIVERS]
