"""Ports of servers: below those that connections take, free, and never the same twice. This needs no real server."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.real import ports


def test_ports_are_below_those_of_connections_and_differ() -> None:
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    found = [ports.free_port() for _ in range(200)]
    assert len(set(found)) == 200
    assert all(ports.LEAST <= port < low for port in found)


def test_a_port_that_somebody_has_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    taken, free = ports.free_port(), ports.free_port()
    offered = iter([taken, free, free])
    monkeypatch.setattr(ports, "_given", set[int]())
    monkeypatch.setattr(ports.random, "randrange", lambda low, high: next(offered))
    with socket.create_server(("127.0.0.1", taken)):
        assert ports.free_port() == free


def test_a_range_that_leaves_no_room_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "range").write_text("1024\t65535\n")
    monkeypatch.setattr(ports, "_RANGE", tmp_path / "range")
    with pytest.raises(RuntimeError, match="begins at 1024"):
        ports.free_port()
