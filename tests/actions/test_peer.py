"""Who is at the other end: the kernel's word."""

from __future__ import annotations

import os
import pwd
import socket

import pytest

from engine.peer import Peer, peer_of


def test_own_process() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        peer = peer_of(ours)
    assert (peer.uid, peer.pid) == (os.getuid(), os.getpid())
    assert peer.login == pwd.getpwuid(os.getuid()).pw_name
    assert peer.origin is None


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become somebody else")
def test_another_uid() -> None:
    """Connects as ``nobody`` with an extra group: both are the kernel's word, whatever the client says."""
    path = f"/tmp/wf-peer-{os.getpid()}.sock"
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(path)
        os.chmod(path, 0o666)
        listener.listen(1)
        child = os.fork()
        if child == 0:
            os.setgroups([4242])
            os.setgid(65534)
            os.setuid(65534)
            client = socket.socket(socket.AF_UNIX)
            client.connect(path)
            client.recv(1)
            os._exit(0)
        listener.settimeout(10)
        connection, _ = listener.accept()
        with connection:
            peer = peer_of(connection)
            connection.sendall(b"x")
        os.waitpid(child, 0)
    finally:
        listener.close()
        os.unlink(path)
    assert (peer.uid, peer.pid) == (65534, child)
    assert "4242" in peer.groups
    assert "root" not in peer.groups


def test_origin_is_a_claim_and_harmless() -> None:
    peer = Peer(1000, 1, "ana", frozenset(), None)
    assert peer.claiming("10.0.0.1 22\x1b]0;x\x07\n").origin == "10.0.0.1 22 ]0;x"
    assert len(peer.claiming("x" * 999).origin or "") == 200
    assert peer.claiming("").origin is None
    assert peer.claiming("x").uid == 1000


def test_sudo_is_named() -> None:
    root = pwd.getpwuid(0).pw_name
    assert Peer(0, 1, "root", frozenset(), None, login_uid=54321).who == "54321 as root"
    assert Peer(0, 1, root, frozenset(), None, login_uid=0).who == root
    assert Peer(0, 1, root, frozenset(), None).who == root
