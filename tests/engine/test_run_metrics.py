"""Numbers that runs print, through the engine: one sample a run, at its end; what is not told is not made up."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from engine.request import EXIT_BAD_INPUT, EXIT_OK
from tests.engine.rig import Rig, until
from tests.servers.airflow_like import AirflowLike
from tui.cli import main

QUICK = "import engine.poll.run_metrics as m; m.LOOK_S = 0.05; m.AGAIN_S = (0.2, 0.3, 0.4)"
METRIC = r"""
[[run_metric]]
name = "rows_loaded"
on = "af:load_*"
step = "load*"
regex = 'loaded (\S+) rows'
unit = "rows"
"""


@pytest.fixture
def server() -> Iterator[AirflowLike]:
    with AirflowLike() as found:
        found.add_dag("load_sales", tasks=("extract", "load_a", "load_b"))
        found.add_dag("other", tasks=("load_a",))
        yield found


def toml(server: AirflowLike, metrics: str = METRIC) -> str:
    return f"""
[[source]]
name = "af"
kind = "airflow"
url = "{server.url}"
poll = "1s"
requests = "6000/min"
auth = {{ user = "{server.user}", password = {{ file = "secret" }} }}
{metrics}"""


def rig(tmp_path: Path, server: AirflowLike, metrics: str = METRIC, *, start: bool = True) -> Rig:
    (tmp_path / "secret").write_text(server.password)
    (tmp_path / "secret").chmod(0o600)
    prelude = f"{QUICK}; import adapters.airflow as a; a.AirflowAdapter.min_poll_s = 0.2"
    return Rig(tmp_path, toml(server, metrics), prelude=prelude, start=start)


def samples(r: Rig, series: str = "rows_loaded{pipeline=af:load_sales}") -> list[tuple[int, float]]:
    """Raw readings, by time."""
    with sqlite3.connect(f"file:{r.place.store}?mode=ro", uri=True) as db:
        return db.execute(
            "SELECT o.t, o.value FROM sample_raw o JOIN series s ON s.id = o.series_id WHERE s.name = ? ORDER BY o.t", (series,)
        ).fetchall()  # fmt: skip


def logs_asked(server: AirflowLike) -> list[str]:
    """RUN/STEP of each log that was asked for, in the order of the questions."""
    parts = [x.path.split("/") for x in list(server.requests) if "/logs/" in x.path]
    return [f"{p[p.index('dagRuns') + 1]}/{p[p.index('taskInstances') + 1]}" for p in parts]


def done(server: AirflowLike, run: str, *words: str, dag: str = "load_sales", step: str = "load_a") -> int:
    """A run that was running says these and ends well; its end in ms."""
    for task in server.runs[(dag, run)].tasks:
        server.set_task(dag, run, task.task_id, try_number=1, start=server.now())
    if words:
        server.append_log(dag, run, step, *words)
    for task in server.runs[(dag, run)].tasks:
        server.set_task(dag, run, task.task_id, state="success", end=server.now())
    server.set_run(dag, run, "success")
    end = server.runs[(dag, run)].end
    assert end is not None
    return int(end.timestamp() * 1000)


def test_each_run_gives_one_sample_at_its_end(tmp_path: Path, server: AirflowLike) -> None:
    then = server.now() - timedelta(hours=30)
    server.add_run("load_sales", "history", state="success", run_after=then)
    with rig(tmp_path, server) as r:
        server.add_run("load_sales", "one", state="running")
        server.add_run("other", "one", state="running")
        until(lambda: len(r.runs()) >= 2)
        server.append_log("load_sales", "one", "extract", "loaded 99 rows")
        end = done(server, "one", "loaded 5 rows", "loaded 1,234 rows")
        done(server, "one", "loaded 7 rows", dag="other")
        found = until(lambda: samples(r))
        assert found == [(end, 1234.0)]
        server.add_run("load_sales", "two", state="running")
        until(lambda: any(x.key.endswith("/two") for x in r.runs()))
        end2 = done(server, "two", "loaded 8 rows")
        found = until(lambda: (s := samples(r)) and len(s) == 2 and s)
        assert found == [(end, 1234.0), (end2, 8.0)]
        r.polled("af")
        r.polled("af")
        asked = logs_asked(server)
        assert sorted(set(asked)) == ["one/load_a", "one/load_b", "two/load_a", "two/load_b"], (
            "no other step, no other run"
        )
        assert len(asked) == len(set(asked)), "each log once"
        chart = r.reader().chart(["rows_loaded{pipeline=af:load_sales}"], end - 60_000, end2 + 60_000, 10)
        assert chart["rows_loaded{pipeline=af:load_sales}"].peak == 1234.0


def test_what_several_steps_print_is_taken_as_it_is_said(tmp_path: Path, server: AirflowLike) -> None:
    metrics = METRIC + METRIC.replace("rows_loaded", "rows_all").replace("unit =", 'take = "sum"\nunit =')
    metrics += METRIC.replace("rows_loaded", "rows_max").replace("unit =", 'take = "max"\nunit =')
    with rig(tmp_path, server, metrics) as r:
        server.add_run("load_sales", "one", state="running")
        until(r.runs)
        server.set_task("load_sales", "one", "load_a", try_number=1)
        server.append_log("load_sales", "one", "load_a", "loaded 5 rows", "loaded 10 rows")
        done(server, "one", "loaded 7 rows", step="load_b")

        def told(name: str) -> list[float]:
            return [v for _, v in samples(r, f"{name}{{pipeline=af:load_sales}}")]

        until(lambda: told("rows_max"))
        assert (told("rows_loaded"), told("rows_all"), told("rows_max")) == ([7.0], [22.0], [10.0])
        assert sorted(logs_asked(server)) == ["one/load_a", "one/load_b"], "one fetch for all metrics"


def test_what_is_no_number_or_not_there_is_no_sample_and_said_once(tmp_path: Path, server: AirflowLike) -> None:
    with rig(tmp_path, server) as r:
        for n, words in enumerate((["loaded many rows"], ["loaded some rows"], ["nothing"], [])):
            server.add_run("load_sales", f"r{n}", state="running")
            until(lambda n=n: any(x.key.endswith(f"/r{n}") for x in r.runs()))
            done(server, f"r{n}", *words)
        until(lambda: "no line of the logs matches" in r.log.read_text())
        until(lambda: "is no number" in r.log.read_text())
        server.add_run("load_sales", "good", state="running")
        until(lambda: any(x.key.endswith("/good") for x in r.runs()))
        end = done(server, "good", "loaded 3 rows")
        assert until(lambda: samples(r)) == [(end, 3.0)]  # read after the others
        assert r.log.read_text().count("no line of the logs matches") == 1


def test_a_run_or_a_step_that_fails_is_not_measured(tmp_path: Path, server: AirflowLike) -> None:
    with rig(tmp_path, server) as r:
        server.add_run("load_sales", "bad", state="running")
        until(r.runs)
        server.set_task(
            "load_sales", "bad", "load_a", try_number=1, state="success", start=server.now(), end=server.now()
        )
        server.append_log("load_sales", "bad", "load_a", "loaded 5 rows")
        server.set_task(
            "load_sales", "bad", "load_b", try_number=1, state="failed", start=server.now(), end=server.now()
        )
        server.set_run("load_sales", "bad", "failed")
        until(lambda: any(x.key.endswith("/bad") and x.state.bad for x in r.runs()))
        server.add_run("load_sales", "good", state="running")
        until(lambda: any(x.key.endswith("/good") for x in r.runs()))
        for task, state in (("extract", "success"), ("load_a", "success"), ("load_b", "failed")):
            server.set_task("load_sales", "good", task, try_number=1, state=state, start=server.now(), end=server.now())
        server.append_log("load_sales", "good", "load_a", "loaded 6 rows")
        server.append_log("load_sales", "good", "load_b", "loaded 66 rows")
        server.set_run("load_sales", "good", "success")
        assert [v for _, v in until(lambda: samples(r))] == [6.0]


def test_a_log_that_does_not_come_is_asked_for_a_few_times_and_then_left(tmp_path: Path, server: AirflowLike) -> None:
    with rig(tmp_path, server) as r:
        server.fault_on = lambda method, path: "/logs/" in path
        server.fault = "500"
        server.add_run("load_sales", "one", state="running")
        until(r.runs)
        end = done(server, "one", "loaded 5 rows")
        until(lambda: len(logs_asked(server)) >= 2)
        server.fault = None
        assert until(lambda: samples(r)) == [(end, 5.0)], "it came late"
        server.fault = "500"
        server.add_run("load_sales", "two", state="running")
        until(lambda: any(x.key.endswith("/two") for x in r.runs()))
        done(server, "two", "loaded 5 rows")
        until(lambda: "the numbers of af:load_sales/two cannot be read" in r.log.read_text())
        asked = [a for a in logs_asked(server) if a.startswith("two/")]
        assert len(asked) == 4
        assert len(samples(r)) == 1


def test_what_ended_while_no_engine_looked_is_read_once(tmp_path: Path, server: AirflowLike) -> None:
    with rig(tmp_path, server) as r:
        server.add_run("load_sales", "one", state="running")
        server.add_run("load_sales", "two", state="running")
        until(lambda: len(r.runs()) >= 2)
        end1 = done(server, "one", "loaded 5 rows")
        until(lambda: samples(r))
        r.kill()
        end2 = done(server, "two", "loaded 6 rows")
        r.start()
        found = until(lambda: (s := samples(r)) and len(s) == 2 and s)
        assert sorted(found) == sorted([(end1, 5.0), (end2, 6.0)])
        assert [a for a in logs_asked(server) if a.startswith("one/")] == ["one/load_a", "one/load_b"]


def test_what_the_last_engine_did_not_come_to_read_is_read_by_the_next(tmp_path: Path, server: AirflowLike) -> None:
    with rig(tmp_path, server) as r:
        server.fault_on = lambda method, path: "/logs/" in path
        server.fault = "500"
        server.add_run("load_sales", "one", state="running")
        until(r.runs)
        end = done(server, "one", "loaded 5 rows")
        until(lambda: logs_asked(server))
        r.kill()
        assert samples(r) == []
        server.fault = None
        r.start()
        assert until(lambda: samples(r)) == [(end, 5.0)]


def test_jobs_of_this_host_print_numbers_too(tmp_path: Path) -> None:
    text = r"""
[[job]]
name = "load"

[[job.step]]
name = "one"
run = ["sh", "-c", "echo loaded 41 rows; echo loaded 42 rows"]

[[run_metric]]
name = "rows"
on = "local:load"
regex = 'loaded (?P<value>\d+) (?:rows)'
"""
    with Rig(tmp_path, text, prelude=QUICK) as r:
        until(lambda: [x for x in r.reader().floor() if x.name == "load"])
        with r.ask() as ask:
            plan = ask("plan", verb="start", key="local:load")
            ask("act", plan=plan["plan"], nonce=plan["nonce"], hash=plan["hash"])
        found = until(lambda: samples(r, "rows{pipeline=local:load}"))
        assert [v for _, v in found] == [42.0]


def test_what_is_expected_of_it_is_judged(tmp_path: Path) -> None:
    text = r"""
[[job]]
name = "load"

[[job.step]]
name = "one"
run = ["sh", "-c", "cat rows"]

[[run_metric]]
name = "rows"
on = "local:load"
regex = 'loaded (\d+) rows'
unit = "rows"

[[expectation]]
id = "enough-rows"
type = "volume"
on = "local:load"
series = "rows"
normal = [10.0, 100.0]
"""
    (tmp_path / "rows").write_text("loaded 5 rows\n")
    with Rig(tmp_path, text, prelude=QUICK) as r:

        def run() -> None:
            with r.ask() as ask:
                plan = ask("plan", verb="start", key="local:load")
                ask("act", plan=plan["plan"], nonce=plan["nonce"], hash=plan["hash"])

        until(lambda: [x for x in r.reader().floor() if x.name == "load"])
        run()
        alert = until(lambda: next(iter(r.reader().alerts()), None), 40)
        assert "5 rows, expected 10 rows to 100 rows" in f"{alert.title} {alert.body}", alert
        (tmp_path / "rows").write_text("loaded 50 rows\n")
        run()
        until(lambda: not r.reader().alerts(), 40)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("(\\S+)", "\\S+"), "expected one group"),
        (("(\\S+)", "(\\S+"), "cannot be read"),
        (('"rows_loaded"', '"host.x"'), "a name of your own"),
        (("unit", "take"), "one of last, sum, max"),
        (('regex = ', 'reg = '), "regex"),
        (('"rows_loaded"', '"lag"'), "is a [[series]] already"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_at_its_line(
    tmp_path: Path, server: AirflowLike, capsys: pytest.CaptureFixture[str], change: tuple[str, str], said: str
) -> None:
    (tmp_path / "secret").write_text(server.password)
    (tmp_path / "secret").chmod(0o600)
    file = tmp_path / "watchfloor.toml"
    series = (
        '\n[[source]]\nname = "in"\nkind = "files"\n\n[[series]]\nname = "lag"\nsource = "in"\nquery = "age load.log"\n'
    )
    file.write_text(toml(server) + series)
    assert main(["check", "--config", str(file)]) == EXIT_OK
    file.write_text(toml(server, METRIC.replace(*change)) + series)
    assert main(["check", "--config", str(file)]) == EXIT_BAD_INPUT
    told = capsys.readouterr().err
    assert "run_metric[" in told
    assert said in told
