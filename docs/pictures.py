"""Pictures of the program by the program: screens of a made-up night, painted by its own views, as SVG (``python docs/pictures.py``).

The clock of that night stands still, so that a picture changes only where the program paints something else. ``--check``
writes nothing and exits 1 where a committed picture is not what the program paints now; a test compares what can be read.
``--png FOLDER`` writes PNGs too, where cairosvg is installed, for whoever wants to look.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import tempfile
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from html import escape, unescape
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from rich.cells import cell_len  # noqa: E402

from adapters.model import State, StepRun  # noqa: E402
from engine.config.load import load_text  # noqa: E402
from engine.ids import Ids  # noqa: E402
from engine.store.configured import put_configured  # noqa: E402
from tests.tui import deeds, gaps_story, history_stores, host_stores, night, owed_story, parts_story, promises  # noqa: E402
from tests.tui.stores import MINUTE, SECOND, House  # noqa: E402
from tui import registry, themes  # noqa: E402
from tui.view import Line, View  # noqa: E402

IMAGES = ROOT / "docs" / "images"
CELL_W, CELL_H, MARGIN = 8.4, 18.0, 12.0
CONTRACTS = "prod-airflow:ldz_to_rdv_contracts"
FAILED = f"{CONTRACTS}/r1"
CONFIGURED = """
[[card]]
name = "Raw data vault"
match = "layer:RDV"
updated = "2026-11-02"
check = [
  "Deadlines (5): sales-ready is met by 06:00",
  "Morning check (C): every exception has an answer",
  "the row counts of LDZ and RDV agree: dq_reconcile_rdv is ok",
]
if_wrong = [
  "Enter on the problem, l: the first error in its log",
  "ORA-00001 in load_fact: start contracts_keep_newest (T), then rerun from load_fact (F on the step)",
  "a file is late: ask the sender, then waive (w) with the answer as the reason",
]
contacts = { data = "data-eng, by day", infrastructure = "the desk, day and night", business = "bi-team, 08:00 to 18:00" }
links = { "operation book" = "https://wiki.example.com/rdv/operations" }
"""
LOG = (
    (0, "INFO", "merge STG_CONTRACT into FACT_CONTRACT, business date 2026-11-19"),
    (1, "INFO", "batch 1 of 42: 10,000 rows"),
    (3, "INFO", "batch 2 of 42: 10,000 rows"),
    (6, "WARN", "batch 3 of 42 waits for a lock of dq_reconcile_rdv, 2.1 s"),
    (9, "INFO", "batch 3 of 42: 10,000 rows"),
    (38, "ERROR", "ORA-00001: unique constraint (RDV.FACT_CONTRACT_PK) violated"),
    (12, "", "    key (contract_id, business_date) = (88123, 2026-11-19)"),
    (12, "", "    at load_fact.sql:88"),
    (39, "INFO", "412 contracts of 2026-11-19 are staged twice, an old and a new version"),
    (41, "INFO", "rolled back, 0 rows kept"),
)


def svg(lines: list[Line], palette: themes.Palette) -> str:
    """Rows of (text, style name) as one SVG; blanks are drawn as ground only."""
    ground = palette.style("text").bgcolor or palette.style("text on:background").bgcolor
    paper = _hex(ground) or "#0f1318"
    width = max(sum(cell_len(t) for t, _ in line) for line in lines)
    w, h = width * CELL_W + 2 * MARGIN, len(lines) * CELL_H + 2 * MARGIN
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w:.0f} {h:.0f}" width="{w:.0f}" height="{h:.0f}">',
        f'<rect width="100%" height="100%" rx="8" fill="{paper}"/>',
        '<g font-family="\'DejaVu Sans Mono\',\'JetBrains Mono\',Menlo,Consolas,monospace" font-size="14" xml:space="preserve">',
    ]
    for y, line in enumerate(lines):
        x = 0
        top = MARGIN + y * CELL_H
        for text, name in line:
            style = palette.style(name)
            fore, back = _hex(style.color) or "#d8dfe8", _hex(style.bgcolor)
            if style.reverse:
                fore, back = back or paper, fore
            size = cell_len(text)
            left = MARGIN + x * CELL_W
            if back and back != paper:
                out.append(
                    f'<rect x="{left:.1f}" y="{top:.1f}" width="{size * CELL_W + 0.3:.1f}" height="{CELL_H + 0.3:.1f}" fill="{back}"/>'
                )
            weight = ' font-weight="bold"' if style.bold else ""
            for word in re.finditer(r"\S+", text):  # each on its own cell: renderers differ in how they treat blanks
                at = left + cell_len(text[: word.start()]) * CELL_W
                out.append(
                    f'<text x="{at:.1f}" y="{top + CELL_H * 0.76:.1f}" fill="{fore}"{weight} '
                    f'textLength="{cell_len(word.group()) * CELL_W:.1f}" lengthAdjust="spacingAndGlyphs">{escape(word.group())}</text>'
                )
            x += size
    return "\n".join([*out, "</g>", "</svg>", ""])


def _hex(color: object) -> str | None:
    triplet = getattr(color, "triplet", None)
    return triplet.hex if triplet is not None else None


def rows_of(picture: str) -> list[str]:
    """What can be read on a picture: one string a row, without its blanks."""
    rows: dict[str, list[str]] = {}
    for y, word in re.findall(r'<text x="[^"]+" y="([^"]+)"[^>]*>([^<]*)</text>', picture):
        rows.setdefault(y, []).append(unescape(word))
    return ["".join(words) for _, words in sorted(rows.items(), key=lambda row: float(row[0]))]


# --- the night ------------------------------------------------------------------------------------------------------


def _floor(folder: Path) -> House:
    """Friday 05:52: a failed load with its steps and log, promises, a host with a past, what people did."""
    h = owed_story.owed_story(folder)
    began = h.now - 164 * MINUTE

    def step(
        name: str, state: State, at: int, took: int, n: int, attempt: int = 1, error: str | None = None
    ) -> StepRun:
        ran = state is not State.SKIPPED
        return StepRun(
            run=FAILED, step=name, native=state.name.lower(), state=state, order=n, attempt=attempt, error=error,
            queued=began + at - 2 * SECOND if ran else None, started=began + at if ran else None,
            ended=began + at + took if ran else None,
        )  # fmt: skip

    h.steps(
        FAILED,
        [
            step("check_source", State.SUCCESS, 0, 14 * SECOND, 0),
            step("extract_ldz", State.SUCCESS, 20 * SECOND, 64 * SECOND, 1),
            step("load_fact", State.FAILED, 90 * SECOND, 40 * SECOND, 2),
            step("load_fact", State.FAILED, 200 * SECOND, 42 * SECOND, 2, 2, "ORA-00001 duplicate key"),
            step("publish", State.SKIPPED, 0, 0, 3),
        ],
    )
    log = folder / "load_fact.log"
    log.write_text(
        "".join(
            f"2026-11-20 03:1{1 + (20 + s) // 60}:{(20 + s) % 60:02} {level:<5} {words}\n" if level else f"{words}\n"
            for s, level, words in LOG
        )
    )
    h.log(FAILED, "load_fact", log, attempt=2)
    with h.tx() as tx:  # the few seconds that the story measured would stand in the way of a month
        for table in ("sample_raw", "sample_10s", "sample_1m", "sample_10m"):
            tx.db.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
    host_stores.past(h)
    key = h.run("local", "fx_rates_probe", "r10", State.RUNNING, started_ago=3 * MINUTE)
    h.steps(key, [StepRun(run=key, step="probe", state=State.RUNNING, native="running", started=h.now - 3 * MINUTE)])
    host_stores.tick(h, **{f"run.cpu:{key}": 84.0, f"run.rss:{key}": 1.1e9})
    with h.tx() as tx:
        put_configured(tx, load_text(CONFIGURED, folder / "watchfloor.toml"))
    return h


def _deeds(folder: Path) -> House:
    """The night, and what people did in it."""
    h = _floor(folder)
    rng = random.Random(86)  # identifiers that are the same in each picture
    kept, deeds.Ids = deeds.Ids, lambda: Ids(rng.getrandbits)  # type: ignore[assignment,misc]
    try:
        deeds.busy(h)
    finally:
        deeds.Ids = kept  # type: ignore[misc]
    return h


def _parts(folder: Path) -> House:
    h = _floor(folder)
    parts_story.fill(h, "prod-airflow")
    return h


HOUSES: dict[str, Callable[[Path], House]] = {
    "floor": _floor, "deeds": _deeds, "parts": _parts, "night": night.night, "promises": promises.night, "tale": history_stores.tale, "gaps": gaps_story.story,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Picture:
    name: str
    house: str
    screen: str
    arg: str | None = None
    height: int = 36
    theme: str = "dark"
    keys: tuple[str, ...] = ()
    """Action ids that are done after it was opened."""
    over: str | None = None
    """The screen below, of one that is drawn over another."""
    typed: str = ""
    width: int = 120


PICTURES = (
    Picture("floor", "floor", "floor"),
    Picture("floor-light", "floor", "floor", theme="light"),
    Picture("floor-high-contrast", "floor", "floor", theme="high-contrast"),
    Picture("palette", "floor", "palette", over="floor", typed="rerun contr"),
    Picture("deadlines", "promises", "deadlines", height=34),
    Picture("timeline", "night", "timeline", height=40),
    Picture("layers", "night", "layers", height=30),
    Picture("matrix", "night", "layers", height=36, keys=("view.pane",)),
    Picture("gaps", "gaps", "gaps", "prod:daily_sales", height=24, keys=("time.left",) * 17),
    Picture("morning", "promises", "morning", height=30),
    Picture("run", "floor", "run", FAILED, height=34),
    Picture("log", "floor", "log", f"{FAILED}#load_fact 2", height=18),
    Picture("history", "tale", "history", history_stores.CONTRACTS, height=34),
    Picture("compare", "tale", "diff", f"{history_stores.CONTRACTS}/d30", height=26),
    Picture("hosts", "floor", "hosts", height=44),
    Picture("actions", "deeds", "actions", height=40),
    Picture("audit", "deeds", "actions", height=36, keys=("view.pane",)),
    Picture("card", "floor", "card", FAILED, height=30),
    Picture("sources", "parts", "sources", height=40),
    Picture("wall", "floor", "wall", height=34),
)


_OWN = re.compile(r"\b(?:[0-9a-f]{12}|(?<=id )[0-9A-HJKMNP-TV-Z]{26})\b")
"""Id and hashes of a record of the audit: others in each store that is made."""


def _same(found: re.Match[str]) -> str:
    """What stands for them, of the same length."""
    return ("01M7VMQRN0FWC4X30W264ZJYP6" if len(found.group()) > 12 else "9f3c51d0a7e2")[: len(found.group())]


class Studio:
    """Makes each store once and paints what is asked for."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self._houses: dict[str, House] = {}

    def house(self, name: str) -> House:
        if name not in self._houses:
            folder = self._folder / name
            folder.mkdir()
            made = self._houses[name] = HOUSES[name](folder)
            self._stack.callback(made.close)
        return self._houses[name]

    def view(self, picture: Picture) -> View:
        context = self.house(picture.house).context()
        view = registry.make(picture.screen, context, picture.arg)
        if picture.over is not None:
            view.under = registry.make(picture.over, context)
            view.under.load()
            view.under.paint(picture.width, picture.height)
        view.load()
        view.begin()
        for _ in range(200):  # what is read in slices, until nothing is left
            view.paint(picture.width, picture.height)
            if not view.work():
                break
        for key in picture.keys:
            view.act(key)
            view.load()  # what is not done between a key and its picture comes with the next look at the store
        for sign in picture.typed:
            view.type(sign)
        return view

    def lines(self, picture: Picture) -> list[Line]:
        painted = self.view(picture).paint(picture.width, picture.height)
        return [[(_OWN.sub(_same, text), style) for text, style in line] for line in painted]

    def paint(self, picture: Picture) -> str:
        return svg(self.lines(picture), themes.Palette(themes.load(picture.theme)))


@contextmanager
def studio() -> Generator[Studio]:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        yield Studio(Path(folder), stack)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a picture is another one now")
    parser.add_argument("--png", metavar="FOLDER", type=Path, help="PNGs too")
    parser.add_argument("names", nargs="*", help="default: all")
    args = parser.parse_args(argv)
    IMAGES.mkdir(exist_ok=True)
    stale: list[str] = []
    with studio() as made:
        for picture in PICTURES:
            if args.names and picture.name not in args.names:
                continue
            text, file = made.paint(picture), IMAGES / f"{picture.name}.svg"
            if not file.exists() or file.read_text("utf-8") != text:
                stale.append(picture.name)
                if not args.check:
                    file.write_text(text, "utf-8")
                    print(file.relative_to(ROOT))
            if args.png is not None:
                import cairosvg  # type: ignore[import-not-found]

                args.png.mkdir(parents=True, exist_ok=True)
                cairosvg.svg2png(bytestring=text.encode(), write_to=str(args.png / f"{picture.name}.png"))
    if args.check and stale:
        print(
            f"docs/images: {', '.join(stale)} not as painted now: python docs/pictures.py, then look", file=sys.stderr
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
