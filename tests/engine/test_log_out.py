"""``watchfloor logs`` on a terminal: no escape code gets through, however it is written or cut; elsewhere every byte does."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import log_out

C1 = re.compile(rb"\xc2[\x80-\x9f]")


class Out(io.StringIO):
    def __init__(self, tty: bool) -> None:
        super().__init__()
        self.buffer = io.BytesIO()
        self.tty = tty

    def isatty(self) -> bool:
        return self.tty


def printed(path: Path, monkeypatch: pytest.MonkeyPatch, *, tty: bool) -> bytes:
    out = Out(tty)
    row: Any = SimpleNamespace(path=str(path), size=path.stat().st_size, note=None, complete=True, step_key="a:p/r#s")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        assert log_out._copy(SimpleNamespace(look=lambda: row), row, False) == 0  # type: ignore[arg-type]
    return out.buffer.getvalue()


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from([b"\xc2", b"\x9b", b"\x1b", b"[31m", b"a", b"\x00", b"\xc3\xa9", b"\n"])),
    st.integers(1, 5),
)
def test_no_control_character_reaches_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: list[bytes], chunk: int
) -> None:
    file = tmp_path / "a.log"
    file.write_bytes(b"".join(parts))
    monkeypatch.setattr(log_out, "CHUNK", chunk)
    seen = printed(file, monkeypatch, tty=True)
    assert not C1.search(seen)
    assert not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", seen)
    assert seen.count(b"a") == b"".join(parts).count(b"a")
    assert printed(file, monkeypatch, tty=False) == b"".join(parts)


def test_letters_of_every_script_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.log"
    text = "déjà vu\t£ ½ 東京 ‰\n".encode()
    file.write_bytes(text)
    assert printed(file, monkeypatch, tty=True) == text
