"""One file for each database: how it is reached, asked to read only, cut short, and what its errors mean."""

from __future__ import annotations

from adapters.sql.engines.base import Engine
from adapters.sql.where import Place


def engine_for(place: Place) -> Engine:
    """The engine behind a URL. No driver is loaded yet."""
    if place.engine == "postgresql":
        from adapters.sql.engines.postgresql import PostgreSQL

        return PostgreSQL(place)
    if place.engine == "oracle":
        from adapters.sql.engines.oracle import Oracle

        return Oracle(place)
    if place.engine == "sqlserver":
        from adapters.sql.engines.sqlserver import SqlServer

        return SqlServer(place)
    if place.engine == "snowflake":
        from adapters.sql.engines.snowflake import Snowflake

        return Snowflake(place)
    from adapters.sql.engines.sqlite import SQLite

    return SQLite(place)
