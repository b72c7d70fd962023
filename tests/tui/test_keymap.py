"""The one table of keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui import keymap
from tui.keymap import ACTIONS, CONTEXTS, KeyAction, Keymap, KeymapError


@pytest.fixture(autouse=True)
def _defaults():
    yield
    keymap.load_overrides({})


def test_no_key_is_twice_in_a_context():
    taken: dict[tuple[str, str], str] = {}
    for action in ACTIONS:
        for context in action.contexts:
            for key in action.keys:
                assert taken.setdefault((context, key), action.id) == action.id
    with pytest.raises(KeymapError, match=r"the key x would mean both run\.stop and a\.b"):
        Keymap([*ACTIONS, KeyAction("a.b", ("x",), ("run",), "b", "b")])


def test_ids_and_words_are_complete():
    assert len({a.id for a in ACTIONS}) == len(ACTIONS)
    for action in ACTIONS:
        assert action.label
        assert action.help
        assert action.keys
        assert set(action.contexts) <= set(CONTEXTS)
        assert all(keymap.known_key(k) and keymap.normal(k) == k for k in action.keys), action


def test_keys_that_terminals_keep_for_themselves_are_never_the_only_way():
    risky = {
        "ctrl+s",
        "ctrl+q",
        "ctrl+b",
        "ctrl+a",
        "ctrl+z",
        "ctrl+h",
        "ctrl+i",
        "ctrl+m",
        "ctrl+j",
        "f1",
        "f10",
        "f11",
        "f12",
    }
    for action in ACTIONS:
        assert not set(action.keys) <= risky, action.id


def test_nearest_context_wins():
    assert keymap.resolve(("log", "global"), "exclamation_mark") == "log.drop"
    assert keymap.resolve(("floor", "list", "global"), "exclamation_mark") == "problem.first"
    assert keymap.resolve(("floor", "list", "global"), "/") == "list.filter"
    assert keymap.resolve(("log", "global"), "slash") == "log.search"
    assert keymap.resolve(("help", "global"), "x") is None


def test_one_letter_one_meaning_in_a_stack_of_contexts():
    """A nearer context may take a key over only where the further one has another key left, or the screen lacks the thing."""
    for stack in (
        ("floor", "list", "global"),
        ("runs", "list", "global"),
        ("run", "list", "global"),
        ("sources", "list", "global"),
    ):
        hidden = [
            a.id
            for a in ACTIONS
            if set(a.contexts) & set(stack) and not any(keymap.resolve(stack, k) == a.id for k in a.keys)
        ]
        assert hidden == [], stack


def test_footer_says_only_what_fits_and_what_works():
    for width in (40, 80, 120, 200):
        entries = keymap.footer(("floor", "list", "global"), width)
        assert sum(len(k) + len(w) + 4 for k, w in entries) + 7 <= width
    assert keymap.footer(
        ("floor", "list", "global"), 120, only=["run.log", "log.wrap"], words={"run.log": "log (kept)"}
    ) == [("l", "log (kept)")]


def test_help_lists_every_reachable_action_once_with_keys_that_reach_it():
    stack = ("log", "global")
    sections = keymap.help(stack)
    assert [title for title, _ in sections] == ["Log", "Everywhere"]
    rows = [row for _, rows in sections for row in rows]
    assert len(rows) == len({label + text for _, label, text in rows})
    assert not any(label == "first problem" for _, label, _ in rows)  # ! means something else in a log


def test_overrides_take_the_place_of_defaults():
    keymap.load_overrides({"run.stop": "ctrl+x", "list.filter": ["ctrl+f", "/"]})
    assert keymap.resolve(("floor", "list", "global"), "ctrl+x") == "run.stop"
    assert keymap.resolve(("floor", "list", "global"), "x") is None
    assert keymap.resolve(("floor", "list", "global"), "ctrl+f") == "list.filter"
    assert ("Ctrl+X", "stop") in [row[:2] for _, rows in keymap.help(("floor",)) for row in rows]
    keymap.load_overrides({})
    assert keymap.resolve(("floor", "list", "global"), "x") == "run.stop"


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"run.stopp": "x"}, r"'run\.stopp' is not the id of an action: did you mean run\.stop\?"),
        ({"zzz": "x"}, r"'zzz' is not the id of an action"),
        ({"run.stop": "r"}, r"the key r would mean both run\.rerun and run\.stop in the context 'floor'"),
        ({"run.stop": "hyper+x"}, r"run\.stop has the key 'hyper\+x', which no terminal sends"),
        ({"run.stop": 7}, r"run\.stop must be a key or a list of keys"),
        ({"run.stop": []}, r"run\.stop must be a key or a list of keys"),
    ],
)
def test_a_bad_override_is_one_sentence_and_changes_nothing(overrides, said):
    keymap.load_overrides({"app.quit": "Q"})
    with pytest.raises(KeymapError, match=said) as caught:
        keymap.load_overrides(overrides)
    assert "\n" not in str(caught.value)
    assert keymap.resolve(("global",), "Q") == "app.quit"


def test_keys_read_as_people_read_them():
    assert [keymap.shown(k) for k in ("enter", "ctrl+l", "slash", "shift+tab", "f9", "G", "full_stop")] == [
        "Enter",
        "Ctrl+L",
        "/",
        "Shift+Tab",
        "F9",
        "G",
        ".",
    ]


def test_every_id_is_handled_by_the_app_or_by_a_view_of_its_context():
    """By name, in the source of a module that answers keys: an id that nobody knows is a key that does nothing."""
    folder = Path(keymap.__file__).parent
    rooms = [folder / "app.py", *sorted((folder / "screens").glob("*.py")), *sorted((folder / "log").glob("*.py"))]
    known = "\n".join(p.read_text("utf-8") for p in rooms)
    assert [a.id for a in ACTIONS if f'"{a.id}"' not in known] == []


def test_no_helper_of_the_screens_has_the_name_of_a_screen():
    """A module of that name would take its place as soon as it is imported."""
    from tui import registry, screens

    modules = {target.partition(":")[0].rpartition(".")[2] for target in registry.VIEWS.values()}
    for name in modules:
        assert not callable(getattr(screens, name, None)), name
