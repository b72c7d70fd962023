"""One measured number and what it is held against."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """``budget`` is in words ("≤ 5 ms"); ``ratio_to`` names what was measured in the same run for a ratio; ``ok`` None: no budget."""

    name: str
    value: float
    unit: str
    budget: str = ""
    ratio_to: str = ""
    ok: bool | None = None
    note: str = ""

    def line(self) -> str:
        """One row of the table."""
        word = {True: "ok", False: "OVER", None: ""}[self.ok]
        held = " ".join(part for part in (self.budget, f"to {self.ratio_to}" if self.ratio_to else "") if part)
        return f"{self.name:<44} {self.value:>12,.2f} {self.unit:<8} {held:<28} {word:<5} {self.note}".rstrip()


def percentile(values: list[float], q: float) -> float:
    """Type 7."""
    ordered = sorted(values)
    spot = (len(ordered) - 1) * q
    low = int(spot)
    return ordered[low] + (ordered[min(low + 1, len(ordered) - 1)] - ordered[low]) * (spot - low)
