"""Resolve references to secrets, in the engine only. Errors name the reference, never the value."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

from adapters.base import Secret
from adapters.errors import AuthFailed
from engine.config.model import SecretRef
from engine.config.paths import relative

COMMAND_S = 10.0
MAX_BYTES = 1 << 20


class SecretError(AuthFailed):
    """A reference that gives nothing: for an adapter that reveals it, a credential that is not there.

    ``clause`` says why, ``hint`` what to do; neither holds the value or a program's output.
    """

    def __init__(self, ref: SecretRef, clause: str, hint: str) -> None:
        super().__init__(f"no secret from {ref}: {clause}", hint)
        self.clause = clause


def resolve(ref: SecretRef, folder: Path) -> Secret:
    """A ``Secret`` that asks its origin at each ``reveal`` (or raises SecretError). ``folder``: the configuration's."""
    return Secret(lambda: _read(ref, folder), str(ref))


def reference(value: object) -> SecretRef | None:
    """The reference that a table of the configuration is (``{ env = "NAME" }``); None where it is none."""
    match value:
        case {"env": str(what), **rest} if not rest:
            return SecretRef("env", what)
        case {"file": str(what), **rest} if not rest:
            return SecretRef("file", what)
        case {"cred": str(what), **rest} if not rest:
            return SecretRef("cred", what)
        case {"cmd": [*argv], **rest} if not rest and argv and all(isinstance(word, str) for word in argv):
            return SecretRef("cmd", tuple(map(str, argv)))
        case _:
            return None


def warning(ref: SecretRef, folder: Path) -> tuple[str, str] | None:
    """(what, what to do) where a secret lies open to others, else None."""
    if ref.kind != "file":
        return None
    path = relative(folder, str(ref.value))
    try:
        mode = path.stat().st_mode
    except OSError:
        return None
    if mode & (stat.S_IRGRP | stat.S_IROTH):
        who = "anybody on this host" if mode & stat.S_IROTH else "its group"
        return f"{who} can read {path}", f"chmod 600 {path}"
    return None


def _read(ref: SecretRef, folder: Path) -> str:
    match ref.kind:
        case "env":
            return _env(ref)
        case "file":
            return _file(ref, relative(folder, str(ref.value)))
        case "cred":
            return _cred(ref)
        case _:
            return _cmd(ref, folder)


def _env(ref: SecretRef) -> str:
    value = os.environ.get(str(ref.value), "")
    if not value:
        raise SecretError(ref, f"the environment variable {ref.value} is not set", "set it where the engine is started")
    return value


def _file(ref: SecretRef, path: Path) -> str:
    try:
        if not path.is_file():  # a FIFO or a terminal would hang the engine
            raise SecretError(ref, f"there is no file {path}", "write the secret into it, then chmod 600 it")
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES)
    except OSError as error:
        raise SecretError(
            ref, f"{path} cannot be read: {(error.strerror or 'error').lower()}", "let the engine's user read it"
        ) from None
    return _text(ref, raw)


def _cred(ref: SecretRef) -> str:
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        raise SecretError(
            ref, "systemd gave this process no credentials", f"start it as a unit with LoadCredential={ref.value}:…"
        )
    return _file(ref, Path(folder) / str(ref.value))


def _cmd(ref: SecretRef, folder: Path) -> str:
    argv = [ref.value] if isinstance(ref.value, str) else list(ref.value)
    hint = "run the command by hand and look"
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # its words may hold the secret
            cwd=folder,
            timeout=COMMAND_S,
            check=False,
            start_new_session=True,  # no terminal: it cannot ask a person
        )
    except subprocess.TimeoutExpired:
        raise SecretError(ref, f"{argv[0]} gave no answer within {COMMAND_S:g} s", hint) from None
    except OSError as error:
        raise SecretError(
            ref,
            f"{argv[0]} cannot be run: {(error.strerror or 'error').lower()}",
            "install it, or name another command",
        ) from None
    except ValueError:
        raise SecretError(ref, f"{argv[0]} cannot be run", hint) from None
    if done.returncode != 0:
        raise SecretError(ref, f"{argv[0]} ended with exit code {done.returncode}", hint)
    return _text(ref, done.stdout)


def _text(ref: SecretRef, raw: bytes) -> str:
    try:
        value = raw.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise SecretError(ref, "it is not UTF-8 text", "store it as text") from None
    if not value:
        raise SecretError(ref, "it is empty", "write the secret into it")
    return value
