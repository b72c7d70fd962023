"""Type the first hour into a real terminal and keep what it showed: ``python docs/record.py [--airflow]``.

Only keys that the README or the screen names are typed. The demo is operated, with ``--airflow`` also a real Airflow 3. The
tests run the same functions; docs/first-hour.md is written only when all went well.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.pty import Terminal  # noqa: E402

DONE = re.compile(r"\bdone  \S")
REASON = "wrong input, right one promised"


@dataclass
class Transcript:
    """Screens with what was typed before each."""

    title: str
    parts: list[tuple[str, str, str]] = field(default_factory=list)
    typed: str = ""

    def keep(self, screen: Terminal, said: str) -> None:
        text = "\n".join(line.rstrip() for line in screen.lines()).rstrip()
        here = str(ROOT)  # a place of this machine says nothing to a reader; one of the same length keeps the columns
        self.parts.append((said, self.typed, text.replace(here, ("/opt/" + "watchfloor" * 9)[: len(here)])))
        self.typed = ""

    def markdown(self) -> str:
        out = [f"## {self.title}", ""]
        for said, typed, text in self.parts:
            out += [said, ""]
            if typed:
                out += [f"Typed: {typed}", ""]
            out += ["```", text, "```", ""]
        return "\n".join(out)


class Hand:
    """Types, waits for what the screen must then show, and notes it."""

    def __init__(self, screen: Terminal, transcript: Transcript) -> None:
        self.screen, self.transcript = screen, transcript

    def press(self, *keys: str) -> None:
        for key in keys:
            self.screen.press(key)
            self.screen.settle(0.3 if key == "escape" else 0.12, 1.0)  # a key right after Esc would be Alt+key
            self.transcript.typed += f"`{key}` "

    def type(self, text: str) -> None:
        self.screen.type(text)
        self.screen.settle(0.12, 1.0)
        self.transcript.typed += f"“{text}” "

    def wait(self, what: str | re.Pattern[str], timeout: float = 20.0) -> None:
        self.screen.wait_for(what, timeout)

    def keep(self, said: str) -> None:
        self.screen.settle(0.3, 3.0)
        self.transcript.keep(self.screen, said)

    def cursor_row(self) -> str:
        return next((line for line in self.screen.lines() if line.startswith("▌")), "")

    def go_to(self, name: str, limit: int = 60) -> None:
        """Down until the cursor stands on that pipeline."""
        self.press("g")
        for _ in range(limit):
            if name in self.cursor_row():
                return
            self.press("j")
        raise AssertionError(f"the cursor never came to {name}:\n{self.screen.text()}")

    def confirm(self) -> None:
        """Reason, Enter, y: what the dialog of an unprotected disruptive action asks for."""
        self.wait("Reason")
        time.sleep(0.6)  # the dialog swallows the keys of its first half second
        self.type(REASON)
        self.press("enter")
        self.press("y")

    def until(self, what: Callable[[], bool], timeout: float = 30.0) -> None:
        end = time.monotonic() + timeout
        while not what():
            assert time.monotonic() < end, self.screen.text()
            self.screen.read(0.2)


def demo(argv: list[str], folder: Path) -> Transcript:
    """See the demo, stop a running job, find why another failed, repair, rerun it from its failed step."""
    transcript = Transcript("The demo")
    env = {"HOME": str(folder), "XDG_STATE_HOME": str(folder / "state"), "XDG_CONFIG_HOME": str(folder / "config")}
    with Terminal([*argv, "demo"], 120, 40, env=env) as screen:
        hand = Hand(screen, transcript)
        hand.wait(re.compile(r"failed +ldz_to_rdv_contracts"), 40)
        hand.wait(re.compile(r"running +flowchart_360"), 30)
        hand.keep("The floor opens on what is broken. One job failed, others run.")

        hand.press("5")
        hand.wait(re.compile(r"owed .*ldz_to_rdv_contracts +if rerun now"))
        hand.keep(
            "`5` is what is owed: when it is due, when it will be done, by when it must start. The failed job is not late yet: "
            "a rerun that starts now would be in time."
        )
        hand.press("1")

        hand.go_to("ldz_to_rdv_contracts")
        hand.press("enter")
        hand.wait(re.compile(r"Why +load_fact"))
        hand.wait("way out")
        hand.keep("`Enter` opens its story: the third step failed on a duplicate key, and the log says the way out.")
        hand.press("l")
        hand.wait("duplicate key")
        hand.keep("`l` opens the log at the error.")
        hand.press("escape")

        hand.press("1")
        hand.go_to("flowchart_360")
        hand.press("x")
        hand.wait("proof")
        hand.keep(
            "`x` on the slow job: the plan says what is now, what it will do, the exact call, and how it will be proved."
        )
        hand.confirm()
        hand.wait(DONE, 30)
        hand.keep("A reason and `y`: stopped, and proved by looking.")
        hand.press("escape")
        hand.wait(re.compile(r"stopped +flowchart_360"))

        hand.go_to("contracts_keep_newest")
        hand.press("T")
        hand.wait("proof")
        time.sleep(0.6)
        hand.press("enter")
        hand.wait(DONE, 30)
        hand.keep("The way out that the log named: `T` starts the job that keeps the newest of the doubled contracts.")
        hand.press("escape")

        hand.go_to("ldz_to_rdv_contracts")
        hand.press("enter")
        hand.wait(re.compile(r"Why +load_fact"))
        hand.press("R")
        hand.wait("proof")
        hand.keep("`R` on the failed run: rerun from its failed step; the steps that were done stay done.")
        hand.confirm()
        hand.wait(DONE, 30)
        hand.press("escape")
        hand.press("h")
        hand.wait(re.compile(r"✓ +ok +ldz_to_rdv_contracts"), 30)
        hand.keep("`h`, the history of this pipeline: the rerun from `load_fact` ended well.")
        hand.press("5")
        hand.wait(re.compile(r"met .*ldz_to_rdv_contracts +done"))
        hand.keep("And what it owed is met, before it was due.")
        hand.press("q")
    subprocess.run([*argv, "engine", "stop", "--demo"], env={**os.environ, **env}, check=False, capture_output=True)
    return transcript


def airflow(
    argv: list[str],
    folder: Path,
    url: str,
    user: str,
    password: str,
    failing: str,
    slow: str,
    repair: Callable[[], None],
) -> Transcript:
    """The same on a real Airflow: a protected environment, so it is armed, and the name is typed."""
    transcript = Transcript("A real Airflow")
    secret = folder / "secret"
    secret.write_text(password)
    secret.chmod(0o600)
    config = folder / "watchfloor.toml"
    config.write_text(
        f'[store]\npath = "state/floor.db"\n\n[environment.prod]\ncolor = "violet"\n\n[[source]]\nname = "airflow"\nkind = "airflow"\nurl = "{url}"\n'
        f'environment = "prod"\nprotected = true\npoll = "5s"\nrequests = "600/min"\nauth = {{ user = "{user}", password = {{ file = "secret" }} }}\n'
    )
    with Terminal([*argv, "--config", str(config)], 120, 40, env={"HOME": str(folder)}) as screen:
        hand = Hand(screen, transcript)
        hand.wait(re.compile(rf"failed +{failing}"), 90)
        hand.wait(re.compile(rf"running +{slow}"), 90)
        hand.keep(
            "The floor of a real Airflow: one DAG failed, one runs. The environment is protected: read-only until armed."
        )
        hand.go_to(failing)
        hand.press("enter")
        hand.wait(re.compile(r"Why +"))
        hand.wait(re.compile(r"First error.*line"), 60)
        hand.keep("`Enter`: the step that failed and its first error line.")
        hand.press("1")
        hand.go_to(slow)
        hand.press("x")
        hand.wait("blocked")
        hand.keep("`x` is refused: the environment is not armed.")
        time.sleep(0.6)
        hand.press("A")
        _typed_confirm(hand, f"prod/{slow}")
        hand.wait(DONE, 90)
        hand.keep(
            "`A` arms for 60 seconds; a reason and the typed name, then the proof: the run is terminal, and it is called stopped, not failed."
        )
        hand.press("escape")
        hand.wait(re.compile(rf"stopped +{slow}"), 60)
        repair()
        hand.go_to(failing)
        hand.press("enter")
        hand.wait(re.compile(r"Why +"))
        hand.press("R")
        hand.wait("proof")
        if "blocked" in screen.text():
            time.sleep(0.6)
            hand.press("A")
        _typed_confirm(hand, f"prod/{failing}")
        hand.wait(DONE, 90)
        hand.press("escape")
        hand.wait(re.compile(r"✓ +ok"), 120)
        hand.keep(
            "`R` cleared the failed task after its cause was mended; the same run ended well on its second attempt."
        )
        hand.press("q")
    subprocess.run(
        [*argv, "engine", "stop", "--config", str(config)],
        env={**os.environ, "HOME": str(folder)},
        check=False,
        capture_output=True,
    )
    return transcript


def _typed_confirm(hand: Hand, name: str) -> None:
    hand.wait("Reason")
    time.sleep(0.6)
    hand.type(REASON)
    hand.press("tab")
    hand.type(name)
    hand.press("enter")


def page(parts: list[Transcript]) -> str:
    head = (
        "# The first hour\n\nTyped by a script into a real terminal of 120×40 and kept as it was (`python docs/record.py`); "
        "the tests do the same. Only keys that the README or the screen names.\n\n"
    )
    return head + "\n".join(part.markdown() for part in parts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--airflow", action="store_true", help="also a real Airflow, installed and started as the tests do (minutes)"
    )
    args = parser.parse_args()
    argv = [sys.executable, "-P", "-m", "tui.cli"]
    with tempfile.TemporaryDirectory() as folder:
        parts = [demo(argv, Path(folder))]
    if args.airflow:
        parts.append(on_airflow(argv))
    file = ROOT / "docs" / "first-hour.md"
    _, found, kept = (
        file.read_text().partition("## A real Airflow\n") if file.exists() and not args.airflow else ("", "", "")
    )
    file.write_text(page(parts) + ("\n" + found + kept if found else ""))  # without --airflow that part stays as it was
    return 0


def on_airflow(argv: list[str]) -> Transcript:
    """Start the tests' own Airflow, let one DAG fail and one run, and operate them."""
    from tests.real.airflow_server import PASSWORD, USER, Airflow3

    with (
        tempfile.TemporaryDirectory(prefix="watchfloor-airflow-", ignore_cleanup_errors=True) as home,
        tempfile.TemporaryDirectory() as folder,
    ):
        server = Airflow3(Path(home) / "home")
        try:
            server.start()
            return prepared_airflow(argv, Path(folder), server, USER, PASSWORD)
        finally:
            server.stop()


def prepared_airflow(
    argv: list[str], folder: Path, server: Any, user: str, password: str, suffix: str = "1"
) -> Transcript:
    """``server`` is a ``tests.real.airflow_server.Airflow3`` that runs: one DAG is made to fail, one to run long."""
    for dag in ("wf_fail", "wf_slow"):
        server.patch(f"/api/v2/dags/{dag}?update_mask=is_paused", {"is_paused": False})
    server.flag.unlink(missing_ok=True)
    server.trigger("wf_fail", f"hour-fail-{suffix}")
    server.wait("wf_fail fails", lambda: server.run_state("wf_fail", f"hour-fail-{suffix}") == "failed")
    server.trigger("wf_slow", f"hour-slow-{suffix}")
    server.wait("wf_slow runs", lambda: server.run_state("wf_slow", f"hour-slow-{suffix}") == "running")
    return airflow(argv, folder, server.url, user, password, "wf_fail", "wf_slow", repair=server.flag.touch)


if __name__ == "__main__":
    sys.exit(main())
