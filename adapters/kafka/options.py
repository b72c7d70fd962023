"""What a ``[[source]]`` of kind ``kafka`` says beside its name: where the cluster is, and its ``options``, checked."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")
ISOLATION: Final = ("read_uncommitted", "read_committed")
_HOST: Final = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?")


def servers(url: str) -> tuple[str, bool]:
    """Bootstrap servers of ``kafka://HOST:PORT,HOST:PORT`` and whether TLS is spoken (``kafkas://``). ValueError says what is wrong."""
    scheme, mark, rest = url.strip().partition("://")
    rest = rest.rstrip("/")
    if not mark or scheme not in ("kafka", "kafkas"):
        raise ValueError("url: expected kafka://HOST:PORT,… or kafkas://HOST:PORT,… (with TLS)")
    hosts = rest.split(",")
    for host in hosts:
        if not _HOST.fullmatch(host):
            raise ValueError("url: expected hosts with ports behind kafka://, separated by commas, and nothing else")
    return ",".join(host if re.search(r":\d+$", host) else f"{host}:9092" for host in hosts), scheme == "kafkas"


@dataclass(frozen=True, slots=True)
class Options:
    """``options`` of a source of this kind; see docs/systems/kafka.md."""

    groups: tuple[str, ...] = ()
    """Names, for clusters that list no groups: asked for by name, and no others."""
    topics: tuple[str, ...] = ()
    """Names: of ``groups`` the offsets on these are asked for, partition by partition; no other topic is looked at."""
    mechanism: str = ""
    cert_file: str = ""
    key_file: str = ""
    token_url: str = ""
    scope: str = ""
    isolation: str = "read_uncommitted"
    rate: float = 120.0
    """Seconds over which rates are taken."""
    timeout: float = 10.0
    """Seconds that one question may take."""

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Options:
        """ValueError says in one sentence what is wrong."""
        known = cls.__annotations__
        out: dict[str, Any] = {}
        for name, value in given.items():
            if name not in known:
                raise ValueError(f"options: unknown key {name!r}; known: {', '.join(sorted(known))}")
            if name in ("groups", "topics"):
                if not isinstance(value, (list, tuple)) or not all(isinstance(v, str) and v for v in value):
                    raise ValueError(f"options.{name}: expected a list of names, got {value!r}")
                wild = next((v for v in value if set(v) & set("*?[")), "")
                if wild:
                    raise ValueError(f"options.{name}: expected whole names, got {wild!r}; patterns stand in include")
                value = tuple(dict.fromkeys(value))
            elif name in ("rate", "timeout"):
                low, high = (15, 3600) if name == "rate" else (0, 30)
                if (
                    isinstance(value, bool)
                    or not isinstance(value, (int, float))
                    or not low <= value <= high
                    or not value
                ):
                    least = "15" if low else "more than 0"
                    raise ValueError(f"options.{name}: expected seconds, {least} and at most {high}, got {value!r}")
                value = float(value)
            elif not isinstance(value, str) or not value.strip() or not value.isprintable():
                raise ValueError(f"options.{name}: expected a text, got {value!r}")
            out[name] = value
        found = cls(**out)
        if found.mechanism and found.mechanism not in MECHANISMS:
            raise ValueError(f"options.mechanism: expected one of {', '.join(MECHANISMS)}, got {found.mechanism!r}")
        if found.isolation not in ISOLATION:
            raise ValueError(f"options.isolation: expected {' or '.join(ISOLATION)}, got {found.isolation!r}")
        if bool(found.cert_file) != bool(found.key_file):
            raise ValueError("options: cert_file and key_file belong together")
        if found.topics and not found.groups:
            raise ValueError("options.topics: needs options.groups too; to see some topics only write include")
        if found.token_url and not found.token_url.startswith(("https://", "http://localhost", "http://127.0.0.1")):
            raise ValueError("options.token_url: expected a URL that begins with https://")
        return found


@dataclass(frozen=True, slots=True)
class Include:
    """``include``: globs on names of groups and of topics; ``group:GLOB`` or ``topic:GLOB`` for one of them alone."""

    groups: tuple[str, ...]
    topics: tuple[str, ...]

    @classmethod
    def read(cls, globs: Sequence[str]) -> Include:
        def of(kind: str, other: str) -> tuple[str, ...]:
            return tuple(g.removeprefix(f"{kind}:") for g in globs if not g.startswith(f"{other}:"))

        return cls(of("group", "topic"), of("topic", "group"))

    def group(self, name: str) -> bool:
        return not self.groups or any(fnmatchcase(name, g) for g in self.groups)

    def topic(self, name: str) -> bool:
        return not self.topics or any(fnmatchcase(name, g) for g in self.topics)
