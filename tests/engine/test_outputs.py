"""Outputs through the whole engine: of a job of this host, and of a system whose steps are read only because one has an output."""

from __future__ import annotations

import sys
from pathlib import Path

from adapters.model import State
from engine.store.rows import OutputRow
from tests.engine.rig import Rig, until
from tests.engine.test_airflow_world import source
from tests.engine.test_engine import start
from tests.servers.airflow_like import AirflowLike

JOB = f"""
[[job]]
name = "facts"

[[job.step]]
name = "load_fact"
run = ["sh", "-c", "echo 1204 > FOLDER/out.csv"]

[[job.step]]
name = "publish"
run = ["sh", "-c", "exit 0"]

[[check]]
name = "fact-file"
on = "local:facts"
step = "load_fact"
file = "out.csv"
min_size = "1 B"

[[check]]
name = "fact-rows"
on = "local:facts"
step = "load_fact"
run = ["{sys.executable}", "-c", "print(open('FOLDER/out.csv').read().strip(), 'rows')"]

[[check]]
name = "published"
on = "local:facts"
step = "publish"
file = "nowhere.csv"

[[pipeline]]
match = "local:facts"
done_when = ["fact-rows"]
"""


def _all_asked(rig: Rig, run: str, n: int) -> dict[str, OutputRow]:
    """By name, once each was seen or not; empty before."""
    rows = {o.name: o for o in rig.reader().outputs(run)}
    return rows if len(rows) == n and all(o.state for o in rows.values()) else {}


def test_a_local_job_whose_steps_are_looked_at(tmp_path: Path) -> None:
    with Rig(tmp_path, JOB.replace("FOLDER", str(tmp_path))) as rig:
        run = start(rig, "facts")
        found = until(lambda: _all_asked(rig, run, 3), 30)
        assert (found["fact-rows"].state, found["fact-rows"].saw, found["fact-rows"].step) == (
            1,
            "1204 rows",
            "load_fact",
        )
        assert found["fact-file"].state == 1
        assert (found["published"].state, found["published"].saw) == (2, None)
        assert "nowhere.csv is not there" in found["published"].words
        until(lambda: [c.state for c in rig.reader().checks(run)] == [1], 30)
        detail = rig.reader().run(run)
        assert detail is not None
        assert detail.row.state is State.SUCCESS, "an output that is missing holds no run back"


def test_steps_of_a_success_are_read_where_one_has_an_output(tmp_path: Path) -> None:
    (tmp_path / "made.csv").write_text("abc")
    check = f'[[check]]\nname = "made"\non = "af:daily"\nstep = "load"\nrun = ["{sys.executable}", "-c", "print(42)"]\n'
    with AirflowLike() as server:
        server.add_dag("daily", tasks=("extract", "load"))
        server.add_dag("other", tasks=("extract", "load"))
        for dag in ("daily", "other"):
            server.add_run(dag, "r1", state="running")
        (tmp_path / "secret").write_text(server.password)
        (tmp_path / "secret").chmod(0o600)
        with Rig(tmp_path, source(server) + check) as rig:

            def state(dag: str) -> State | None:
                detail = rig.reader().run(f"af:{dag}/r1")
                return detail.row.state if detail else None

            until(lambda: state("daily") is State.RUNNING and state("other") is State.RUNNING)
            for dag in ("daily", "other"):
                for task in ("extract", "load"):
                    server.set_task(
                        dag, "r1", task, state="success", try_number=1, start=server.now(), end=server.now()
                    )
                server.runs[(dag, "r1")].state = "success"
                server.runs[(dag, "r1")].updated = server.now()

            def seen() -> bool:
                with rig.ask() as ask:
                    ask("poll", source="af")
                return any(o.saw == "42" for o in rig.reader().outputs("af:daily/r1"))

            until(seen, 30, every_s=2)  # not so often that nothing of its budget is left for steps
            daily, other = rig.reader().run("af:daily/r1"), rig.reader().run("af:other/r1")
            assert daily is not None
            assert other is not None
            assert {s.step for s in daily.steps} == {"extract", "load"}
            assert other.steps == (), "nothing is asked that nobody needs"
