"""docs/adapters.md: the package on the page, laid down as an installer does, keeps the contract, and is run by an engine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.measuring import MeasuringAdapter
from adapters.model import ActionState, Health, Mode, State
from tests.engine.rig import ROOT, Rig, until
from tests.servers.tidy_like import TidyLike

PAGE = ROOT / "docs" / "adapters.md"
TEXT = PAGE.read_text()
ADAPTER, TEST = re.findall(r"```python\n(.*?)```", TEXT, re.S)
PACKAGE, CONFIG = re.findall(r"```toml\n(.*?)```", TEXT, re.S)
KEY = "tidy:nightly"


def python(target: Path, *args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """This interpreter, with the package of the page beside ours."""
    env = os.environ | {"PYTHONPATH": f"{target}{os.pathsep}{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([sys.executable, *args], env=env, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as an installer lays it down: its modules, and what its ``pyproject.toml`` says in a ``dist-info``."""
    folder = tmp_path_factory.mktemp("site")
    known = tomllib.loads(PACKAGE)
    project = known["project"]
    (module,) = known["tool"]["setuptools"]["py-modules"]
    (folder / f"{module}.py").write_text(ADAPTER)
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = [
        f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in at.items()) for group, at in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    return folder


@pytest.fixture
def server() -> Iterator[TidyLike]:
    with TidyLike() as like:
        like.jobs |= {"nightly": False, "old": True}
        yield like
        assert like.invented == []


@pytest.fixture
def rig(target: Path, tmp_path: Path, server: TidyLike) -> Iterator[Rig]:
    (tmp_path / "token").write_text(server.token)
    (tmp_path / "token").chmod(0o600)
    config = CONFIG.replace("http://127.0.0.1:8080", server.url)
    with Rig(tmp_path, config, prelude=f"import sys; sys.path.insert(0, {str(target)!r})") as found:
        yield found


def test_it_is_as_short_as_it_says() -> None:
    lines = ADAPTER.splitlines()
    assert len(lines) < 100
    assert f"`watchfloor_tidy.py`, {len(lines)} lines" in TEXT
    assert max(map(len, lines)) <= 120
    assert "tidy" in tomllib.loads(PACKAGE)["project"]["entry-points"]["watchfloor.adapters"]


def test_it_keeps_the_contract(target: Path, tmp_path: Path) -> None:
    (tmp_path / "test_tidy.py").write_text(TEST)
    ran = python(
        target, "-m", "pytest", "-q", "-o", "asyncio_mode=auto", "-p", "no:cacheprovider", "--rootdir", ".", "test_tidy.py",
        cwd=tmp_path,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-3000:]
    passed = re.search(r"(\d+) passed", ran.stdout)
    assert passed is not None
    assert int(passed[1]) >= 24, "most of the contract is skipped"


def test_an_engine_fills_and_one_start_is_planned_sent_once_and_proved(rig: Rig, server: TidyLike) -> None:
    first = server.run("nightly", log="loading\n")
    reader = rig.reader()

    def state(key: str) -> State | None:
        found = reader.run(key)
        return found.row.state if found else None

    until(lambda: state(f"{KEY}/{first.id}") is State.RUNNING)
    until(lambda: {f.key: f.mode for f in reader.floor()} == {KEY: Mode.ACTIVE, "tidy:old": Mode.PAUSED})
    server.end(first.id, "failed")
    rig.polled("tidy")
    until(lambda: state(f"{KEY}/{first.id}") is State.FAILED)
    with rig.ask() as ask:
        plan = ask("plan", verb="start", key=KEY)
        assert not plan["blocked"], plan["blocked"]
        done = ask(
            "act", plan=plan["plan"], nonce=plan["nonce"], hash=plan["hash"], reason="a reason long enough", typed=""
        )
    until(lambda: server.effects == ["start nightly"])
    until(lambda: reader.action(str(done["action"])).state is ActionState.DONE)  # type: ignore[union-attr]
    server.tick()
    rig.polled("tidy")
    ours = next(r for r in server.runs.values() if r.id != first.id)
    until(lambda: state(f"{KEY}/{ours.id}") is State.RUNNING)
    assert server.effects == ["start nightly"]
    assert all(s.health is Health.FRESH for s in reader.sources())
    with rig.ask() as ask:
        refused = ask("plan", verb="stop", key=f"{KEY}/{ours.id}")
    assert "Tidy lets every run end" in str(refused["blocked"])


def test_doctor_says_what_the_probe_said(target: Path, rig: Rig, server: TidyLike, tmp_path: Path) -> None:
    run = "import sys; from tui.cli import main; sys.exit(main())"
    found = python(target, "-c", run, "doctor", "--config", str(rig.config), cwd=tmp_path)
    assert "1.4" in found.stdout, found.stdout + found.stderr
    assert "ops" in found.stdout
    assert server.token not in found.stdout + found.stderr
    server.fault = "401"
    refused = python(target, "-c", run, "doctor", "--config", str(rig.config), cwd=tmp_path)
    assert refused.returncode != 0
    assert "HTTP 401" in refused.stdout


def test_what_a_source_that_only_measures_has_to_write() -> None:
    sentence = " ".join(TEXT.split()).partition("A source that only measures builds on ")[2].partition("; its test")[0]
    left = {"nothing", "samples", *MeasuringAdapter.__abstractmethods__}
    assert set(re.findall(r"`(\w+)`", sentence)) == {"MeasuringAdapter", *left}
