"""Ports for the servers of the tests marked ``real``: ones that stay theirs while they are down.

A server that is killed and started again wants its port back. The kernel takes the local ports of outgoing connections from a
range of its own (``ip_local_port_range``): of a port from there any client may have become the owner meanwhile.
"""

from __future__ import annotations

import contextlib
import random
import socket
from pathlib import Path

LEAST = 10_000
"""Below it are the ports that programs are known by."""
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_given: set[int] = set()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has and no outgoing connection takes by itself; none is given twice by this process."""
    low = int(_RANGE.read_text().split()[0])
    if low < LEAST + 1000:
        raise RuntimeError(f"{_RANGE} leaves too few ports to servers: it begins at {low}")
    for _ in range(1000):
        port = random.randrange(LEAST, low)
        if port in _given:
            continue
        with contextlib.suppress(OSError), socket.socket() as one:
            one.bind(("127.0.0.1", port))
            _given.add(port)
            return port
    raise RuntimeError(f"no free port between {LEAST} and {low}")
