"""Steps of past runs, through the engine against a server shaped like Airflow: only while somebody looks, and never in the way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from engine.ask import Ask
from engine.store.reader import Reader
from tests.engine.rig import Rig, until
from tests.servers.airflow_like import AirflowLike

RUNS = 12


@pytest.fixture
def server() -> Iterator[AirflowLike]:
    with AirflowLike() as found:
        found.add_dag("daily", tasks=("extract", "load", "report"))
        found.add_dag("other", tasks=("only",))
        for i in range(RUNS):
            found.add_run("daily", f"r{i:02d}", state="success", run_after=found.now() - timedelta(hours=RUNS - i))
            found.add_run("other", f"r{i:02d}", state="success", run_after=found.now() - timedelta(hours=RUNS - i))
        yield found


def rig(tmp_path: Path, server: AirflowLike, *, requests: str = "600/min") -> Rig:
    (tmp_path / "secret").write_text(server.password)
    (tmp_path / "secret").chmod(0o600)
    return Rig(
        tmp_path,
        f"""
[[source]]
name = "af"
kind = "airflow"
url = "{server.url}"
environment = "prod"
protected = false
poll = "5s"
requests = "{requests}"
auth = {{ user = "{server.user}", password = {{ file = "secret" }} }}
""",
    )


def asked(server: AirflowLike, dag: str = "daily") -> list[str]:
    """Runs whose steps the server was asked for, in the order of the questions."""
    parts = [r.path.split("/") for r in list(server.requests) if r.path.endswith("/taskInstances")]
    return [p[-2] for p in parts if p[-4] == dag]


def known(reader: Reader, key: str = "af:daily") -> int:
    found = reader.past_runs(key)
    return 0 if found is None else len(reader.past_steps([r.id for r in found.runs]))


def look(ask: Ask, key: str | None = "af:daily") -> None:
    ask("watch", **({"history": key} if key else {}))


def seen(r: Rig, n: int = RUNS) -> Reader:
    reader = r.reader()
    until(lambda: len(getattr(reader.past_runs("af:daily"), "runs", ())) >= n)
    return reader


def test_nothing_is_read_until_somebody_looks_and_then_newest_first_and_once(
    tmp_path: Path, server: AirflowLike
) -> None:
    with rig(tmp_path, server) as r:
        reader = seen(r)
        assert asked(server) == []
        with r.ask() as ask:
            look(ask)
            until(lambda: known(reader) == RUNS, 20)
            assert asked(server) == [f"r{i:02d}" for i in reversed(range(RUNS))]
            assert asked(server, "other") == []
            r.polled("af")
            look(ask)
            r.polled("af")
        assert len(asked(server)) == RUNS


def test_it_stops_when_the_screen_is_closed_and_goes_on_where_it_was(tmp_path: Path, server: AirflowLike) -> None:
    with rig(tmp_path, server) as r:
        reader = seen(r)
        with r.ask() as ask:
            look(ask)
            until(lambda: known(reader) >= 2)
            look(ask, None)
            then = len(asked(server))
            r.polled("af")  # time goes by, and what must be known is asked for
            r.polled("af")
            stopped = len(asked(server))
            assert stopped <= then + 4  # the look that was under way
            assert stopped < RUNS
            look(ask)
            until(lambda: known(reader) == RUNS, 20)
        assert sorted(asked(server)) == sorted(set(asked(server)))


def test_a_terminal_that_went_away_is_no_look(tmp_path: Path, server: AirflowLike) -> None:
    with rig(tmp_path, server) as r:
        reader = seen(r)
        with r.ask() as ask:
            look(ask)
            until(lambda: known(reader) >= 1)
        r.polled("af")
        before = len(asked(server))
        r.polled("af")
        r.polled("af")
        assert len(asked(server)) <= before + 4


def test_polls_go_on_in_time_while_steps_are_slow(tmp_path: Path, server: AirflowLike) -> None:
    server.slow_s = 0.4
    server.fault_on = lambda method, path: path.endswith("/taskInstances")
    with rig(tmp_path, server) as r:
        reader = seen(r)
        server.fault = "slow"
        with r.ask() as ask:
            look(ask)
            until(lambda: known(reader) >= 1)
            began = time.monotonic()
            r.polled("af")
            took = time.monotonic() - began
        assert took < 2.5, took  # one question of a history at most goes before it
        until(lambda: known(reader) >= 2)


def test_the_budget_is_kept(tmp_path: Path, server: AirflowLike) -> None:
    with rig(tmp_path, server, requests="30/min") as r:
        reader = seen(r)
        with r.ask() as ask:
            look(ask)
            until(lambda: len(asked(server)) >= 1)
            for _ in range(2):
                look(ask)
                r.polled("af")
        places = [i for i, r in enumerate(server.requests) if r.path.endswith("/taskInstances")]
        assert max(places) <= 30 - 30 // 3 + 1  # the last third is left for what must be known
        assert known(reader) < RUNS


def test_a_refusal_is_not_asked_for_ever(tmp_path: Path, server: AirflowLike) -> None:
    server.forbid = lambda method, path: path.endswith("/taskInstances")
    with rig(tmp_path, server) as r:
        seen(r)
        with r.ask() as ask:
            look(ask)
            until(lambda: len(asked(server)) >= 1)
            look(ask)
            r.polled("af")
            look(ask)
            r.polled("af")
        assert len(asked(server)) <= 2
