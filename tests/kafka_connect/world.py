"""The server shaped like Kafka Connect, as the adapter contract wants it. A run that ends is a connector that fails."""

from __future__ import annotations

from collections.abc import Sequence

from adapters.base import Action, Secret, SourceSettings
from adapters.contract import Fault
from adapters.kafka_connect import KafkaConnectAdapter
from adapters.model import State, Verb, parse_key, pipeline_key, run_key, step_key
from tests.servers.bad_days import DAYS
from tests.servers.kafka_connect_like import KafkaConnectLike
from tests.servers.kafka_connect_state import SECRET

SOURCE, USER, PASSWORD = "connect", "ops", "pw-of-the-test"
QUICK = {"read_timeout": 0.4, "connect_timeout": 1.0, "rebalance_wait": 0.01}


def settings(server: KafkaConnectLike, **more: object) -> SourceSettings:
    options = QUICK | more.pop("options", {})  # type: ignore[operator]
    auth: dict[str, str | Secret] = {}
    if server.pair:
        auth = {"user": USER, "password": Secret(lambda: PASSWORD, "env:TEST")}
    known: dict[str, object] = {
        "name": SOURCE, "kind": "kafka_connect", "url": server.at, "auth": auth, "options": options,
    }  # fmt: skip
    return SourceSettings(**(known | more))  # type: ignore[arg-type]


def key_of(name: str, life: int = 0) -> str:
    """Of a connector, or of one of its lives."""
    key = pipeline_key(SOURCE, name)
    return run_key(key, f"life-{life}") if life else key


def action(verb: Verb, key: str, **more: object) -> Action:
    return Action(verb=verb, key=key, client_id="01jtest", **more)  # type: ignore[arg-type]


class LikeWorld:
    """``adapters.contract_server.Server`` on a KafkaConnectLike."""

    source = SOURCE
    ends = State.FAILED

    def __init__(self, like: KafkaConnectLike) -> None:
        self.like = like
        self.pipeline = key_of("orders")
        self._made = 0
        like.slow_s = 0.15
        like.state.add("orders")
        self._spare = [like.state.add(f"spare/{i}").name for i in range(8)]
        """A life must have been seen going on before it can be seen to end."""

    def adapter(self) -> KafkaConnectAdapter:
        return KafkaConnectAdapter(settings(self.like))

    def fault(self, fault: Fault | None) -> bool:
        if fault is Fault.PAGE_TWO:
            return False  # all of them come in one answer
        self.like.fault = None if fault is None else DAYS[fault]
        return True

    def skew(self, seconds: float) -> None:
        self.like.skew_s = seconds

    def fill(self, count: int) -> tuple[set[str], set[str]]:
        for i in range(count):
            self.like.state.add(f"many {i:04d}")
        found = self.like.state.connectors
        return {key_of(n) for n in found}, {key_of(n, 1) for n in found}

    def change(self) -> str:
        name = self._spare.pop(0)
        self.like.state.fail(name)
        return key_of(name, 1)

    def failed(self) -> tuple[str, str]:
        name = self._new()
        self.like.state.fail(name)
        return key_of(name, 1), step_key(key_of(name, 1), "task-0")

    def growing(self) -> tuple[str, int]:
        return step_key(key_of(self._new(), 1), "task-0"), 1

    def grow(self, step: str, line: str) -> None:
        """A trace is all the log there is."""
        task = self.like.state.connectors[parse_key(step).pipeline].tasks[0]
        task.trace = (task.trace or "") + line + "\n"

    def target(self, verb: Verb) -> str:
        name = self._new({Verb.RESUME: "PAUSED", Verb.START: "STOPPED"}.get(verb, "RUNNING"))
        if verb is Verb.RERUN_FAILED:
            self.like.state.fail(name)
        return key_of(name, 1 if verb in (Verb.RERUN_FAILED, Verb.STOP) else 0)

    def foreign(self, verb: Verb, key: str) -> bool:
        """A connector has one state, whoever sets it."""
        return False

    def settle(self) -> None:
        self.like.state.tick()

    def effects(self) -> int:
        return len(self.like.state.effects)

    def secrets(self) -> Sequence[str]:
        return [PASSWORD, SECRET]

    def _new(self, state: str = "RUNNING") -> str:
        self._made += 1
        return self.like.state.add(f"made-{self._made}", state=state).name
