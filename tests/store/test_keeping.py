"""What is forgotten and what is rolled up; reading after a clean end and after a kill, by another user."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters.model import Owed, Sample, State, StepRun
from engine.leader import Leader
from engine.store import owed, owed_kept, retention, samples, steps
from engine.store.errors import StoreError
from engine.store.export import export
from engine.store.reader import Reader
from engine.store.writer import Store
from tests.store.rig import DAY, HOUR, NOW, Rig, Still, a_run, past_runs
from tests.tui.owed_stores import owe
from tests.tui.stores import House

# --- retention ----------------------------------------------------------------------------------------------------------


def test_old_runs_go_with_all_that_hangs_on_them(rig: Rig) -> None:
    old = NOW - 500 * DAY
    rig.see(
        a_run("old", State.FAILED, started=old, ended=old + 1, error="x"),
        a_run("open", State.RUNNING, started=old),
        a_run("new", State.SUCCESS, ended=NOW + 1),
        a_run("only", State.SUCCESS, pipeline="a:rare", started=old, ended=old + 1),
    )
    rig.see(a_run("old", State.FAILED, started=old + 2, ended=old + 3, attempt=2))
    with rig.store.transaction() as tx:
        steps.apply_steps(tx, "a:p/old", [StepRun(run="a:p/old", step="s", native="x", state=State.FAILED)])
        steps.put_log(tx, "a:p/old", "s", -1, 1, "/x", 1, True, None, None)
    with rig.store.transaction() as tx:
        assert retention.sweep(tx, 400 * DAY) == 1
    assert rig.ask("SELECT run FROM run ORDER BY run") == [("new",), ("only",), ("open",)]
    for table in ("attempt", "step_run", "log_file"):
        assert rig.ask(f"SELECT count(*) FROM {table}") == [(0,)], table  # noqa: S608
    assert rig.ask("SELECT count(*) FROM run_extra WHERE run_id NOT IN (SELECT id FROM run)") == [(0,)]
    assert rig.reader.run_count() == 3
    assert rig.ask("SELECT count(*) FROM run_day WHERE day < 20251001") == [(0,)]
    (row,) = [r for r in rig.reader.floor() if r.name == "p"]
    assert (len(row.strip), row.active) == (2, 1)
    version = rig.reader.version()
    with rig.store.transaction() as tx:
        assert retention.sweep(tx, 400 * DAY) == 0
    assert rig.reader.version() == version


def test_a_sweep_takes_a_portion_at_a_time(rig: Rig) -> None:
    rig.see(*past_runs([1.0] * 25, first=NOW - 500 * DAY), a_run("now"))
    went = []
    for _ in range(4):
        with rig.store.transaction() as tx:
            went.append(retention.sweep(tx, 400 * DAY, portion=10))
    assert went == [10, 10, 5, 0]
    assert rig.reader.run_count() == 1


def test_old_promises_go_with_what_was_predicted_and_what_is_shown_stays(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.source("a")
    key = house.pipeline("a", "p")
    old = owe(house, key, due_in=-500 * DAY, state=Owed.MET, late=0.5, p50_in=0, promise="x", now=False)
    shown = owe(house, key, due_in=-450 * DAY, state=Owed.BREACHED, promise="x")
    new = owe(house, key, due_in=-DAY, state=Owed.MET, promise="x", now=False)
    open_ = owe(house, key, due_in=-500 * DAY, state=Owed.AT_RISK, promise="y", now=False)
    with house.tx() as tx:
        tx.db.execute(
            "INSERT INTO predicted (occurrence_id, at, late) VALUES (?, ?, 0.5)", (old, house.now - 500 * DAY)
        )
        tx.db.execute("INSERT INTO predicted (occurrence_id, at, late) VALUES (?, ?, 0.5)", (new, house.now - DAY))
        owed.put_event(tx, key, "level shift", "takes longer")
        assert owed_kept.sweep(tx, 400 * DAY) == 1
    ask = house.reader().all
    assert [row[0] for row in ask("SELECT id FROM occurrence ORDER BY id")] == [shown, new, open_]
    assert ask("SELECT occurrence_id FROM prediction") == []
    assert ask("SELECT occurrence_id FROM predicted") == [(new,)]
    assert ask("SELECT what FROM owed_event") == [("level shift",)]
    house.close()


def put(store: Store, t: int, **values: float) -> None:
    with store.transaction() as tx:
        samples.put_samples(tx, t, [Sample(name, t, value) for name, value in values.items()])


def test_samples_are_rolled_up_and_thinned(rig: Rig) -> None:
    start = NOW // 600_000 * 600_000
    for second in range(0, 4 * 3600, 5):
        put(rig.store, start + second * 1000, cpu=float(second % 60))
    end = start + 4 * HOUR
    put(rig.store, end, cpu=0.0)
    assert rig.ask("SELECT count(*), min(t) >= ? FROM sample_raw", end - HOUR) == [(721, 1)]
    assert rig.ask("SELECT count(*), min(n), max(n) FROM sample_10s") == [(1440, 2, 2)]
    assert rig.ask("SELECT count(*), min(n), max(n), min(avg), max(avg), min(min), max(max) FROM sample_1m") == [
        (240, 12, 12, 27.5, 27.5, 0.0, 55.0)
    ]
    assert rig.ask("SELECT count(*), min(n), max(avg) FROM sample_10m") == [(24, 120, 27.5)]
    rig.clock.at = end + 25 * HOUR
    with rig.store.transaction() as tx:
        retention.sweep(tx, 400 * DAY)
    tables = ("sample_raw", "sample_10s", "sample_1m", "sample_10m")
    assert [rig.ask(f"SELECT count(*) FROM {t}")[0][0] for t in tables] == [0, 0, 240, 24]  # noqa: S608
    rig.clock.at = end + 31 * DAY
    with rig.store.transaction() as tx:
        retention.sweep(tx, 400 * DAY)
    assert [rig.ask(f"SELECT count(*) FROM {t}")[0][0] for t in tables] == [0, 0, 0, 0]  # noqa: S608


def test_roll_up_goes_on_where_a_killed_engine_stopped(rig: Rig) -> None:
    start = NOW // 60_000 * 60_000
    for second in range(0, 130):
        if second == 65:
            rig.store.close()
            rig.store = Store.open(rig.path, rig.clock)
        put(rig.store, start + second * 1000, cpu=1.0, **({"late": 2.0} if second > 70 else {}))
    assert rig.ask(
        "SELECT count(*), sum(n) FROM sample_1m JOIN series ON series.id = series_id WHERE name = 'cpu'"
    ) == [(2, 120)]
    assert rig.ask("SELECT sum(n) FROM sample_10s JOIN series ON series.id = series_id WHERE name = 'late'") == [(49,)]


def test_series_of_runs_that_ended_are_forgotten(rig: Rig) -> None:
    put(rig.store, NOW, **{"run:a:p/1": 1.0, "host.cpu": 1.0})
    rig.clock.at = NOW + 3 * HOUR
    with rig.store.transaction() as tx:
        retention.sweep(tx, 400 * DAY)
    put(rig.store, rig.clock.at, **{"run:a:p/1": 1.0})
    assert rig.ask("SELECT name FROM series ORDER BY name") == [("host.cpu",), ("run:a:p/1",)]
    assert len(rig.reader.gauges("run:")[0].past) == 1


# --- the lock and the ways to read ------------------------------------------------------------------------------------------


def test_the_lock_tells_whether_an_engine_writes(rig: Rig) -> None:
    reader = Reader(rig.path)
    assert not reader.lock_held()
    leader = Leader(rig.path.parent / "engine.lock")
    assert leader.try_lock()
    assert reader.lock_held()
    leader.close()
    assert not reader.lock_held()
    assert Leader(rig.path.parent / "engine.lock").try_lock(), "asking leaves nothing behind"


def as_other_user(work: Callable[[], None]) -> None:
    """Run ``work`` in a child that is uid 65534 of this file's group; the child's complaint is ours."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(read)
            os.setgroups([])
            os.setgid(65533)
            os.setuid(65534)
            work()
        except BaseException:
            os.write(write, traceback.format_exc().encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    assert not said, said


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

WRITE_AND_WAIT = """
import sys
from pathlib import Path
from tests.store.rig import Rig, a_run
rig = Rig(Path(sys.argv[1]))
rig.see(a_run("kept"))
print("ready", flush=True)
sys.stdin.readline()
rig.see(a_run("later"))
rig.store.close()
print("closed", flush=True)
"""


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder as system mode makes it, that uid 65534 may enter and read as one of the group."""
    with tempfile.TemporaryDirectory(prefix="watchfloor-test-") as name:  # pytest's own folders are closed to others
        Path(name).chmod(0o755)
        folder = Path(name) / "state"
        folder.mkdir()
        os.chown(folder, -1, 65533)
        folder.chmod(0o2750)
        yield folder


def writer(folder: Path) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", WRITE_AND_WAIT, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        umask=0o027,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def runs_seen(folder: Path) -> tuple[list[str], bool]:
    reader = Reader(folder / "floor.db")
    try:
        return sorted(r.key for r in reader.runs()), reader.immutable
    finally:
        reader.close()


@needs_root
def test_another_user_reads_beside_the_writer_and_after_a_clean_end(shared: Path) -> None:
    child = writer(shared)
    assert child.stdin is not None
    assert child.stdout is not None

    def beside() -> None:
        assert runs_seen(shared) == (["a:p/kept"], False)
        with pytest.raises(StoreError, match="cannot be written by this user"):
            Store.open(shared / "floor.db", Still())

    as_other_user(beside)
    child.stdin.write("\n")
    child.stdin.flush()
    assert child.stdout.readline() == "closed\n"
    child.communicate(timeout=20)
    assert not (shared / "floor.db-wal").exists()

    def after() -> None:
        assert runs_seen(shared) == (["a:p/kept", "a:p/later"], True)

    as_other_user(after)


@needs_root
def test_another_user_reads_every_committed_row_after_a_kill(shared: Path) -> None:
    child = writer(shared)
    child.send_signal(signal.SIGKILL)
    child.communicate(timeout=20)
    assert (shared / "floor.db-wal").stat().st_size > 0

    def after() -> None:
        assert runs_seen(shared) == (["a:p/kept"], False)

    as_other_user(after)
    store = Store.open(shared / "floor.db", Still())
    with store.transaction() as tx:
        assert tx.db.execute("SELECT run FROM run").fetchall() == [("kept",)]
    store.close()


@needs_root
def test_a_store_that_may_not_be_read_is_not_called_missing(shared: Path) -> None:
    Rig(shared).close()
    shared.chmod(0o700)

    def look() -> None:
        with pytest.raises(StoreError, match="cannot be read: Permission denied"):
            Reader(shared / "floor.db").open()

    as_other_user(look)


@needs_root
def test_another_user_reads_what_the_owner_has_read(shared: Path) -> None:
    """The owner's terminal may leave an empty ``-wal`` behind: it must not lock the others out."""
    Rig(shared).close()
    assert runs_seen(shared)[0] == []
    as_other_user(lambda: None if runs_seen(shared)[0] == [] else pytest.fail("rows from nowhere"))
    for left in shared.glob("floor.db-*"):
        left.unlink()
    (shared / "floor.db-wal").touch(mode=0o640)
    as_other_user(lambda: None if runs_seen(shared) == ([], True) else pytest.fail("not read"))


@needs_root
def test_while_an_engine_starts_an_immutable_reader_keeps_asking(shared: Path) -> None:
    """The lock is held but nothing is open yet: each wake tries again, and none of them spins."""
    Rig(shared).close()
    leader = Leader(shared / "engine.lock")
    assert leader.try_lock()
    os.chmod(shared / "engine.lock", 0o644)

    def wake() -> None:
        reader = Reader(shared / "floor.db")
        assert len({reader.version() for _ in range(3)}) == 3
        assert reader.immutable

    as_other_user(wake)
    leader.close()


@needs_root
def test_an_immutable_reader_opens_anew_when_an_engine_comes(shared: Path) -> None:
    Rig(shared).close()
    go_read, go_write = os.pipe()
    ready_read, ready_write = os.pipe()

    def watch() -> None:
        reader = Reader(shared / "floor.db")
        before = reader.version()
        assert reader.immutable
        os.write(ready_write, b".")
        os.read(go_read, 1)
        assert reader.version() != before
        assert not reader.immutable
        assert [r.key for r in reader.runs()] == ["a:p/new"]

    import threading

    def write() -> None:
        os.read(ready_read, 1)
        store = Store.open(shared / "floor.db", Still())
        from engine.store import runs

        with store.transaction() as tx:
            runs.apply_runs(tx, 1, [a_run("new")], NOW)
        os.write(go_write, b".")
        held.append(store)

    held: list[Store] = []
    thread = threading.Thread(target=write)
    thread.start()
    as_other_user(watch)
    thread.join(20)
    held[0].close()
    for descriptor in (go_read, go_write, ready_read, ready_write):
        os.close(descriptor)


# --- export -----------------------------------------------------------------------------------------------------------------


def test_tables_can_be_taken_out_as_lines_and_csv(rig: Rig, tmp_path: Path) -> None:
    rig.see(a_run("1", State.FAILED, error='says "no", twice\n'), a_run("2"))
    assert export(rig.path, ["run", "run_extra"], tmp_path / "out", "jsonl") == {"run": 2, "run_extra": 1}
    import json

    lines = [json.loads(line) for line in (tmp_path / "out" / "run.jsonl").read_text().splitlines()]
    assert [(line["run"], line["state"]) for line in lines] == [("1", 8), ("2", 2)]
    export(rig.path, ["run_extra"], tmp_path / "out", "csv")
    import csv

    with (tmp_path / "out" / "run_extra.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["error"] == 'says "no", twice\n'
    with pytest.raises(StoreError, match="no table 'songs'"):
        export(rig.path, ["songs"], tmp_path / "out", "csv")
