"""What the tests of samples share."""

from __future__ import annotations

from collections.abc import Sequence

from adapters.model import Sample
from engine.store import samples
from tests.store.rig import DAY, HOUR, Rig

MIDNIGHT = 1_795_046_400_000
"""Thu 19 Nov 2026 00:00 UTC."""
assert MIDNIGHT % DAY == 0


def put(rig: Rig, t: int, **values: float) -> None:
    rig.clock.at = t
    with rig.store.transaction() as tx:
        samples.put_samples(tx, t, [Sample(name.replace("_", "."), t, value, "%") for name, value in values.items()])


def fill(rig: Rig, name: str, peaks: Sequence[tuple[int, float]]) -> None:
    """A whole history at once: ten minute means of these (day before today, highest value), as the tiers would hold them."""
    today = rig.clock.at // DAY
    with rig.store.transaction() as tx:
        number = samples.series_id(tx, name, "%")
        tx.db.executemany(
            "INSERT OR REPLACE INTO sample_10m (series_id, t, n, avg, min, max) VALUES (?, ?, 600, ?, ?, ?)",
            [(number, (today - ago) * DAY + h * HOUR, v - 1, v - 2, v) for ago, v in peaks for h in range(24)],
        )
        tx.memo.clear()


def tick(rig: Rig, times: int = 1) -> None:
    for _ in range(times):
        rig.clock.at += 1000
        with rig.store.transaction() as tx:
            samples.roll_up(tx, rig.clock.at)
