"""What the terminal asks about runs: pages of them, a walk through them, one whole. Part of the Reader."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

from adapters.model import State, parse_key
from engine.store.asked import (
    MODES,
    NEXT,
    RUN_ROWS,
    log_row,
    note_of,
    numbers,
    run_row,
    split,
    step_row,
    where_all,
)  # fmt: skip
from engine.store.link import Link
from engine.store.packed import KIND_MASK, STATES, unpack_url
from engine.store.rows import (
    AttemptRow,
    Glance,
    RunDetail,
    RunRow,
)  # fmt: skip

Place = tuple[int, int]
"""(at, id) of a run: where a page begins or ends."""

_NEAR: Final = 64
"""Up to so many pipelines a text filter asks each one's newest runs; beyond, it walks all runs in time."""
GLANCES: Final = f"SELECT r.at, r.id, r.pipeline_id, r.state, r.kind & {KIND_MASK}, r.attempt, r.bdate, r.started, r.ended FROM run r"  # noqa: S608 - a number of our own


class RunQuestions(Link):
    """Part of the Reader."""

    def runs(
        self,
        before: Place | None = None,
        after: Place | None = None,
        limit: int = 50,
        pipeline_key: str | None = None,
        states: Collection[State] | None = None,
        text: str | None = None,
        pipelines: Collection[int] | None = None,
    ) -> list[RunRow]:
        """A page of runs, newest first: those older than ``before``, or the next ones newer than ``after``.

        ``text``: words that the pipeline's key or name must all hold; where no pipeline does, the beginning of a run's id.
        ``pipelines``: ids of pipelines whose runs are meant.
        """
        where: list[str] = []
        values: list[Any] = []
        pipelines = None if pipelines is None else list(pipelines)
        if pipeline_key is not None:
            pipelines = [row[0] for row in self.all("SELECT id FROM pipeline WHERE key = ?", (pipeline_key,))]
        elif pipelines is None and text and text.strip():
            pipelines = self._pipelines_like(text.lower().split())
            if not pipelines:
                return self._runs_named(text.strip(), before, after, limit, states)
        if pipelines == []:
            return []
        if before is not None:
            where.append("(r.at, r.id) < (?, ?)")
            values += before
        if after is not None:
            where.append("(r.at, r.id) > (?, ?)")
            values += after
        order = "r.at, r.id" if after is not None and before is None else "r.at DESC, r.id DESC"
        # a plus before a column keeps SQLite from choosing its index, whose rows would have to be sorted
        state = [f"+r.state IN ({numbers(states)})"] if states is not None else []
        if pipelines is not None and len(pipelines) <= _NEAR:
            parts = [(where_all(["r.pipeline_id = ?", *state, *where]), [i, *values]) for i in pipelines]
        else:
            inside: list[str] = []
            if pipelines is not None:
                inside = ["+r.pipeline_id IN (SELECT value FROM json_each(?))"]
                values.insert(0, json.dumps(pipelines))
            if states is None or State.SUCCESS in states:
                parts = [(where_all([*state, *inside, *where]), values)]
            else:  # each has its own part of an index, already in order
                parts = [
                    (where_all([f"r.state = {s:d}", "r.state <> 6", *inside, *where]), values) for s in sorted(states)
                ]
        return self._page(parts, order, limit)

    def _page(self, parts: Sequence[tuple[str, list[Any]]], order: str, limit: int) -> list[RunRow]:
        found: list[Any] = []
        for where, values in parts:
            found += self.all(
                f"SELECT r.at, r.id FROM run r {where} ORDER BY {order} LIMIT ?",  # noqa: S608 - conditions of our own
                (*values, limit),
            )
        newest_first = "DESC" in order
        found.sort(reverse=newest_first)
        page = sorted(found[:limit], reverse=True)
        rows = {row[0]: row for row in self.all(RUN_ROWS, (json.dumps([i for _, i in page]),))}
        return [run_row(rows[i]) for _, i in page if i in rows]

    def runs_within(
        self,
        keep: Callable[[Glance], bool],
        before: Place | None = None,
        after: Place | None = None,
        states: Collection[State] | None = None,
        window: int = 1000,
        limit: int = 200,
    ) -> tuple[list[RunRow], Place | None, int]:
        """Of the next ``window`` runs those to ``keep``, ``limit`` at most, newest first: a walk that ends, however rare they are.

        The place where it ended (None: there is nothing further), and how many runs were looked at.
        """
        forward = after is not None
        order = "r.at, r.id" if forward else "r.at DESC, r.id DESC"
        place = after if forward else before
        where = [] if place is None else [f"(r.at, r.id) {'>' if forward else '<'} (?, ?)"]
        parts = [where]
        if states is not None and State.SUCCESS in states:
            parts = [[f"+r.state IN ({numbers(states)})", *where]]
        elif states is not None:
            parts = [[f"r.state = {s:d}", "r.state <> 6", *where] for s in sorted(states)]
        seen: list[Glance] = []
        edges: list[Place] = []
        for part in parts:
            rows = self.all(
                f"{GLANCES} {where_all(part)} ORDER BY {order} LIMIT ?",
                (*(place or ()), window),
            )
            seen += map(Glance._make, rows)
            if len(rows) == window:
                edges.append((rows[-1][0], rows[-1][1]))
        edge = None if not edges else min(edges) if forward else max(edges)
        if edge is not None:  # beyond it not every state was looked at
            seen = [r for r in seen if ((r[0], r[1]) <= edge if forward else (r[0], r[1]) >= edge)]
        kept = sorted(((r.at, r.id) for r in seen if keep(r)), reverse=not forward)
        looked = len(seen)
        if len(kept) > limit:
            kept, edge = kept[:limit], kept[limit - 1]
            looked = sum((r.at, r.id) <= edge if forward else (r.at, r.id) >= edge for r in seen)
        ids = [i for _, i in sorted(kept, reverse=True)]
        found = {row[0]: row for row in self.all(RUN_ROWS, (json.dumps(ids),))} if ids else {}
        return [run_row(found[i]) for i in ids if i in found], edge, looked

    def _pipelines_like(self, words: Sequence[str]) -> list[int]:
        hay = "lower(p.key || ' ' || p.name)"
        where = " AND ".join(f"instr({hay}, ?)" for _ in words)
        return [row[0] for row in self.all(f"SELECT p.id FROM pipeline p WHERE {where}", tuple(words))]  # noqa: S608

    def _runs_named(
        self, text: str, before: Place | None, after: Place | None, limit: int, states: Collection[State] | None
    ) -> list[RunRow]:
        """Runs whose id begins with ``text``: one short look into the index a pipeline."""
        rows = self.all(
            "SELECT r.at, r.id, r.state FROM pipeline p CROSS JOIN run r ON r.pipeline_id = p.id AND r.run >= ? AND r.run < ?"
            " LIMIT 1000",
            (text, text + "\U0010ffff"),
        )
        found = [
            (at, i)
            for at, i, state in rows
            if (states is None or STATES[state] in states)
            and (before is None or (at, i) < before)
            and (after is None or (at, i) > after)
        ]
        found.sort(reverse=after is None or before is not None)
        page = sorted(found[:limit], reverse=True)
        full = {row[0]: row for row in self.all(RUN_ROWS, (json.dumps([i for _, i in page]),))}
        return [run_row(full[i]) for _, i in page if i in full]

    def run_count(self) -> int:
        """How many runs are stored; kept on write."""
        row = self.one("SELECT value FROM tally WHERE name = 'runs'")
        return row[0] if row else 0

    def run(self, key: str) -> RunDetail | None:
        """One run whole: steps, attempts, logs, its neighbours in time, and how long its steps take usually."""
        pipeline, slash, name = key.partition("#")[0].partition("/")
        if not slash:
            return None
        with self.snapshot():
            found = self.one(
                "SELECT r.id, r.pipeline_id, r.at FROM pipeline p JOIN run r ON r.pipeline_id = p.id AND r.run = ? WHERE p.key = ?",
                (name, pipeline),
            )
            return None if found is None else self._detail(*found)

    def _detail(self, run_id: int, pipeline_id: int, at: int) -> RunDetail:
        row = run_row(self.one(RUN_ROWS, (json.dumps([run_id]),)))
        name, params, url, pipeline_url, rerun_of, note, flags, exit_code, stopped_by, *rest = self.one(
            "SELECT r.run, x.params, coalesce(x.url, p.run_url), p.url, x.rerun_of, x.note, r.kind, x.exit_code, x.stopped_by, p.layer,"
            " p.owner, p.consumers, p.runbook, p.schedule, p.next_run, p.mode"
            " FROM run r JOIN pipeline p ON p.id = r.pipeline_id LEFT JOIN run_extra x ON x.run_id = r.id WHERE r.id = ?",
            (run_id,),
        )
        layer, owner, consumers, runbook, schedule, next_run, mode = rest
        steps = self.all(
            "SELECT step, map_index, attempt, state, native, sub, queued, started, ended, ord, error, operator, exit_code"
            " FROM step_run WHERE run_id = ? ORDER BY ord, coalesce(started, queued, 9e15), step, map_index, attempt",
            (run_id,),
        )
        attempts = self.all(
            "SELECT attempt, state, started, ended, sub FROM attempt WHERE run_id = ? ORDER BY attempt", (run_id,)
        )
        logs = self.all(
            "SELECT step, map_index, attempt, path, size, complete, note, updated FROM log_file WHERE run_id = ?"
            " ORDER BY step, map_index, attempt",
            (run_id,),
        )
        older = self.one(NEXT.format(op="<", order="DESC"), (pipeline_id, at, run_id))
        newer = self.one(NEXT.format(op=">", order="ASC"), (pipeline_id, at, run_id))
        return RunDetail(
            row=row,
            run=parse_key(row.key).run or name,
            params=json.loads(params) if params else None,
            url=unpack_url(url, pipeline_url, name),
            rerun_of=rerun_of,
            note=note or note_of(flags),
            exit_code=exit_code,
            stopped_by=stopped_by,
            layer=layer,
            owner=owner,
            consumers=split(consumers),
            runbook=runbook,
            schedule=schedule,
            next_run=next_run,
            mode=MODES[mode],
            steps=tuple(step_row(row.key, s) for s in steps),
            attempts=tuple(AttemptRow(a[0], STATES[a[1]], a[2], a[3], a[4]) for a in attempts),
            logs=tuple(log_row(row.key, g) for g in logs),
            older=f"{row.pipeline_key}/{older[0]}" if older else None,
            newer=f"{row.pipeline_key}/{newer[0]}" if newer else None,
            usual_steps=self._usual_steps(pipeline_id, run_id),
        )

    def _usual_steps(self, pipeline_id: int, run_id: int) -> dict[str, int]:
        """Median ms by step over the last 30 runs that succeeded and whose steps are stored; three at least."""
        rows = self.all(
            "SELECT s.step, s.ended - s.started FROM (SELECT r.id FROM run r WHERE r.pipeline_id = ? AND r.state = 6 AND r.id <> ?"
            " ORDER BY r.at DESC, r.id DESC LIMIT 30) l JOIN step_run s ON s.run_id = l.id"
            " WHERE s.state = 6 AND s.ended >= s.started AND s.map_index = -1 ORDER BY 1, 2",
            (pipeline_id, run_id),
        )
        times: dict[str, list[int]] = {}
        for step, ms in rows:
            times.setdefault(step, []).append(ms)
        return {s: (t[(len(t) - 1) // 2] + t[len(t) // 2]) // 2 for s, t in times.items() if len(t) >= 3}
