"""Signs of life of scripts, backups and whatever else can run ``watchfloor ping``: kept, and told to whoever waits for them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any, Final, Protocol

from engine.context import Context
from engine.notify.message import plain
from engine.peer import Peer
from engine.request import RequestError
from engine.store import facts as rows
from engine.store.writer import Tx

WORDS: Final = ("start", "ok", "fail", "log")
NAME_MAX: Final = 100
TEXT_MAX: Final = 500
A_MINUTE: Final = 60
"""Pings of one name in a minute at most, and, of one user, of names that nobody waits for."""
_MINUTE_S: Final = 60.0
_MOST_NAMES: Final = 2_000


class Told(Protocol):
    """What is said to the judge."""

    def on_beat(self, tx: Tx, name: str) -> None: ...


class Pings:
    """``ping`` answers the request. ``poke`` wakes the checks: a success may wait for just this word."""

    def __init__(self, ctx: Context, judge: Told, poke: Callable[[], None] = lambda: None) -> None:
        self._ctx = ctx
        self._judge = judge
        self._poke = poke
        self._lately: dict[str, deque[float]] = {}

    async def ping(self, body: dict[str, Any], peer: Peer) -> dict[str, Any]:
        """``{"name", "what": start|ok|fail|log, "text"?, "code"?}`` → ``{"name", "what", "at", "known", "words", "hint"}``.

        Whoever may connect may ping; who it was is kept with it, by the kernel's word.
        """
        name, what = body.get("name"), body.get("what")
        if not isinstance(name, str) or not _is_name(name):
            raise RequestError(
                "bad_request",
                f"a ping needs a name: 1 to {NAME_MAX} letters, digits and signs without blanks",
                "watchfloor ping nightly-backup ok",
            )
        if what not in WORDS:
            raise RequestError(
                "bad_request", f"{plain(str(what), 40)!r} is no word of a ping", f"one of: {' '.join(WORDS)}"
            )
        words = self._words(body, what)
        waited, checks = self._waited_for(name)
        self._count(f"name {name}", f"pings of {name}")
        if not waited and not checks:
            self._count(f"uid {peer.uid}", f"pings of names that nobody waits for, of {plain(peer.login, 40)}")
        with self._ctx.store.transaction(full=True) as tx:  # it is said once: what was answered must not be lost
            rows.put_beat(tx, name, what, words, plain(peer.who, 80))
            self._judge.on_beat(tx, name)
            if checks:
                rows.ask_soon(tx, name)
            at = tx.now
        if checks:
            self._poke()
        known = waited or checks
        said = f"{name}: {what} is noted" + (f" ({words})" if words else "")
        hint = "" if known else f'nobody waits for it yet: add an [[expectation]] with on = "ping:{name}"'
        return {"name": name, "what": what, "at": at, "known": known, "words": said, "hint": hint}

    def _words(self, body: dict[str, Any], what: str) -> str | None:
        text, code = body.get("text"), body.get("code")
        if text is not None and not isinstance(text, str):
            raise RequestError("bad_request", "the text of a ping is text")
        parts = [plain(text, TEXT_MAX)] if text else []
        if code is not None:
            if not isinstance(code, int) or isinstance(code, bool) or not 0 <= code <= 255:
                raise RequestError("bad_request", "an exit code is a number from 0 to 255")
            if what == "ok" and code:
                raise RequestError("bad_request", f"exit code {code} is not ok", "watchfloor ping NAME fail --code N")
            parts.insert(0, f"exit {code}")
        return ": ".join(part for part in parts if part) or None

    def _waited_for(self, name: str) -> tuple[bool, bool]:
        """(an expectation waits for it, a check waits for it)"""
        config = self._ctx.config
        key = f"ping:{name}"
        waited = any(
            e.on == key or e.after == key or (e.on.startswith("ping:") and fnmatchcase(key, e.on))
            for e in config.expectations
        )
        return waited, any(c.name == name and not c.run and c.file is None for c in config.checks)

    def _count(self, of: str, words: str) -> None:
        now = self._ctx.clock.monotonic()
        lately = self._lately.get(of)
        if lately is None:
            if len(self._lately) >= _MOST_NAMES:
                self._lately = {k: v for k, v in self._lately.items() if v and v[-1] > now - _MINUTE_S}
            if len(self._lately) >= _MOST_NAMES:
                raise RequestError(
                    "refused", f"pings of more than {_MOST_NAMES} names in a minute", "again in a minute"
                )
            lately = self._lately[of] = deque()
        while lately and lately[0] <= now - _MINUTE_S:
            lately.popleft()
        if len(lately) >= A_MINUTE:
            raise RequestError(
                "refused", f"more than {A_MINUTE} {words} in a minute: this one is not kept", "again in a minute"
            )
        lately.append(now)


def _is_name(text: str) -> bool:
    return 0 < len(text) <= NAME_MAX and text.isprintable() and not any(c.isspace() or c in "|*?[]" for c in text)
