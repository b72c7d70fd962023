"""The version, once: read from the installed distribution."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def _installed() -> str:
    try:
        return version("watchfloor")
    except PackageNotFoundError:
        return "0+source"


VERSION = _installed()
