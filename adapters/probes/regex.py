"""Regular expressions as a configuration writes them, and what is wrong with one. Light: the configuration is read with it."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import Final

LONGEST: Final = 1000
"""Characters of an expression."""
_WITH: Final = re.compile(r"(\S.*?)\s+/(.*)/(i?)", re.S)
_ALONE: Final = re.compile(r"/(.*)/(i?)", re.S)


@dataclass(frozen=True, slots=True)
class Regex:
    """``count``: lines that match are counted; ``every``: each value of its group; else the last one. Named groups are labels."""

    text: str
    ignore: bool = False
    count: bool = False
    every: bool = False


def before_regex(text: str) -> tuple[str, str, bool] | None:
    """``FILE /REGEX/`` or ``FILE /REGEX/i``: what stands before it, the expression, whether case is ignored."""
    found = _WITH.fullmatch(text.strip())
    return (found[1], found[2], bool(found[3])) if found else None


def alone(text: str) -> tuple[str, bool] | None:
    """``/REGEX/`` or ``/REGEX/i``."""
    found = _ALONE.fullmatch(text.strip())
    return (found[1], bool(found[2])) if found else None


def wrong_regex(regex: Regex) -> str | None:
    """What is wrong with it, in one clause; None: nothing."""
    if not regex.text:
        return "the expression is empty"
    if len(regex.text) > LONGEST:
        return f"the expression has more than {LONGEST} characters"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compiled = re.compile(regex.text)
    except (re.error, RecursionError, OverflowError) as error:
        return f"the expression cannot be read: {error}"
    if regex.count:
        return None
    unnamed = compiled.groups - len(compiled.groupindex)
    if "value" in compiled.groupindex:
        return "it has a group value and others without a name: write (?:…)" if unnamed else None
    if unnamed != 1:
        return f"expected one group ( ) around the number, got {unnamed}; write (?:…) for those that are none"
    return None
