"""The demo's workspace: a configuration, its jobs' program and 60 days of generated history, in a place of its own.

The jobs are real: they run on this host and move rows between SQLite files. Only the history is made up, and marked so.
Due times are written relative to the first start, so that within ten minutes each type of promise is seen to be kept or broken.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import sys
import time
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

from engine.demo.work.flow import lay_out

if TYPE_CHECKING:
    from engine.config.paths import Places

HISTORY_DAYS = 60
RUNS_A_DAY = 4
QUIET_H: Final = 26
"""Hours before the first start without generated runs: what is owed today is not to be fulfilled by them."""

USUAL_S: dict[str, float] = {
    "mart_to_ldz": 1.0, "ldz_to_rdv": 0.6, "ldz_to_rdv_contracts": 0.6, "customer_360": 0.4, "campaign_360": 0.4,
    "flowchart_360": 62.0, "ml_write_back": 0.6, "partner_drop": 11.5, "partner_crm": 12.0, "vault_backup": 0.8,
}  # fmt: skip

SLOW_S: dict[str, float] = {"txn_dedup": 35.2, "churn_model": 250.0}
"""Seconds that the other ones usually take; nobody waits for them before the demo without a terminal is printed."""
_RELATIVE: Final = re.compile(r"@(DUE|CRON)\+(\d+)@")


def prepare(place: Places, *, python: str = sys.executable, now: float | None = None) -> bool:
    """Write the workspace where it is missing. True if it was made now; what a person changed in it stays."""
    if place.config.exists():
        return False
    folder = place.config.parent
    (folder / "work").mkdir(parents=True, exist_ok=True)
    place.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    here = files("engine.demo")
    (folder / "work" / "flow.py").write_text(here.joinpath("work/flow.py").read_text())
    lay_out(folder / "data")
    history = place.state / "local"
    history.mkdir(parents=True, exist_ok=True)
    with (history / "generated.jsonl").open("w") as file:
        for row in generate(now or time.time()):
            file.write(json.dumps(row) + "\n")
    text = filled(here.joinpath("watchfloor.toml").read_text(), python, local_zone(), now or time.time(), folder)
    (folder / "holidays.txt").write_text(holidays(local_zone(), now or time.time()))
    temporary = place.config.with_suffix(".part")
    temporary.write_text(text)
    temporary.rename(place.config)  # last: a half-made workspace is made again
    return True


def filled(text: str, python: str, zone: str, now: float, folder: Path = Path("/")) -> str:
    """The template with this host's Python and zone, and the workspace's folder as a URL has it; ``@DUE+5@`` is the time of day five minutes on, ``@CRON+5@`` a daily tick then."""

    def relative(found: re.Match[str]) -> str:
        minute = -(-now // 60) + int(found[2])  # rounded up: never less than was promised
        at = datetime.fromtimestamp(minute * 60, ZoneInfo(zone))
        return at.strftime("%H:%M" if found[1] == "DUE" else "%-M %-H * * *")

    text = _RELATIVE.sub(relative, text)
    text = text.replace("@TODAY@", datetime.fromtimestamp(now, ZoneInfo(zone)).date().isoformat())
    text = text.replace("@FOLDER@", quote(str(folder.absolute())))
    return text.replace('"@PYTHON@"', json.dumps(python)).replace("@TIMEZONE@", zone)


def holidays(zone: str, now: float) -> str:
    """A file of holidays with one date: the day after the first due times, which may lie behind midnight."""
    tomorrow = datetime.fromtimestamp(now + 600, ZoneInfo(zone)).date() + timedelta(days=1)
    return f"# dates on which the bank is closed, one a line\n{tomorrow.isoformat()}  founders' day\n"


def generate(now: float, seed: int = 86) -> list[dict[str, Any]]:
    """60 days of made-up runs, four a day, the same for the same seed: mostly fine, now and then slow, failed or a warning."""
    rng = random.Random(seed)
    end = datetime.fromtimestamp(now, UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=QUIET_H)
    rows: list[dict[str, Any]] = []
    for job, usual in (USUAL_S | SLOW_S).items():
        for number in range(HISTORY_DAYS * RUNS_A_DAY):
            start = end - timedelta(
                hours=24 / RUNS_A_DAY * (HISTORY_DAYS * RUNS_A_DAY - number), seconds=rng.randrange(600)
            )
            seconds = usual * rng.lognormvariate(0, 0.18) * (2.4 if rng.random() < 0.02 else 1.0)
            state, error = "success", None
            dice = rng.random()
            if job == "campaign_360" and dice < 0.12:
                state, error = "warning", "rows rejected: spend below 3"
            elif job == "ldz_to_rdv_contracts" and dice < 0.08:
                state, error, seconds = "failed", "load_fact: duplicate key: UNIQUE constraint failed", seconds * 0.7
            elif dice < 0.012:
                state, error, seconds = "failed", "no space left on device (generated)", seconds * 0.5
            began = int(start.timestamp() * 1000)
            rows.append(
                {
                    "job": job, "run": start.strftime("gen-%Y%m%dT%H%M%SZ"), "started": began, "ended": began + int(seconds * 1000),
                    "state": state, "business_date": (start - timedelta(days=1)).date().isoformat(), "error": error,
                }
            )  # fmt: skip
    return rows


def local_zone() -> str:
    """IANA name of this host's zone; UTC where it cannot be told."""
    try:
        target = str(Path("/etc/localtime").resolve())
    except OSError:
        return "UTC"
    _, found, name = target.partition("/zoneinfo/")
    return name.removeprefix("posix/").removeprefix("right/") if found else "UTC"


def reset(place: Places, patience_s: float = 15.0) -> None:
    """Stop the demo's engine (its jobs with it) and remove the workspace and its state; StoreError if it does not end."""
    from engine.ask import Ask, NoEngine
    from engine.leader import Leader
    from engine.store.errors import StoreError

    try:
        with Ask(place.socket) as ask:
            ask("stop")
    except NoEngine:
        pass
    end = time.monotonic() + patience_s
    leader = Leader(place.lock)
    while place.lock.parent.is_dir() and not leader.try_lock(0.0):
        if time.monotonic() > end:
            raise StoreError(f"the demo's engine (pid {leader.holder()}) does not end; end it yourself, then try again")
        time.sleep(0.05)
    leader.close()
    for folder in {place.state, place.config.parent}:
        shutil.rmtree(folder, ignore_errors=True)


def wait_until_run(place: Places, patience_s: float) -> int:
    """Until an engine looks now and each scheduled or chained demo pipeline ran to an end, or patience ends. Always 0."""
    from adapters.model import State
    from engine.store.errors import StoreError
    from engine.store.reader import Reader

    began = time.time_ns() // 1_000_000
    end = time.monotonic() + patience_s
    wanted = {name for name in USUAL_S if name != "flowchart_360"}  # a minute long: it may still run
    while time.monotonic() < end:
        try:
            reader = Reader(place.store)
        except StoreError:
            time.sleep(0.2)
            continue
        try:
            fresh = reader.lock_held() and any((s.last_ok or 0) >= began for s in reader.sources())
            rows = reader.runs(limit=200) if fresh else []
        except StoreError:
            rows = []
        finally:
            reader.close()
        # a tick that was skipped is an end, but nothing ran
        if wanted <= {r.name for r in rows if r.state.terminal and r.state is not State.SKIPPED and not r.generated}:
            return 0
        time.sleep(0.3)
    return 0
