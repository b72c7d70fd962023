"""What people see and touch. Reads the store, asks the engine; no network, no writes, no adapter."""

from __future__ import annotations

import os
import sys


def _keep_to_ours() -> None:
    """Folders of ``PYTHONPATH`` that hold an ``engine`` or ``adapters`` of somebody else's are not looked into.

    These names are generic, and theirs would run in place of ours, with what ours may do.
    """
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep):
        folder = os.path.abspath(entry)
        if not entry or os.path.realpath(folder) == os.path.realpath(root):
            continue
        if any(
            os.path.exists(os.path.join(folder, name + end)) for name in ("engine", "adapters") for end in ("", ".py")
        ):
            sys.path[:] = [p for p in sys.path if os.path.abspath(p or os.curdir) != folder]


_keep_to_ours()
