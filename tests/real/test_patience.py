"""A terminal that is not read for 25 seconds, at full length: nothing old is replayed, and the next key is answered."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.pty import Terminal

pytestmark = pytest.mark.real
READ_S, UNREAD_S = 10, 25
"""Seconds. What it costs to be read is measured on the same core, at the same hour: a slow one makes both slow."""


def test_twenty_five_seconds_without_reading(tmp_path: Path) -> None:
    argv = [sys.executable, "-P", "-m", "tui.cli"]
    env = {
        "HOME": str(tmp_path),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
    }
    try:
        with Terminal([*argv, "demo"], 120, 40, env=env) as terminal:
            terminal.wait_for("mart_to_ldz", 30)
            terminal.settle()
            cpu, end = terminal.cpu(), time.monotonic() + READ_S
            while time.monotonic() < end:
                terminal.read(0.5)
            usual = (terminal.cpu() - cpu) / READ_S
            cpu = terminal.cpu()
            terminal.mark()
            time.sleep(UNREAD_S)
            unread = (terminal.cpu() - cpu) / UNREAD_S
            assert unread < 3 * usual + 0.01, (
                f"it spun while nobody read: {unread:.3f} of a core, {usual:.3f} while read"
            )
            terminal.settle(0.3, 5.0)
            assert terminal.bytes_since_mark <= 64 * 1024
            terminal.press("0")
            terminal.wait_for("Sources", 5)
    finally:
        subprocess.run([*argv, "engine", "stop", "--demo"], env=env, capture_output=True, check=False)
