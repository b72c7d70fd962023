"""Who is at the other end of the engine's socket, by the kernel's word and not by the client's."""

from __future__ import annotations

import array
import grp
import os
import pwd
import socket
import struct
from dataclasses import dataclass, replace

_SO_PEERGROUPS = 59  # asm-generic/socket.h; the socket module has no name for it
_NO_LOGIN = 2**32 - 1


@dataclass(frozen=True)
class Peer:
    """One client at the moment it connected. ``origin`` (SSH_CONNECTION, SUDO_USER) is the client's claim, never a proof.

    ``login_uid`` is the audit uid of its session: it stays ana's through ``sudo``. None where the kernel keeps none.
    """

    uid: int
    pid: int
    login: str
    groups: frozenset[str]
    origin: str | None
    login_uid: int | None = None

    @property
    def who(self) -> str:
        """How a person is named in words: ``ana``, or ``ana as root`` where the session belongs to somebody else."""
        if self.login_uid is None or self.login_uid == self.uid:
            return self.login
        return f"{user_name(self.login_uid)} as {self.login}"

    def claiming(self, origin: str | None) -> Peer:
        """The same identity with what the client says about where it comes from: one printable line, at most 200 characters."""
        clean = "".join(c if c.isprintable() else " " for c in origin or "").strip()[:200]
        return replace(self, origin=clean or None)


def user_name(uid: int) -> str:
    """Login name of a uid, or the number where nobody is registered under it."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def peer_of(sock: socket.socket) -> Peer:
    """Identity of a connected Unix socket's other end, as it was when it connected. OSError where there is none."""
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, gid = struct.unpack("3i", raw)
    uid &= _NO_LOGIN  # uid_t is unsigned
    return Peer(uid, pid, user_name(uid), _groups(sock, uid, gid), None, _login_uid(pid, uid))


def _groups(sock: socket.socket, uid: int, gid: int) -> frozenset[str]:
    """Names of all groups that the peer had when it connected.

    From the user database where the kernel is older than 4.13, or where there are more than 256 (Python reads 1 KiB).
    """
    numbers = {gid & _NO_LOGIN}
    try:
        numbers.update(array.array("I", sock.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, 1024)))
    except OSError:
        try:
            numbers.update(os.getgrouplist(pwd.getpwuid(uid).pw_name, gid))
        except (KeyError, OSError):
            pass
    return frozenset(_group_name(number) for number in numbers)


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except (KeyError, OverflowError):
        return str(gid)


def _login_uid(pid: int, uid: int) -> int | None:
    """The session's audit uid. The process may be gone and its number reused: only believed while it still has that uid."""
    try:
        folder = f"/proc/{pid}"
        with open(f"{folder}/loginuid", encoding="ascii") as file:
            value = int(file.read())
        if value == _NO_LOGIN or os.stat(folder).st_uid != uid:
            return None
        return value
    except (OSError, ValueError):
        return None
