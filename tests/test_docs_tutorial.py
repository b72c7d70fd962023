"""docs/tutorial.md, typed: every key that it names is pressed in a real terminal, and what it says is waited for.

The page carries both as comments beside its prose: ``<!-- press: g enter type:two~words wait -->`` and ``<!-- see: one ; another -->``
(regular expressions, each on one row of the screen).
"""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

from tests.pty import Terminal

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "tutorial.md").read_text("utf-8")
STEPS = re.findall(r"<!-- (press|see): (.*?) -->", TEXT)
GUARD_S = 0.6  # a dialog swallows the keys of its first half second: no sleep for luck


def test_the_tutorial_is_what_the_demo_does(tmp_path: Path) -> None:
    env = {
        "HOME": str(tmp_path),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
    }
    with Terminal([sys.executable, "-P", "-m", "tui.cli", "demo"], 120, 40, env=env) as screen:
        for what, words in STEPS:
            if what == "see":
                for pattern in words.split(" ; "):
                    screen.wait_for(re.compile(pattern), 40)
                continue
            for key in words.split():
                if key == "wait":
                    time.sleep(GUARD_S)
                elif key.startswith("type:"):
                    screen.type(key.removeprefix("type:").replace("~", " "))
                else:
                    screen.press(key.lower() if re.fullmatch(r"F\d", key) else key)
                screen.settle(0.3 if key == "escape" else 0.12, 1.0)  # a key right after Esc would be Alt+key


def test_each_key_that_the_prose_names_in_its_steps_is_pressed() -> None:
    pressed = " ".join(words for what, words in STEPS if what == "press").split()
    for key in (
        "h",
        "D",
        "i",
        "w",
        "F",
        "M",
        "v",
        "E",
        "o",
        "C",
        "q",
        "!",
        ":",
        "/",
        "&",
        "x",
        "p",
        "u",
        "F9",
        *"1256790",
    ):
        assert key in pressed, key
        assert f"`{key}`" in TEXT, key
