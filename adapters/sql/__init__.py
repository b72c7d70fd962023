"""Databases that are asked, by SQL that an operator wrote: PostgreSQL, Oracle, SQL Server, Snowflake, SQLite. They are only read."""

from adapters.sql.adapter import SqlAdapter

__all__ = ["SqlAdapter"]
