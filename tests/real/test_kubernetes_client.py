"""The official Python client of Kubernetes drives the test server: what it accepts there has the shapes of the real API.

Its models are generated from the API's own description and check types and required fields. Which calls were driven stands
in docs/systems/kubernetes.md.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.kubernetes_like import KubernetesLike

pytestmark = pytest.mark.real
VERSION = "37.0.2"
CACHE = Path(os.environ.get("WATCHFLOOR_TEST_CACHE", "~/.cache/watchfloor-tests")).expanduser()

DRIVER = """
import json, sys
from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException

config.load_kube_config(sys.argv[1])
batch, core, version = client.BatchV1Api(), client.CoreV1Api(), client.VersionApi()
out = {"version": version.get_code().git_version}

review = client.V1SelfSubjectAccessReview(spec=client.V1SelfSubjectAccessReviewSpec(
    resource_attributes=client.V1ResourceAttributes(namespace="etl", verb="get", resource="pods", subresource="log")))
out["may"] = client.AuthorizationV1Api().create_self_subject_access_review(review).status.allowed
who = client.AuthenticationV1Api().create_self_subject_review(client.V1SelfSubjectReview())
out["who"] = who.status.user_info.username

first = batch.list_namespaced_job("etl", limit=2)
rest = batch.list_namespaced_job("etl", limit=2, _continue=first.metadata._continue)
out["jobs"] = sorted(j.metadata.name for j in first.items + rest.items)
out["all_jobs"] = len(batch.list_job_for_all_namespaces().items)
out["crons"] = [(c.metadata.name, c.spec.schedule, c.spec.suspend) for c in batch.list_namespaced_cron_job("etl").items]
out["all_crons"] = len(batch.list_cron_job_for_all_namespaces().items)
since = batch.list_namespaced_job("etl").metadata.resource_version

cron = batch.read_namespaced_cron_job("daily", "etl")
cron = batch.patch_namespaced_cron_job("daily", "etl", {"spec": {"suspend": True}}, _content_type="application/merge-patch+json")
out["suspended"] = cron.spec.suspend
owner = client.V1OwnerReference(api_version="batch/v1", kind="CronJob", name="daily", uid=cron.metadata.uid, controller=True)
meta = client.V1ObjectMeta(name="daily-by-client", annotations={"cronjob.kubernetes.io/instantiate": "manual"}, owner_references=[owner])
body = client.V1Job(api_version="batch/v1", kind="Job", metadata=meta, spec=cron.spec.job_template.spec)
made = batch.create_namespaced_job("etl", body)
out["made"] = [made.metadata.name, bool(made.metadata.uid), bool(made.spec.selector.match_labels)]
try:
    batch.create_namespaced_job("etl", body)
except ApiException as err:
    out["again"] = [err.status, json.loads(err.body)["reason"]]
held = batch.patch_namespaced_job("daily-2", "etl", {"spec": {"suspend": True}}, _content_type="application/merge-patch+json")
out["held"] = held.spec.suspend
options = client.V1DeleteOptions(propagation_policy="Background", preconditions=client.V1Preconditions(uid=made.metadata.uid))
gone = batch.delete_namespaced_job("daily-by-client", "etl", body=options)  # some versions of it leave the answer untyped
out["deleted"] = gone["status"] if isinstance(gone, dict) else gone.status
events = watch.Watch().stream(batch.list_namespaced_job, "etl", resource_version=since, timeout_seconds=1)
out["events"] = [(e["type"], e["object"].metadata.name) for e in events if e["type"] != "BOOKMARK"]

job = batch.read_namespaced_job("daily-0", "etl")
selector = ",".join(f"{k}={v}" for k, v in job.spec.selector.match_labels.items())
pods = core.list_namespaced_pod("etl", label_selector=selector).items
status = pods[0].status.container_statuses[0] if pods[0].status.container_statuses else None
out["pod"] = [pods[0].status.phase, pods[0].spec.containers[0].name]
out["active"] = len(core.list_pod_for_all_namespaces(
    label_selector="batch.kubernetes.io/job-name", field_selector="status.phase!=Succeeded,status.phase!=Failed").items)
read = core.read_namespaced_pod(pods[0].metadata.name, "etl")
out["log"] = core.read_namespaced_pod_log(read.metadata.name, "etl", container="main", timestamps=False, limit_bytes=1000)
try:
    core.read_namespaced_pod_log(read.metadata.name, "etl", container="main", previous=True)
except ApiException as err:
    out["previous"] = err.status
out["nodes"] = [(n.metadata.name, n.status.allocatable["cpu"]) for n in core.list_node().items]
metrics = client.CustomObjectsApi()
usage = metrics.list_cluster_custom_object("metrics.k8s.io", "v1beta1", "nodes")
out["usage"] = usage["items"][0]["usage"]["cpu"]
out["pod_usage"] = len(metrics.list_namespaced_custom_object("metrics.k8s.io", "v1beta1", "etl", "pods")["items"])
try:
    batch.read_namespaced_job("not-there", "etl")
except ApiException as err:
    out["missing"] = [err.status, json.loads(err.body)["details"]["name"]]
print(json.dumps(out))
"""


@pytest.fixture(scope="module")
def python() -> Path:
    """Of a venv with the client, kept between runs; skipped with pip's own words where it cannot be installed."""
    CACHE.mkdir(parents=True, exist_ok=True)
    venv = CACHE / f"kubernetes-client-{VERSION}"
    with (CACHE / "kubernetes-client.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (venv / ".installed").exists():
            subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
            pip = [str(venv / "bin/pip"), "install", "-q", "--disable-pip-version-check", f"kubernetes=={VERSION}"]
            done = subprocess.run(pip, capture_output=True, text=True, check=False)
            if done.returncode:
                said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
                pytest.skip(
                    f"kubernetes {VERSION} cannot be installed here: {said[-1] if said else 'pip said nothing'}"
                )
            (venv / ".installed").touch()
    return venv / "bin/python"


@pytest.fixture
def server() -> Iterator[KubernetesLike]:
    with KubernetesLike() as like:
        like.add_cron("daily")
        for n, state in enumerate(("failed", "success", "running", "suspended")):
            like.add_job(f"daily-{n}", cron="daily", state=state)
        like.say(like.pods_of("daily-0")[0], "ValueError: it broke")
        like.add_node("node-1")
        like.usage_nodes["node-1"] = {"metadata": {"name": "node-1"}, "usage": {"cpu": "1250000000n", "memory": "2Gi"}}
        yield like
        assert like.invented == []
        assert like.orphans == []


def kubeconfig(folder: Path, server: KubernetesLike) -> Path:
    body = {
        "apiVersion": "v1", "kind": "Config", "current-context": "prod",
        "clusters": [{"name": "c", "cluster": {"server": server.url}}],
        "users": [{"name": "u", "user": {"token": server.token}}],
        "contexts": [{"name": "prod", "context": {"cluster": "c", "user": "u", "namespace": "etl"}}],
    }  # fmt: skip
    file = folder / "config"
    file.write_text(json.dumps(body))
    return file


def test_the_official_client_reads_and_steers_the_server(tmp_path: Path, python: Path, server: KubernetesLike) -> None:
    script = tmp_path / "drive.py"
    script.write_text(DRIVER)
    done = subprocess.run(
        [str(python), str(script), str(kubeconfig(tmp_path, server))],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    out = json.loads(done.stdout)
    jobs = [f"daily-{n}" for n in range(4)]
    assert out == {
        "version": "v1.33.2",
        "may": True,
        "who": server.user,
        "jobs": jobs,
        "all_jobs": 4,
        "crons": [["daily", "0 3 * * *", False]],
        "all_crons": 1,
        "suspended": True,
        "made": ["daily-by-client", True, True],
        "again": [409, "AlreadyExists"],
        "held": True,
        "deleted": "Success",
        "events": [
            ["ADDED", "daily-by-client"],
            ["MODIFIED", "daily-2"],
            ["DELETED", "daily-by-client"],
        ],
        "pod": ["Failed", "main"],
        "active": 1,
        "log": "ValueError: it broke\n",
        "previous": 400,
        "nodes": [["node-1", "4"]],
        "usage": "1250000000n",
        "pod_usage": 0,
        "missing": [404, "not-there"],
    }
    assert [(e.verb, e.resource, e.name) for e in server.effects] == [
        ("patch", "cronjobs", "daily"),
        ("create", "jobs", "daily-by-client"),
        ("patch", "jobs", "daily-2"),
        ("delete", "jobs", "daily-by-client"),
    ]
