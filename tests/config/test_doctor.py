"""Doctor: what works, what the credential may do, what is missing. Fake roots, given probes."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.base import Probe
from engine.config.doctor import doctor_report, file_system, kill_user_processes, lingering
from engine.config.load import load_text
from engine.config.paths import places

KINDS = ("airflow", "local")
TEXT = """
[[source]]
name = "af"
kind = "airflow"
url = "https://a.example"
auth = { user = "ops", password = { env = "WF_DOCTOR" } }
[[contact]]
name = "ana"
url = { env = "WF_DOCTOR_ANA" }
[[route]]
match = "*"
to = ["ana"]
"""
JOB = '[[job]]\nname = "a"\n[[job.step]]\nname = "s"\nrun = ["true"]\n'


def lines(text: str, probes: dict[str, Probe | str], home: Path, **more: object) -> list[str]:
    place = places(env={"HOME": str(home)})
    return [str(line) for line in doctor_report(load_text(text, home, kinds=KINDS), place, probes, **more)]  # type: ignore[arg-type]


def test_all_well_says_what_the_credential_may_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WF_DOCTOR", "x")
    monkeypatch.setenv("WF_DOCTOR_ANA", "x")
    places(env={"HOME": str(tmp_path)}).prepare()
    probe = Probe(
        version="3.3.2",
        identity="ops\x1b]0;",
        permissions={"pause": True, "start": True, "stop": False, "mark": None},
        server_time=90_000,
        warnings=("scheduler is unhealthy",),
    )
    said = lines(TEXT, {"af": probe}, tmp_path, now=0, root=tmp_path)
    state = tmp_path / ".local/state/watchfloor"
    assert said == [
        f"✓ configuration: {tmp_path}/watchfloor.toml, 1 source, 0 jobs, 1 contact, 1 route",
        f"✓ state: {state}, mode 700",
        f"✓ store: {state}/floor.db",
        "✓ source af: airflow 3.3.2 as ops�]0;, protected: read-only until armed",
        "✓ source af: may pause, start",
        "· source af: may not stop; give the credential that right, or leave it to others",
        "· source af: cannot be told without trying: mark",
        "· source af: its clock is 90 s ahead; look at NTP on both",
        "· source af: scheduler is unhealthy",
        "✓ contact ana: secret found by env:WF_DOCTOR_ANA",
    ]


def test_what_is_missing_is_said_once_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WF_DOCTOR", raising=False)
    monkeypatch.setenv("WF_DOCTOR_ANA", "x")
    said = lines(TEXT, {"af": "no password"}, tmp_path)
    assert [line for line in said if "af" in line.split(":")[0]] == [
        "✗ source af password: no secret from env:WF_DOCTOR: the environment variable WF_DOCTOR is not set; set it where the engine is started"
    ]
    monkeypatch.setenv("WF_DOCTOR", "hunter2")
    said = lines(TEXT, {"af": "connection refused; is it running?"}, tmp_path)
    assert "✗ source af: connection refused; is it running?" in said
    assert "hunter2" not in "".join(said)
    assert any(line.startswith("· state: ") and line.endswith("is not there yet; the engine makes it") for line in said)


def test_a_state_folder_open_to_others(tmp_path: Path) -> None:
    state = places(env={"HOME": str(tmp_path)}).state
    state.mkdir(parents=True)
    state.chmod(0o755)
    assert f"✗ state: {state}, mode 755; others can look in: chmod 700 {state}" in lines("", {}, tmp_path)


def test_a_store_on_the_network_is_refused(tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mounts").write_text(
        f"/dev/a / ext4 rw 0 0\nsrv:/x {tmp_path} nfs4 rw 0 0\nsrv:/y {tmp_path}/.lo cifs rw 0 0\n"
    )
    assert file_system(tmp_path / "x", tmp_path) == "nfs4"
    assert file_system(Path("/usr"), tmp_path) == "ext4"
    (line,) = [t for t in lines("", {}, tmp_path, root=tmp_path) if "store" in t.split(":")[0]]
    assert line.endswith("lies on nfs4; SQLite needs a local disk: move it with [store] path")


class TestLogout:
    def root(self, tmp_path: Path, **files: str) -> Path:
        (tmp_path / "run/systemd/system").mkdir(parents=True)
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/").replace("_conf", ".conf")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    def test_no_systemd(self, tmp_path: Path) -> None:
        assert lingering(tmp_path, "bob").ok is True

    def test_killed_and_what_to_type(self, tmp_path: Path) -> None:
        root = self.root(tmp_path, etc__systemd__logind_conf="[Login]\n#KillUserProcesses=no\nKillUserProcesses=yes\n")
        assert str(lingering(root, "bob")) == (
            "✗ logout: systemd ends the engine and its jobs when bob logs out (KillUserProcesses=yes); loginctl enable-linger bob"
        )
        assert lingering(root, "root").ok is True  # excluded by default
        (root / "var/lib/systemd/linger").mkdir(parents=True)
        (root / "var/lib/systemd/linger/bob").touch()
        assert lingering(root, "bob").ok is True

    def test_drop_ins_win_by_name_and_etc_over_lib(self, tmp_path: Path) -> None:
        root = self.root(
            tmp_path,
            etc__systemd__logind_conf="[Login]\nKillUserProcesses=no\n",
            **{
                "usr__lib__systemd__logind_conf.d__50_conf": "[Login]\nKillUserProcesses=yes\n",
                "etc__systemd__logind_conf.d__40_conf": "[Login]\nKillUserProcesses=no\nKillExcludeUsers=ann bob\n",
            },
        )
        assert kill_user_processes(root) == (True, frozenset({"ann", "bob"}))
        (root / "etc/systemd/logind.conf.d/50.conf").write_text("not = ini [")
        assert kill_user_processes(root)[0] is False

    def test_said_nowhere_is_not_known(self, tmp_path: Path) -> None:
        line = lingering(self.root(tmp_path, etc__systemd__logind_conf="[Login]\n#KillUserProcesses=no\n"), "bob")
        assert (line.ok, line.hint) == (None, "to be sure: loginctl enable-linger bob")

    def test_only_told_to_those_with_local_jobs(self, tmp_path: Path) -> None:
        assert not any("logout" in line for line in lines("", {}, tmp_path))
        assert any("logout" in line for line in lines(JOB, {"local": Probe(version="1")}, tmp_path))
