"""The house keeps its shape: who may import whom, what must stay out of which process, names that others could take."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HEAVY_FOR_UI = ("httpx", "apprise", "sqlite_utils", "msgspec", "engine.main", "adapters.http", "adapters.airflow")


def loaded(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-P", "-c", code + "\nimport sys; print(' '.join(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return set(done.stdout.split())


def test_first_frame_process_loads_nothing_heavy() -> None:
    modules = loaded("import tui.cli, tui.app, tui.registry, tui.screens.floor, engine.store.reader")
    assert "textual" in modules
    assert not modules & set(HEAVY_FOR_UI)


def test_engine_never_loads_textual() -> None:
    modules = loaded("import engine.main, engine.commands")
    assert "engine.main" in modules
    assert not {m for m in modules if m == "textual" or m.startswith(("textual.", "rich.", "tui"))}


def test_command_line_is_light() -> None:
    modules = loaded("import tui.cli; tui.cli.parser()")
    assert not modules & {"textual", "psutil", "asyncio", *HEAVY_FOR_UI}


def test_ui_takes_only_what_it_may() -> None:
    """tui imports of the engine: reader, rows, request; the command line also engine.commands (and names that it refuses by)."""
    allowed = {"engine.store.reader", "engine.store.rows", "engine.request"}
    for file in (ROOT / "tui").rglob("*.py"):
        for number, line in enumerate(file.read_text().splitlines(), 1):
            words = line.strip().split()
            if len(words) > 1 and words[0] in ("from", "import") and words[1].split(".")[0] == "engine":
                name = words[1]
                if file.name == "cli.py":
                    continue
                assert name in allowed, f"{file.relative_to(ROOT)}:{number} imports {name}"
            if len(words) > 1 and words[0] in ("from", "import") and words[1].split(".")[0] == "adapters":
                assert words[1] == "adapters.model", f"{file.relative_to(ROOT)}:{number} imports {words[1]}"


@pytest.mark.parametrize("package", ["adapters", "engine"])
def test_foreign_package_is_refused_in_one_sentence(package: str, tmp_path: Path) -> None:
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").write_text("raise SystemExit('foreign code ran')")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "tui.cli", "keys"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr  # a planted folder in the current directory is not even seen


def test_files_are_rooms_not_halls() -> None:
    long = {
        str(f.relative_to(ROOT)): n
        for base in ("adapters", "engine", "tui", "bench")
        for f in (ROOT / base).rglob("*.py")
        if (n := len(f.read_text().splitlines())) > 560
    }
    assert not long


def test_no_screen_knows_a_system() -> None:
    """What a system has or lacks comes from its adapter: nothing that is shown asks which kind it is."""
    kinds = {e.name for e in entry_points(group="watchfloor.adapters")} - {
        "local",
        "command",
        "commands",
        "files",
        "http",
    }
    assert {"airflow", "talend", "kafka"} <= kinds
    quoted = re.compile(rf"""(["'])({"|".join(sorted(kinds))})\1""")
    for file in sorted((ROOT / "tui").rglob("*.py")):
        assert not quoted.findall(file.read_text()), file


def test_no_string_names_a_workplace() -> None:
    words = ("/work/" + "main", ".." + "/shared", "/farm" + "/in")
    for base in ("adapters", "engine", "tui", "themes", "tests", "bench", "docs"):
        for file in (ROOT / base).rglob("*"):
            if (
                file.is_file()
                and file.suffix in {".py", ".md", ".toml", ".sql", ".json", ".tcss"}
                and "__pycache__" not in file.parts
            ):
                text = file.read_text(errors="replace")
                assert not [w for w in words if w in text], file


@pytest.mark.parametrize("package", ["adapters", "engine"])
def test_a_package_planted_by_pythonpath_does_not_run(package: str, tmp_path: Path) -> None:
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").write_text("import os; os.write(2, b'FOREIGN CODE RAN'); raise SystemExit(9)")
    code = "import sys; from tui.cli import main; sys.exit(main(['keys']))"
    for argv in ([sys.executable, "-c", code], [str(Path(sys.executable).parent / "watchfloor"), "keys"]):
        done = subprocess.run(
            argv, capture_output=True, text=True, cwd="/", check=False,
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": f"{tmp_path}:/nowhere", "LANG": "C.UTF-8"},
        )  # fmt: skip
        assert "FOREIGN" not in done.stderr
        assert done.returncode == 0, done.stderr
        assert "run.stop" in done.stdout or "stop" in done.stdout
