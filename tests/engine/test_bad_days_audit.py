"""What a rescue makes of the audit and of alerts: a chain that can be proved, or one that says that it begins anew."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path
from typing import cast

import pytest

from adapters.model import AlertState
from engine import rescue
from engine.actions.audit import Audit, line_of, mirrored, verify_file
from engine.config.paths import Places, places
from engine.context import Context
from engine.store import actions, alerts, outbox
from engine.store.errors import StoreError
from engine.store.writer import Store
from tests.store.rig import NOW, Still

RECORDS = 12


@pytest.fixture
def where(tmp_path: Path) -> Places:
    """A store with a source, a chain of records and its mirror, closed."""
    (tmp_path / "w.toml").write_text('[store]\npath = "floor.db"\n')
    place = places(tmp_path / "w.toml")
    store = Store.open(place.store, Still())
    with store.transaction() as tx:
        tx.db.execute("INSERT INTO source (name, kind) VALUES ('a', 'airflow')")
        tx.db.execute("INSERT INTO source_health (source_id, health, since, cursor) VALUES (1, 1, 5, 'far')")
        for n in range(RECORDS):
            Audit(cast(Context, None)).record(tx, "noted", peer=None, body={"n": n})
        rows = actions.audit_page(tx.db, 0)
    store.close()
    place.audit.write_text("".join(line_of(row) for row in rows))
    return place


def destroy(place: Places) -> None:
    place.store.write_bytes(b"\0" * 90_000)


def rebuilt(place: Places) -> tuple[str, list[dict[str, object]]]:
    said: list[str] = []
    words = rescue.rebuild(place, Still(), "x (all zeros)", said.append)
    assert words in said
    db = sqlite3.connect(place.store)
    rows = actions.audit_page(db, 0)
    db.close()
    return words, [json.loads(line_of(row)) for row in rows]


def test_the_mirror_brings_back_the_whole_chain(where: Places) -> None:
    destroy(where)
    words, rows = rebuilt(where)
    assert [r["event"] for r in rows] == ["noted"] * RECORDS + ["store-rebuilt"]
    assert f"{RECORDS} of audit" in words
    assert "begins anew" not in words
    assert len(list(mirrored(where.audit))) == RECORDS, "the file is left to the engine's own flush"
    with where.audit.open("a") as file:
        file.write("".join(json.dumps(r) + "\n" for r in rows[RECORDS:]))
    assert verify_file(where.store, where.audit) is None


def test_a_mirror_with_a_hole_gives_what_stands_before_it_and_the_loss_is_said(where: Places) -> None:
    lines = where.audit.read_text().splitlines(keepends=True)
    where.audit.write_text("".join([*lines[:7], lines[7].replace('"n":7', '"n":8'), *lines[8:]]))
    destroy(where)
    words, rows = rebuilt(where)
    assert len(rows) == 8
    assert "5 records of the audit are lost" in words
    assert cast(dict, rows[-1]["body"])["lost"] == 5
    assert verify_file(where.store, Path("/nonexistent")) is not None
    where.audit.unlink()
    assert verify_file(where.store) is None


def test_a_chain_whose_first_record_is_lost_begins_anew_and_says_so(where: Places) -> None:
    lines = where.audit.read_text().splitlines(keepends=True)
    where.audit.write_text("".join(lines[3:]))
    destroy(where)
    words, rows = rebuilt(where)
    assert [r["event"] for r in rows] == ["store-rebuilt"]
    assert rows[0]["seq"] == 1
    assert cast(dict, rows[0]["body"])["begins_anew"] is True
    assert "the audit's chain begins anew" in words
    assert where.audit.read_text() == "".join(lines[3:]), "the engine sets it aside, nobody changes it"


def test_alerts_keep_who_has_them_and_what_is_owed_is_judged_afresh(where: Places) -> None:
    store = Store.open(where.store, Still())
    with store.transaction() as tx:
        for id, rule, state in (("1", "failed-run", AlertState.ACKED), ("2", "owed", AlertState.FIRING)):
            alerts.insert(
                tx,
                alerts.Alert(
                    id=id, dedup=id, rule=rule, key="a:p", occurrence="", severity=alerts.Severity.HIGH, state=state, title="t", body="b",
                    opened=NOW, since=NOW, changed=NOW, resolved=None, resolved_by=None, acked_by="ana", acked_at=NOW, ack_until=None,
                    ack_note="mine", reopened=0, held_back=None, told=1, run_key="", good=0, bad=0, parent=None,
                ),
            )  # fmt: skip
        tx.db.execute(
            "INSERT INTO outbox (id, alert_id, kind, recipient, notify_type, title, body, next_at, created)"
            " VALUES ('o', '1', 'fire', 'ana', 'failure', 't', 'b', 1, 1)"
        )
        (root,) = tx.db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'run'").fetchone()
    store.close()
    with where.store.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(os.urandom(4096))
    rescue.rebuild(where, Still(), "x (run)", lambda line: None)
    store = Store.open(where.store, Still())
    with store.transaction() as tx:
        kept = {a.id: a for a in alerts.select(tx, "1 = 1", ())}
        assert (kept["1"].state, kept["1"].acked_by, kept["1"].ack_note) == (AlertState.ACKED, "ana", "mine")
        assert kept["2"].state is AlertState.CLOSED
        assert [letter.id for letter in outbox.due(tx)] == ["o"], "what was to be told is told"
        assert tx.db.execute(
            "SELECT name, cursor, health FROM source JOIN source_health ON source_id = id"
        ).fetchall() == [("a", None, 0)]
    store.close()


def test_no_room_for_a_new_store_is_one_sentence_and_the_bad_one_is_kept(
    where: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    destroy(where)
    before = where.store.read_bytes()

    def full(*args: object, **more: object) -> Store:
        raise StoreError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "open", full)
        with pytest.raises(StoreError, match="the disk is full"):
            rescue.rebuild(where, Still(), "x", lambda line: None)
    (bad,) = where.store.parent.glob("floor.db.corrupt-*")
    assert bad.read_bytes() == before
    assert rescue.unfinished(where) == bad
    said: list[str] = []
    rescue.rebuild(where, Still(), "a rescue was cut short", said.append)
    assert "was damaged (x)" in said[-1], "why it began is not forgotten"
    assert f"{RECORDS} of audit" in said[-1]
    assert rescue.unfinished(where) is None


def test_a_record_that_was_changed_in_the_bad_store_comes_from_its_mirror(where: Places) -> None:
    db = sqlite3.connect(where.store)
    db.execute("UPDATE audit SET body = '{\"n\":99}' WHERE seq = 5")
    (root,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'run'").fetchone()
    db.commit()
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    with where.store.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(os.urandom(4096))
    words, rows = rebuilt(where)
    assert [r["body"] for r in rows[:RECORDS]] == [{"n": n} for n in range(RECORDS)]
    assert "lost" not in words.partition("kept ")[2]
