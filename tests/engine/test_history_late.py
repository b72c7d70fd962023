"""What ends between a poll and the answer about a pipeline's past is news, whoever tells it first."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.model import State
from tests.engine.rig import Rig, until
from tests.engine.test_airflow_world import source, state_of
from tests.engine.test_quiet import FAST
from tests.servers.airflow_like import AirflowLike


class Late(AirflowLike):
    """At the moment at which a DAG's past is asked for its run fails, and another one comes and fails."""

    def answer_to(self, asked: Any) -> Any:
        found = re.fullmatch(r"/api/v2/dags/(\w+)/dagRuns", asked.path)
        if found and "failed" in asked.query.get("state", ()):
            run = self.runs.get((found[1], "known"))
            if run is not None and run.state == "running":
                run.state, run.end, run.updated = "failed", self.now(), self.now()
                self.add_run(found[1], "quick", state="failed")
        return super().answer_to(asked)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Late]:
    with Late() as found:
        found.add_dag("daily", tasks=("load",))
        found.add_run("daily", "known", state="running")
        (tmp_path / "secret").write_text(found.password)
        (tmp_path / "secret").chmod(0o600)
        yield found


def test_a_failure_that_history_tells_first_is_an_alert(tmp_path: Path, server: Late) -> None:
    with Rig(tmp_path, source(server), prelude=FAST) as r:
        until(lambda: state_of(r, "af:daily/known") is State.FAILED)
        until(lambda: state_of(r, "af:daily/quick") is State.FAILED)
        (alert,) = until(lambda: r.reader().alerts(open_only=False))
        told = until(lambda: len(r.reader().alert_events(alert.id)) >= 2 and r.reader().alert_events(alert.id))
        assert alert.key == "af:daily"
        assert told, "both of them are in it"
        said = until(lambda: r.reader().run("af:daily/known").steps)  # type: ignore[union-attr]
        assert said[0].step == "load", "what failed is looked at, whoever told of it"
