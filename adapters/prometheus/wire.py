"""Shapes of the query API (Prometheus 2.42 seen live) and the one way to ask it: a POST of a form, GET where POST is refused."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from adapters.errors import BadResponse
from adapters.http import Answer, Http, refusal
from adapters.http import words as harmless

FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
Labels = tuple[tuple[str, str], ...]
"""Sorted, without ``__name__``."""


class QueryRefused(BadResponse):
    """The server understood the request and refuses this query (400, 422), or gave up on it (503 timeout)."""


class _Data(msgspec.Struct):
    resultType: str
    result: msgspec.Raw


class _Body(msgspec.Struct):
    status: str
    data: _Data | None = None
    errorType: str | None = None
    error: str | None = None
    warnings: list[str] | None = None


class _Series(msgspec.Struct):
    metric: dict[str, str]
    value: tuple[float, str] | None = None
    values: list[tuple[float, str]] | None = None


class Build(msgspec.Struct):
    """``data`` of ``/api/v1/status/buildinfo``."""

    version: str = ""


class BuildInfo(msgspec.Struct):
    data: Build | None = None


class Reading(msgspec.Struct, frozen=True):
    """One element of an answer: its labels and its points (ms, value); only what is a number."""

    labels: Mapping[str, str]
    points: tuple[tuple[int, float], ...]

    @property
    def key(self) -> Labels:
        return tuple(sorted((k, v) for k, v in self.labels.items() if k != "__name__"))


class Result(msgspec.Struct, frozen=True):
    """An answer. ``scalar``: it was a single number, which has no labels. ``odd``: labels of elements that are no numbers (NaN,
    infinite, histograms), which give no reading."""

    readings: tuple[Reading, ...]
    scalar: bool
    odd: tuple[Mapping[str, str], ...]
    warnings: tuple[str, ...]
    server_time: int | None


class Api:
    """The query API below a base URL. ``headers`` go with each request (a tenant)."""

    def __init__(self, http: Http, headers: Mapping[str, str], patience: str) -> None:
        self.http = http
        self._headers = dict(headers)
        self._patience = patience
        self._get = False

    async def now(self, query: str) -> Result:
        """What ``query`` is now. QueryRefused: the query; other errors: the server."""
        return _result(await self._ask("/api/v1/query", {"query": query, "timeout": self._patience}))

    async def range(self, query: str, since: int, until: int, step_ms: int) -> Result:
        """What it was in [since, until], one point a step; times in ms."""
        form = {
            "query": query,
            "start": f"{since / 1000:.3f}",
            "end": f"{until / 1000:.3f}",
            "step": f"{step_ms // 1000}s",
            "timeout": self._patience,
        }
        return _result(await self._ask("/api/v1/query_range", form))

    async def version(self) -> tuple[str, int | None]:
        """Its version, "" where it does not tell (not all that speak the query API do)."""
        answer = await self.http.request("GET", "/api/v1/status/buildinfo", headers=self._headers)
        if answer.status != 200:
            return "", answer.server_time
        try:
            found = answer.decode(BuildInfo)
        except BadResponse:
            return "", answer.server_time
        return harmless(found.data.version) if found.data else "", answer.server_time

    async def _ask(self, path: str, form: Mapping[str, str]) -> Answer:
        answer: Answer | None = None
        if not self._get:
            answer = await self.http.request(
                "POST", path, body=urlencode(form).encode(), headers={**FORM, **self._headers}
            )
            self._get = answer.status == 405  # a gateway that lets only reading through
        if self._get or answer is None:
            answer = await self.http.request("GET", path, params=dict(form), headers=self._headers)
        if answer.status == 200:
            return answer
        secrets = self.http.auth.secrets if self.http.auth else ()
        body = _body(answer)
        if body is not None and body.status == "error" and answer.status in (400, 422, 503):
            raise QueryRefused(harmless(body.error or body.errorType or "refused", secrets), status=answer.status)
        raise refusal(answer, secrets)


def _body(answer: Answer) -> _Body | None:
    try:
        return msgspec.json.decode(answer.body, type=_Body)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None


def _result(answer: Answer) -> Result:
    body = answer.decode(_Body)
    if body.status != "success" or body.data is None:
        raise BadResponse(
            harmless(f"{body.status}: {body.error or 'no data'} from {answer.where}"), status=answer.status
        )
    kind, raw = body.data.resultType, bytes(body.data.result)
    found: list[_Series] = []
    wrong = ""
    try:
        if kind in ("scalar", "string"):
            found = [_Series({}, msgspec.json.decode(raw, type=tuple[float, str]))]
        elif kind in ("vector", "matrix"):
            found = msgspec.json.decode(raw, type=list[_Series])
        else:
            wrong = f"a result of kind {kind}"
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        wrong = f"an answer of another shape ({error})"
    if wrong:
        raise BadResponse(harmless(f"{wrong} from {answer.where}"), status=answer.status)
    readings: list[Reading] = []
    odd: list[Mapping[str, str]] = []
    for one in found:
        points = tuple(_points(one.values if one.values is not None else [one.value] if one.value else []))
        if points:
            readings.append(Reading(one.metric, points))
        else:
            odd.append(one.metric)
    said = tuple(harmless(text) for text in body.warnings or ())
    return Result(tuple(readings), kind in ("scalar", "string"), tuple(odd), said, answer.server_time)


def _points(values: Iterable[tuple[float, str]]) -> Iterable[tuple[int, float]]:
    for t, text in values:
        try:
            value = float(text)
        except ValueError:
            continue
        if isfinite(value) and isfinite(t):
            yield int(t * 1000), value


# --- queries ----------------------------------------------------------------------------------------------------------

_QUOTED: Final = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|`[^`]*`")
_PAIRS: Final = {")": "(", "]": "[", "}": "{"}


def slip(text: str) -> str | None:
    """What a PromQL query has wrong that can be seen without a parser: quotes and brackets that do not close."""
    bare = re.sub(r"#.*", "", _QUOTED.sub("x", text))
    quote = re.search(r"[\"'`]", bare)
    if quote:
        return f"the quote {quote[0]} is not closed"
    open_: list[str] = []
    for char in bare:
        if char in "([{":
            open_.append(char)
        elif char in _PAIRS and (not open_ or open_.pop() != _PAIRS[char]):
            return f"there is a {char} without its {_PAIRS[char]}"
    if open_:
        return f"the {open_[-1]} is not closed"
    return None if bare.strip() else "it is empty"


def labelled(query: str, label: str, value: str) -> str:
    """``query`` whose answers carry one label more. On lines of its own: it may end in a comment."""
    return f'label_replace(\n{query}\n, "{label}", "{value}", "", "")'


def one_of(names: Sequence[str]) -> str:
    """A matcher's value for any of these names, quoted."""
    pattern = "|".join(re.escape(name) for name in names)
    return '"' + pattern.replace("\\", "\\\\").replace('"', '\\"') + '"'


def clause(result: Result, what: str) -> str:
    """Why an answer has no reading, in a clause."""
    if result.odd:
        return f"{what} is no number now (NaN or infinite): no reading"
    return f"{what} has no data now: the answer is empty"


def shown(value: Any) -> str:
    """A label's value inside a name: one harmless, short piece."""
    text = harmless(str(value)).replace("{", "(").replace("}", ")")
    return text if len(text) <= 60 else text[:59] + "…"
