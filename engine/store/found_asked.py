"""What the palette, the reference card and links ask: things by words, and what was configured for screens. Part of the
Reader.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from engine.store.asked import RUN_ROWS, run_row
from engine.store.link import Link
from engine.store.packed import unpack_url
from engine.store.rows import CardRow, LinkRow, RunRow


class FindQuestions(Link):
    """Part of the Reader."""

    def configured(self, kind: str) -> list[tuple[str, dict[str, Any]]]:
        """(name, body) of what ``[[card]]``, ``[[view]]`` and ``[[limit]]`` say, in the order of the configuration."""
        rows = self.all("SELECT name, body FROM configured WHERE kind = ? ORDER BY ord", (kind,))
        return [(name, json.loads(body)) for name, body in rows]

    def pipeline_ids(self, words: Sequence[str], limit: int = 20) -> list[int]:
        """Ids (for ``floor_rows``) of pipelines whose key or name holds all the words, whatever their case; those whose name begins so first."""
        hay = "lower(p.key || ' ' || p.name)"
        where = " AND ".join(f"instr({hay}, ?)" for _ in words) or "1"
        low = [w.lower() for w in words]
        ids = self.all(
            f"SELECT p.id FROM pipeline p WHERE p.mode <> 3 AND {where}"  # noqa: S608 - our own words, values are bound
            " ORDER BY instr(lower(p.name), ?) <> 1, length(p.name), p.key LIMIT ?",
            (*low, low[0] if low else "", limit),
        )
        return [i for (i,) in ids]

    def runs_of_id(self, prefix: str, limit: int = 10) -> list[RunRow]:
        """Newest runs whose own id begins so: one short look into the index a pipeline."""
        rows = self.all(
            "SELECT r.at, r.id FROM pipeline p CROSS JOIN run r ON r.pipeline_id = p.id AND r.run >= ? AND r.run < ? LIMIT 500",
            (prefix, prefix + "\U0010ffff"),
        )
        page = sorted(rows, reverse=True)[:limit]
        full = {row[0]: row for row in self.all(RUN_ROWS, (json.dumps([i for _, i in page]),))}
        return [run_row(full[i]) for _, i in page if i in full]

    # --- cards and links ------------------------------------------------------------------------------------------

    def cards(self) -> list[CardRow]:
        """All cards, in the order of the configuration."""
        return [CardRow(name=name, **body) for name, body in self.configured("card")]

    def cards_of(self, pipeline_key: str) -> list[CardRow]:
        """Cards that a pipeline belongs to: those of its own first, then those of all."""
        from engine.config.model import matches

        row = self.one(
            "SELECT p.key, s.name, s.environment, p.application, p.layer, p.tags FROM pipeline p JOIN source s ON s.id = p.source_id"
            " WHERE p.key = ?",
            (pipeline_key,),
        )
        if row is None:
            return []
        facts = _facts(row)
        found = [card for card in self.cards() if matches(card.match, facts)]
        return sorted(found, key=lambda card: card.match == "*")

    def card_ids(self, match: str) -> list[int]:
        """Ids (for ``floor_rows``) of the pipelines that a card is for, by key. Walks all pipelines: asked when a card is opened."""
        from engine.config.model import matches

        rows = self.all(
            "SELECT p.id, p.key, s.name, s.environment, p.application, p.layer, p.tags FROM pipeline p"
            " JOIN source s ON s.id = p.source_id WHERE p.mode <> 3 ORDER BY p.key"
        )
        return [row[0] for row in rows if matches(match, _facts(row[1:]))]

    def about_pipeline(self, key: str) -> dict[str, Any]:
        """What is written about one pipeline: ``owner runbook consumers schedule description``; empty where it is unknown."""
        row = self.one(
            "SELECT owner, runbook, consumers, schedule, description, application, layer FROM pipeline WHERE key = ?",
            (key,),
        )
        if row is None:
            return {}
        owner, runbook, consumers, schedule, description, application, layer = row
        return {
            "owner": owner, "runbook": runbook, "consumers": consumers.split("\n") if consumers else [], "schedule": schedule,
            "description": description, "application": application, "layer": layer,
        }  # fmt: skip

    def links(self, key: str) -> list[LinkRow]:
        """Where more can be read of a source, a pipeline or a run: its own screens, then its documents."""
        head, _, run = key.partition("/")
        out: list[LinkRow] = []
        if ":" not in head:
            row = self.one("SELECT url FROM source WHERE name = ?", (head,))
            return [LinkRow("its own screen", row[0], "the source")] if row and row[0] else []
        row = self.one(
            "SELECT p.id, p.url, p.extra, s.url, s.name, p.run_url FROM pipeline p JOIN source s ON s.id = p.source_id"
            " WHERE p.key = ?",
            (head,),
        )
        if row is None:
            return []
        if run:
            name = run.partition("#")[0]
            own = self.one(
                "SELECT x.url FROM run r LEFT JOIN run_extra x ON x.run_id = r.id WHERE r.pipeline_id = ? AND r.run = ?",
                (row[0], name),
            )
            url = None if own is None else unpack_url(own[0] or row[5], row[1], name)
            if url:
                out.append(LinkRow("this run", url, "its own screen"))
        if row[1]:
            out.append(LinkRow("this pipeline", row[1], "its own screen"))
        if row[3]:
            out.append(LinkRow(row[4], row[3], "the source"))
        documents: dict[str, str] = (json.loads(row[2]) if row[2] else {}).get("links", {})
        out += [LinkRow(words, url, "a document of it") for words, url in documents.items()]
        for card in self.cards_of(head):
            out += [LinkRow(words, url, f"card {card.name}") for words, url in card.links.items()]
        return out

    def pipeline_keys(self, prefix: str = "", limit: int = 200) -> list[str]:
        """Keys of pipelines that begin so, in their order; of those that are still there."""
        rows = self.all(
            "SELECT key FROM pipeline WHERE key >= ? AND key < ? AND mode <> 3 ORDER BY key LIMIT ?",
            (prefix, prefix + "\U0010ffff", limit),
        )
        return [row[0] for row in rows]


def _facts(row: Sequence[Any]) -> Any:
    """key, source, environment, application, layer, tags: what a selector looks at."""
    from engine.config.model import Facts

    key, source, environment, application, layer, tags = row
    return Facts(
        key=key, source=source, environment=environment, application=application, layer=layer,
        tags=tuple(tags.split("\n")) if tags else (),
    )  # fmt: skip
