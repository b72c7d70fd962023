"""Present: state, time, size and hostile text to cells."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.model import Health, Mode, State
from tui.present import bars, cut, frame, glyphs, lines, strip, words

S, M, H, D = words.SECOND, words.MINUTE, words.HOUR, words.DAY
NOW = 1_795_000_000_000


@pytest.mark.parametrize(
    ("ms", "said"),
    [
        (None, "?"), (0, "<1s"),
        (999, "<1s"),
        (48 * S, "48s"), (242 * S, "4m 02s"), (599 * S, "9m 59s"), (600 * S, "10m"), (31 * M, "31m"),
        (112 * M, "1h 52m"), (65 * M, "1h 05m"), (6 * D + 4 * H + 59 * M, "6d 4h"),
    ],
)  # fmt: skip
def test_durations_have_one_spelling(ms, said):
    assert words.duration(ms) == said


def test_running_values_move_once_a_minute():
    assert {words.running(ms) for ms in range(5 * M, 6 * M, 777)} == {"5m"}
    assert words.running(30 * S) == "<1m"
    assert words.running(None) == "?"


def test_the_usual_is_rounded():
    assert (words.rough(419 * S), words.rough(14_400), words.rough(None)) == ("7m", "14s", "?")


@pytest.mark.parametrize(
    ("ms", "said"), [(14 * M, "+14m"), (-8 * M, "-8m"), (30 * S, "+0m"), (None, "?"), (75 * M, "+1h 15m")]
)
def test_lateness_is_signed(ms, said):
    assert words.lateness(ms) == said


@pytest.mark.parametrize(
    ("ms", "said"),
    [(0, "4s"), (4 * S, "4s"), (5 * S, "8s"), (9 * S, "15s"), (30 * S, "30s"),
     (31 * S, "1m"), (21 * M + 5, "21m"), (3 * H, "3h"), (2 * D, "2d"), (None, "?")],
)  # fmt: skip
def test_ages_go_in_buckets(ms, said):
    assert words.age(ms) == said


def test_clock_names_the_day_when_it_is_another():
    now = 1_795_150_320_000
    tz = "Europe/Paris"
    same = words.hhmm(now, tz)
    assert words.clock(now, tz, now) == same
    assert words.clock(now - 2 * D, tz, now).endswith(same)
    assert words.clock(now - 2 * D, tz, now)[:3] in ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    assert ":" not in words.clock(now + 12 * D, tz, now)
    assert len(words.clock_short(now + 12 * D, tz, now)) <= 6
    assert words.clock(now - 800 * D, tz, now).count("-") == 2
    assert words.clock(None, tz, now) == "?"


def test_a_clock_survives_times_and_zones_that_are_not():
    assert words.clock(10**30, "Europe/Paris", NOW)
    assert words.hhmm(NOW, "Nowhere/At all")
    assert words.zone_word("Nowhere/At all") == "UTC"


def test_sizes_and_counts():
    assert (words.size(312), words.size(1_200_000), words.size(None)) == ("312 B", "1.2 MB", "n/a")
    assert (words.count(48310), words.count(None), words.many(1, "source"), words.many(4, "source")) == (
        "48,310",
        "?",
        "1 source",
        "4 sources",
    )
    assert words.percent(None) == "n/a"


def test_a_sentence_takes_whole_clauses_and_cuts_only_the_first():
    clauses = ["load_fact ORA-00001", "blocks customer_360 06:30", "step x"]
    assert (
        words.plain(words.sentence(clauses, 100) and clauses)
        == "load_fact ORA-00001 · blocks customer_360 06:30 · step x"
    )
    assert lines.text(words.sentence(clauses, 30)) == "load_fact ORA-00001 · step x"
    assert lines.text(words.sentence(clauses, 10)) == "load_fact…"
    assert words.sentence([], 10) == []


HOSTILE = {
    "csi": ("a\x1b[31mred\x1b[0mb", "aredb"),
    "osc title": ("a\x1b]0;owned\x07b", "ab"),
    "osc 52": ("\x1b]52;c;ZXZpbA==\x1b\\x", "x"),
    "c1 csi": ("a\x9b2Jb", "ab"),
    "lone escape": ("a\x1bcb", "ab"),
    "unfinished osc": ("a\x1b]0;never ends", "a0;never ends"),
    "bidi": ("abc\u202egnp.exe\u2066x", "abcgnp.exex"),
    "zero width": ("a\u200bb\ufeffc\u200d", "abc"),
    "lines": ("a\nb\tc\r\nd", "a b c  d"),
    "surrogate": ("a\udce9b", "a�b"),
    "nul": ("a\x00b", "ab"),
    "hebrew": ("יומי", "יומי"),
    "wide": ("売上", "売上"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_made_harmless(name):
    given_, want = HOSTILE[name]
    assert cut.clean(given_) == want


@given(st.text(max_size=60), st.integers(0, 30))
def test_nothing_that_steers_a_terminal_survives_and_cells_are_exact(text, n):
    safe = cut.clean(text)
    assert all(unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in safe)
    assert cut.width(cut.cut(safe, n)) <= n
    assert cut.width(cut.cut_middle(safe, n)) <= n
    assert cut.width(cut.pad(safe, n)) == n
    assert cut.width(cut.pad(safe, n, "r")) == n
    assert cut.width(glyphs.to_ascii(safe)) == cut.width(safe)
    assert glyphs.to_ascii(safe).isascii()


def test_names_are_cut_in_the_middle():
    assert cut.cut_middle("ldz_to_rdv_transactions", 21) == "ldz_to_rdv_t…sactions"
    assert cut.cut_middle("churn_features_refresh", 21) == "churn_featur…_refresh"
    assert cut.cut_middle("short", 21) == "short"


def test_every_glyph_is_one_cell_and_has_an_ascii_twin():
    everything = [
        *glyphs.LOOKS.values(),
        *glyphs.HEALTH_LOOKS.values(),
        glyphs.LONG,
        glyphs.PAUSED,
        glyphs.GONE,
        glyphs.NO_VIEW,
        glyphs.AT_RISK,
    ]
    for look in everything:
        assert cut.width(look.glyph) == 1
        assert len(look.ascii) == 1
        assert look.ascii.isascii()
        assert look.word
        assert len(look.narrow) <= 7 or look in glyphs.HEALTH_LOOKS.values()
        assert glyphs.to_ascii(look.glyph) == look.ascii
    assert set(glyphs.LOOKS) == set(State)
    assert set(glyphs.HEALTH_LOOKS) == set(Health)
    assert glyphs.to_ascii(glyphs.BLOCKS) == "_.-==^##"


def test_no_two_states_look_the_same_in_unicode_or_ascii():
    looks = list(glyphs.LOOKS.values())
    assert len({look.glyph for look in looks}) == len(looks)
    assert len({look.ascii for look in looks}) == len(looks)
    assert len({look.word for look in looks}) == len(looks)


def test_a_pipeline_looks_like_its_run_where_that_matters_else_like_its_mode():
    assert glyphs.look_of(State.FAILED, Mode.PAUSED).word == "failed"
    assert glyphs.look_of(State.RUNNING, Mode.PAUSED).word == "running"
    assert glyphs.look_of(State.SUCCESS, Mode.PAUSED).word == "paused"
    assert glyphs.look_of(State.SUCCESS).word == "ok"
    assert glyphs.look_of(None).word == "no runs"
    assert glyphs.look_of(State.RUNNING, Mode.GONE).word == "gone"


def test_strip_heights_follow_the_usual():
    heights = [strip.level(int(r * 100_000), 100_000) for r in (0.5, 1, 1.25, 1.5, 2, 3, 9)]
    assert "".join(glyphs.BLOCKS[h] for h in heights) == "▁▂▃▄▆██"
    assert strip.level(5, None) == 1


def test_strip_marks_what_went_wrong_and_is_filled_at_the_left():
    runs = [
        (State.SUCCESS, 1),
        (State.FAILED, 1),
        (State.WARNING, 1),
        (State.MISSED, 0),
        (State.STOPPED, 0),
        (State.RUNNING, 1),
    ]
    assert lines.text(strip.spans(runs, 8)) == "··▂✗▲∅■►"
    assert lines.text(strip.spans(runs, 3)) == "∅■►"
    assert {style for _, style in strip.spans(runs, 8, stale=True)} == {"run-stale"}
    assert lines.text(strip.spans([(State.SUCCESS, 1)] * 20, 8, paused=True)) == "▂▂▂▂▂▂··"
    assert strip.decode(bytes([State.FAILED << 4 | 3, 0xF1])) == ((State.FAILED, 3),)


def test_bars():
    assert lines.text(bars.gauge(0.63, 10)) == "━━━━━━────"
    assert lines.text(bars.gauge(None, 10)) == "n/a       "
    assert lines.text(bars.run_bar(17 * M, 24 * M, 30 * M)) == "━━━─┼───"
    assert lines.text(bars.run_bar(3 * M, 8 * M, 9 * M)) == "━━──┼───"
    assert lines.text(bars.run_bar(90 * M, 8 * M, 9 * M)) == "━━━━╋━━━"
    assert bars.run_bar(90 * M, 8 * M, 9 * M)[0][1] == "run-late"
    assert lines.text(bars.sparkline([0, 50, 100], 4)) == " ▁▅█"


def test_lines_are_exact_and_blanks_follow_their_left():
    columns = [lines.Column("NAME", 6), lines.Column("N", 4, "r")]
    row = lines.row(columns, ["abc", [("12", "b")]])
    assert lines.text(row) == " abc      12"
    assert row == [(" ", ""), ("abc      ", "text"), ("12", "b")]
    assert lines.text(lines.fit([("abcdef", ""), ("gh", "b")], 6)) == "abcde…"
    assert lines.text(lines.fit([("売上売上", "")], 5)) == "売上…"
    assert lines.cells(lines.fit([("売上売上", "")], 4)) == 4
    assert lines.text(lines.fit([("abc   ", "")], 4)) == "abc "


@given(
    st.lists(
        st.tuples(st.text(max_size=12).map(cut.clean), st.sampled_from(["", "b", "dim", "on:x", "rev"])), max_size=6
    ),
    st.integers(1, 30),
)
def test_fit_is_always_exact(spans, n):
    assert lines.cells(lines.fit(spans, n)) == n


def test_cursor_row_keeps_its_text_and_changes_its_ground():
    row = lines.cursor([(" ", ""), ("abc", "run-failed b")], 8)
    assert lines.text(row) == "▌abc    "
    assert all("on:cursor-bg" in style for _, style in row)
    assert all(
        "rev" in style and "run-failed" not in style
        for _, style in lines.cursor([(" abc", "run-failed b")], 8, mono=True)
    )


def test_rule_is_exact_and_gives_up_the_hint_first():
    assert lines.text(lines.rule("Problems", "7", "next key", 40)) == " Problems 7 ────────────────── next key "
    assert lines.text(lines.rule("Problems", "7", "next key", 20)) == " Problems 7 ─────── "
    for n in range(4, 60):
        assert lines.cells(lines.rule("Problems", "7 · first 5", "since · what it means", n)) == n


def test_bands_by_colour_then_name_then_protection():
    assert frame.band("prod", "red", True) == "prod"
    assert frame.band("anything", "green", False) == "dev"
    assert frame.band("staging", "", True) == "uat"
    assert frame.band("emea", "", True) == "prod"
    assert frame.band("emea", "", False) == "local"
