"""Sources: can we see, with what right, since when; the engine, the messages, the actions."""

from __future__ import annotations

import json

import pytest

from adapters.model import Health, Owed
from tests.tui import snap, stores
from tests.tui.owed_stores import owe
from tests.tui.stores import HOUR, MINUTE, SECOND, SIZES, House, painted
from tui import keymap
from tui.screens.sources import SourcesView
from tui.view import App, Copy, Request, Say


@pytest.fixture(scope="module")
def tale(tmp_path_factory):
    house = stores.story(tmp_path_factory.mktemp("story"))
    yield house
    house.close()


@pytest.fixture
def house(tmp_path):
    h = House(tmp_path)
    yield h
    h.close()


def sources(h: House, arg: str | None = None, **more) -> SourcesView:
    view = SourcesView(h.context(**more), arg)
    view.load()
    return view


@pytest.mark.parametrize("size", SIZES)
def test_every_source_has_its_health_word_and_age_at_each_size(tale, size):
    shown = painted(sources(tale), *size)
    assert shown[0].startswith(" Sources ")
    assert shown[-1].rstrip().endswith("? help")
    for name, word, age in (
        ("prod-airflow", "fresh", "15s"),
        ("dbx-prod", "fresh", "15s"),
        ("dataiku", "auth failed", "21m"),
        ("local", "fresh", "4s"),
    ):
        row = next(line for line in shown if f" {name} " in line and line[0] in " ▌" and word in line)
        assert age in row
        assert "12/60" in row


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_snapshot(tale, size):
    shown = painted(sources(tale, "dataiku"), *size)
    snap.same(f"sources-{size[0]}x{size[1]}", [line if " Store " not in line[:8] else " Store" for line in shown])


@pytest.mark.parametrize(
    ("health", "more", "said"),
    [
        (Health.FRESH, {"ok_ago": 2 * SECOND}, "✓  fresh"),
        (Health.FRESH, {"ok_ago": 5 * MINUTE}, "?  stale since 05:47"),
        (Health.STALE, {"ok_ago": 5 * MINUTE}, "?  stale since 05:47"),
        (Health.AUTH_FAILED, {}, "✗  auth failed"),
        (Health.UNREACHABLE, {}, "✗  unreachable"),
        (Health.BAD_ANSWER, {}, "▲  bad answer"),
        (Health.RATE_LIMITED, {"until_in": 18 * MINUTE}, "»  rate limited until 06:10"),
        (Health.NEVER, {"ok_ago": None}, "·  not polled yet"),
    ],
)
def test_health_words(house, health, more, said):
    house.engine()
    until = more.pop("until_in", None)
    house.source("s", health=health, until=None if until is None else house.now + until, **more)
    assert any(line[1:].startswith(said) for line in painted(sources(house), 120, 40))
    short = said.replace("since ", "").replace("rate limited until", "limited")
    assert any(line[1:].startswith(short) for line in painted(sources(house), 80, 24))


def test_the_detail_says_what_it_can_and_cannot_and_why(tale):
    text = "\n".join(painted(sources(tale, "dbx-prod"), 120, 40))
    assert "Can       start rerun" in text
    assert "stop: the token may not cancel runs" in text
    assert "databricks · https://dbx-prod.example · protected" in text
    text = "\n".join(painted(sources(tale, "dataiku"), 120, 40))
    assert "Says      401 for this API key" in text
    assert "Do        the key expired: make a new one" in text


@pytest.mark.parametrize(
    ("skew", "said"),
    [
        (-3_600_000, "its clock is 1h 00m behind"),
        (90_000, "its clock is 1m 30s ahead"),
        (12, "its clock agrees with ours"),
    ],
)
def test_a_clock_that_is_off_is_said(house, skew, said):
    house.engine()
    house.source("s", skew_ms=skew)
    assert said in "\n".join(painted(sources(house), 120, 40))


def test_an_unchecked_certificate_is_badged(house):
    house.engine()
    house.source("s", insecure=True, protected=False)
    assert "not protected · TLS is not verified" in "\n".join(painted(sources(house), 120, 40))


def test_the_engine_says_who_where_and_what_it_refused(house):
    house.engine(config_error="watchfloor.toml:12: unknown key 'nmae'")
    house.source("s")
    text = "\n".join(painted(sources(house), 120, 40))
    assert "Engine pid 4711 on ops-01 · runs" in text
    assert "/etc/watchfloor.toml · c0ffee12" in text
    assert "newer configuration refused: watchfloor.toml:12: unknown key 'nmae'" in text
    assert "floor.db" in text or "Store" in text


def test_a_dead_engine_leaves_its_last_words(house):
    house.engine(heartbeat_ago=HOUR, stopped="disk I/O error")
    house.source("s")
    text = "\n".join(painted(sources(house, engine_alive=False), 120, 40))
    assert "NOBODY IS WATCHING" in text
    assert "last words: disk I/O error" in text
    assert " Said      disk I/O error" in text


def test_messages_that_did_not_arrive(tale):
    view = sources(tale)
    assert [d.recipient for d in view.letters] == ["bi-team"]
    assert "bi-team       550 mailbox full · 2 tries · next try 05:53" in "\n".join(painted(view, 120, 40))


def test_panes_turn_so_that_each_can_be_read_on_a_small_screen(tale):
    view = sources(tale)
    titles = set()
    for _ in range(4):
        shown = painted(view, 80, 18)
        titles |= {
            word
            for word in ("Engine", "Messages", "Actions", "Health")
            if any(line.startswith(f" {word} ") for line in shown)
        }
        view.act("view.pane")
    assert titles == {"Engine", "Messages", "Actions", "Health"}


def test_poll_now_asks_for_this_source_and_starts_an_engine_where_none_runs(tale):
    view = sources(tale)
    view.act("move.down")
    assert list(view.act("app.refresh")) == [Request("poll", {"source": "dbx-prod"}, tag="poll")]
    assert view.answer("poll", {}, None) == (Say("dbx-prod is being asked now"),)
    assert list(sources(tale, engine_alive=False).act("app.refresh")) == [App("refresh")]


def test_keys(tale):
    view = sources(tale, "dataiku")
    assert view.cursor == "dataiku"
    (said,) = view.act("alert.ack")
    assert said == Say("dataiku has no open alert")
    assert list(view.act("action.arm")) == [Request("arm", {"environment": "prod"}, tag="arm")]
    view.act("copy.menu")
    assert list(view.type("e")) == [Copy("401 for this API key", "what it says")]
    view.act("move.bottom")
    assert view.cursor == "local"


def test_an_alert_on_a_source_can_be_taken(house):
    house.engine()
    house.source("s", health=Health.UNREACHABLE, ok_ago=HOUR)
    house.alert("9QX1", "s")
    assert list(sources(house).act("alert.ack")) == [Request("ack", {"alert": "9QX1"}, tag="ack")]


def test_every_key_of_the_help_reaches_something(tale):
    for action, keys in keymap.active().reach(SourcesView.contexts):
        for key in keys:
            assert keymap.resolve(SourcesView.contexts, key) == action.id
        view = sources(tale)
        view.act("move.down")
        before = painted(view, 80, 24)
        effects = view.act(action.id)
        assert effects or painted(view, 80, 24) != before, action.id


def test_no_source_and_no_engine(house):
    view = sources(house, engine_alive=False)
    text = "\n".join(painted(view, 80, 24))
    assert "no source is configured" in text
    assert "no engine has ever run here" in text
    for action in ("move.down", "copy.menu", "alert.ack"):
        assert list(view.act(action)) == [Say("there is no row here")]


@pytest.mark.parametrize("size", [*SIZES, (60, 16), (109, 20), (40, 10), (5, 2)])
def test_hostile_words_keep_it_straight(house, size):
    house.engine()
    bad = "\x1b]0;x\x07\x1b[2J売上" + "y" * 3000 + "\n\u202e"
    house.source("s", detail=bad, hint=bad, version=bad, identity=bad, environment="e\x1b[1m", why_not={"hold": bad})
    painted(sources(house), *size)


def test_data_is_plain(tale):
    data = json.loads(json.dumps(SourcesView(tale.context()).data()))
    assert data["engine"]["pid"] == 4711
    assert [s["state"] for s in data["sources"]] == ["fresh", "fresh", "auth_failed", "fresh"]
    assert data["undelivered"][0]["recipient"] == "bi-team"


def test_a_source_that_was_never_reached_is_not_said_to_lack_anything(house):
    house.engine()
    house.source("new", offers=frozenset(), ok_ago=None)
    text = "\n".join(painted(sources(house), 120, 40))
    assert "nothing is known yet" in text
    assert "not offered by this system" not in text


@pytest.mark.parametrize(
    ("said", "shown"),
    [("SQLite 3.40.1", "3.40.1"), ("this host", "n/a"), ("not told", "n/a"), ("2 commands of this host", "n/a")],
)
def test_a_version_is_a_number_or_none_and_a_skew_is_whole(house, said, shown):
    house.engine()
    house.source("one", version=said, skew_ms=-669)
    row = next(line for line in painted(sources(house), 120, 40) if " one " in line and "fresh" in line)
    assert row.split()[-1] == shown
    assert " -0.7s " in row


def test_the_refusal_of_a_configuration_keeps_its_room_for_the_mistake(house):
    house.source("one")
    at = "/etc/watchfloor.toml"
    house.engine(config_error=f'{at}:366: expectation[errors].id: "errors" is there twice (first: {at}:307)')
    text = "\n".join(painted(sources(house), 120, 40))
    assert 'refused: watchfloor.toml:366: expectation[errors].id: "errors" is there twice' in text


def test_of_what_is_owed_it_claims_nothing(house):
    house.engine()
    house.source("s")
    key = house.pipeline("s", "a")
    house.history("s", "a", n=2)
    owe(house, key, due_in=-MINUTE, state=Owed.BREACHED)
    line = painted(sources(house), 120, 40)[1]
    assert "No run is broken" in line
    assert "fine" not in line
    assert "as owed" not in line
    small = painted(sources(house), 40, 10)[0]
    assert "no run is broken" in small
    house.source("dark", ok_ago=None, health=Health.UNREACHABLE)
    assert "1 blind" in painted(sources(house), 40, 10)[0]


def test_a_source_that_fell_silent_is_stale_since_its_last_answer_everywhere(house):
    house.source("s", poll_ms=1 * SECOND, ok_ago=5 * MINUTE, since_ago=3 * HOUR)
    shown = painted(sources(house), 120, 40)
    row = next(line for line in shown if "stale since" in line)
    assert row.count("05:47") == 2, row
    assert any(line.startswith(" Health    stale since 05:47") for line in shown)


def test_what_a_source_can_do_is_never_cut_in_a_word(tale):
    can = next(line for line in painted(sources(tale, "prod-airflow"), 80, 24) if line.startswith(" Can "))
    assert "…" not in can
    assert can.rstrip().endswith(" more") or can.rstrip().split()[-1] in {"history", "metrics", "log", "steps"}


def test_an_engine_that_hangs_is_not_said_to_be_gone(house):
    house.engine(heartbeat_ago=2 * MINUTE)
    house.source("s")
    view = sources(house, engine_alive=False, engine_silent_since=house.now - 2 * MINUTE, extra={"hung": True})
    for width, height in ((80, 24), (120, 40)):
        shown = painted(view, width, height)
        text = "\n".join(shown)
        assert "NOBODY IS WATCHING" in shown[1]
        assert "start the engine" not in text
        assert "kill -CONT 4711 wakes it if it was stopped" in text
        assert "gone" not in text
        assert shown[-1].startswith(" Ctrl+R poll now")
    assert "the engine hangs" in painted(view, 40, 10)[0]


def test_runs_of_sources_that_are_gone_are_not_said_never_to_have_been(house):
    house.engine()
    house.source("s")
    shown = "\n".join(painted(sources(house), 80, 24))
    assert "no pipeline is watched now" in shown
    assert "no runs seen yet" not in shown
