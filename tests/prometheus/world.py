"""The server shaped like Prometheus, as the contract of metric sources wants it."""

from __future__ import annotations

from collections.abc import Sequence

from adapters.base import Secret, SourceSettings
from adapters.contract import Fault
from adapters.extras import SeriesQuery
from adapters.prometheus import PrometheusAdapter
from tests.servers.bad_days import DAYS
from tests.servers.prometheus_like import Host, PrometheusLike, Refused


def settings(like: PrometheusLike, **more: object) -> SourceSettings:
    auth: dict[str, str | Secret] = {"user": like.user, "password": Secret(lambda: like.password, "env:TEST")}
    if like.token:
        auth = {"token": Secret(lambda: like.token, "env:TEST")}
    options = {"read_timeout": 0.4, "connect_timeout": 1.0, **more.pop("options", {})}  # type: ignore[dict-item]
    known: dict[str, object] = {"name": "prom", "kind": "prometheus", "url": like.url, "auth": auth, "options": options}
    return SourceSettings(**(known | more))  # type: ignore[arg-type]


def adapter(like: PrometheusLike, **options: object) -> PrometheusAdapter:
    return PrometheusAdapter(settings(like, options=options))


class LikeWorld:
    """``adapters.contract_server.MetricsServer`` on a PrometheusLike."""

    source = "prom"

    def __init__(self, like: PrometheusLike) -> None:
        self.like = like
        like.slow_s = 0.15

    def adapter(self) -> PrometheusAdapter:
        return adapter(self.like, max_series=5000)

    def fault(self, fault: Fault | None) -> bool:
        self.like.bad_day(None if fault is None else DAYS[fault])
        return True

    def skew(self, seconds: float) -> None:
        self.like.skew_s = seconds

    def now(self) -> int:
        return int(self.like.now() * 1000)

    def measure(self, name: str, value: float) -> SeriesQuery:
        query = f"max({name.replace(' ', '_')})"
        self.like.answers[query] = [({}, value)]
        return SeriesQuery(name, query)

    def refused(self, name: str) -> SeriesQuery:
        words = f'invalid parameter "query": \x1b[31mparse error {self.like.password} ' + "far too long " * 40
        self.like.answers["rate(foo["] = Refused(400, "bad_data", words)
        return SeriesQuery(name, "rate(foo[")

    def hosts(self, count: int) -> int:
        for i in range(count):
            self.like.hosts[f"n{i:03d}:9100"] = Host(up=i % 50 != 7)
        return sum(not h.up for h in self.like.hosts.values())

    def asked(self) -> int:
        return len(self.like.requests)

    def secrets(self) -> Sequence[str]:
        return self.like.secrets
