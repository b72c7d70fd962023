"""``options`` of a SeaTunnel source and its credentials, typed and checked: what is wrong is one sentence."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from adapters.auth import HeaderAuth
from adapters.base import Secret, SourceSettings
from adapters.errors import Unsupported
from adapters.shared import reveal

SECONDS: Final[Mapping[str, float]] = {"connect_timeout": 5.0, "read_timeout": 20.0, "total_timeout": 60.0}
FORMATS: Final[Mapping[str, str]] = {".json": "", ".conf": "hocon", ".hocon": "hocon", ".sql": "sql"}
"""How ``/submit-job`` is told what a file is, by its ending; JSON is what it takes without being told."""


@dataclass(frozen=True, slots=True)
class Options:
    """``jobs``: job name to its configuration file, absolute."""

    seconds: Mapping[str, float]
    jobs: Mapping[str, Path] = field(default_factory=dict[str, Path])

    @classmethod
    def read(cls, settings: SourceSettings) -> Options:
        seconds = dict(SECONDS)
        jobs: dict[str, Path] = {}
        for name, value in settings.options.items():
            if name in seconds:
                if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 600:
                    raise Unsupported(
                        f"option {name!r} of the seatunnel adapter is a number of seconds up to 600, not {value!r}"
                    )
                seconds[name] = float(value)
            elif name == "jobs":
                jobs = _jobs(value, settings.config_folder)
            else:
                known = ", ".join(("jobs", *SECONDS))
                raise Unsupported(f"the seatunnel adapter has no option {name!r}; it has {known}")
        return cls(seconds, jobs)


def _jobs(value: Any, folder: Path) -> dict[str, Path]:
    if not isinstance(value, Mapping) or not all(isinstance(v, str) and v for v in value.values()):
        raise Unsupported('option \'jobs\' of the seatunnel adapter is a table like { "orders" = "orders.conf" }')
    out: dict[str, Path] = {}
    for name, file in value.items():
        path = Path(file).expanduser()
        if path.suffix.lower() not in FORMATS:
            raise Unsupported(
                f"option 'jobs' of the seatunnel adapter: {file!r} ends in none of {', '.join(FORMATS)},"
                " so that SeaTunnel could not be told what it is"
            )
        out[str(name)] = folder / path
    return out


class BasicAuth(HeaderAuth):
    """``user`` and ``password`` as the configuration refers to them, and nothing else; without them nothing is sent."""

    def __init__(self, auth: Mapping[str, str | Secret]) -> None:
        odd = sorted(set(auth) - {"user", "password"})
        if odd:
            raise Unsupported(f"the seatunnel adapter knows auth.user and auth.password, not auth.{odd[0]}")
        if auth and set(auth) != {"user", "password"}:
            raise Unsupported("auth of the seatunnel adapter: user and password belong together")
        super().__init__(auth)

    @property
    def given(self) -> bool:
        """Whether there is a password at all."""
        return bool(self._auth)

    def __repr__(self) -> str:
        return f"BasicAuth(user={self.user!r})"

    async def _made(self) -> Mapping[str, str]:
        if not self._auth:
            return {}
        user = (await reveal(self._auth["user"], "user")).strip()
        password = (await reveal(self._auth["password"], "password")).strip()
        code = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._seen += [s for s in (password, code) if s and s not in self._seen]
        return {"Authorization": f"Basic {code}"}
