"""The reference, from what the program itself reads: keys, configuration, command line (``python docs/reference.py``).

``--check`` writes nothing and exits 1 where a page is not what the program says; a test does the same.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from engine.config import shapes  # noqa: E402
from engine.config.fields import Choice, Field, ListOf, MapOf, Spec, Table  # noqa: E402
from tui import cli, keymap  # noqa: E402

FOLDER = ROOT / "docs" / "reference"
MADE = "<!-- made by docs/reference.py from the program itself: change that, not this page -->"


def pages() -> dict[str, str]:
    """File name → its text."""
    return {"keys.md": keys(), "configuration.md": configuration(), "command-line.md": command_line()}


def keys() -> str:
    out = [
        MADE, "# Keys", "",
        "Each key can be changed in the configuration: `[keys]`, then `\"action id\" = \"key\"` or a list of keys. `watchfloor check`",
        "refuses a key that would mean two things in one place; `watchfloor keys --cheatsheet` prints the keys in force.", "",
    ]  # fmt: skip
    for context, title in keymap.CONTEXTS.items():
        rows = [a for a in keymap.ACTIONS if context in a.contexts]
        if not rows:
            continue
        out += [f"## {title}", "", "| keys | does | action id |", "|---|---|---|"]
        for action in rows:
            shown = " ".join(f"`{_cell(keymap.shown(k))}`" for k in action.keys)
            out.append(f"| {shown} | {_cell(action.help)} | `{action.id}` |")
        out.append("")
    return "\n".join(out)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _kind(spec: Spec) -> str:
    """What a value is, in a few words."""
    match spec:
        case Choice(words=words):
            return "one of " + ", ".join(f"`{w}`" for w in words)
        case ListOf():
            return spec.what if spec.what != "a list" else f"a list of: {_kind(spec.of)}"
        case MapOf():
            return f"a table: {spec.what} = {_kind(spec.of)}"
        case Table():
            return "a table: " + ", ".join(f"`{k}`" for k in spec.fields)
        case _:
            name = type(spec).__name__
            words = {
                "Bool": "`true` or `false`", "Int": "a whole number", "Number": "a number", "Duration": 'a duration like `"15m"`',
                "FilePath": "a path, relative to the file", "Secret": "a reference to a secret", "Share": "a share, 0 to 1", "Anything": "any value",
                "KeysOfAction": "a key or a list of keys",
            }  # fmt: skip
            return words.get(name, spec.expected)


def _rows(table: Table) -> Iterator[str]:
    yield "| key | value | |"
    yield "|---|---|---|"
    for name, field in table.fields.items():
        must = " **required**" if field.required else ""
        yield f"| `{name}` | {_cell(_kind(field.spec))} | {_cell(field.doc)}{must} |"


def configuration() -> str:
    out = [
        MADE, "# Configuration", "",
        "One file, `watchfloor.toml`; further files in `watchfloor.d/*.toml` add entries of lists. An unknown key is an error that names",
        "the nearest known one. Durations `90s 15m 4h 7d`, sizes `8GiB`, times `\"06:00\"`, paths relative to the file. Secrets are",
        "references: `{ env = \"NAME\" }`, `{ file = \"PATH\" }`, `{ cmd = [\"program\"] }`, `{ cred = \"NAME\" }`. The same as a JSON schema:",
        "[watchfloor.schema.json](../watchfloor.schema.json) (`watchfloor schema`).", "", "## Top level", "",
        "| key | value | |", "|---|---|---|",
    ]  # fmt: skip
    for name, field in shapes.ROOT.fields.items():
        if name in shapes.LISTS or isinstance(field.spec, Table):
            continue
        out.append(f"| `{name}` | {_cell(_kind(field.spec))} | {_cell(field.doc)} |")
    out.append("")
    for name, field in shapes.ROOT.fields.items():
        if isinstance(field.spec, Table):
            out += [f"## `[{name}]`", "", f"{field.doc[0].upper()}{field.doc[1:]}.", "", *_rows(field.spec), ""]
    out += ["## `[environment.NAME]`", "", "Environments and their colours.", "", *_rows(shapes.ENVIRONMENT), ""]
    for name, shape in shapes.LISTS.items():
        out += [f"## `[[{name}]]`", "", f"{shape.doc[0].upper()}{shape.doc[1:]}.", "", *_rows(shape), ""]
        for key, field in shape.fields.items():
            inner = _inner(field)
            if inner is not None:
                out += [
                    f"### `[[{name}.{key}]]`" if isinstance(field.spec, ListOf) else f"### `{key}` of `[[{name}]]`",
                    "",
                    *_rows(inner),
                    "",
                ]
    return "\n".join(out)


def _inner(field: Field) -> Table | None:
    spec = field.spec
    if isinstance(spec, ListOf):
        spec = spec.of
    return spec if isinstance(spec, Table) else None


def command_line() -> str:
    top = cli.parser()
    out = [
        MADE, "# Command line", "",
        "`watchfloor` alone opens the floor. Exit codes: 0 fine · 1 not well · 2 bad input or configuration · 3 refused by a guard or role ·",
        "4 source unreachable or answered badly · 5 outcome unknown · 6 no engine · 7 could not judge · 70 our bug.", "",
        "## watchfloor", "", "```", _help(top), "```", "",
    ]  # fmt: skip
    for action in top._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, sub in action.choices.items():
                out += [f"## watchfloor {name}", "", "```", _help(sub), "```", ""]
    return "\n".join(out)


def _help(parser: argparse.ArgumentParser) -> str:
    """As ``--help`` prints it at 100 cells, whatever the terminal and the Python."""
    parser.formatter_class = lambda prog: argparse.RawDescriptionHelpFormatter(prog, width=100)
    text = parser.format_help().rstrip()
    return re.sub(r"^usage: \S+", "usage: watchfloor", text)


def main(argv: list[str]) -> int:
    FOLDER.mkdir(exist_ok=True)
    stale = []
    for name, text in pages().items():
        file = FOLDER / name
        now = file.read_text("utf-8") if file.exists() else ""
        if now != text.rstrip() + "\n":
            stale.append(name)
            if "--check" not in argv:
                file.write_text(text.rstrip() + "\n", "utf-8")
    if "--check" in argv and stale:
        print(f"docs/reference: {', '.join(stale)} not as the program says: python docs/reference.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
