"""Where a database is and how it is asked: the URL, ``auth``, ``tls`` and ``options`` of a source, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from adapters.base import Secret, SourceSettings

PORTS: Final = {"postgresql": 5432, "oracle": 1521, "sqlserver": 1433, "snowflake": 0, "sqlite": 0}
SHAPES: Final = {
    "postgresql": "postgresql://host:5432/database",
    "oracle": "oracle://host:1521/service",
    "sqlserver": "sqlserver://host:1433/database",
    "snowflake": "snowflake://account/database/schema?warehouse=…",
    "sqlite": "sqlite:///path/of/the/file.db",
}
SSLMODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
PATIENCE: Final = {"statement_timeout": 30.0, "connect_timeout": 20.0}
"""Options in seconds, and the most that each may be: the engine waits 45 s for all numbers of a source."""
ONLY: Final = {
    "schema": ("postgresql", "oracle", "snowflake"),
    "warehouse": ("snowflake",),
    "role": ("snowflake",),
    "sslmode": ("postgresql",),
    "encrypted": ("oracle", "sqlserver"),
}


@dataclass(frozen=True, slots=True)
class Options:
    """``options``; see ``SqlAdapter``."""

    statement_timeout: float = 10.0
    connect_timeout: float = 5.0
    schema: str = ""
    warehouse: str = ""
    role: str = ""
    sslmode: str = ""
    encrypted: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """One database. ``port`` 0: none; ``path``: the file, of SQLite; ``shown``: the URL for people."""

    engine: str
    shown: str
    host: str = ""
    port: int = 0
    database: str = ""
    path: str = ""
    tls_verify: bool = True
    tls_ca: Path | None = None
    options: Options = Options()

    @property
    def at(self) -> str:
        return self.path or (f"{self.host}:{self.port}" if self.port else self.host)


def place_of(settings: SourceSettings) -> Place:
    """ValueError says in one sentence what is wrong; it never repeats the URL, which may hold a password."""
    try:
        parts = urlsplit(settings.url.strip())
        port = parts.port
    except ValueError:
        raise ValueError("url: it cannot be read; write it like postgresql://host:5432/database") from None
    engine = {"postgres": "postgresql", "mssql": "sqlserver"}.get(parts.scheme, parts.scheme)
    if engine not in PORTS:
        raise ValueError(f"url: expected one of {', '.join(SHAPES.values())}")
    asked = dict(parse_qsl(parts.query, keep_blank_values=True))
    if "@" in parts.netloc or any(name.lower() in ("password", "passwd", "pwd", "user", "token") for name in asked):
        raise ValueError("url: user and password do not belong into it; put them under auth, by reference")
    if parts.fragment:
        raise ValueError("url: write # as %23")
    options = _options(settings.options, asked, engine)
    shown = f"{engine}://{parts.netloc}{parts.path.rstrip('/') if engine != 'sqlite' else parts.path}"
    path = unquote(parts.path)
    if engine == "sqlite":
        if parts.netloc or len(path) < 2:
            raise ValueError(f"url: expected {SHAPES['sqlite']}, three slashes before an absolute path")
        _check_auth(settings.auth, engine)
        return Place(engine, shown, path=path, options=options)
    names = [name for name in path.split("/") if name]
    host = parts.hostname or ""
    if not host or len(names) != 1:
        two = engine == "snowflake" and host and len(names) == 2
        if not two and not (engine == "snowflake" and host and not names):
            raise ValueError(f"url: expected {SHAPES[engine]}")
    if engine == "snowflake" and len(names) == 2:
        if options.schema and options.schema != names[1]:
            raise ValueError("url and options name different values of schema")
        options = replace(options, schema=names[1])
    _check_auth(settings.auth, engine)
    if settings.tls_ca is not None and engine in ("sqlserver", "snowflake"):
        raise ValueError(
            "tls.ca: the driver of SQL Server checks no certificate"
            if engine == "sqlserver"
            else "tls.ca: not for Snowflake"
        )
    return Place(
        engine, shown, host=host, port=port or PORTS[engine], database=names[0] if names else "",
        tls_verify=settings.tls_verify, tls_ca=settings.tls_ca, options=options,
    )  # fmt: skip


def _check_auth(auth: Mapping[str, str | Secret], engine: str) -> None:
    known = {"sqlite": (), "snowflake": ("user", "password", "token", "private_key")}.get(engine, ("user", "password"))
    for name in auth:
        if name not in known:
            raise ValueError(
                f"auth: unknown key {name!r}; known: {', '.join(known)}"
                if known
                else "auth: a file has no user and password"
            )
    if known and "user" not in auth:
        raise ValueError('auth: expected the user, as in auth = { user = "watchfloor", password = { env = "NAME" } }')
    if len({"password", "token", "private_key"} & set(auth)) > 1:
        raise ValueError("auth: one of password, token and private_key, not several")


def _options(given: Mapping[str, Any], asked: Mapping[str, str], engine: str) -> Options:
    known = [f.name for f in fields(Options) if engine in ONLY.get(f.name, (engine,))]
    out: dict[str, Any] = {}
    for name, value in {**asked, **given}.items():
        where = "options." if name in given else "url: "
        if name not in known:
            raise ValueError(f"{where.rstrip('.: ')}: unknown key {name!r} of {engine}; known: {', '.join(known)}")
        if name in asked and name not in given and name in (*PATIENCE, "encrypted"):
            raise ValueError(f"url: {name} belongs under options")
        if name in asked and name in given and asked[name] != given[name]:
            raise ValueError(f"url and options name different values of {name}")
        if name in PATIENCE:
            value = _seconds(value)
            if not 0.1 <= value <= PATIENCE[name]:
                raise ValueError(f'options.{name}: expected "10s" or seconds, from 0.1 to {PATIENCE[name]:g}')
        elif name == "encrypted":
            if not isinstance(value, bool):
                raise ValueError(f"options.encrypted: expected true or false, got {value!r}")
        elif not isinstance(value, str) or not value.strip() or not value.isprintable():
            raise ValueError(f"{where}{name}: expected a name")
        out[name] = value
    if out.get("sslmode", "prefer") not in SSLMODES:
        raise ValueError(f"options.sslmode: expected one of {', '.join(SSLMODES)}")
    return Options(**out)


def _seconds(value: Any) -> float:
    """Seconds of ``10``, ``"10s"`` or ``"500ms"``; -1 of anything else."""
    if isinstance(value, str):
        text = value.strip()
        number, scale = (text[:-2], 0.001) if text.endswith("ms") else (text.removesuffix("s"), 1.0)
        try:
            return float(number) * scale
        except ValueError:
            return -1.0
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else -1.0
