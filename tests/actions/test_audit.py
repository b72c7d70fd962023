"""The chain: whole, tamper-evident, mirrored, exported."""

from __future__ import annotations

import csv
import io
import json
import os
import sqlite3
from pathlib import Path

import pytest

from engine.actions.audit import Broken, export, exported, verify_chain, verify_file
from engine.store.errors import StoreError
from tests.actions.conftest import ME, OTHER, Floor


async def acted(floor: Floor, times: int = 2) -> None:
    key = floor.dev.add("daily")
    floor.poll(floor.dev)
    for n in range(times):
        await floor.ended(
            (await floor.act(await floor.plan("start", key), reason=f"=SUM(A1) reason | number {n}"))["action"]
        )


def chain(floor: Floor, mirror: bool = False) -> Broken | None:
    with floor.store.transaction() as tx:
        return verify_chain(tx.db, floor.folder / "audit.jsonl" if mirror else None)


async def test_what_a_record_says(floor: Floor) -> None:
    floor.configure(hash="h7")
    key = floor.prod.run("daily", "r1")
    floor.poll(floor.prod)
    who = ME.claiming("10.1.1.7 50022 10.1.1.1 22\x1b[0m")
    await floor.arm(who)
    plan = await floor.plan("stop", key, who)
    record = await floor.ended((await floor.act(plan, who, typed="prod/daily"))["action"])
    found = floor.audited()
    assert [r.event for r in found] == ["armed", "intent", "verifying", "done"]
    intent = found[1]
    body = json.loads(intent.body)
    assert (intent.uid, intent.login, intent.origin, intent.action_id) == (
        os.getuid(),
        "ana",
        "10.1.1.7 50022 10.1.1.1 22 [0m",
        record.id,
    )
    assert body["identity"]["claimed_origin"] == intent.origin
    assert body["reason"] == "wrong file, the right one comes later"
    assert body["config_hash"] == "h7"
    assert body["typed"] == "prod/daily"
    assert [g["name"] for g in body["guards"]] == [g["name"] for g in plan["guards"]]
    assert body["calls"] == plan["calls"]
    assert body["before"]["word"] == "running"
    done = json.loads(found[3].body)
    assert (done["before"]["word"], done["after"]["word"], done["state"]) == ("running", "failed", "DONE")
    assert done["readings"] >= 2
    assert found[3].login == "engine"


async def test_chain_and_mirror_are_whole(floor: Floor) -> None:
    assert chain(floor) is None
    await acted(floor)
    assert chain(floor) is None
    assert chain(floor, mirror=True) is None
    lines = [json.loads(line) for line in (floor.folder / "audit.jsonl").read_text().splitlines()]
    assert [line["seq"] for line in lines] == list(range(1, len(floor.audited()) + 1))
    assert (floor.folder / "audit.jsonl").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("sql", "broken"),
    [
        ("UPDATE audit SET login = 'bob' WHERE seq = 2", "record 2: its content was changed"),
        (
            "UPDATE audit SET body = replace(body, 'number 1', 'number 9') WHERE seq = 4",
            "record 4: its content was changed",
        ),
        ("UPDATE audit SET at = at + 1 WHERE seq = 5", "record 5: its content was changed"),
        ("DELETE FROM audit WHERE seq = 3", "record 3: it is missing"),
        ("DELETE FROM audit WHERE seq = 1", "record 1: it is missing"),
        ("UPDATE audit SET prev = 'x' WHERE seq = 6", "record 6: it does not follow the record before it"),
        (
            "UPDATE audit SET hash = (SELECT hash FROM audit WHERE seq = 1) WHERE seq = 4",
            "record 4: its content was changed",
        ),
        ("DELETE FROM audit WHERE seq > 4", "record 5: audit.jsonl has it, the store does not"),
    ],
)
async def test_tampering_is_pinpointed(floor: Floor, sql: str, broken: str) -> None:
    await acted(floor)
    with floor.store.transaction() as tx:
        assert tx.db.execute(sql).rowcount > 0
    assert str(chain(floor, mirror=True)) == broken


async def test_chain_hashed_anew_is_betrayed_by_the_mirror(floor: Floor) -> None:
    from dataclasses import replace

    from engine.actions.audit import FIRST, hash_of

    await acted(floor)
    prev = FIRST
    with floor.store.transaction() as tx:
        for row in floor_rows(tx.db):
            row = replace(row, login="bob" if row.seq == 2 else row.login, prev=prev)
            row = replace(row, hash=hash_of(row))
            prev = row.hash
            tx.db.execute(
                "UPDATE audit SET login = ?, prev = ?, hash = ? WHERE seq = ?", (row.login, row.prev, row.hash, row.seq)
            )
    assert chain(floor) is None
    assert str(chain(floor, mirror=True)) == "record 2: audit.jsonl and the store differ"


def floor_rows(db: sqlite3.Connection) -> list:  # type: ignore[type-arg]
    from engine.actions.audit import all_rows

    return list(all_rows(db))


async def test_changed_mirror_is_pinpointed(floor: Floor) -> None:
    await acted(floor)
    path = floor.folder / "audit.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0], lines[1].replace("accepted", "refused!"), *lines[2:]]))
    assert str(chain(floor, mirror=True)) == "record 2: its line in audit.jsonl was changed or removed"
    path.write_text("".join(lines[:2] + lines[3:]))
    assert str(chain(floor, mirror=True)) == "record 3: its line in audit.jsonl was changed or removed"
    path.write_text("".join(lines[:3]) + "garbage\n")
    assert str(chain(floor, mirror=True)) == "record 4: its line in audit.jsonl cannot be read"
    path.unlink()
    assert str(chain(floor, mirror=True)) == "record 1: audit.jsonl is not there"
    path.write_text("".join(lines[:3]))
    assert chain(floor, mirror=True) is None  # only late


async def test_half_a_line_from_a_crash_is_made_whole(floor: Floor) -> None:
    await acted(floor)
    path = floor.folder / "audit.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    await floor.restart()
    assert path.read_bytes() == whole


async def test_mirror_of_another_store_is_kept_aside(floor: Floor) -> None:
    await acted(floor)
    path = floor.folder / "audit.jsonl"
    other = path.read_bytes()
    await floor.actions.close()
    floor.store.close()
    for name in ("floor.db", "floor.db-wal", "floor.db-shm"):
        (floor.folder / name).unlink(missing_ok=True)
    floor.open()
    await floor.actions.resume()
    await acted(floor, 1)
    assert chain(floor, mirror=True) is None
    (aside,) = floor.folder.glob("audit.jsonl.*")
    assert aside.read_bytes() == other


async def test_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.actions import audit

    path = tmp_path / "audit.jsonl"
    audit.append(path, "one\n")
    real = os.write

    def short(descriptor: int, data: memoryview) -> int:
        if len(data) > 4:
            return real(descriptor, data[:4])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", short)
    with pytest.raises(OSError, match="No space"):
        audit.append(path, "two is longer\n")
    monkeypatch.undo()
    assert path.read_text() == "one\n"


async def test_exports(floor: Floor) -> None:
    await acted(floor, 1)
    with floor.store.transaction() as tx:
        rows = list(csv.DictReader(io.StringIO("".join(exported(tx.db, "csv")))))
        lines = "".join(exported(tx.db, "jsonl"))
        table = "".join(exported(tx.db, "md")).splitlines()
    assert [r["event"] for r in rows] == ["intent", "verifying", "done"]
    assert lines == (floor.folder / "audit.jsonl").read_text()
    assert table[2].startswith("| 1 | 20")
    assert table[2].endswith("| intent | ana | start | dev-fake:daily | =SUM(A1) reason \\| number 0 |")
    assert not [v for r in rows for v in r.values() if v[:1] in "=+-@" and v]


async def test_by_path_beside_a_running_engine_and_after_it(floor: Floor) -> None:
    await acted(floor)
    store = floor.folder / "floor.db"
    assert verify_file(store) is None
    out = io.StringIO()
    assert export(store, "jsonl", out) == 0
    assert out.getvalue() == (floor.folder / "audit.jsonl").read_text()
    with floor.store.transaction() as tx:
        tx.db.execute("UPDATE audit SET login = 'x' WHERE seq = 1")
    assert str(verify_file(store)) == "record 1: its content was changed"
    with pytest.raises(ValueError, match="one of jsonl, csv, md"):
        export(store, "xml", out)
    with pytest.raises(StoreError, match="there is no store at"):
        verify_file(floor.folder / "nope.db")


async def test_refusals_are_recorded_with_who(floor: Floor) -> None:
    key = floor.dev.add("daily")
    with pytest.raises(Exception, match="viewer"):
        await floor.act(await floor.plan("start", key, OTHER), OTHER)
    (row,) = floor.audited()
    assert (row.event, row.login, row.uid, row.origin) == ("refused", "bob", OTHER.uid, "10.0.0.7 5022")
