"""Screen 9: what is under way, what ended, the audit; nothing unknown is called done, nothing hostile gets through."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from adapters.model import ActionState, State, Verb
from engine.store.rows import OperationRow
from tests.tui import snap
from tests.tui.actions_parts import go, text, view, work
from tests.tui.deeds import Deeds, busy
from tests.tui.stores import ALL_VERBS, DAY, HOUR, MINUTE, NOW, SECOND, SIZES, TZ, House, painted, story
from tui import keymap
from tui.present import actions as present
from tui.screens.actions import ActionsView
from tui.screens.actions_kept import SLICE
from tui.view import Copy, Open, Say

HOSTILE = "\x1b]0;gone\x07[red]x[/] \x1b[2J\u202e {markup} \r\n\t\x00 🇫🇷 end"


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    h = story(tmp_path_factory.mktemp("told"))
    busy(h)
    yield h
    h.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    h = story(tmp_path)
    yield h
    h.close()


def still(lines: Sequence[str]) -> list[str]:
    """Ids and hashes differ each time: as many signs of one kind."""
    out = [re.sub(r"\b01[0-9A-Z]{24}\b", "01" + "X" * 24, line) for line in lines]
    return [re.sub(r"\b(?=[0-9a-f]*\d)[0-9a-f]{8}(?:[0-9a-f]{4})?\b", lambda m: "#" * len(m[0]), line) for line in out]


# --- pictures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_snapshot(told: House, size: tuple[int, int]) -> None:
    snap.same(f"actions-{size[0]}x{size[1]}", still(painted(view(told), *size)))


@pytest.mark.parametrize("size", SIZES)
def test_snapshot_of_the_audit(told: House, size: tuple[int, int]) -> None:
    v = view(told, "audit")
    v.act("audit.verify")
    work(v)
    for _ in range(5):
        v.act("move.down")
    snap.same(f"actions-audit-{size[0]}x{size[1]}", still(painted(v, *size)))


def test_snapshot_of_one_action_whole(told: House) -> None:
    v = view(told)
    go(v, "stop            daily_sales r1")
    v.act("audit.detail")
    snap.same("actions-whole-80x24", still(painted(v, 80, 24)))


def test_in_ascii_nothing_but_ascii_is_left(told: House) -> None:
    for arg in (None, "audit"):
        assert all(line.isascii() for line in painted(view(told, arg, ascii=True), 120, 40))


@pytest.mark.parametrize("size", [(20, 5), (30, 8), (59, 15), (60, 16), (80, 10), (110, 20)])
def test_it_fits_everywhere(told: House, size: tuple[int, int]) -> None:
    for arg in (None, "audit"):
        v = view(told, arg)
        painted(v, *size)
        v.act("audit.detail")
        painted(v, *size)
        v.act("nav.back")
        v.act("copy.menu")
        painted(v, *size)


def test_the_first_row_is_the_answer(told: House) -> None:
    line = painted(view(told), 200, 50)[1]
    assert line.strip() == (
        "1 outcome unknown  a person must look · 1 under way · 1 backfill running · 1 backfill paused · 2 done today"
        " · 1 failed or refused today · 1 unproved today"
    )


def test_nothing_yet_says_what_would_stand_here(house: House) -> None:
    said = text(view(house))
    for words in (
        "Nothing is under way",
        "nothing was done today",
        "nobody has acted yet",
        "1 opens the Floor",
        "lists what can be done",
    ):
        assert words in said, words
    assert "no record yet" in text(view(house, "audit"))
    narrow = painted(view(house), 80, 24)
    assert next(r for r in narrow if "nobody has acted yet" in r).rstrip().endswith("proof"), "a whole sentence"


def test_without_an_engine_it_says_that_nobody_verifies(told: House) -> None:
    said = text(view(told, engine_alive=False, engine_silent_since=NOW - 21 * MINUTE))
    assert "engine silent since 05:31" in said
    assert "nobody verifies these now" in said
    assert "ldz_to_rdv_contracts r1" in said


def test_a_backfill_that_was_not_heard_of_for_long_is_drawn_stale(told: House) -> None:
    v = view(told)
    o = v.operations[0]
    cols = present.columns(120)
    fresh = present.operation_row(o, cols, TZ, NOW, here=False)
    assert not any("run-stale" in style for _, style in fresh)
    old = present.operation_row(o, cols, TZ, NOW + 5 * MINUTE, here=False)
    assert all("run-stale" in style for t, style in old if t.strip())


def test_each_key_of_the_help_means_something_here(told: House) -> None:
    for action, _ in keymap.active().reach(ActionsView.contexts):
        if action.id.startswith(("screen.", "move.", "nav.")) or action.id in ("app.help", "app.quit"):
            continue
        v = view(told)
        before = painted(v, 120, 40)
        assert v.act(action.id) or painted(v, 120, 40) != before, action.id


# --- under way ------------------------------------------------------------------------------------------------------


def test_what_nobody_knows_stands_first_with_how_to_settle_it(told: House) -> None:
    v = view(told)
    assert v.flying[0].must_look
    lines = painted(v, 120, 40)
    at = next(i for i, line in enumerate(lines) if "? unknown" in line)
    assert f"watchfloor settle {v.flying[0].id} done|not-done" in lines[at + 1]
    assert "✓" not in lines[at]
    v.act("copy.menu")
    copied = v.type("s")
    assert copied == (Copy(f"watchfloor settle {v.flying[0].id} done --reason ", "the command"),)


def test_an_unknown_that_is_still_asked_for_needs_nobody_yet(house: House) -> None:
    Deeds(house).did(state=ActionState.UNKNOWN, words="the answer was lost", open=True)
    said = text(view(house))
    assert "1 outcome unknown, being asked" in said
    assert "must look" not in said
    assert "settle it" not in said


def test_an_action_that_ends_moves_below_and_the_cursor_stays_on_it(house: House) -> None:
    d = Deeds(house)
    flying = d.did(ago=3 * HOUR, state=ActionState.VERIFYING)
    for n in range(80):
        d.did("pause", "local:fx_rates_probe", ago=2 * HOUR - n * SECOND)
    v = view(house)
    assert v.cursor == flying
    with house.tx() as tx:
        from engine.store import actions as rows

        rows.move(tx, flying, ActionState.DONE, "the run ended", ended=True)
    v.load()
    assert v.flying == []
    assert v.cursor == flying
    assert [a.id for a in v.done].index(flying) == len(v.done) - 1, "in its place by the time when it was asked for"
    assert "✓ done" in next(line for line in painted(v, 120, 40) if line.startswith("▌"))


def operation(**fields: Any) -> OperationRow:
    given: dict[str, Any] = {
        "source": "s", "environment": "prod", "id": "7", "pipeline": "s:p", "name": "p", "kind": "backfill", "state": State.RUNNING, "first": "2026-11-01",
        "last": "2026-11-10", "planned": 10, "done": 4, "failed": 1, "running": 1, "created": NOW - 50 * MINUTE, "ended": None, "who": None, "words": "",
        "seen": NOW, **fields,
    }  # fmt: skip
    return OperationRow(**given)


def test_the_end_of_a_backfill_is_only_said_where_it_can_be_reckoned() -> None:
    assert present.eta(operation(), NOW) == NOW + 50 * MINUTE
    for fields in (
        {"planned": None}, {"done": None}, {"created": None}, {"done": 2, "failed": 0}, {"state": State.HELD}, {"done": 9, "failed": 1},
    ):  # fmt: skip
        assert present.eta(operation(**fields), NOW) is None, fields


def test_what_a_source_does_not_tell_of_a_backfill_is_not_zero() -> None:
    said = "".join(
        c if isinstance(c, str) else "".join(t for t, _ in c)
        for c in present.progress(operation(planned=None, done=None, failed=None, running=None), 8, TZ, NOW)
    )
    assert said.split() == ["n/a", "?", "of", "?"]


@pytest.mark.parametrize(
    ("told", "who"),
    [(None, ""), ("ana", "ana"), ("01M801JH5ACKTQF05M2RPKAJ8Y", ""), ("wf-01M801JH5ACKTQF05M2RPKAJ8Y", "")],
)
def test_the_name_that_we_gave_an_action_is_nobodys_name(told: str | None, who: str) -> None:
    """A driver that keeps ``{client_id}`` tells it for who made its backfill."""
    assert present.teller(operation(who=told)) == who


def offering(house: House) -> ActionsView:
    """Backfills of a source that can pause and cancel them, and of one that cannot."""
    every = ALL_VERBS | {Verb.BACKFILL, Verb.BACKFILL_PAUSE, Verb.BACKFILL_RESUME, Verb.BACKFILL_CANCEL}
    house.source("af3", environment="test", protected=False, offers=every)
    house.source("af2", environment="test", offers=ALL_VERBS, why_not={"backfill-cancel": "Airflow 2 has no backfills"})
    for source in ("af3", "af2"):
        house.pipeline(source, "sales")
    d = Deeds(house)
    d.backfill("af3", id="a b/1", pipeline="af3:sales")
    d.backfill("af3", id="2", pipeline="af3:sales", state=State.HELD, first="2026-01-01")
    d.backfill("af2", id="3", pipeline="af2:sales", first="2026-02-01")
    d.did()
    return view(house)


def test_a_backfill_is_paused_resumed_and_cancelled_through_its_plan(house: House) -> None:
    v = offering(house)
    by = {o.id: f"{o.source} {o.id}" for o in v.operations}
    v.cursor = by["a b/1"]
    assert v.act("operation.pause") == (Open("plan", "backfill-pause af3:sales id=a%20b%2F1"),)
    assert v.act("operation.cancel") == (Open("plan", "backfill-cancel af3:sales id=a%20b%2F1"),)
    assert "p pause" in painted(v, 120, 40)[-1]
    v.cursor = by["2"]
    assert v.act("operation.pause") == (Open("plan", "backfill-resume af3:sales id=2"),)
    assert "p resume" in painted(v, 120, 40)[-1]
    v.cursor = by["3"]
    assert v.act("operation.cancel") == (Say("backfill-cancel sales: Airflow 2 has no backfills", "warn"),)
    v.cursor = v.done[0].id
    assert isinstance(v.act("operation.pause")[0], Say)


def test_a_backfill_that_was_asked_for_here_names_who(house: House) -> None:
    d = Deeds(house)
    d.did("backfill", "prod-airflow:daily_sales", ago=30 * MINUTE + 2 * SECOND, reason="five days were lost")
    d.backfill()
    d.backfill(id="8", created=house.now - 3 * HOUR, first="2026-01-01")
    v = view(house)
    rows = [line for line in painted(v, 120, 40) if "► running " in line and "━" in line and " backfill " in line]
    assert sorted(line.split("running")[1].split()[0] for line in rows) == ["?", "ana"]
    v.cursor = "prod-airflow 7"
    assert "asked for here by ana: five days were lost" in text(v)
    v.cursor = "prod-airflow 8"
    assert "by whom is not told" in text(v)


@pytest.mark.parametrize("screen", ["floor", "runs", "timeline", "layers", "run"])
def test_every_menu_lists_mark_and_backfill_with_why_not(house: House, screen: str) -> None:
    from tui import registry

    arg = "prod-airflow:ldz_to_rdv_contracts/r1" if screen == "run" else None
    v = registry.make(screen, house.context(), arg)
    v.load()
    painted(v, 120, 40)
    for _ in range(20 if screen != "run" else 0):
        if (v.about() or "").startswith("prod-airflow:"):
            break
        v.act("move.down")
    v.act("action.menu")
    rows = [line[1:].split() for line in painted(v, 120, 40) if "does not offer it" in line]
    for key, word in (("K", "mark"), ("B", "backfill")):
        assert any(row[0] == key and word in " ".join(row) for row in rows), (word, rows)


# --- what is hostile ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_words_of_others_stay_words(house: House, size: tuple[int, int]) -> None:
    d = Deeds(house)
    d.did(
        reason=HOSTILE,
        words=HOSTILE,
        guards=[{"name": HOSTILE, "ok": None, "words": HOSTILE}],
        params={HOSTILE: HOSTILE},
        after={"word": HOSTILE, "words": HOSTILE, "key": HOSTILE},
    )
    d.did("stop", "s:%1B[2J/%1B]0;x", reason=HOSTILE, state=ActionState.UNKNOWN, words=HOSTILE)
    d.said(HOSTILE, key=HOSTILE, **{HOSTILE: {HOSTILE: [HOSTILE]}, "reason": HOSTILE})
    d.backfill(id=HOSTILE, words=HOSTILE, who=HOSTILE, first=HOSTILE[:10], last="x")
    for arg in (None, "audit"):
        v = view(house, arg)
        for _ in range(v.length):
            painted(v, *size)
            v.act("audit.detail")
            painted(v, *size)
            v.act("audit.detail")
            v.act("copy.menu")
            painted(v, *size)
            v.act("nav.back")
            v.act("move.down")


def test_bodies_that_are_no_objects_are_shown_as_nothing(house: House) -> None:
    d = busy(house)
    with house.tx() as tx:
        tx.db.execute("UPDATE audit SET body = '[1]' WHERE seq = 2")
        tx.db.execute('UPDATE audit SET body = \'{"calls": 3, "before": 4, "identity": []}\' WHERE seq = 3')
        tx.db.execute("UPDATE action SET plan = 'no json', before = '[]'")
    assert d is not None
    for arg in (None, "audit"):
        v = view(house, arg)
        for _ in range(v.length):
            painted(v, 120, 40)
            v.act("move.down")


# --- in the app -----------------------------------------------------------------------------------------------------


async def test_in_the_app_the_chain_is_followed_between_keys(house: House) -> None:
    import asyncio

    from tests.tui.test_app_screens import opened

    d = Deeds(house)
    for n in range(SLICE):
        d.did("pause", "local:fx_rates_probe", ago=DAY - n * SECOND)
    async with opened(house, "actions") as app:
        await app.pilot.press("v")
        v = app.stack[-1].view
        assert isinstance(v, ActionsView)
        for _ in range(400):
            if v.checked is not None and not v._checking:
                break
            await asyncio.sleep(0.01)
            await app.pilot.press("j")
        assert v.checked is not None
        assert (v.checked.seq, v.checked.broken) == (3 * SLICE, None)
        assert any("unbroken" in "".join(t for t, _ in line) for line in v.paint(120, 40))


async def test_in_the_app_a_backfill_is_filled_in_with_keys(house: House) -> None:
    from tests.tui.test_app_screens import opened

    house.source("af3", environment="test", protected=False, offers=ALL_VERBS | {Verb.BACKFILL})
    house.pipeline("af3", "sales")
    async with opened(house, "runs", None) as app:
        app._open("plan", "backfill af3:sales")
        house.clock.at += 1000
        for key in (*"2026-11-02", "tab", *"2026-11-06", "tab"):
            await app.pilot.press({"-": "minus"}.get(key, key))
        asked = [body for do, body in (s for s in app.link.seen if isinstance(s, tuple)) if do == "plan"]
        assert [b["params"]["to"] for b in asked] == ["2026-11-06"]
