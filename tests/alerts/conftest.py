from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass
class Receiver:
    """A running receiver: where it listens and what it wrote down."""

    port: int
    record: Path

    def url(self, path: str = "take", extra: str = "") -> str:
        return f"json://127.0.0.1:{self.port}/{path}{extra}"

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.record.read_text().splitlines()]

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [message["body"] for message in self.messages]


@pytest.fixture(scope="session")
def _receiver_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    folder = tmp_path_factory.mktemp("receiver")
    port_file, record = folder / "port", folder / "record"
    script = Path(__file__).with_name("receiver.py")
    with subprocess.Popen([sys.executable, str(script), str(port_file), str(record)], stdin=subprocess.PIPE) as process:
        end = time.monotonic() + 20
        while not port_file.exists():
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.01)
        yield Receiver(int(port_file.read_text()), record)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)


@pytest.fixture
def receiver(_receiver_process: Receiver) -> Receiver:
    """With an empty record."""
    _receiver_process.record.write_text("")
    return _receiver_process
