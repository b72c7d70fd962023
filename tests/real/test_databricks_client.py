"""The vendor's own client (databricks-sdk) drives the test server: its shapes are those that the client reads and writes.

The client is installed with pip into a virtual environment that is kept; the test is skipped with pip's own sentence where
that cannot be. It shows that the test server speaks as the client does, not that a workspace speaks as the test server.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers.databricks_like import DatabricksLike

pytestmark = pytest.mark.real
VERSION = "0.156.0"
CACHE = Path(os.environ.get("WATCHFLOOR_TEST_CACHE", "~/.cache/watchfloor-tests")).expanduser()
HEAD = """
import json, sys
from databricks.sdk import WorkspaceClient
from databricks.sdk.core import Config
from databricks.sdk.errors import *
from databricks.sdk.service import compute, jobs
given = json.load(sys.stdin)
cfg = Config(host=given["host"], token=given.get("token"), client_id=given.get("client_id"),
             client_secret=given.get("client_secret"), retry_timeout_seconds=given.get("patience", 20))
w = WorkspaceClient(config=cfg)
def said(what):
    print(json.dumps(what))
"""


@pytest.fixture(scope="module")
def python() -> Path:
    """A Python that has the client."""
    venv = CACHE / f"databricks-sdk-{VERSION}"
    venv.parent.mkdir(parents=True, exist_ok=True)
    with (venv.parent / f".databricks-sdk-{VERSION}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (venv / ".installed").exists():
            shutil.rmtree(venv, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
            pip = [str(venv / "bin/pip"), "install", "-q", "--disable-pip-version-check", f"databricks-sdk=={VERSION}"]
            done = subprocess.run(pip, capture_output=True, text=True, check=False)
            if done.returncode:
                last = (done.stderr.strip().splitlines() or ["pip failed"])[-1]
                pytest.skip(f"databricks-sdk {VERSION} cannot be installed here: {last}")
            (venv / ".installed").touch()
    return venv / "bin/python"


@pytest.fixture
def like() -> Iterator[DatabricksLike]:
    with DatabricksLike() as server:
        yield server
        assert server.invented == []


def drive(python: Path, like: DatabricksLike, script: str, **more: Any) -> Any:
    """What the script says last with the client ``w``; ``given`` holds ``more``."""
    given = {"host": like.url, "token": like.pat} | more
    env = {k: v for k, v in os.environ.items() if not k.startswith("DATABRICKS")} | {"HOME": "/nonexistent"}
    done = subprocess.run(
        [str(python), "-c", HEAD + script],
        input=json.dumps(given), capture_output=True, text=True, timeout=120, check=False, env=env,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_jobs_and_runs_as_the_client_reads_them(python: Path, like: DatabricksLike) -> None:
    many = [like.add_job(f"j{i}", tasks=("a",)) for i in range(230)]
    wide = like.add_job("wide", tasks=tuple(f"t{i}" for i in range(250)), tags={"a": "b"})
    runs = [like.add_run(many[0], "TERMINATED", "SUCCESS", ago_s=i) for i in range(70)]
    active = like.add_run(wide, params={"day": "2026-11-18"})
    found = drive(
        python,
        like,
        """
listed = list(w.jobs.list(expand_tasks=True, limit=100))
one = w.jobs.get(given["wide"])
seen = list(w.jobs.list_runs(limit=24))
active = list(w.jobs.list_runs(active_only=True, limit=24))
run = w.jobs.get_run(given["run"], include_history=True)
said({
    "jobs": [j.job_id for j in listed],
    "tasks": len(one.settings.tasks),
    "cron": one.settings.schedule.quartz_cron_expression,
    "paused": one.settings.schedule.pause_status.value,
    "runs": [r.run_id for r in seen],
    "states": sorted({r.state.result_state.value for r in seen if r.state.result_state}),
    "active": [(r.run_id, r.status.state.value, r.trigger.value, r.run_type.value) for r in active],
    "run_tasks": len({t.task_key for t in run.tasks}),
    "params": [(p.name, p.value) for p in run.job_parameters],
    "me": w.current_user.me().user_name,
    "levels": [a.all_permissions[0].permission_level.value
               for a in w.permissions.get("jobs", str(given["wide"])).access_control_list],
})
""",
        wide=wide,
        run=active,
    )
    assert set(found["jobs"]) == set(like.jobs)
    assert len(found["jobs"]) == 231
    assert (found["tasks"], found["run_tasks"]) == (250, 250)
    assert (found["cron"], found["paused"]) == ("0 30 7 * * ?", "UNPAUSED")
    assert set(found["runs"]) == {*runs, active}
    assert found["states"] == ["SUCCESS"]
    assert found["active"] == [[active, "RUNNING", "PERIODIC", "JOB_RUN"]]
    assert found["params"] == [["day", "2026-11-18"]]
    assert (found["me"], found["levels"]) == ("ops@example.com", ["CAN_MANAGE"])


def test_output_and_repairs_as_the_client_reads_them(python: Path, like: DatabricksLike) -> None:
    job = like.add_job("daily")
    run = like.add_run(job, "TERMINATED", "FAILED")
    found = drive(
        python,
        like,
        """
run = w.jobs.get_run(given["run"], include_history=True)
out = w.jobs.get_run_output(run.tasks[-1].run_id)
first = w.jobs.repair_run(given["run"], rerun_all_failed_tasks=True).response.repair_id
again = w.jobs.get_run(given["run"], include_history=True)
try:
    w.jobs.repair_run(given["run"], rerun_all_failed_tasks=True)
except DatabricksError as err:
    busy = type(err).__name__
w.jobs.cancel_run(given["run"])
said({
    "code": run.status.termination_details.code.value,
    "logs": out.logs, "error": out.error, "trace": out.error_trace,
    "repair": first,
    "history": [(h.type.value, h.id, len(h.task_run_ids)) for h in again.repair_history],
    "attempts": sorted((t.task_key, t.attempt_number) for t in again.tasks),
    "busy": busy,
})
""",
        run=run,
    )
    assert found["code"] == "RUN_EXECUTION_ERROR"
    assert (found["logs"], found["error"]) == ("report began\n", "ValueError: no rows")
    assert found["history"] == [["ORIGINAL", None, 3], ["REPAIR", found["repair"], 1]]
    assert found["attempts"] == [["extract", 0], ["load", 0], ["report", 0], ["report", 1]]
    assert found["busy"] in ("InvalidState", "BadRequest")
    assert like.runs[run].life == "TERMINATING"
    assert [e.what for e in like.effects] == ["repair", "cancel"]


def test_starting_and_pausing_as_the_client_does_it(python: Path, like: DatabricksLike) -> None:
    job = like.add_job("daily", parameters=[{"name": "day", "default": ""}])
    found = drive(
        python,
        like,
        """
ids = [w.jobs.run_now(given["job"], idempotency_token="tok", job_parameters={"day": "x"}).response.run_id for _ in range(2)]
had = w.jobs.get(given["job"]).settings.schedule
had.pause_status = jobs.PauseStatus.PAUSED
w.jobs.update(given["job"], new_settings=jobs.JobSettings(schedule=had))
now = w.jobs.get(given["job"]).settings
try:
    w.jobs.get(5)
except DatabricksError as err:
    missing = type(err).__name__
said({"ids": ids, "paused": now.schedule.pause_status.value, "zone": now.schedule.timezone_id, "missing": missing})
""",
        job=job,
    )
    assert len(set(found["ids"])) == 1, "one token, one run"
    assert [e.what for e in like.effects] == ["run-now", "update"]
    assert (found["paused"], found["zone"]) == ("PAUSED", "Europe/Paris")
    assert found["missing"] in ("InvalidParameterValue", "ResourceDoesNotExist")


def test_pipelines_and_clusters_as_the_client_reads_them(python: Path, like: DatabricksLike) -> None:
    pipes = [like.add_pipe(f"p{i}") for i in range(120)]
    old = like.add_update(pipes[0], "COMPLETED", ago_s=60)
    like.add_cluster("shared", autoscale={"min_workers": 1, "max_workers": 4})
    like.add_cluster("of a job", source="JOB")
    found = drive(
        python,
        like,
        """
listed = list(w.pipelines.list_pipelines(max_results=100))
made = w.pipelines.start_update(given["pipe"], full_refresh=False).update_id
try:
    w.pipelines.start_update(given["pipe"])
except DatabricksError as err:
    busy = type(err).__name__
events = list(w.pipelines.list_pipeline_events(
    given["pipe"], order_by=["timestamp asc"], filter="timestamp>='2020-01-01T00:00:00.000Z'", max_results=100))
updates = w.pipelines.list_updates(given["pipe"], max_results=25).updates
w.pipelines.stop(given["pipe"])
found = list(w.clusters.list(page_size=100, filter_by=compute.ListClustersFilterBy(
    cluster_sources=[compute.ClusterSource.UI, compute.ClusterSource.API])))
said({
    "pipes": len(listed), "made": made, "busy": busy,
    "latest": [u.state.value for u in listed[0].latest_updates], "iso": listed[0].latest_updates[0].creation_time,
    "events": [e.origin.update_id for e in events], "levels": [e.level.value for e in events],
    "updates": [(u.update_id, u.state.value, u.cause.value, type(u.creation_time).__name__) for u in updates],
    "clusters": [(c.cluster_name, c.state.value, c.autoscale.max_workers) for c in found],
    "state": w.pipelines.get(given["pipe"]).state.value,
})
""",
        pipe=pipes[0],
    )
    assert found["pipes"] == 120
    assert (found["latest"], found["iso"][-1]) == (["COMPLETED"], "Z")
    assert found["busy"] == "ResourceConflict"
    assert found["events"] == [old, found["made"]]
    assert found["updates"] == [[found["made"], "CREATED", "API_CALL", "int"], [old, "COMPLETED", "JOB_TASK", "int"]]
    assert found["clusters"] == [["shared", "RUNNING", 4]]
    assert found["state"] == "RUNNING"
    assert [e.what for e in like.effects] == ["update-now", "stop-update"]


def test_clusters_as_the_client_acts_on_them(python: Path, like: DatabricksLike) -> None:
    ident = like.add_cluster("shared", last_restarted_time=like.now() - 60_000)
    before = like.cluster_of(ident)["last_restarted_time"]
    script = """
def look():
    found = {c.cluster_id: c for c in w.clusters.list(page_size=100)}[given["id"]]
    why = found.termination_reason
    return [found.state.value, found.last_restarted_time, why and [why.code.value, why.type.value]]
try:
    getattr(w.clusters, given["what"])(given["id"])
    said(look())
except DatabricksError as err:
    said(type(err).__name__)
"""

    def does(what: str, cluster: str = ident) -> Any:
        return drive(python, like, script, id=cluster, what=what)

    assert does("start") in ("InvalidState", "BadRequest"), "it runs"
    assert does("restart") == ["RESTARTING", before, None]
    like.tick()
    assert does("delete") == ["TERMINATING", like.cluster_of(ident)["last_restarted_time"], None]
    like.tick()
    later = like.cluster_of(ident)["last_restarted_time"]
    assert later > before
    assert does("delete") == ["TERMINATED", later, ["USER_REQUEST", "SUCCESS"]]
    word, began, why = does("start")
    assert (word, why) == ("PENDING", None)
    assert began > later
    assert does("start", "0000-none") in ("InvalidParameterValue", "ResourceDoesNotExist")
    assert [e.what for e in like.effects] == ["cluster-restart", "cluster-delete", "cluster-start"]


def test_tokens_and_limits_as_the_client_meets_them(python: Path, like: DatabricksLike) -> None:
    found = drive(python, like, 'said(w.current_user.me().user_name)', token=None, client_id=like.client,
                  client_secret=like.client_secret)  # fmt: skip
    assert found == "ops@example.com"
    assert len(like.issued) == 1
    wrong = """
try:
    w.current_user.me()
except DatabricksError as err:
    said([type(err).__name__, str(err)])
"""
    kind, words = drive(python, like, wrong, token="dapiwrong")
    assert kind == "PermissionDenied", "the client takes it for a missing right; the adapter does not"
    assert words.startswith("Invalid access token.")
    like.fault = "429"
    assert drive(python, like, wrong.replace("DatabricksError", "Exception"), patience=1)[0] == "TimeoutError"
