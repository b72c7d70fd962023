"""Probes: small sources that only measure. ``files`` (of this host), ``http`` (any endpoint), ``command`` (a program's output)."""

from adapters.probes.command import CommandAdapter
from adapters.probes.files import FilesAdapter
from adapters.probes.http import HttpAdapter

__all__ = ["CommandAdapter", "FilesAdapter", "HttpAdapter"]
