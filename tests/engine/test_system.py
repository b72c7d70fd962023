"""``--system`` at its real places, in a mount namespace of its own: who of another uid sees what.

The group ``watchfloor`` and the folders are of that namespace alone; nothing of this host is touched.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.engine.rig import ROOT

GID = 4711
BODY = r"""
import json, os, signal, socket, subprocess, sys, time
from pathlib import Path
ROOT, GID = sys.argv[1], int(sys.argv[2])
sys.path.insert(0, ROOT)
from adapters.model import State
from engine.ask import Ask, NoEngine
from engine.config.paths import places
from engine.request import RequestError
from engine.store.errors import StoreError
from engine.store.reader import Reader
P = places(system=True)
out = {}

def until(what):
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            if (found := what()):
                return found
        except (NoEngine, RequestError, StoreError):
            pass
        time.sleep(0.05)
    raise SystemExit("never: " + what.__code__.co_name + " " + Path("/var/lib/engine.out").read_text())

def start():
    with open("/var/lib/engine.out", "ab") as log:
        p = subprocess.Popen([sys.executable, "-m", "engine.main", "--system"], cwd="/", stdin=subprocess.DEVNULL,
                             stdout=log, stderr=log, env=os.environ | {"PYTHONPATH": ROOT}, start_new_session=True)
    def answers():
        with Ask(P.socket) as ask:
            return ask("status")["pid"] == p.pid
    until(answers)
    return p

def as_uid(groups, what):
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups(groups); os.setgid(groups[0] if groups else 65534); os.setuid(65534)
            said = what()
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(write, json.dumps(said).encode()); os._exit(0)
    os.close(write)
    with os.fdopen(read) as file:
        said = json.load(file)
    os.waitpid(pid, 0)
    return said

def sees():
    reader = Reader(P.store)
    try:
        reader.version()
        rows = reader.runs()
        logs = [Path(l.path).read_text() for r in rows for l in reader.run(r.key).logs]
        return {"runs": len(rows), "alive": reader.lock_held(), "immutable": reader.immutable, "logs": logs}
    finally:
        reader.close()

def asks():
    with Ask(P.socket) as ask:
        said = {"pid": ask("status")["pid"]}
        for do in ("stop", "reload"):
            try:
                ask(do)
            except RequestError as error:
                said[do] = error.code
    return said

def writes():
    tried = []
    for path in (P.store, P.lock, P.audit):
        try:
            os.close(os.open(path, os.O_WRONLY))
            tried.append(str(path))
        except OSError:
            pass
    return tried

def begin(job):
    with Ask(P.socket) as ask:
        plan = ask("plan", verb="start", key=f"local:{job}")
        ask("act", plan=plan["plan"], nonce=plan["nonce"], hash=plan["hash"], reason="a reason that is long enough")

def ended(n):
    reader = Reader(P.store)
    rows = reader.runs()
    done = len(rows) >= n and all(r.state is State.FAILED for r in rows) and all(
        (d := reader.run(r.key)).logs and d.logs[0].complete for r in rows)
    reader.close()
    return done

engine = start()
begin("one")
until(lambda: ended(1))
out["modes"] = {n: oct(os.stat(p).st_mode & 0o7777) for n, p in
                {"state": P.state, "store": P.store, "wal": f"{P.store}-wal", "socket": P.socket}.items()}
out["gids"] = {n: os.stat(p).st_gid for n, p in {"state": P.state, "store": P.store, "socket": P.socket}.items()}
out["in"] = as_uid([GID], sees)
out["in_asks"] = as_uid([GID], asks)
out["in_writes"] = as_uid([GID], writes)
out["out"] = as_uid([], sees)
out["out_asks"] = as_uid([], asks)
out["pid"] = engine.pid
engine.send_signal(signal.SIGTERM)
engine.wait(20)
out["after_stop"] = as_uid([GID], sees)
out["wal_after_stop"] = os.path.exists(f"{P.store}-wal")
engine = start()
begin("one")
until(lambda: ended(2))
engine.kill()
engine.wait()
out["after_kill"] = as_uid([GID], sees)
out["wal_after_kill"] = os.path.exists(f"{P.store}-wal")
engine = start()
out["again"] = as_uid([GID], sees)
engine.terminate()
engine.wait(20)
print(json.dumps(out))
"""
CONFIG = """
[[job]]
name = "one"
[[job.step]]
name = "s"
run = ["sh", "-c", "echo said by the job; exit 3"]
"""


def _namespace(script: str) -> list[str]:
    return ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    if (
        os.getuid() != 0
        or subprocess.run(_namespace("mount -t tmpfs x /mnt"), check=False, capture_output=True).returncode
    ):
        pytest.skip("needs root and mount namespaces")
    folder = tmp_path_factory.mktemp("system")
    (folder / "body.py").write_text(BODY)
    (folder / "watchfloor.toml").write_text(CONFIG)
    script = f"""
        mkdir {folder}/etc
        cp -a /etc/. {folder}/etc/
        mkdir {folder}/etc/watchfloor
        cp {folder}/watchfloor.toml {folder}/etc/watchfloor/
        printf 'root:x:0:\nwatchfloor:x:{GID}:\nnogroup:x:65534:\n' > {folder}/etc/group
        mount --bind {folder}/etc /etc
        mount -t tmpfs -o mode=0755 lib /var/lib
        exec {sys.executable} -P {folder}/body.py {ROOT} {GID}
    """
    done = subprocess.run(_namespace(script), check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_folders_store_and_socket_have_the_modes_of_system_mode(seen: dict[str, Any]) -> None:
    assert seen["modes"] == {"state": "0o2750", "store": "0o640", "wal": "0o640", "socket": "0o660"}
    assert set(seen["gids"].values()) == {GID}


def test_one_of_the_group_reads_and_asks_but_does_not_write(seen: dict[str, Any]) -> None:
    assert seen["in"] == {"runs": 1, "alive": True, "immutable": False, "logs": ["said by the job\n"]}
    assert seen["in_asks"] == {"pid": seen["pid"], "stop": "refused", "reload": "refused"}
    assert seen["in_writes"] == []


def test_one_outside_the_group_sees_nothing(seen: dict[str, Any]) -> None:
    assert "StoreError" in seen["out"] or "StoreMissing" in seen["out"], seen["out"]
    assert "NoEngine" in seen["out_asks"] or "PermissionError" in seen["out_asks"], seen["out_asks"]


def test_the_store_is_read_after_a_clean_stop_and_after_a_kill(seen: dict[str, Any]) -> None:
    assert not seen["wal_after_stop"]
    assert seen["after_stop"] == {"runs": 1, "alive": False, "immutable": True, "logs": ["said by the job\n"]}
    assert seen["wal_after_kill"]
    assert seen["after_kill"] == {"runs": 2, "alive": False, "immutable": False, "logs": ["said by the job\n"] * 2}
    assert seen["again"] == {"runs": 2, "alive": True, "immutable": False, "logs": ["said by the job\n"] * 2}
