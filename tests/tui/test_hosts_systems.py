"""Hosts and resources: what sources tell of their own machines, whatever they call them; worst first, unknown with its reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.extras import SourceItem, Standing
from adapters.model import Health
from tests.tui import parts_story, snap
from tests.tui.host_stores import tick
from tests.tui.stores import HOUR, MINUTE, SIZES, House, painted
from tui.present import lines, systems
from tui.screens.hosts import HostsView

OFFERS = frozenset({"items"})
HOSTILE = "\x1b]0;owned\x07[bold red]boo[/] \x1b[31mred\u202e rtl 日本語"


def nodes(h: House) -> list[SourceItem]:
    out: list[SourceItem] = []
    for i in range(1, 6):
        bad = i == 3
        out.append(
            SourceItem(
                kind="component", name=f"node ip-10-0-0-{i}", standing=Standing.BAD if bad else Standing.FINE, since=h.now - 8 * MINUTE,
                words="not ready: kubelet stopped posting node status" if bad else "ready", value=30.0, limit=60.0, unit="s",
            )
        )  # fmt: skip
        used = None if bad else 400.0 * i
        out.append(
            SourceItem(
                kind="pool", name=f"node ip-10-0-0-{i} memory", standing=Standing.WARNING if i == 5 else Standing.FINE, value=used,
                limit=2000.0 + i, unit="MiB", words="" if used else "the metrics API says nothing of it",
            )
        )  # fmt: skip
    return out


def story(folder: Path) -> House:
    h = House(folder)
    h.engine()
    tick(h)
    h.source("prod-k8s", "kubernetes", offers=OFFERS)
    h.source("dbx", "databricks", offers=OFFERS)
    h.source("bus", "kafka", offers=OFFERS)
    h.source("dark", "databricks", offers=OFFERS, ok_ago=3 * HOUR, health=Health.UNREACHABLE, since_ago=3 * HOUR)
    h.source("quiet", "local", environment="", protected=False)
    parts_story.put(h, "prod-k8s", nodes(h))
    clusters = [
        SourceItem(kind="cluster", name="etl-shared", words="running, 6 of 8 workers", value=6.0, limit=8.0, unit="workers", since=h.now - 5 * HOUR),
        SourceItem(kind="cluster", name="adhoc", words="terminated: inactivity", since=h.now - 26 * HOUR),
        SourceItem(kind="cluster", name="broken", standing=Standing.BAD, words="error: no capacity in the zone"),
    ]  # fmt: skip
    parts_story.put(h, "dbx", clusters)
    bus = [
        SourceItem(kind="group", name="cdm-loader", standing=Standing.WARNING, words="4 members, lag 120,400, growing", value=120_400.0, unit="messages"),
        SourceItem(kind="group", name="audit", words="2 members, no lag", value=0.0, unit="messages"),
        SourceItem(kind="topic", name="", standing=Standing.WARNING, words="this user may not describe topics"),
    ]  # fmt: skip
    parts_story.put(h, "bus", bus)
    parts_story.put(
        h, "dark", [SourceItem(kind="cluster", name="ml", words="running, 2 workers", value=2.0, unit="workers")]
    )
    return h


@pytest.fixture(scope="module")
def tale(tmp_path_factory):
    house = story(tmp_path_factory.mktemp("systems"))
    yield house
    house.close()


def view_of(h: House, **more) -> HostsView:
    view = HostsView(h.context(**more))
    view.load()
    return view


def whole(view: HostsView, width: int = 120, height: int = 60) -> list[str]:
    """With the pane served first."""
    painted(view, width, height)
    for _ in range(4):  # once round: a pane that is whole already is passed over
        if view.panes.first == "systems":
            break
        view.act("view.pane")
        painted(view, width, height)
    return painted(view, width, height)


@pytest.mark.parametrize("size", SIZES)
def test_snapshot_of_hosts_with_systems(tale, size):
    snap.same(f"hosts-systems-{size[0]}x{size[1]}", painted(view_of(tale), *size))


@pytest.mark.parametrize("size", SIZES)
def test_snapshot_of_the_pane_served_first(tale, size):
    snap.same(f"hosts-systems-first-{size[0]}x{size[1]}", whole(view_of(tale), *size))


def test_the_worst_of_each_source_comes_first(tale):
    shown = whole(view_of(tale))
    at = {name: next(i for i, line in enumerate(shown) if name in line) for name in ("prod-k8s", "dbx", "bus", "dark")}
    assert at["prod-k8s"] < at["dbx"] < at["bus"] < at["dark"]
    assert "node ip-10-0-0-3" in shown[at["prod-k8s"] + 1]
    assert "not ready" in shown[at["prod-k8s"] + 1]
    assert "broken" in shown[at["dbx"] + 1]
    assert "cdm-loader" in shown[at["bus"] + 1] or "topic" in shown[at["bus"] + 1]


def test_a_level_is_a_gauge_a_number_is_a_number_and_what_is_unknown_says_why(tale):
    shown = "\n".join(whole(view_of(tale), 160, 70))
    assert "6 of 8 workers" in shown
    assert "120,400 messages" in shown
    row = next(line for line in shown.splitlines() if "0-3 memory" in line)
    assert "n/a" in row
    assert "the metrics API says nothing of it" in row
    assert "✓" not in row, "what is unknown is not well"
    assert "? topic: this user may not describe topics" in shown
    beat = next(line for line in shown.splitlines() if "component" in line and "0-1" in line)
    assert "━" not in beat, "the age of a beat is no level"


def test_what_nobody_vouches_for_is_drawn_stale(tale):
    shown = whole(view_of(tale), 160, 70)
    assert "not seen" in next(line for line in shown if line.startswith(" dark"))
    assert "✓?" in next(line for line in shown if "cluster" in line and " ml " in line)


def test_a_listing_that_fails_says_why_even_where_nothing_is_known(tmp_path):
    h = story(tmp_path)
    try:
        h.source("new", "kubernetes", offers=OFFERS)
        parts_story.put(h, "new", None, why={"items": "403: nodes is forbidden"})
        shown = whole(view_of(h), 160, 70)
        assert "not answered: 403: nodes is forbidden" in next(line for line in shown if line.startswith(" new"))
    finally:
        h.close()


def test_where_no_source_tells_of_machines_there_is_no_pane(tmp_path):
    h = House(tmp_path)
    h.engine()
    tick(h)
    try:
        assert "Fleets and clusters" not in "\n".join(painted(view_of(h), 200, 50))
    finally:
        h.close()


def test_a_filter_leaves_what_it_means(tale):
    view = view_of(tale)
    view.set_filter("cluster broken")
    shown = "\n".join(whole(view, 160, 70))
    assert "broken" in shown
    assert "cdm-loader" not in shown


def test_what_moved_is_read_again(tmp_path):
    h = story(tmp_path)
    try:
        view = view_of(h)
        parts_story.put(h, "bus", [SourceItem(kind="group", name="other", value=1.0, unit="messages")])
        view.load()
        assert "other" in "\n".join(whole(view, 160, 70))
    finally:
        h.close()


def test_it_is_read_only_when_it_moved(tale, monkeypatch):
    view = view_of(tale)
    asked: list[int] = []
    real = view.context.reader.items
    monkeypatch.setattr(view.context.reader, "items", lambda *given: asked.append(1) or real(*given))
    for _ in range(3):
        view.load()
    assert asked == []


def test_for_scripts(tale):
    data = json.loads(json.dumps(view_of(tale).data()))
    dbx = next(s for s in data["systems"] if s["source"] == "dbx")
    assert dbx["items"][0]["name"] == "broken"
    assert dbx["items"][0]["standing"] == "bad"
    assert not dbx["stale"]


def test_what_a_source_says_is_made_harmless(tmp_path):
    h = House(tmp_path)
    h.engine()
    tick(h)
    h.source("bad", "kafka", offers=OFFERS)
    parts_story.put(
        h, "bad", [SourceItem(kind="group", name=HOSTILE, words=HOSTILE, value=1.0, limit=2.0, unit=HOSTILE)]
    )
    try:
        for line in whole(view_of(h), 160, 60):
            assert not any(ord(c) < 32 or c == "\u202e" for c in line)
    finally:
        h.close()


@settings(max_examples=300, deadline=None)
@given(many=st.lists(st.integers(0, 30), min_size=1, max_size=12), size=st.integers(0, 60))
def test_rows_are_shared_out_and_never_more_than_there_are(many, size):
    shared = systems.share_out(many, size)
    assert all(0 <= n <= of for n, of in zip(shared, many, strict=False))
    used = sum(shared) + len(shared) + (len(shared) < len(many))
    assert used == min(size, sum(many) + len(many)) or size == 0, "no row is wasted"


@settings(max_examples=60, deadline=None)
@given(width=st.integers(60, 240), size=st.integers(1, 50))
def test_every_row_is_as_wide_as_the_screen(tale, width, size):
    view = view_of(tale)
    for line in view.systems.paint(width, size, silent=False):
        assert lines.cells(line) <= width
