"""Drivers described by command lines: anything that can be listed, started and stopped by an argv.

Imports nothing: the keeper of a process is started without any package but the standard library.
"""
