"""A server that died is told apart from a failing test, and retried once."""

from __future__ import annotations

import pytest

from tests.real.airflow_server import ServerDied, survives


class Mortal:
    """A server of which the test says how often it dies."""

    def __init__(self) -> None:
        self.dead = False
        self.deaths = self.restarts = 0

    def died(self) -> bool:
        return self.dead

    def last_words(self) -> str:
        return "Segmentation fault"

    def restart(self) -> None:
        self.restarts += 1
        self.dead = False


async def test_a_failing_test_is_no_death() -> None:
    calls = 0

    @survives
    async def wrong(airflow3: Mortal) -> None:
        nonlocal calls
        calls += 1
        assert calls == 0, "wrong"

    server = Mortal()
    with pytest.raises(AssertionError, match="wrong"):
        await wrong(airflow3=server)
    assert (calls, server.restarts) == (1, 0)


@pytest.mark.parametrize(("dies", "fails"), [(0, False), (1, False), (2, True)])
async def test_one_death_is_forgiven(dies: int, fails: bool) -> None:
    calls = 0

    @survives
    async def unlucky(airflow3: Mortal) -> None:
        nonlocal calls
        calls += 1
        if calls <= dies:
            airflow3.dead = True
            raise ConnectionError("reset")

    server = Mortal()
    if fails:
        with pytest.raises(ServerDied, match="died twice under this test: Segmentation fault"):
            await unlucky(airflow3=server)
    else:
        await unlucky(airflow3=server)
    assert (server.deaths, server.restarts) == (dies, min(dies, 1))
