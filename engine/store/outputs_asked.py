"""What the terminal asks about outputs: what a run was expected to make, and what was seen. Part of the Reader."""

from __future__ import annotations

from engine.store.link import Link
from engine.store.owed_rows import OutputRow


class OutputQuestions(Link):
    """Part of the Reader."""

    def outputs(self, run_key: str) -> list[OutputRow]:
        """Of a run's last attempt that has any, by step and name."""
        pipeline, _, name = run_key.partition("/")
        rows = self.all(
            "SELECT o.name, o.step, o.state, o.expected, o.saw, o.words, o.at FROM pipeline p JOIN run r ON r.pipeline_id = p.id AND r.run = ?"
            " JOIN run_output o ON o.run_id = r.id AND o.attempt = (SELECT max(attempt) FROM run_output d WHERE d.run_id = r.id)"
            " WHERE p.key = ? ORDER BY o.step, o.name",
            (name, pipeline),
        )
        return [OutputRow(*row) for row in rows]
