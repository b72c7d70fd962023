"""Random lives: whatever is polled, silenced, acknowledged and delivered in whatever order, the promises hold."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.model import AlertState, Health, State
from engine.notify import Notifier
from engine.request import RequestError
from engine.store.outbox import Post
from tests.alerts.floor import MINUTE, PEER, FakeChannels, Floor, bad, good

DATES = ("2026-11-19", "2026-11-20", None)
RUNS = ("r1", "r2", "r3")
STATES = (State.RUNNING, State.FAILED, State.SUCCESS, State.STOPPED, State.WARNING, State.LOST, State.RETRYING)

steps = st.lists(
    st.one_of(
        st.tuples(st.just("run"), st.sampled_from(RUNS), st.sampled_from(range(3)), st.sampled_from(STATES)),
        st.tuples(st.just("health"), st.sampled_from((Health.FRESH, Health.UNREACHABLE, Health.RATE_LIMITED))),
        st.tuples(st.just("wait"), st.sampled_from((1, 20_000, MINUTE, 31 * MINUTE))),
        st.tuples(st.just("send"), st.booleans()),
        st.tuples(st.just("ack")),
        st.tuples(st.just("silence")),
    ),
    min_size=5,
    max_size=40,
)


async def live(floor: Floor, script: list[tuple]) -> None:  # type: ignore[type-arg]
    channels = FakeChannels()
    notifier = Notifier(floor.ctx, channels=channels, rng=random.Random(1))  # type: ignore[arg-type]
    attempts: Counter[str] = Counter()
    for what, *args in script:
        floor.clock.forward(7)
        match what:
            case "run":
                name, date, state = args
                number = f"{name}-{date}"
                if state is State.RUNNING:
                    attempts[number] += 1
                floor.poll(floor.run(state, number, date=DATES[date], attempt=max(1, attempts[number])))
            case "health":
                floor.health(args[0], "x")
            case "wait":
                floor.clock.forward(args[0])
                floor.tick()
            case "send":
                channels.answers = {} if args[0] else {"json://ana.example/": [bad()]}
                await notifier.turn()
                await notifier.idle()
            case "ack":
                for (id,) in floor.all("SELECT id FROM alert WHERE state = 1"):
                    await floor.alerts.ack({"alert": id}, PEER)
            case _:
                try:
                    await floor.alerts.silence(
                        {"match": "*", "until": floor.clock.now() + 5 * MINUTE, "reason": "r"}, PEER
                    )
                except RequestError:
                    raise AssertionError("a good silence was refused") from None
        check(floor)
    floor.clock.forward(10 * 3_600_000)
    floor.tick()
    channels.answers = {"json://ana.example/": [good()]}
    for _ in range(12):
        await notifier.turn()
        await notifier.idle()
        floor.clock.forward(40 * MINUTE)
    assert not floor.all("SELECT 1 FROM outbox WHERE state IN (0, 1)")
    check(floor)
    await notifier.close()


def check(floor: Floor) -> None:
    """What must hold at each moment."""
    assert floor.all("SELECT dedup FROM alert WHERE state < 4 GROUP BY dedup HAVING count(*) > 1") == []
    for state, resolved, acked, until in floor.all("SELECT state, resolved, acked_by, ack_until FROM alert"):
        assert state != AlertState.RESOLVED or resolved is not None
        assert state != AlertState.FIRING or (resolved is None and acked is None and until is None)
        assert state != AlertState.ACKED or acked
    assert floor.one("SELECT count(*) FROM alert WHERE state < 4") == floor.alerts.open_count
    # the end is told only to those who were told, or may have been told, of the trouble in that same episode
    told = set(
        floor.all("SELECT alert_id, recipient, seq FROM outbox WHERE kind != 'resolve' AND (state = 2 OR unsure)")
    )
    assert set(floor.all("SELECT alert_id, recipient, seq FROM outbox WHERE kind = 'resolve'")) <= told
    # who fires and waits for nobody has a message under way, or it says why not
    for id, held, seq in floor.all("SELECT id, held_back, reopened FROM alert WHERE state = 1"):
        mine = floor.all("SELECT state FROM outbox WHERE alert_id = ? AND seq = ? AND kind != 'resolve'", id, seq)
        assert held or any(state in (Post.PENDING, Post.SENDING, Post.SENT, Post.FAILED) for (state,) in mine)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_promises_hold_whatever_happens(script: list[tuple]) -> None:  # type: ignore[type-arg]
    with tempfile.TemporaryDirectory() as folder:
        floor = Floor(Path(folder), to=("ana", "ben"), fallback="desk")
        floor.clock.forward(10 * MINUTE)
        try:
            asyncio.run(live(floor, script))
        finally:
            floor.close()
