from __future__ import annotations

import time

from engine.ids import ALPHABET, Ids, normal, short


def test_26_characters_of_crockford() -> None:
    id = Ids().ulid(1_795_000_000_000)
    assert len(id) == 26
    assert set(id) <= set(ALPHABET)
    assert int("".join(f"{ALPHABET.index(c):05b}" for c in id[:10]), 2) == 1_795_000_000_000
    assert short(id) == id[-4:]
    assert normal(" oil7 ") == "0117"


def test_each_is_greater_also_when_the_clock_stands_or_goes_back() -> None:
    ids = Ids()
    now = time.time_ns() // 1_000_000
    made = [ids.ulid(now - (i % 3) * 1000) for i in range(5000)]
    assert made == sorted(set(made))
    assert len({short(id) for id in made[:20]}) > 15
