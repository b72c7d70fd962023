"""References to secrets: found where they say, never shown, never guessed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from adapters.errors import AdapterError
from engine.config import secrets
from engine.config.model import SecretRef
from engine.config.secrets import SecretError, resolve, warning

VALUE = "hunter2 ünï"


def test_env(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WF_SECRET", VALUE)
    secret = resolve(SecretRef("env", "WF_SECRET"), tmp_path)
    assert secret.reveal() == VALUE
    assert (repr(secret), str(secret), secret.origin) == ("****", "****", "env:WF_SECRET")
    monkeypatch.setenv("WF_SECRET", "rotated")
    assert secret.reveal() == "rotated"


def test_file_loses_one_line_end_only_and_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "pw"
    file.write_text(f" {VALUE} \n\n")
    secret = resolve(SecretRef("file", "pw"), tmp_path)
    assert secret.reveal() == f" {VALUE} \n"
    file.write_bytes(b"next\r\n")
    assert secret.reveal() == "next"


def test_cmd_runs_argv_without_shell_terminal_or_input(tmp_path: Path) -> None:
    code = "import os,sys; print(sys.argv[1], len(sys.stdin.read()), os.getsid(0)==os.getpid(), os.getcwd())"
    ref = SecretRef("cmd", (sys.executable, "-c", code, "$HOME;x"))
    assert resolve(ref, tmp_path).reveal() == f"$HOME;x 0 True {tmp_path}"
    assert str(ref) == f"cmd:{sys.executable}"


def test_cmd_cannot_read_what_is_typed(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from engine.config.secrets import *; from engine.config.model import SecretRef\n"
        "try: print('got', resolve(SecretRef('cmd', ('cat',)), Path('/')).reveal())\n"
        "except SecretError as error: print(error.clause)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], input="typed", capture_output=True, text=True, check=True, cwd=root
    )
    assert done.stdout.strip() == "it is empty"


def test_cred(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "airflow").write_text(VALUE)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert resolve(SecretRef("cred", "airflow"), Path("/")).reveal() == VALUE
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    with pytest.raises(SecretError, match=r"^no secret from cred:airflow: systemd gave this process no credentials$"):
        resolve(SecretRef("cred", "airflow"), Path("/")).reveal()


@pytest.mark.parametrize(
    ("ref", "sentence"),
    [
        (SecretRef("env", "WF_NO"), "no secret from env:WF_NO: the environment variable WF_NO is not set"),
        (SecretRef("file", "none"), "no secret from file:none: there is no file {}/none"),
        (SecretRef("file", "empty"), "no secret from file:empty: it is empty"),
        (SecretRef("file", "binary"), "no secret from file:binary: it is not UTF-8 text"),
        (SecretRef("file", "."), "no secret from file:.: there is no file {}"),
        (
            SecretRef("cmd", ("/nonexistent/pass",)),
            "no secret from cmd:/nonexistent/pass: /nonexistent/pass cannot be run: no such file or directory",
        ),
        (SecretRef("cmd", ("false",)), "no secret from cmd:false: false ended with exit code 1"),
        (SecretRef("cmd", ("true",)), "no secret from cmd:true: it is empty"),
    ],
)
def test_errors_name_the_reference(
    ref: SecretRef, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WF_NO", raising=False)
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(SecretError) as caught:
        resolve(ref, tmp_path).reveal()
    assert str(caught.value) == sentence.format(tmp_path)
    assert caught.value.hint
    assert isinstance(caught.value, AdapterError)  # what an adapter that reveals it lets out


def test_a_failing_command_does_not_give_its_words_away(tmp_path: Path) -> None:
    ref = SecretRef("cmd", ("sh", "-c", "echo hunter2; echo hunter2 >&2; exit 3"))
    with pytest.raises(SecretError) as caught:
        resolve(ref, tmp_path).reveal()
    assert "hunter2" not in f"{caught.value} {caught.value.hint} {caught.value!r}"
    assert caught.value.__cause__ is None


def test_a_hanging_command_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "COMMAND_S", 0.1)
    with pytest.raises(SecretError, match=r"gave no answer within 0\.1 s"):
        resolve(SecretRef("cmd", ("sleep", "60")), tmp_path).reveal()


def test_files_that_others_can_read_are_pointed_out(tmp_path: Path) -> None:
    file = tmp_path / "pw"
    file.write_text(VALUE)
    ref = SecretRef("file", "pw")
    said = {}
    for mode in (0o600, 0o400, 0o640, 0o604):
        file.chmod(mode)
        said[mode] = warning(ref, tmp_path)
    assert said == {
        0o600: None,
        0o400: None,
        0o640: (f"its group can read {file}", f"chmod 600 {file}"),
        0o604: (f"anybody on this host can read {file}", f"chmod 600 {file}"),
    }
    assert warning(SecretRef("env", "PATH"), tmp_path) is None
