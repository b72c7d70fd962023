"""How good a predicted quantile was. What was said of promises and what came of them is counted in the store
(``OwedQuestions.calibration``). Pure."""

from __future__ import annotations


def pinball(actual: float, said: float, q: float) -> float:
    """Loss of saying that the q-quantile is ``said``: least, on average, for the true one."""
    over = actual - said
    return q * over if over >= 0 else (q - 1) * over
