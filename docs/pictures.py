"""Pictures of the project by the project: the demo's own screens, painted by its own views, as SVG (``python docs/pictures.py``)."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from rich.cells import cell_len  # noqa: E402

from adapters.model import Owed  # noqa: E402
from engine.config.paths import Places, places  # noqa: E402
from engine.store.reader import Reader  # noqa: E402
from tui import registry, themes  # noqa: E402
from tui.view import Context, Line  # noqa: E402

CELL_W, CELL_H, MARGIN = 8.4, 18.0, 12.0


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
            if text.strip():
                weight = ' font-weight="bold"' if style.bold else ""
                for word in re.finditer(
                    r"\S+", text
                ):  # each on its own cell: renderers differ in how they treat blanks
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


def paint(place: Places, screen: str, arg: str | None, width: int, height: int, theme: str) -> str:
    """One screen of a store, as the terminal would paint it."""
    reader = Reader(place.store)
    engine = reader.engine()
    context = Context(
        reader=reader,
        now=lambda: time.time_ns() // 1_000_000,
        timezone=engine.timezone if engine else "UTC",
        read_only=False,
        engine_alive=True,
    )
    try:
        view = registry.make(screen, context, arg)
        view.load()
        return svg(list(view.paint(width, height)), themes.Palette(themes.load(theme)))
    finally:
        reader.close()


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "HOME": folder, "XDG_STATE_HOME": f"{folder}/state", "XDG_CONFIG_HOME": f"{folder}/config"}
        place = places(None, demo=True, env=env)
        subprocess.run([sys.executable, "-P", "-c", _PREPARE, str(ROOT)], env=env, check=True)
        engine = subprocess.Popen(
            [sys.executable, "-P", "-m", "engine.main", "--demo"], env=env, cwd="/", stderr=subprocess.DEVNULL
        )
        try:
            _until(lambda: _ready(place))
            images = ROOT / "docs" / "images"
            images.mkdir(exist_ok=True)
            reader = Reader(place.store)
            failed = next(r.key for r in reader.runs(limit=50) if r.name == "ldz_to_rdv_contracts")
            reader.close()
            for name, screen, arg, size, theme in (
                ("floor", "floor", None, (120, 30), "dark"),
                ("floor-light", "floor", None, (120, 30), "light"),
                ("deadlines", "deadlines", None, (120, 34), "dark"),
                ("run", "run", failed, (120, 36), "dark"),
                ("log", "log", failed, (120, 14), "dark"),
                ("sources", "sources", None, (120, 30), "dark"),
                ("wall", "wall", None, (120, 34), "dark"),
            ):
                text = paint(place, screen, arg, *size, theme)
                (images / f"{name}.svg").write_text(re.sub(re.escape(folder), "~", text))
                print(f"docs/images/{name}.svg")
        finally:
            engine.terminate()
            engine.wait(20)
    return 0


_PREPARE = "import sys; sys.path.insert(0, sys.argv[1])\nfrom engine import demo\nfrom engine.config.paths import places\np = places(None, demo=True)\np.prepare()\ndemo.prepare(p)"


def _ready(place: Places) -> bool:
    try:
        reader = Reader(place.store)
    except Exception:
        return False
    try:
        real = {r.name for r in reader.runs(limit=200) if r.state.terminal and not r.generated}
        now = time.time_ns() // 1_000_000
        ahead = reader.owed(now, now + 86_400_000)
        danger = any(o.promise == "churn-model-fresh" and o.state is Owed.AT_RISK and o.prediction for o in ahead)
        return (
            {"ldz_to_rdv_contracts", "campaign_360", "ml_write_back"} <= real
            and danger
            and bool(reader.run(_contracts(reader)))
        )
    except Exception:
        return False
    finally:
        reader.close()


def _contracts(reader: Reader) -> str:
    found = next((r.key for r in reader.runs(limit=50) if r.name == "ldz_to_rdv_contracts" and not r.generated), "")
    detail = reader.run(found) if found else None
    return found if detail and detail.logs else "none:none/none"


def _until(what: Callable[[], bool], patience_s: float = 60.0) -> None:
    end = time.monotonic() + patience_s
    while not what():
        if time.monotonic() > end:
            raise SystemExit("the demo did not get there")
        time.sleep(0.3)
    time.sleep(3)


if __name__ == "__main__":
    sys.exit(main())
