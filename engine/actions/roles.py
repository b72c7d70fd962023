"""Who may do what: ``[[access]]`` against the kernel's identity."""

from __future__ import annotations

import os
from collections.abc import Sequence
from enum import IntEnum
from fnmatch import fnmatchcase

from adapters.model import VerbClass
from engine.config.model import Config, Facts, Source, matches
from engine.peer import Peer


class Role(IntEnum):
    VIEWER = 0
    OPERATOR = 1
    LEAD = 2


NEEDED = {VerbClass.SAFE: Role.OPERATOR, VerbClass.DISRUPTIVE: Role.OPERATOR, VerbClass.DESTRUCTIVE: Role.LEAD}
"""A safe verb too reaches outside."""


def role_of(config: Config, facts: Facts, peer: Peer) -> Role:
    """The best role that any entry gives; without entries the engine's own user is lead and everybody else looks."""
    if not config.access:
        return Role.LEAD if peer.uid == os.getuid() else Role.VIEWER
    found = Role.VIEWER
    for entry in config.access:
        if any(_means(allowed, peer) for allowed in entry.allow) and matches(entry.on, facts):
            found = max(found, Role[entry.role.upper()])
    return found


def may_arm(config: Config, sources: Sequence[Source], peer: Peer) -> bool:
    """Whether any entry lets this person act on something of these sources; each plan asks again for its own target."""
    if not config.access:
        return peer.uid == os.getuid()
    return any(
        Role[entry.role.upper()] >= Role.OPERATOR
        and any(_means(allowed, peer) for allowed in entry.allow)
        and any(_touches(entry.on, source) for source in sources)
        for entry in config.access
    )


def _touches(pattern: str, source: Source) -> bool:
    """Whether a selector may mean something of this source; what only its pipelines know (app, layer, tag) may."""
    head, colon, _ = pattern.partition(":")
    if not colon:
        return pattern == "*" or fnmatchcase(source.name, head)
    if head in ("app", "layer", "tag"):
        return True
    if head in ("env", "src"):
        return matches(pattern, Facts(key=source.name, source=source.name, environment=source.environment))
    return fnmatchcase(source.name, head)


def _means(allowed: str, peer: Peer) -> bool:
    if allowed == "*":
        return True
    kind, _, name = allowed.partition(":")
    match kind:
        case "user":
            return name == peer.login
        case "group":
            return name in peer.groups
        case "uid":
            return name == str(peer.uid)
        case _:
            return False
