"""Logs of runs as files: raw bytes under the state folder, an index row each, the first error found in them."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from adapters.model import LogChunk, StepRun, parse_key

_ERROR = re.compile(rb"\b(error|exception|fatal|critical|ora-\d{4,5}|traceback|failed|violat\w+|denied|refused)\b", re.I)
_SURE = re.compile(rb"\b(ERROR|CRITICAL|FATAL|\w+(?:Error|Exception)|ORA-\d{5})\b")
_STAMP = re.compile(rb"^\s*\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[\d.,]*(?:Z|[+-]\d\d:?\d\d)?\]?\s*")
SCAN = 1 << 20


def log_path(folder: Path, step: StepRun) -> Path:
    """Where the log of one try of one step lies. Native ids may be anything, so the run's part is a digest beside a readable stem."""
    key = parse_key(step.run)
    run = re.sub(r"[^A-Za-z0-9_.-]", "_", key.run or "run")[:60] + "-" + hashlib.sha256(step.run.encode()).hexdigest()[:12]
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", step.step)[:80] + "-" + hashlib.sha256(step.step.encode()).hexdigest()[:8]
    index = f".{step.map_index}" if step.map_index >= 0 else ""
    return folder / key.source / run / f"{name}{index}.{step.attempt}.log"


def append(path: Path, chunk: LogChunk, fresh: bool) -> int:
    """Write what came; ``fresh`` starts the file anew. Returns its size in bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb" if fresh else "ab") as file:
        file.write(chunk.data)
        return file.tell()


def first_error(path: Path) -> str | None:
    """The first line that says what went wrong, without its time stamp, ≤ 300 characters; None if nothing looks like one."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - SCAN))
            lines = file.read(SCAN).splitlines()
    except OSError:
        return None
    for pattern in (_SURE, _ERROR):
        for line in lines:
            if pattern.search(line):
                text = _STAMP.sub(b"", line).decode("utf-8", "replace").strip()
                return text[:300] or None
    return None
