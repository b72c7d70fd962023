"""The version, once: read from the installed distribution."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("watchfloor")
except PackageNotFoundError:
    VERSION = "0+source"
