"""An endpoint of some application, as kind ``http`` meets them: a health page, figures in JSON, a status text, metrics as a
Prometheus would scrape them, a search that wants a POST. All of it asks for a password, or for a token where one is set.
"""

from __future__ import annotations

import base64
import ssl
import time
from typing import Any

from tests.servers.bad_days import COMMON, STATUS, Answer, Asked, BadDays


class HttpProbeLike(BadDays):
    """``numbers`` stand in ``/stats``, ``pages`` are further paths as they are (status, content), ``text`` is ``/status``."""

    FAULTS = COMMON | {"missing-fields"}

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls=tls)
        self.user, self.password, self.token = "probe", "pr0be-passw0rd", ""
        self.numbers: dict[str, Any] = {}
        self.pages: dict[str, tuple[int, Any]] = {}
        self.text = "queue: 17 messages\nworkers: 3 of 4\n"
        self.metrics = (
            "# HELP rows_total Rows.\n# TYPE rows_total counter\n"
            'rows_total{table="a",db="x"} 10\nrows_total{table="b",db="x"} 2.5e3 1395066363000\n'
            'rows_totals{table="a"} 99\nqueue_depth 4\nbad NaN\nodd{name="a \\"quoted\\" }{ one"} 7\n'
        )
        self.effects: list[Any] = []
        self.STATUS = {
            **STATUS,
            "401": (401, {"error": f"no: {self.password}"}),
            "500": (500, {"error": self.password}),
        }

    @property
    def secrets(self) -> list[str]:
        pair = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return [s for s in (self.password, pair, self.token) if s]

    def now(self) -> int:
        return int((time.time() + self.skew_s) * 1000)

    def answer_to(self, asked: Asked) -> Answer:
        pair = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        if asked.authorization != (f"Bearer {self.token}" if self.token else f"Basic {pair}"):
            return self.STATUS["401"]
        match asked.method, asked.path:
            case "GET", "/health":
                return 200, {"ok": True, "version": "3.1"}
            case "GET", "/stats":
                return 200, dict(self.numbers)
            case "GET", "/status":
                return 200, self.text
            case "GET", "/metrics":
                return 200, self.metrics
            case "POST", "/search":
                self.effects.append(asked.body)
                return 200, {"hits": {"total": 12 if asked.body == {"size": 0} else 0}}
            case "GET", path if path in self.pages:
                return self.pages[path]
            case _:
                return self.undocumented(asked)

    def bent(self, content: Any, fault: str | None) -> Any:
        if fault == "missing-fields" and isinstance(content, dict):
            return {}
        return super().bent(content, fault)
