"""Command lines of the configuration, filled in: each placeholder stays inside its own argument, whatever its value holds.

A word is a text with ``{placeholders}``. A list within the list is a group: it is left out where one of its placeholders has no
value; ``{if:NAME}`` in it stands for nothing, and leaves the group out unless that flag is true.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Final

from adapters.errors import Conflict
from adapters.first_error import clean

Template = tuple["str | tuple[str, ...]", ...]

PLACES: Final = (
    *("pipeline", "run", "step", "attempt", "offset", "business_date", "client_id", "who", "id", "from", "to"),
)
_PLACE: Final = re.compile(r"(?<!\{)\{([a-z_]+|(?:param|if):[A-Za-z_][\w-]*)\}")


def words_of(template: Template) -> Iterable[str]:
    for word in template:
        if isinstance(word, str):
            yield word
        else:
            yield from word


def places(template: Template) -> set[str]:
    """Names of the placeholders in it; ``param:NAME`` and ``if:NAME`` as they stand."""
    return {name for word in words_of(template) for name in _PLACE.findall(word)}


def wrong(template: Template, known: Collection[str], parameters: Collection[str]) -> str | None:
    """What is wrong with its placeholders, in one clause; None: nothing."""
    for name in sorted(places(template)):
        kind, colon, param = name.partition(":")
        if colon:
            if param not in parameters:
                return f"{{{name}}} names a parameter that is not described: add options.parameters.{param}"
            if kind == "if" and any(f"{{{name}}}" in w for w in template if isinstance(w, str)):
                return f'{{{name}}} stands outside of a group: write [..., ["--flag", "{{{name}}}"]]'
        elif name not in known:
            close = get_close_matches(name, known, n=1, cutoff=0.5)
            more = f"did you mean {{{close[0]}}}?" if close else f"it has {', '.join('{' + k + '}' for k in known)}"
            return f"there is no {{{name}}} here; {more}"
    return None


def fill(template: Template, values: Mapping[str, str | None], dash: Collection[str] = ()) -> list[str]:
    """The argv. Conflict in one sentence for a value that is missing, holds NUL, or would be taken for an option.

    ``dash``: names whose values may begin with ``-``.
    """
    out: list[str] = []
    for word in template:
        if isinstance(word, str):
            out.append(_word(word, values, dash))
        elif all(values.get(n) not in (None, "") for n in places((word,))):
            if any(values[n] != "true" for n in places((word,)) if n.startswith("if:")):
                continue
            filled = [_word(inner, values, dash) for inner in word if not _bare_if(inner)]
            out += filled
    return out


def _bare_if(word: str) -> bool:
    found = _PLACE.fullmatch(word)
    return found is not None and found[1].startswith("if:")


def _word(word: str, values: Mapping[str, str | None], dash: Collection[str]) -> str:
    first: str | None = None

    def value(found: re.Match[str]) -> str:
        nonlocal first
        name = found[1]
        if name.startswith("if:"):
            return ""
        text = values.get(name)
        said = name.removeprefix("param:")
        if text is None:
            raise Conflict(f"the command needs {said}, which is not given", _how(name))
        if "\0" in text:
            raise Conflict(f"{said} holds a NUL character, which no argument can")
        if found.start() == 0:
            first = name
        return text

    filled = _PLACE.sub(value, word)
    if first is not None and filled.startswith("-"):
        name = first.removeprefix("param:")
        if name not in dash:
            raise Conflict(
                f"{name} = {clean(filled, 60)!r} would be taken for an option of the command; nothing was sent",
                f'allow_dash = ["{name}"] in its options allows that',
            )
    return filled


def _how(name: str) -> str:
    if name == "business_date":
        return "give it as --date YYYY-MM-DD"
    return f"give it as --param {name.removeprefix('param:')}=VALUE" if name.startswith("param:") else ""


def shown(argv: Sequence[str]) -> list[str]:
    return [clean(word, 300) for word in argv]
