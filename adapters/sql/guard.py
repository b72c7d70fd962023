"""What a query may be: one statement that reads. Seen in its text alone, before anybody is asked.

It keeps a slip from reaching the database; it is no wall against somebody who wants to write. The wall is a user who may only
read: a function that a SELECT calls does what its owner may.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

FIRST: Final = ("SELECT", "WITH", "SHOW", "EXPLAIN", "VALUES")
_WRITES: Final = "INSERT UPDATE DELETE MERGE REPLACE TRUNCATE CREATE ALTER DROP GRANT REVOKE CALL EXECUTE COPY DO LOCK"
_BATCH: Final = (
    "INSERT UPDATE DELETE MERGE TRUNCATE CREATE ALTER DROP GRANT REVOKE DENY EXEC EXECUTE BACKUP RESTORE SHUTDOWN KILL DBCC BULK"
    " WAITFOR SET DECLARE COMMIT ROLLBACK BEGIN SAVE RECONFIGURE WRITETEXT UPDATETEXT USE"
)
WRITES: Final = frozenset(re.findall(r"\w+", _WRITES))
BATCH: Final = frozenset(re.findall(r"\w+", _BATCH))
"""Reserved words of T-SQL with which a further statement would begin: it needs no semicolon between two."""
AFTER: Final = {"USE": ("HINT", "PLAN"), "MERGE": ("JOIN", "UNION")}
"""Words of ``BATCH`` that are hints where these follow."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a database's text is cut into words. ``nested``: comments lie in comments; ``dollar``: $tag$ … $tag$ (PostgreSQL), or
    $$ alone; ``bracket``: [x] is a name; ``escape``: a backslash takes the next character of a string along."""

    name: str
    nested: bool = False
    dollar: bool = False
    bracket: bool = False
    tick: bool = False
    slashes: bool = False
    escape: bool = False
    e_escape: bool = False
    q_quote: bool = False
    batch: bool = False
    pipe: bool = False


DIALECTS: Final = {
    d.name: d
    for d in (
        Dialect("postgresql", nested=True, dollar=True, e_escape=True),
        Dialect("sqlite", bracket=True, tick=True),
        Dialect("oracle", q_quote=True),
        Dialect("sqlserver", nested=True, bracket=True, batch=True),
        Dialect("snowflake", slashes=True, escape=True, dollar=True, pipe=True),
    )
}
_WORD: Final = re.compile(r"[^\W\d][\w$#]*")
_DOLLAR: Final = re.compile(r"\$(?:[^\W\d]\w*)?\$")
_Q: Final = re.compile(r"[nN]?[qQ]'(.)", re.S)
_CLOSE: Final = {"[": "]", "{": "}", "(": ")", "<": ">"}


class Unclosed(ValueError):
    """``str`` is a clause: what is open at the end."""


@dataclass(frozen=True, slots=True)
class Token:
    """A word in capitals, or one mark. ``dotted``: a point stands before it, so that it is part of a name."""

    text: str
    at: int
    depth: int
    dotted: bool = False

    @property
    def word(self) -> bool:
        return self.text[0].isalpha() or self.text[0] == "_"


def wrong(text: str, dialect: Dialect) -> str | None:
    """Why this is not asked, in one clause; None: it may be."""
    try:
        tokens = list(_tokens(text, dialect))
    except Unclosed as error:
        return str(error)
    while tokens and tokens[-1].text == ";":
        tokens.pop()
    if any(t.text == ";" for t in tokens):
        return "it holds more than one statement: write a [[series]] for each"
    if not tokens:
        return "it is empty"
    first = next((t for t in tokens if t.text != "("), tokens[0]).text
    if first not in FIRST:
        shown = first[:40] if first.isprintable() else "something else"
        return f"it begins with {shown}: asked are only {', '.join(FIRST)}"
    return _writes(tokens, first, dialect)


def wrong_anywhere(text: str) -> str | None:
    """``wrong`` where the database is not known: only what is wrong for each of them."""
    said = [wrong(text, dialect) for dialect in DIALECTS.values()]
    return said[0] if all(said) else None


def bare(text: str, dialect: Dialect) -> str:
    """The statement without semicolons and comments at its end (Oracle takes no semicolon)."""
    end = len(text)
    for token in reversed(list(_tokens(text, dialect))):
        if token.text != ";":
            break
        end = token.at
    return text[:end].strip()


def first_word(text: str, dialect: Dialect) -> str:
    return next((t.text for t in _tokens(text, dialect) if t.word), "")


def _writes(tokens: Sequence[Token], first: str, dialect: Dialect) -> str | None:
    reads = first in ("SELECT", "VALUES", "SHOW")
    """Whether the word that says what the statement does was seen: words like update may be names after it."""
    before = ""
    for i, token in enumerate(tokens):
        after = tokens[i + 1].text if i + 1 < len(tokens) else ""
        two = tokens[i - 2].text if i > 1 else ""
        word = token.text
        if not token.word or token.dotted:
            if dialect.pipe and word == "->>" and after not in FIRST:
                return f"it goes on with {after or 'nothing'} after ->>: only {', '.join(FIRST)} may follow"
            before = word
            continue
        if word == "INTO":
            return "it writes: INTO makes or fills a table"
        if before == "FOR" and word in ("UPDATE", "SHARE", "NO", "KEY"):
            return f"it locks rows: FOR {word}"
        if dialect.batch and word in BATCH and after not in AFTER.get(word, ()):
            return f"it holds {word}, which begins a statement of its own here: put it into [ ] where it is a name"
        if word in WRITES and before == "(" and two in ("AS", "MATERIALIZED") and after != ")":
            return f"it writes: {word} inside WITH"
        if not reads and token.depth == 0 and i and word in ("SELECT", "VALUES"):
            reads = True
        elif not reads and token.depth == 0 and word in WRITES:
            return f"it writes: {word} after {first}"
        before = word
    return None


def _tokens(text: str, dialect: Dialect) -> Iterator[Token]:
    """Words and marks outside comments and quotes. What is quoted is one mark, ``'``, so that no name lies beside another."""
    i, depth, dotted = 0, 0, False
    while i < len(text):
        char = text[i]
        if char.isspace():
            i += 1
            continue
        if text.startswith("--", i) or (dialect.slashes and text.startswith("//", i)):
            end = text.find("\n", i)
            i = len(text) if end < 0 else end
            continue
        if text.startswith("/*", i):
            i = _comment(text, i, dialect.nested)
            continue
        begin, i, dot = i, _quoted(text, i, dialect), dotted
        dotted = char == "."
        if i > begin:
            yield Token("'", begin, depth, dot)
        elif found := _WORD.match(text, begin):
            i = found.end()
            yield Token(found[0].upper(), begin, depth, dot)
        elif text.startswith("->>", begin):
            i = begin + 3
            yield Token("->>", begin, depth)
        else:
            i = begin + 1
            depth = max(0, depth - (char == ")"))
            yield Token(char, begin, depth, dot)
            depth += char == "("


def _comment(text: str, i: int, nested: bool) -> int:
    depth, at = 1, i + 2
    while depth:
        close, inner = text.find("*/", at), text.find("/*", at) if nested else -1
        if close < 0:
            raise Unclosed("the comment /* is not closed")
        if 0 <= inner < close:
            depth, at = depth + 1, inner + 2
        else:
            depth, at = depth - 1, close + 2
    return at


def _quoted(text: str, i: int, dialect: Dialect) -> int:
    """Behind what is quoted from ``i`` on; ``i`` where nothing is."""
    char = text[i]
    if dialect.q_quote and (found := _Q.match(text, i)):
        end = text.find(_CLOSE.get(found[1], found[1]) + "'", found.end())
        if end < 0:
            raise Unclosed("the quote q' is not closed")
        return end + 2
    if dialect.dollar and char == "$" and (found := _DOLLAR.match(text, i)):
        end = text.find(found[0], found.end())
        if end < 0:
            raise Unclosed(f"the quote {found[0]} is not closed")
        return end + len(found[0])
    e_string = dialect.e_escape and char in "eE" and text.startswith("'", i + 1)
    quote = "'" if e_string else char
    closing = {"'": "'", '"': '"'} | ({"[": "]"} if dialect.bracket else {}) | ({"`": "`"} if dialect.tick else {})
    if quote not in closing:
        return i
    escapes = quote == "'" and (dialect.escape or e_string)
    at = i + 1 + e_string
    while at < len(text):
        if escapes and text[at] == "\\":
            at += 2
        elif text[at] != closing[quote]:
            at += 1
        elif text.startswith(closing[quote], at + 1) and not (quote == "[" and dialect.name == "sqlite"):
            at += 2
        else:
            return at + 1
    raise Unclosed(f"the quote {quote} is not closed")
