"""The words of the command line: every verb, what it takes, what its help says. Nothing is done here."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, NoReturn

from engine.request import EXIT_BAD_INPUT


class Parser(argparse.ArgumentParser):
    """argparse with one sentence instead of a usage block."""

    def error(self, message: str) -> NoReturn:
        print(f"watchfloor: {message}; see {self.prog} --help", file=sys.stderr)
        raise SystemExit(EXIT_BAD_INPUT)


def _verb(
    subs: Any, name: str, words: str, examples: str = "", formats: tuple[str, ...] = ()
) -> argparse.ArgumentParser:
    sub = subs.add_parser(
        name, help=words, description=words[0].upper() + words[1:] + ".",
        epilog=f"examples:\n{examples}" if examples else None, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    _common(sub, after_verb=True)
    if formats:
        sub.add_argument("--format", choices=formats, default=formats[0], help=f"default {formats[0]}")
    return sub


def _common(parser: argparse.ArgumentParser, after_verb: bool = False) -> None:
    """Before the verb or after it; a verb's own default must not undo what was said before it."""
    file: Any = argparse.SUPPRESS if after_verb else None
    flag: Any = argparse.SUPPRESS if after_verb else False
    parser.add_argument(
        "--config", type=Path, metavar="FILE", default=file, help="configuration file; its store and engine go with it"
    )
    parser.add_argument(
        "--system", action="store_true", default=flag, help="the host's own: /etc/watchfloor and /var/lib/watchfloor"
    )


def _terminal(parser: argparse.ArgumentParser, after_verb: bool = False) -> None:
    theme: Any = argparse.SUPPRESS if after_verb else None
    parser.add_argument("--theme", default=theme, help="dark, light, ansi, or a theme file of yours")
    for name, words in (
        ("--ascii", "plain characters for fonts without the glyphs"),
        ("--slow-link", "repaint at most every 5 seconds"),
        ("--read-only", "look only: no key acts"),
    ):
        flag: Any = argparse.SUPPRESS if after_verb else False
        parser.add_argument(name, action="store_true", default=flag, help=words)


def parser() -> argparse.ArgumentParser:
    """The whole command line; its ``--help`` is the reference."""
    top = Parser(
        prog="watchfloor",
        description="What is owed, by when, and will it make it: every pipeline on one floor, in a terminal.",
        epilog="examples:\n  watchfloor demo          real pipelines on this machine, no network, nothing to configure\n"
        "  watchfloor init          write a first configuration with what this host has\n"
        "  watchfloor               open the floor\n"
        "  watchfloor show floor --format json",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    top.add_argument("--version", action="store_true", help="print the version and leave")
    _common(top)
    _terminal(top)
    subs = top.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)

    demo = _verb(
        subs,
        "demo",
        "open a floor of real local jobs; no configuration, no network",
        "  watchfloor demo\n  watchfloor demo --reset",
    )
    _terminal(demo, after_verb=True)
    demo.add_argument("--reset", action="store_true", help="stop the demo's engine, remove its data, start afresh")
    wall = _verb(
        subs,
        "wall",
        "the floor in large for a monitor that nobody touches",
        "  watchfloor wall\n  watchfloor wall --demo",
    )
    _terminal(wall, after_verb=True)
    wall.add_argument("--demo", action="store_true", help="of the demo's workspace")

    engine = _verb(
        subs, "engine", "run, stop, ask or reload the engine",
        "  watchfloor engine run\n  watchfloor engine status --format json", ("text", "json"),
    )  # fmt: skip
    engine.add_argument("what", choices=("run", "stop", "status", "reload"), nargs="?", default="status")
    engine.add_argument("--standby", action="store_true", help="with run: wait until the running engine ends")
    engine.add_argument(
        "--read-only", action="store_true", default=argparse.SUPPRESS, help="with run: refuse every action"
    )
    engine.add_argument("--demo", action="store_true", help="of the demo's workspace")

    morning = _verb(
        subs, "morning", "what the night came to: exit 0 all well, 1 somebody must look, 7 not everything could be seen",
        "  watchfloor morning\n  watchfloor morning --format json | jq '.data.lines[] | select(.state == \"bad\")'\n"
        "  watchfloor morning || mail -s 'the night' desk@example.com", ("text", "json"),
    )  # fmt: skip
    morning.add_argument("--demo", action="store_true", help="of the demo's workspace")

    show = _verb(
        subs, "show", "print a screen as text, JSON or CSV",
        "  watchfloor show floor\n  watchfloor show runs --filter state:failed --limit 20 --format csv\n"
        "  watchfloor show run local:nightly/20261120T040000Z --format json\n  watchfloor show floor --fail-on failed || page-me",
        ("text", "json", "csv"),
    )  # fmt: skip
    show.add_argument(
        "screen",
        help="floor timeline runs run history diff deadlines hosts layers gaps actions morning log sources card help wall",
    )
    show.add_argument(
        "key",
        nargs="?",
        help="for run, log and diff: the run's or step's key; for history and gaps: a pipeline's; for actions: an action's id, or audit",
    )
    show.add_argument("other", nargs="?", help="for diff: the run to compare with; default the last success before it")
    show.add_argument("--filter", default="", metavar="F", help="as typed after / on the screen")
    show.add_argument("--view", metavar="NAME", help="a saved view of the screen: a [[view]] or one of yours (key v)")
    show.add_argument("--limit", type=int, metavar="N", help="at most N rows of csv or json")
    show.add_argument("--width", type=int, default=0, help="cells; default the terminal's, else 120")
    show.add_argument("--height", type=int, default=0, help="lines; default the terminal's, else 40")
    show.add_argument(
        "--fail-on", metavar="WORDS", help="exit 1 if a pipeline is in one of these states, e.g. failed,missed"
    )
    show.add_argument("--ascii", action="store_true", default=argparse.SUPPRESS)
    show.add_argument("--demo", action="store_true", help="of the demo's workspace")

    for name, words in (
        ("plan", "print what an action would do, exactly; nothing is sent"),
        ("act", "plan, confirm, do, and wait for the proof"),
    ):

        def why(text: str, more: str = "", name: str = name) -> str:
            return f' --reason "{text}"{more}' if name == "act" else ""

        sub = _verb(
            subs, name, words,
            f"  watchfloor {name} start local:nightly --date 2026-11-20\n"
            f"  watchfloor {name} stop local:nightly{why('wrong input file', ' --yes')}\n"
            f"  watchfloor {name} rerun-from local:nightly/RUN#load{why('table repaired', ' --yes')}\n"
            f"  watchfloor {name} mark prod-airflow:daily/RUN#load --as success{why('loaded by hand')}\n"
            f"  watchfloor {name} backfill prod-airflow:daily --from 2026-11-01 --to 2026-11-14 --param max_active=2\n"
            f"  watchfloor {name} backfill-cancel prod-airflow:daily --id 7",
            ("text", "json"),
        )  # fmt: skip
        sub.add_argument("verb", help="one of: start pause resume hold release stop rerun rerun-failed rerun-from mark backfill backfill-pause backfill-resume backfill-cancel")  # fmt: skip
        sub.add_argument("key", help="source:pipeline, source:pipeline/run or source:pipeline/run#step; or a pattern of pipelines like prod-airflow:cdm_*")  # fmt: skip
        sub.add_argument("--param", action="append", metavar="NAME=VALUE", help="of a backfill also: reprocess=none|failed|completed, max_active=N, backwards=true")  # fmt: skip
        sub.add_argument("--date", metavar="YYYY-MM-DD", help="business date")
        sub.add_argument("--as", dest="as_", choices=("success", "failed"), help="with mark: what it is declared")
        sub.add_argument("--from", dest="from_", metavar="YYYY-MM-DD", help="with backfill: the first date")
        sub.add_argument("--to", metavar="YYYY-MM-DD", help="with backfill: the last date; it counts too")
        sub.add_argument(
            "--id", metavar="N", help="with backfill-pause, -resume, -cancel: which one, if there are several"
        )
        sub.add_argument("--demo", action="store_true", help="of the demo's workspace")
        if name == "act":
            sub.add_argument("--reason", help="why; ten characters or more")
            sub.add_argument(
                "--confirm",
                metavar="ENV/NAME",
                help="the name that the dialog asks you to type; of a pattern its words, as `plan` prints them",
            )
            sub.add_argument(
                "--yes", action="store_true", help="instead of the y of the dialog (not for protected targets)"
            )
            sub.add_argument("--arm", action="store_true", help="arm the environment for this act first")

    settle = _verb(
        subs, "settle", "say how an action ended whose outcome cannot be told by asking",
        '  watchfloor settle 01J7… not-done --reason "looked at the server: no such run"',
    )  # fmt: skip
    settle.add_argument("action", help="its id, as `watchfloor act` printed it")
    settle.add_argument("outcome", choices=("done", "not-done"))
    settle.add_argument("--reason", required=True, help="how you know; ten characters or more")
    ack = _verb(subs, "ack", "say that you have an alert", '  watchfloor ack 7K2F --until 30m --note "on it"')
    ack.add_argument("alert")
    ack.add_argument("--note")
    ack.add_argument("--until", metavar="DURATION")
    silence = _verb(
        subs,
        "silence",
        "hold back alerts of a key for a time",
        '  watchfloor silence "local:fx_*" --until 2h --reason "known, node resize"',
    )
    silence.add_argument("match")
    silence.add_argument("--until", metavar="DURATION", required=True)
    silence.add_argument("--reason", required=True)
    note = _verb(
        subs, "note", "leave words on a pipeline or run", '  watchfloor note local:nightly "file promised for 06:20"'
    )
    note.add_argument("key")
    note.add_argument("text", nargs="+")
    ping = _verb(
        subs, "ping", "a sign of life of a script, for whoever waits for it",
        "  watchfloor ping nightly-backup start\n  watchfloor ping nightly-backup ok\n"
        '  watchfloor ping nightly-backup fail --code 3 "disk full"\n'
        "  0 2 * * * backup.sh && watchfloor ping -q nightly-backup ok",
        ("text", "json"),
    )  # fmt: skip
    ping.add_argument("name", help='as an [[expectation]] (on = "ping:NAME") or a [[check]] names it')
    ping.add_argument("what", choices=("start", "ok", "fail", "log"))
    ping.add_argument("text", nargs="*", help="words that are kept with it")
    ping.add_argument("--code", nargs="+", metavar=("N", "text"), help="exit code of the script, 0 to 255")
    ping.add_argument("--quiet", "-q", action="store_true", help="say nothing when it is recorded")
    waive = _verb(
        subs, "waive", "say that something is not owed, with a reason",
        '  watchfloor waive local:nightly --reason "no file today, agreed with sales" --until 4h\n'
        '  watchfloor waive "sales-ready|local:nightly|2026-11-20" --reason "bank holiday at the sender"\n'
        "  watchfloor waive local:nightly --undo",
        ("text", "json"),
    )  # fmt: skip
    waive.add_argument(
        "key",
        help="key or number of what is owed; or a pipeline, feed:NAME, ping:NAME or promise that owes one thing now",
    )
    waive.add_argument("--reason", help="why it is not owed; the next one on duty reads it")
    waive.add_argument("--until", metavar="DURATION", help="from then on it is owed again; default: for good")
    waive.add_argument("--undo", action="store_true", help="it is owed after all: the waiver ends now")
    alerts = _verb(subs, "alerts", "list open alerts", "  watchfloor alerts --format json", ("text", "json"))
    alerts.add_argument("--all", action="store_true", help="closed ones too")
    alerts.add_argument("--fail", action="store_true", help="exit 1 if there is one")
    notify = _verb(subs, "notify", "send a test message through the whole path", "  watchfloor notify test ana")
    notify.add_argument("what", choices=("test",))
    notify.add_argument("to", nargs="?", help="a contact's name; default: all")
    audit = _verb(
        subs,
        "audit",
        "verify or export the record of what people did",
        "  watchfloor audit verify\n  watchfloor audit export --format csv\n  watchfloor show actions audit --filter who:ana",
        ("jsonl", "csv", "md"),
    )
    audit.add_argument("what", choices=("verify", "export"))
    logs = _verb(
        subs,
        "logs",
        "print a run's log, or read log files and pipes on the log screen",
        "  watchfloor logs local:nightly/RUN#load --follow\n  watchfloor logs /var/log/etl.log\n"
        "  watchfloor logs extract.log load.log      both as one, by time\n  journalctl -f | watchfloor logs -",
    )
    logs.add_argument("key", nargs="+", help="a run's or step's key; or files; - is standard input")
    logs.add_argument("--follow", "-f", action="store_true", help="when printing: go on with what is written")
    _terminal(logs, after_verb=True)
    for sub in (settle, ack, silence, note, ping, waive, alerts, notify, audit, logs):
        sub.add_argument("--demo", action="store_true", help="of the demo's workspace")

    backup = _verb(
        subs, "backup", "write a proved copy of the store, also while its engine runs",
        "  watchfloor backup\n  watchfloor backup /mnt/backup/floor.db\n  15 3 * * * watchfloor backup /mnt/backup/",
        ("text", "json"),
    )  # fmt: skip
    backup.add_argument("file", nargs="?", help="a new file, or a folder; default: backups/ beside the store")
    restore = _verb(
        subs, "restore", "put a backup in the place of the store; the present one is kept aside",
        "  watchfloor engine stop && watchfloor restore /mnt/backup/floor.db",
    )  # fmt: skip
    restore.add_argument("file", help="as `watchfloor backup` wrote it; an older one is brought up to date")
    restore.add_argument("--yes", action="store_true", help="do not ask")
    for sub in (backup, restore):
        sub.add_argument("--demo", action="store_true", help="of the demo's workspace")
    _verb(subs, "init", "write a first configuration with what this host has")
    _verb(
        subs,
        "check",
        "read the configuration and every secret it refers to, and hear what adapters say of it; nobody is asked",
    )
    _verb(
        subs,
        "doctor",
        "ask every source what works, what the credential may do, what is missing",
        formats=("text", "json"),
    )
    _verb(subs, "schema", "print the JSON schema of the configuration")
    locate = _verb(subs, "locate", "print where everything lies", formats=("text", "json"))
    locate.add_argument("--demo", action="store_true")
    keys = _verb(
        subs,
        "keys",
        "print every key and what it does, with [keys] of the configuration",
        "  watchfloor keys\n  watchfloor keys --cheatsheet | lpr\n  watchfloor keys --format json",
        formats=("text", "json"),
    )
    keys.add_argument("--cheatsheet", action="store_true", help="a sheet to print: all keys by screen")
    completion = _verb(
        subs,
        "completion",
        "print what a shell needs to complete verbs, options, keys of pipelines and alerts",
        '  eval "$(watchfloor completion bash)"        # in ~/.bashrc\n'
        '  eval "$(watchfloor completion zsh)"         # in ~/.zshrc, after compinit\n'
        "  watchfloor completion fish > ~/.config/fish/completions/watchfloor.fish",
    )
    completion.add_argument("shell", choices=("bash", "zsh", "fish"))
    return top
