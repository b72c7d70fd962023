"""The vendor's own client drives the server that stands in for DSS: where its shapes were wrong, the client would stumble."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.real.airflow_server import CACHE
from tests.servers.dataiku_like import DataikuLike
from tests.servers.dataiku_state import Job

pytestmark = pytest.mark.real

VERSION = "15.2.0"
NEEDS = (f"dataiku-api-client=={VERSION}", "six")  # it imports six and does not say so

RULES = [{"id": "r1", "name": "no nulls", "outcome": "ERROR", "message": "3 nulls", "computeDate": 8_000}]
DRIVE = """
import json, sys, warnings
warnings.simplefilter("ignore")
import dataikuapi

url, key = sys.argv[1:3]
client = dataikuapi.DSSClient(url, key)
out = {}
out["who"] = client.get_auth_info()["authIdentifier"]
out["node"] = client.get_instance_info().node_type
out["projects"] = client.list_project_keys()
out["running"] = [f["jobId"] for f in client.list_running_scenarios(all_users=True)]
out["futures"] = len(client.list_futures(all_users=True))
out["jobs_now"] = [j.job_id for j in client.list_running_jobs()]
project = client.get_project("CDM")
out["permissions"] = sorted(project.get_permissions())
out["scenarios"] = [(s["id"], s.running) for s in project.list_scenarios()]
scenario = project.get_scenario("daily")
status = scenario.get_status()
out["status"] = [status.running, status.next_run is not None]
settings = scenario.get_settings()
out["settings"] = [settings.active, len(settings.raw_triggers), [s["name"] for s in settings.raw_steps], settings.effective_run_as]
runs = scenario.get_last_runs(limit=5)
out["runs"] = [(r.id, r.running) for r in runs]
bad = scenario.get_run(sys.argv[3])
out["bad"] = [bad.outcome, bad.trigger["type"], bad.duration > 0]
details = bad.get_details()
out["steps"] = [(s["step"]["name"], s.outcome, s.job_ids) for s in details.steps]
out["why"] = details.first_error_details["message"]
out["log"] = bad.get_log(step_id="s_report")
out["whole_log"] = len(bad.get_log()) > 0
out["by_date"] = len(scenario.get_runs_by_date("2026-11-01", "2026-12-01"))
dataset = project.get_dataset("sales")
out["datasets"] = [d["name"] for d in project.list_datasets()]
info = dataset.get_info()
out["built"] = [info.is_last_build_successful, info.last_build_end_time is not None]
out["rows"] = dataset.get_last_metric_values().get_global_value("records:COUNT_RECORDS")
rules = dataset.get_data_quality_rules()
out["rules"] = [(r.name, r.outcome, r.message, r.compute_date) for r in rules.get_last_rules_results()]
out["project_jobs"] = [j.job_id for j in project.list_jobs()]
job = project.start_job({"type": "RECURSIVE_BUILD", "outputs": [{"type": "DATASET", "id": "sales", "projectKey": "CDM", "partition": None}]})
out["job"] = [job.get_status()["baseStatus"]["state"], job.get_log()]
job.abort()
out["job_after"] = job.get_status()["baseStatus"]["state"]
definition = scenario.get_definition()
definition["active"] = False
scenario.set_definition(definition)
out["paused"] = [scenario.get_settings().active, len(scenario.get_settings().raw_triggers)]
scenario.abort()
fire = scenario.run({"day": "2026-11-18"})
out["fired"] = [fire.trigger_id, fire.is_cancelled(refresh=True), fire.get_scenario_run() is None]
print(json.dumps(out))
sys.stdout.flush()
sys.stdin.readline()
run = fire.get_scenario_run()
print(json.dumps([run.running, run.trigger["id"]]))
"""


def python() -> Path:
    """A python with the vendor's client; skips with pip's own sentence where the network refuses."""
    venv = CACHE / f"dataiku-client-{VERSION}"
    venv.parent.mkdir(parents=True, exist_ok=True)
    with (venv.parent / f".dataiku-client-{VERSION}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (venv / ".installed").exists():
            shutil.rmtree(venv, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
            pip = [str(venv / "bin/pip"), "install", "-q", "--disable-pip-version-check"]
            done = subprocess.run([*pip, *NEEDS], capture_output=True, text=True, check=False)
            if done.returncode:
                lines = done.stderr.splitlines()
                said = [line for line in lines if line.startswith("ERROR")] or lines
                pytest.skip(f"{NEEDS[0]} cannot be installed here: {said[-1] if said else 'pip said nothing'}")
            (venv / ".installed").touch()
    return venv / "bin" / "python"


def test_the_vendors_client_reads_and_acts(tmp_path: Path) -> None:
    script = tmp_path / "drive.py"
    script.write_text(DRIVE)
    with DataikuLike() as like:
        like.add_scenario("CDM", "daily")
        like.add_dataset(
            "CDM", "sales", built=(1_000, 2_000, True), metrics={"records:COUNT_RECORDS": "4120"}, rules=RULES
        )
        bad = like.add_run("CDM", "daily", outcome="FAILED")
        now = like.add_run("CDM", "daily")
        like.jobs[("CDM", "Build_x.1")] = Job("CDM", "Build_x.1", "RECURSIVE_BUILD", [], "ana", 1, "RUNNING", 5_000)
        with subprocess.Popen(
            [python(), script, like.url, like.key.secret, bad.id],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as client:  # fmt: skip
            assert client.stdout is not None
            line = client.stdout.readline()
            if not line:
                raise AssertionError(client.communicate()[1][-2000:])
            said: dict[str, Any] = json.loads(line)
            like.tick()
            rest, errors = client.communicate("go\n", timeout=60)
        assert client.returncode == 0, errors[-2000:]
        assert json.loads(rest) == [True, "manual"]
        assert said["who"] == "ana"
        assert said["node"] == "AUTOMATION"
        assert said["projects"] == ["CDM"]
        assert said["rules"] == [["no nulls", "ERROR", "3 nulls", 8_000]]
        assert said["running"] == [f"future-{now.id}"]
        assert said["jobs_now"] == ["Build_x.1"]
        assert said["scenarios"] == [["daily", True]]
        assert said["status"] == [True, True]
        assert said["settings"] == [True, 1, ["extract", "load", "report"], "ana"]
        assert said["runs"] == [[now.id, True], [bad.id, False]]
        assert said["bad"] == ["FAILED", "temporal", True]
        assert said["steps"] == [["extract", "SUCCESS", []], ["load", "SUCCESS", []], ["report", "FAILED", []]]
        assert said["why"] == "ORA-00001: unique constraint"
        assert said["log"].startswith("[INFO] report begins")
        assert (said["whole_log"], said["by_date"]) == (True, 2)
        assert (said["datasets"], said["built"], said["rows"]) == (["sales"], [True, True], 4120)
        assert said["job"] == ["NOT_STARTED", "[INFO] queued\n"]
        assert said["job_after"] == "ABORTED"
        assert said["paused"] == [False, 1], "as our pause does it: the triggers stay"
        assert said["fired"] == ["manual", False, True]
        assert like.refused == []
        assert [e.what for e in like.effects] == ["job", "abort job", "light", "abort", "run"]
