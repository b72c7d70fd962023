"""Bare curses over the same store: a window of runs, newest first, ``j`` moves the cursor. The floor of key to paint."""

import curses
import sqlite3
import sys

STATES = {6: "ok", 7: "warning", 8: "failed", 10: "stopped"}
PAGE = 256


def main(screen: "curses.window") -> None:
    curses.curs_set(0)
    curses.start_color()
    curses.use_default_colors()
    curses.init_pair(1, curses.COLOR_RED, -1)
    curses.init_pair(2, curses.COLOR_BLACK, curses.COLOR_CYAN)
    db = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
    rows: list[tuple[int, int, int, int | None, int | None]] = []

    def more() -> None:
        at = rows[-1][2:3] + rows[-1][0:1] if rows else (1 << 62, 1 << 62)
        sql = "SELECT id, pipeline_id, at, started, ended FROM run WHERE (at, id) < (?, ?) ORDER BY at DESC, id DESC LIMIT ?"
        rows.extend(db.execute(sql, (*at, PAGE)).fetchall())

    def draw(index: int, y: int, here: bool) -> None:
        while index >= len(rows):
            more()
        number, pipeline, at, started, ended = rows[index]
        took = (ended - started) // 1000 if ended and started else 0
        text = f" ok       pipeline_{pipeline:<6} run {number:>9} {at:>14} {took:>8}s"
        screen.addnstr(y, 0, text.ljust(width - 1), width - 1, curses.color_pair(2) if here else 0)

    height, width = screen.getmaxyx()
    top = cursor = 0
    screen.addnstr(0, 0, " Runs ", width - 1)
    for y in range(1, height):
        draw(top + y - 1, y, y == 1)
    screen.refresh()
    while (key := screen.getch()) != ord("q"):
        old, cursor = cursor, max(0, cursor + (1 if key == ord("j") else -1 if key == ord("k") else 0))
        if cursor >= top + height - 1:
            top += 1
            screen.scrollok(True)
            for y in range(1, height):
                draw(top + y - 1, y, top + y - 1 == cursor)
        else:
            draw(old, old - top + 1, False)
            draw(cursor, cursor - top + 1, True)
        screen.refresh()


if __name__ == "__main__":
    curses.wrapper(main)
