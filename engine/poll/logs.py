"""Logs of runs as files: raw bytes under the state folder, an index row each."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from adapters.model import LogChunk, StepRun, parse_key


def log_path(folder: Path, step: StepRun) -> Path:
    """Where the log of one try of one step lies. Native ids may be anything, so the run's part is a digest beside a readable stem."""
    key = parse_key(step.run)
    run = (
        re.sub(r"[^A-Za-z0-9_.-]", "_", key.run or "run")[:60]
        + "-"
        + hashlib.sha256(step.run.encode()).hexdigest()[:12]
    )
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", step.step)[:80] + "-" + hashlib.sha256(step.step.encode()).hexdigest()[:8]
    index = f".{step.map_index}" if step.map_index >= 0 else ""
    return folder / key.source / run / f"{name}{index}.{step.attempt}.log"


def append(path: Path, chunk: LogChunk, fresh: bool) -> int:
    """Write what came; ``fresh`` starts the file anew. Returns its size in bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb" if fresh else "ab") as file:
        file.write(chunk.data)
        return file.tell()


def fit(kept: Path, ours: Path, size: int) -> bool:
    """Whether the file still holds the ``size`` bytes that are indexed; False: it must be fetched from the beginning.

    Of our own file, what stands behind them goes: an engine that ended between the file and the index left it, and it
    will come again.
    """
    try:
        there = kept.stat().st_size
        if there > size and kept == ours:
            os.truncate(kept, size)
    except OSError:
        return size == 0
    return there >= size


def sweep(folder: Path, before_ms: int) -> int:
    """Remove logs that nobody wrote to since ``before_ms``, and folders that are empty then. How many went."""
    gone = 0
    for path in sorted(folder.rglob("*"), reverse=True):
        try:
            if path.is_file() and path.stat().st_mtime * 1000 < before_ms:
                path.unlink()
                gone += 1
            elif path.is_dir() and not any(path.iterdir()):
                path.rmdir()
        except OSError:
            continue
    return gone
