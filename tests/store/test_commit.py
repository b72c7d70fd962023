"""Transactions, the change signal, several readers, a full disk."""

from __future__ import annotations

import threading

import pytest

from adapters.model import Caps, State
from engine.store import sources
from engine.store.errors import StoreError
from engine.store.reader import Reader
from engine.store.writer import Store
from tests.store.rig import Rig, a_run


def test_a_commit_moves_version_and_only_its_topics(rig: Rig) -> None:
    before, version = rig.reader.topics(), rig.reader.version()
    with rig.store.transaction() as tx:
        sources.put_note(tx, "a:p", "ana", "look at this")
        tx.bump("note", "note")
    assert rig.reader.version() != version
    assert rig.reader.changed_since(before) == {"note"}
    assert rig.reader.topics()["note"] == before["note"] + 1
    assert [(n.who, n.text) for n in rig.reader.notes("a:p")] == [("ana", "look at this")]


def test_a_poll_that_says_nothing_new_wakes_nobody(rig: Rig) -> None:
    seen = [
        a_run("1", State.RUNNING),
        a_run("2", State.FAILED, ended=1, error="no disk", sub="x", params={"a": 1}, url="http://x/2"),
    ]
    rig.see(*seen)
    rig.list("p")
    with rig.store.transaction() as tx:
        sources.put_health(tx, rig.source, health=1, since=5, detail=None)
        sources.put_caps(tx, rig.source, Caps(frozenset({"stop"})))
    topics, version = rig.reader.topics(), rig.reader.version()
    assert rig.see(*seen) == []
    assert rig.list("p") == []
    with rig.store.transaction() as tx:
        sources.put_health(tx, rig.source, health=1, since=5, detail=None)
        sources.put_caps(tx, rig.source, Caps(frozenset({"stop"})))
        assert sources.sync_sources(tx, [sources.SourceRecord(name="a", kind="local", environment="prod")]) == {
            "a": rig.source
        }
        assert not tx.bumped
    assert rig.reader.version() == version
    assert rig.reader.topics() == topics


def test_the_sources_own_time_moving_alone_wakes_nobody(rig: Rig) -> None:
    rig.see(a_run(source_updated=100))
    version = rig.reader.version()
    assert rig.see(a_run(source_updated=200)) == []
    assert rig.reader.version() == version
    assert rig.see(a_run(state=State.QUEUED, source_updated=150)) == [], "older than what was seen without a change"
    assert rig.see(a_run(state=State.SUCCESS, source_updated=250, ended=5)) != []


def test_an_exception_rolls_back_and_forgets_what_was_held(rig: Rig) -> None:
    rig.see(a_run("1", State.SUCCESS, ended=2))
    version = rig.reader.version()
    with pytest.raises(ZeroDivisionError), rig.store.transaction() as tx:  # noqa: PT012
        from engine.store import runs

        runs.apply_runs(tx, rig.source, [a_run("2"), a_run("x", pipeline="a:new")], rig.clock.now())
        raise ZeroDivisionError
    assert rig.reader.version() == version
    rig.see(a_run("3"), a_run("x", pipeline="a:new"))
    assert rig.ask("SELECT run, active FROM pipe_now ORDER BY run") == [("3", 1), ("x", 1)]
    assert rig.reader.run_count() == 3 == rig.ask("SELECT count(*) FROM run")[0][0]


def test_transactions_are_not_reentrant_but_wait_for_other_threads(rig: Rig) -> None:
    done: list[str] = []

    def other() -> None:
        with rig.store.transaction() as tx:
            sources.put_note(tx, "a:p", "thread", "second")
            done.append("second")

    with rig.store.transaction() as tx:
        with pytest.raises(RuntimeError, match="re-entrant"), rig.store.transaction():
            pass
        thread = threading.Thread(target=other)
        thread.start()
        sources.put_note(tx, "a:p", "main", "first")
        assert done == []
    thread.join(10)
    assert [n.text for n in rig.reader.notes("a:p")] == ["first", "second"]


def test_full_commits_wait_for_the_disk_and_others_do_not(rig: Rig) -> None:
    with rig.store.transaction(full=True) as tx:
        assert tx.db.execute("PRAGMA synchronous").fetchone() == (2,)
    with rig.store.transaction() as tx:
        assert tx.db.execute("PRAGMA synchronous").fetchone() == (1,)


def test_a_topic_that_is_none_is_a_mistake(rig: Rig) -> None:
    with pytest.raises(ValueError, match="runz"), rig.store.transaction() as tx:
        tx.bump("runz")


def test_a_full_disk_is_one_sentence_and_nothing_is_half_written(rig: Rig) -> None:
    with rig.store.transaction() as tx:
        pages = tx.db.execute("PRAGMA page_count").fetchone()[0]
        tx.db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError, match=r"full.*no action"):
        rig.see(*(a_run(str(i), error="x" * 500) for i in range(500)))
    with rig.store.transaction() as tx:
        tx.db.execute("PRAGMA max_page_count = 1000000")
    assert rig.reader.run_count() == 0
    assert len(rig.see(a_run("1"))) == 1


def test_two_readers_read_whole_commits_beside_a_writer(rig: Rig) -> None:
    """Runs come in pairs; no reader ever sees one of a pair, and none is ever refused."""
    stop = threading.Event()
    odd: list[int] = []
    looks = [0, 0]

    def look(which: int) -> None:
        reader = Reader(rig.path)
        try:
            while not stop.is_set() or looks[which] < 3:
                rows = len(reader.runs(limit=1000))
                if rows % 2:
                    odd.append(rows)
                looks[which] += 1
        finally:
            reader.close()

    threads = [threading.Thread(target=look, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for i in range(100):
        rig.see(a_run(f"l{i}", started=i), a_run(f"r{i}", started=i))
    stop.set()
    for thread in threads:
        thread.join(20)
    assert odd == []
    assert min(looks) >= 3
    assert rig.store.checkpoint(truncate=True)
    assert rig.store.wal_bytes() == 0


def test_the_engines_row_tells_of_its_life(rig: Rig) -> None:
    def started(tx: object) -> None:
        sources.engine_started(
            tx,
            pid=4711,
            host="ops1",
            version="0.1",
            protocol=1,
            config_path="/c.toml",
            config_hash="abc",
            timezone="Europe/Paris",
        )  # type: ignore[arg-type]

    with rig.store.transaction() as tx:
        started(tx)
    row = rig.reader.engine()
    assert row is not None
    assert (row.pid, row.host, row.timezone, row.stopped, row.demo) == (4711, "ops1", "Europe/Paris", None, False)
    version = rig.reader.topics()
    rig.clock.at += 1000
    rig.store.heartbeat()
    beat = rig.reader.engine()
    assert beat is not None
    assert beat.heartbeat == row.heartbeat + 1000
    assert rig.reader.changed_since(version) == frozenset()
    with rig.store.transaction() as tx:
        sources.engine_config(tx, "abc", "line 3: no")
        sources.engine_stopped(tx, "SIGTERM")
    ended = rig.reader.engine()
    assert ended is not None
    assert (ended.config_error, ended.last_words, ended.stopped) == ("line 3: no", "SIGTERM", rig.clock.at)


def test_sources_follow_the_configuration(rig: Rig) -> None:
    record = sources.SourceRecord(name="b", kind="airflow", url="https://b", color="red", protected=True, ord=0)
    with rig.store.transaction() as tx:
        ids = sources.sync_sources(tx, [record])
        sources.put_caps(tx, ids["b"], Caps(frozenset({"stop", "log"}), {"hold": "Airflow cannot"}))
        sources.put_health(tx, ids["b"], health=4, since=7, detail="refused", hint="is it up?", poll_ms=10_000)
    (row,) = rig.reader.sources()
    assert (row.name, row.color, row.protected, row.offers, row.why_not) == (
        "b",
        "red",
        True,
        {"stop", "log"},
        {"hold": "Airflow cannot"},
    )
    assert (row.health.name, row.detail, row.hint) == ("UNREACHABLE", "refused", "is it up?")
    assert row.stale(rig.clock.at)
    assert [(s.name, s.pipelines) for s in rig.reader.sources(gone=True)] == [("b", 0), ("a", 1)]
    assert rig.reader.floor() == [], "what is no longer configured is not on the Floor"
    with pytest.raises(ValueError, match="mood"), rig.store.transaction() as tx:
        sources.put_health(tx, ids["b"], mood="bad")


def test_a_store_that_is_closed_says_so(rig: Rig) -> None:
    rig.store.close()
    with pytest.raises(StoreError), rig.store.transaction():
        pass
    rig.store = Store.open(rig.path, rig.clock)
