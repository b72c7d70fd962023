"""Files as they are: patterns, ages, disks, logs that rotate, and what does not answer."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from adapters import globs
from adapters.errors import Forbidden, NotFound, Unreachable
from adapters.extras import SeriesQuery
from adapters.probes import files as room
from adapters.probes.files import FilesAdapter
from tests.probes.worlds import ask, files, value, values

DAY = 86_400


def put(folder: Path, name: str, size: int = 3, age_s: float = 0.0) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    os.utime(path, (time.time() - age_s, time.time() - age_s))
    return path


async def test_how_many_how_large_how_old(tmp_path: Path) -> None:
    old, new = put(tmp_path, "in/a.csv", 10, 3 * DAY), put(tmp_path, "in/b.csv", 5, 60)
    put(tmp_path, "in/.b.csv.part", 100)
    (tmp_path / "in/sub.csv").mkdir()
    (tmp_path / "in/loop.csv").symlink_to("loop.csv")
    (tmp_path / "in/gone.csv").symlink_to("nowhere")
    adapter = files(tmp_path)
    assert await value(adapter, "count in/*.csv") == 2.0
    assert await value(adapter, f"count {tmp_path}/in/*.csv") == 2.0
    assert await value(adapter, "size in/*.csv") == 15.0
    assert await value(adapter, "newest in/*.csv", unit="time") == new.stat().st_mtime_ns // 1_000_000
    assert await value(adapter, "oldest in/*.csv", unit="time") == old.stat().st_mtime_ns // 1_000_000
    assert 59 < float(await value(adapter, "age in/*.csv", unit="s")) < 70
    (tmp_path / "in/c.csv").symlink_to(old)
    assert await value(adapter, "count in/*.csv") == 3.0, "a link to a file is one"


async def test_nothing_there_is_none_of_it_or_a_reason_and_never_a_guess(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    adapter = files(tmp_path)
    assert await value(adapter, "count in/*.csv") == 0.0
    assert await value(adapter, "size in/*.csv") == 0.0
    for what in ("newest", "oldest", "age"):
        assert "no file is called like" in str(await value(adapter, f"{what} in/*.csv"))
    assert "the folder" in str(await value(adapter, "count gone/*.csv"))
    assert "is not there" in str(await value(adapter, "lines gone.csv"))
    assert "is not there" in str(await value(adapter, "free gone/x"))


async def test_the_newest_partition_by_name_of_files_and_folders(tmp_path: Path) -> None:
    for name in (
        "cdm/date=2026-11-18/part-0",
        "cdm/date=2026-11-19/part-0",
        "cdm/date=2026-99-99/part-0",
        "x_20261120.csv",
    ):
        put(tmp_path, name, age_s=400 * DAY)
    adapter = files(tmp_path)
    assert await value(adapter, "newest-date cdm/date={business_date}", unit="date") == 1_795_046_400_000.0
    assert await value(adapter, "newest-date cdm/date={business_date}/part-*", unit="date") == 1_795_046_400_000.0
    assert await value(adapter, "newest-date x_{yyyymmdd}.csv", unit="date") == 1_795_132_800_000.0
    assert "nothing is called like" in str(await value(adapter, "newest-date y_{yyyymmdd}.csv", unit="date"))


async def test_lines_of_a_file_as_it_grows(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("h\n1\n2")
    adapter = files(tmp_path)
    assert await value(adapter, "lines a.csv") == 3.0
    assert await value(adapter, "lines a.csv") == 3.0
    path.write_text("h\n1\n2\n3\n")
    assert await value(adapter, "lines a.csv") == 4.0
    path.write_bytes(b"")
    assert await value(adapter, "lines a.csv") == 0.0
    assert "is no file" in str(await value(adapter, "lines ."))


async def test_disks_as_df_tells_them(tmp_path: Path) -> None:
    adapter = files(tmp_path)
    found = os.statvfs(tmp_path)
    assert 0 <= float(await value(adapter, "used% .", unit="%")) <= 100
    free = await value(adapter, "free .", unit="B")
    assert abs(float(free) - found.f_bavail * found.f_frsize) < 1 << 30
    inodes = await value(adapter, "inodes% .", unit="%")
    assert "no inodes" in str(inodes) if not found.f_files else 0 <= float(inodes) <= 100


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is denied to root")
async def test_what_may_not_be_read_says_so(tmp_path: Path) -> None:
    path = put(tmp_path, "in/a.csv")
    path.chmod(0)
    adapter = files(tmp_path)
    assert "permission denied" in str(await value(adapter, "lines in/a.csv"))
    path.parent.chmod(0)
    assert "permission denied" in str(await value(adapter, "count in/*"))
    path.parent.chmod(0o700)
    tmp_path.chmod(0)
    with pytest.raises(Forbidden):
        await adapter.probe()
    tmp_path.chmod(0o700)


async def test_denied_is_said_whoever_runs_this(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "in/a.csv")

    def denied(*_: object) -> object:
        raise PermissionError(13, "Permission denied")

    adapter = files(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", denied)
        assert "permission denied" in str(await value(adapter, "count in/*"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", denied)
        assert "permission denied" in str(await value(adapter, "lines in/a.csv"))
        assert "permission denied" in str(await value(adapter, r"match in/a.csv /(\d)/"))


async def test_too_many_names_are_said_and_not_half_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(30):
        put(tmp_path, f"in/{n}.csv")
    monkeypatch.setattr(globs, "MOST_NAMES", 20)
    said = str(await value(files(tmp_path), "count in/*.csv"))
    assert "too many names" in said
    assert "21 and more" in said


async def test_a_mount_that_hangs_costs_its_own_queries_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "good/a.csv")
    put(tmp_path, "nfs/a.csv")
    free = threading.Event()
    scandir = os.scandir
    hung: list[str] = []

    def hangs(path: str) -> object:
        if str(path).endswith("nfs"):
            hung.append(path)
            free.wait(20)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", hangs)
    adapter = files(tmp_path, timeout=0.2)
    began = time.monotonic()
    for _ in range(3):
        found = await ask(adapter, "count nfs/*.csv", "count good/*.csv", "age nfs/*.csv")
        assert [(s.series, s.value) for s in found.samples] == [("count good/*.csv", 1.0)]
        assert "does not answer" in found.failed["count nfs/*.csv"]
    assert time.monotonic() - began < 2
    assert len(hung) == 2, "who hangs is not asked again meanwhile"
    free.set()
    deadline = time.monotonic() + 5
    while await value(adapter, "count nfs/*.csv") != 1.0:
        assert time.monotonic() < deadline


async def test_a_root_that_is_gone_is_a_source_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = files(tmp_path, root="data", timeout=0.1)
    with pytest.raises(NotFound):
        await adapter.runs(None)
    (tmp_path / "data").mkdir()
    await adapter.runs(None)
    put(tmp_path, "data/a.csv")
    assert await value(adapter, "count *.csv") == 1.0
    free = threading.Event()
    stat = os.stat
    monkeypatch.setattr(os, "stat", lambda *a, **k: free.wait(10) and stat(*a, **k))
    with pytest.raises(Unreachable, match="does not answer"):
        await adapter.runs(None)
    free.set()


# --- logs -------------------------------------------------------------------------------------------------------------

ROWS = r"match app.log /loaded (\S+) rows/"
ERRORS = "count-match app.log /ERROR/"


async def test_the_last_value_of_a_log_with_the_time_of_its_file(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text("loaded 5 rows\nloaded 1,234 rows\nok\n")
    os.utime(log, (time.time() - 3600, time.time() - 3600))
    adapter = files(tmp_path)
    (one,) = (await ask(adapter, ROWS)).samples
    assert (one.value, one.t) == (1234.0, log.stat().st_mtime_ns // 1_000_000)
    (two,) = (await ask(adapter, ROWS)).samples
    assert two == one, "said again, of the same moment"
    with log.open("a") as out:
        out.write("nothing of it\n" * 100_000)
    (three,) = (await ask(adapter, ROWS)).samples
    assert three == one, "it has not been told anew, although it scrolled away"
    with log.open("a") as out:
        out.write("loaded 7 rows")
    (four,) = (await ask(adapter, ROWS)).samples
    assert four.value == 7.0
    assert four.t > one.t


async def test_a_value_file_that_is_written_over(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    adapter = files(tmp_path)
    for n in (5, 6, 6, 70, 8):
        log.write_text(f"loaded {n} rows")
        assert await value(adapter, ROWS) == n
    log.write_text("loaded lots rows")
    assert '"lots" is no number' in str(await value(adapter, ROWS))
    log.unlink()
    assert "is not there" in str(await value(adapter, ROWS))


async def test_a_value_file_that_is_written_anew_is_of_now(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text("loaded 5 rows\n")
    os.utime(log, (time.time() - 3600, time.time() - 3600))
    adapter = files(tmp_path)
    (old,) = (await ask(adapter, ROWS)).samples
    log.write_text("loaded 5 rows\n")
    (new,) = (await ask(adapter, ROWS)).samples
    assert new.value == old.value
    assert new.t > old.t + 3_000_000


async def test_values_by_named_groups_and_the_newest_file_of_a_pattern(tmp_path: Path) -> None:
    (tmp_path / "app-20261119.log").write_text("a: 1\nb: 2\n")
    os.utime(tmp_path / "app-20261119.log", (1, 1))
    (tmp_path / "app-20261120.log").write_text("a: 3\n")
    adapter = files(tmp_path)
    assert await values(adapter, r"match app-{yyyymmdd}.log /(?P<table>\w): (\d+)/") == {"{table=a}": 3.0}
    (tmp_path / "app-20261121.log").write_text("b: 9\n")
    assert await values(adapter, r"match app-*.log /^(?P<table>\w): (\d+)/") == {"{table=b}": 9.0}
    assert "no file" in str(await value(adapter, r"match gone-*.log /(\d+)/"))


async def test_lines_are_counted_since_the_last_ask(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text("ERROR old\n" * 5)
    adapter = files(tmp_path)
    assert await value(adapter, ERRORS) == 0.0, "what stood there before anybody counted"
    with log.open("a") as out:
        out.write("ERROR\nok\nERROR ERROR\nERR")
    assert await value(adapter, ERRORS) == 2.0
    assert await value(adapter, ERRORS) == 0.0
    with log.open("a") as out:
        out.write("OR finished\nERROR not yet")
    assert await value(adapter, ERRORS) == 1.0, "a line is counted when it is finished"
    with log.open("a") as out:
        out.write(" but now\n")
    assert await value(adapter, ERRORS) == 1.0, "and once"


async def test_rotation_loses_nothing_and_counts_nothing_twice(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text("ERROR\n")
    adapter = files(tmp_path)
    assert await value(adapter, ERRORS) == 0.0
    with log.open("a") as out:
        out.write("ERROR before it was renamed\n")
    log.rename(tmp_path / "app.log.1")
    log.write_text("ERROR\nERROR\n")
    assert await value(adapter, ERRORS) == 3.0
    assert await value(adapter, ERRORS) == 0.0


@pytest.mark.parametrize("longer", [False, True])
async def test_truncation_begins_anew(tmp_path: Path, longer: bool) -> None:
    log = tmp_path / "app.log"
    log.write_text("old ERROR line\n" * 4)
    adapter = files(tmp_path)
    assert await value(adapter, ERRORS) == 0.0
    with log.open("r+") as out:  # copytruncate: the same file
        out.truncate(0)
        out.write("new ERROR\n" * (30 if longer else 2))
    assert await value(adapter, ERRORS) == (30.0 if longer else 2.0)


async def test_a_pattern_counts_in_each_file_also_in_new_ones(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("ERROR x\n")
    (tmp_path / "b.log").write_text("ERROR x\n")
    adapter = files(tmp_path)
    query = "count-match *.log /ERROR/"
    assert await value(adapter, query) == 0.0
    (tmp_path / "c.log").write_text("ERROR\nERROR\n")
    for name in "ab":
        with (tmp_path / f"{name}.log").open("a") as out:
            out.write("ERROR\n")
    assert await value(adapter, query) == 4.0
    (tmp_path / "a.log").rename(tmp_path / "d.log")
    assert await value(adapter, query) == 0.0


async def test_counts_by_label_know_which_there_were(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text("level=WARN\n")
    adapter = files(tmp_path)
    query = r"count-match app.log /level=(?P<level>\w+)/"
    assert await values(adapter, query) == {"{level=WARN}": 0.0}
    with log.open("a") as out:
        out.write("level=ERROR\nlevel=ERROR\n")
    assert await values(adapter, query) == {"{level=WARN}": 0.0, "{level=ERROR}": 2.0}


async def test_too_much_to_count_is_said_once_and_then_counted_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "COUNTED", 1000)
    log = tmp_path / "app.log"
    log.write_text("start\n")
    adapter = files(tmp_path)
    assert await value(adapter, ERRORS) == 0.0
    with log.open("a") as out:
        out.write("ERROR\n" * 1000)
    assert "not counted" in str(await value(adapter, ERRORS))
    with log.open("a") as out:
        out.write("ERROR\n")
    assert await value(adapter, ERRORS) == 1.0


async def test_one_text_under_two_names_is_looked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "app.log"
    log.write_text("ERROR\n")
    adapter = files(tmp_path)
    await ask(adapter, ERRORS)
    log.write_text("ERROR\nERROR\n")
    looked: list[str] = []
    news = room.news
    monkeypatch.setattr(room, "news", lambda path, *a, **k: looked.append(path) or news(path, *a, **k))
    found = await adapter.samples([SeriesQuery("a", ERRORS), SeriesQuery("b", ERRORS)])
    assert {s.series: s.value for s in found.samples} == {"a": 1.0, "b": 1.0}
    assert looked == [str(log)]


async def test_binary_files_and_strange_things_are_no_logs(tmp_path: Path) -> None:
    (tmp_path / "app.log").write_bytes("loaded 5 rows\n".encode("utf-16"))
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "bad.log").write_bytes(b"\xff\xfe loaded 5 rows\n")
    adapter = files(tmp_path)
    assert "NUL bytes" in str(await value(adapter, ROWS))
    assert "is no file" in str(await value(adapter, r"match pipe /(\d)/"))
    assert await value(adapter, r"match bad.log /loaded (\d) rows/") == 5.0


async def test_a_subset_is_fine_and_forgets_nothing(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text("ERROR\n")
    adapter = files(tmp_path)
    await ask(adapter, ERRORS, "count *.log")
    with log.open("a") as out:
        out.write("ERROR\n")
    await ask(adapter, "count *.log")
    await ask(adapter)
    assert await value(adapter, ERRORS) == 1.0


@pytest.mark.parametrize(
    "text",
    ["", "count", "weigh *.csv", "newest-date *.csv", "match a.log", "match a.log /x/", "count-match a.log", "count ../x", "match /(/", "match a /(/"],
)  # fmt: skip
async def test_a_wrong_query_is_seen_beforehand_and_said_when_asked(tmp_path: Path, text: str) -> None:
    assert FilesAdapter.wrong_query(text)
    found = await files(tmp_path).samples([SeriesQuery("n", text)])
    assert "cannot be read" in found.failed["n"]


@pytest.mark.parametrize("options", [{"roots": "x"}, {"root": 3}, {"timeout": 0}, {"timeout": True}, {"timeout": 999}])
def test_wrong_options_are_one_sentence(tmp_path: Path, options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"^options"):
        files(tmp_path, **options)
