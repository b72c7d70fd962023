"""Keys on paper and completion in the shell."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tui import stores
from tui import cli, keymap, keys_out, registry
from tui.complete import shellcode


@pytest.fixture(autouse=True)
def _defaults():
    yield
    keymap.load_overrides({})


def test_every_action_stands_on_the_sheet_with_its_keys():
    sheet = "\n".join(keys_out.sheet())
    for action in keymap.ACTIONS:
        assert action.help.split()[0] in sheet
        assert " ".join(keymap.shown(k) for k in action.keys) in sheet
    assert max(map(len, keys_out.sheet())) <= keys_out.WIDTH
    words = [w for a in keymap.ACTIONS for w in a.help.split()]
    flat = " ".join(sheet.replace("\n", " ").split())
    assert all(w in flat for w in words)


def test_the_sheet_and_the_list_show_the_keys_in_force(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    config = tmp_path / "watchfloor.toml"
    config.write_text('[keys]\n"run.stop" = ["f8", "X"]\n')
    assert cli.main(["--config", str(config), "keys"]) == 0
    line = next(r for r in capsys.readouterr().out.splitlines() if " run.stop " in r)
    assert line.startswith("F8 X            * run.stop")
    assert cli.main(["keys", "--cheatsheet", "--config", str(config)]) == 0
    assert "F8 X" in capsys.readouterr().out
    assert cli.main(["keys", "--format", "json", "--config", str(config)]) == 0
    row = next(r for r in json.loads(capsys.readouterr().out)["data"] if r["id"] == "run.stop")
    assert (row["keys"], row["default"]) == (["f8", "X"], ["x"])


def test_a_key_that_is_taken_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    config = tmp_path / "watchfloor.toml"
    config.write_text('[keys]\n"run.stop" = "r"\n')
    assert cli.main(["keys", "--config", str(config)]) == 2
    said = capsys.readouterr().err
    assert f"{config}: [keys]: the key r would mean both run.rerun and run.stop" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_code_names_the_program(shell: str, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["completion", shell]) == 0
    said = capsys.readouterr().out
    assert "watchfloor" in said
    assert said.strip() == shellcode(shell).strip()


def asked(line: str, tmp_path: Path) -> list[str]:
    """What completes the end of a command line, as a shell asks."""
    out = tmp_path / "answer"
    out.write_text("")
    env = {
        **os.environ, "_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(out), "_ARGCOMPLETE_SHELL": "bash", "_ARGCOMPLETE_COMP_WORDBREAKS": " \t\n",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", "from tui.cli import main; main()"],
        env=env, cwd=Path(cli.__file__).parent.parent, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout == ""
    return [word.strip() for word in out.read_text().split("\n") if word.strip()]


def test_words_come_from_the_parser_and_keys_from_the_store(tmp_path: Path):
    house = stores.story(tmp_path)
    house.close()
    config = tmp_path / "watchfloor.toml"
    config.write_text(f'[store]\npath = "{house.path}"\n')
    begin = f"watchfloor --config {config} "
    assert "morning" in asked(f"{begin}mor", tmp_path)
    assert set(registry.SHOWN) <= set(asked(f"{begin}show ", tmp_path))
    assert "rerun-failed" in asked(f"{begin}act re", tmp_path)
    keys = asked(f"{begin}act stop prod-airflow:gdpr", tmp_path)
    assert keys == ["prod-airflow:gdpr_erasure"]
    runs = asked(f"{begin}logs prod-airflow:gdpr_erasure/", tmp_path)
    assert runs
    assert all(r.startswith("prod-airflow:gdpr_erasure/") for r in runs)
    assert "failed,missed" in asked(f"{begin}show floor --fail-on failed,mis", tmp_path)
    assert "deuteranopia" in asked(f"{begin}--theme d", tmp_path)


def test_without_a_store_nothing_is_completed_and_nothing_is_said(tmp_path: Path):
    assert asked(f"watchfloor --config {tmp_path}/none.toml act stop x", tmp_path) == []


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_a_real_bash_takes_the_code():
    done = subprocess.run(["bash", "-n"], input=shellcode("bash"), text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
