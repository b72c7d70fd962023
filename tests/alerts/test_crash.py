"""SIGKILL on the way of a message: never lost, at most twice with the same id, and the second time says so.

Real processes, a real receiver with a record of its own, a real kill. Each life of the engine first delivers what the
life before left over. The seed is printed; ``WATCHFLOOR_SEED`` (read here, by the test) repeats one.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from engine.store.outbox import Post
from tests.alerts.conftest import Receiver
from tests.alerts.floor import Floor

ROOT = Path(__file__).parents[2]
TIMES = 20
BEFORE_SEND = ("committed", "marked", "sending")
AFTER_SEND = ("answered",)


def life(folder: Path, url: str, point: str, number: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.alerts.crash_child", str(folder), url, point, str(number)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def killed(folder: Path, url: str, point: str, number: int, delay: float) -> None:
    with life(folder, url, point, number) as process:
        watchdog = threading.Timer(40, process.kill)
        watchdog.start()
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if line != "here\n":
                raise AssertionError(f"it never came to {point}: {process.communicate()[1][-2000:]}")
            time.sleep(delay)
            senders = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            os.kill(process.pid, signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
            end = time.monotonic() + 10
            while any(runs(pid) for pid in senders):  # a sender does not outlive its engine
                assert time.monotonic() < end
                time.sleep(0.005)
        finally:
            watchdog.cancel()


def runs(pid: str) -> bool:
    """A zombie that nobody has collected yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(("points", "often"), [(BEFORE_SEND, {1}), (AFTER_SEND, {2})], ids=["commit-send", "send-mark"])
def test_killed_between(tmp_path: Path, receiver: Receiver, points: tuple[str, ...], often: set[int]) -> None:
    seed = int(os.environ.get("WATCHFLOOR_SEED") or random.SystemRandom().randrange(1 << 30))
    print(f"seed {seed}")
    rng = random.Random(seed)
    for number in range(TIMES):
        killed(tmp_path, receiver.url(), rng.choice(points), number, rng.uniform(0, 0.02))
    finish(tmp_path, receiver.url())

    rows, arrived, bodies = counted(tmp_path, receiver)
    assert len({occurrence for _, _, occurrence in rows}) == TIMES
    assert len(rows) == TIMES  # one alert, one message for the one recipient, each
    assert set(arrived.values()) == often
    for id, count in arrived.items():
        mine = [body for body in bodies if id in body]
        assert ["may be a repeat" in body for body in mine[1:]] == [True] * (count - 1)


def test_killed_whenever(tmp_path: Path, receiver: Receiver) -> None:
    """At any moment of a storm of failures, without standing still first."""
    seed = int(os.environ.get("WATCHFLOOR_SEED") or random.SystemRandom().randrange(1 << 30))
    print(f"seed {seed}")
    rng = random.Random(seed)
    for number in range(8):
        killed(tmp_path, receiver.url(), "any", number, rng.uniform(0.0, 0.6))
    finish(tmp_path, receiver.url())
    rows, _, _ = counted(tmp_path, receiver)
    assert len(rows) > 8


def finish(folder: Path, url: str) -> None:
    """A last life that delivers all and ends by itself."""
    with life(folder, url, "none", 0) as process:
        _, errors = process.communicate(timeout=40)
        assert process.returncode == 0, errors


def counted(folder: Path, receiver: Receiver) -> tuple[list[tuple[str, int, str]], Counter[str], list[str]]:
    """(store's rows: id, state, occurrence; how often each id arrived; all texts), with what must hold in any case."""
    bodies = [body["message"] for body in receiver.bodies]
    arrived = Counter(re.search(r"message (\w{26})", body).group(1) for body in bodies)  # type: ignore[union-attr]
    floor = Floor(folder, urls={"ana": receiver.url()}, setup=False)
    rows = floor.all("SELECT o.id, o.state, a.occurrence FROM alert a LEFT JOIN outbox o ON o.alert_id = a.id")
    floor.close()
    assert {state for _, state, _ in rows} == {Post.SENT}
    assert set(arrived) == {id for id, _, _ in rows}  # never zero, nothing else
    assert max(arrived.values()) <= 2
    return rows, arrived, bodies
