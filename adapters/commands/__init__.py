"""Drivers described by command lines: anything that can be listed, started and stopped by an argv."""

from adapters.commands.adapter import CommandsAdapter

__all__ = ["CommandsAdapter"]
