"""How DSS is asked: its base path, its credentials, and its own habits when it refuses.

An API key is the user of HTTP Basic with an empty password; a JWT is sent as Bearer. Which of the three sorts a key is of
(personal, project, global) is not told by the key: ``probe`` finds it out.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar
from urllib.parse import quote

import msgspec

from adapters.auth import known_auth
from adapters.base import Secret
from adapters.errors import AuthFailed, NotFound
from adapters.http import Answer, Http, Params, refusal, words
from adapters.shared import reveal

T = TypeVar("T")
API: Final = "/dip/publicapi"
_MISSING: Final = ("notfound", "not found", "does not exist", "doesn't exist", "unknown scenario", "unknown project")
_HINT: Final = "give this source a new API key (auth.key): keys are made, and end, in DSS itself"


def segment(native: str) -> str:
    """A native id as one path segment."""
    return quote(native, safe="")


def project_path(project: str) -> str:
    return f"{API}/projects/{segment(project)}"


def scenario_path(project: str, scenario: str) -> str:
    return f"{project_path(project)}/scenarios/{segment(scenario)}"


def dataset_path(project: str, dataset: str) -> str:
    return f"{project_path(project)}/datasets/{segment(dataset)}"


def job_path(project: str, job: str) -> str:
    return f"{project_path(project)}/jobs/{segment(job)}"


async def together(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """All at once, as far as the client lets them; the first that fails ends those that have not been asked yet."""
    failure: BaseException
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(call) for call in calls]
    except BaseExceptionGroup as failed:
        failure = failed.exceptions[0]
    else:
        return [task.result() for task in tasks]
    raise failure


class _Said(msgspec.Struct, rename="camel"):
    error_type: Any = None
    message: Any = None
    detailed_message: Any = None


class KeyAuth:
    """``auth.key`` (an API key) or ``auth.token`` (a JWT). Asked from its reference again when it is refused."""

    def __init__(self, auth: Mapping[str, str | Secret]) -> None:
        known_auth(auth, "key", "token")
        self._key = auth.get("key")
        self._token = auth.get("token")
        self._headers: dict[str, str] | None = None
        self._seen: list[str] = []
        self._lock = asyncio.Lock()

    def __repr__(self) -> str:
        return "KeyAuth()"

    @property
    def secrets(self) -> Sequence[str]:
        return self._seen

    @property
    def shown(self) -> str:
        """How the header looks in a plan."""
        return "Bearer ****" if self._key is None and self._token is not None else "Basic ****"

    async def headers(self, http: Http) -> Mapping[str, str]:
        if self._headers is None:
            async with self._lock:
                if self._headers is None:
                    self._headers = await self._make()
        return self._headers

    async def again(self, http: Http, answer: Answer, used: Mapping[str, str]) -> bool:
        """Only 401: 403 is about a right, which a new reading of the same key does not change."""
        if answer.status != 401:
            return False
        async with self._lock:
            if self._headers != dict(used):
                return self._headers is not None
            fresh = await self._make()
            if not fresh or fresh == self._headers:
                return False
            self._headers = fresh
            return True

    async def _make(self) -> dict[str, str]:
        if self._key is not None:
            key = self._keep(await reveal(self._key))
            return {"Authorization": f"Basic {self._keep(base64.b64encode(f'{key}:'.encode()).decode())}"}
        if self._token is not None:
            return {"Authorization": f"Bearer {self._keep(await reveal(self._token))}"}
        return {}

    def _keep(self, secret: str) -> str:
        if secret and secret not in self._seen:
            self._seen = [*self._seen[-7:], secret]
        return secret


class DssHttp(Http):
    """The one client, with DSS's habits: 500 for some things that are not there, 401 for a key that has ended."""

    accepted: int | None = None
    """Server time, ms UTC, of the last answer to this credential that was not 401."""
    refused: int | None = None
    """Server time of the first 401 since then."""

    async def ask(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        auth: bool = True,
    ) -> Answer:
        """As ``Http.ask``; a 401 says since when, by the server's own clock."""
        answer = await self.request(method, path, params=params, body=body, headers=headers, auth=auth)
        if answer.status == 401:
            raise self._not_accepted(answer)
        if 200 <= answer.status < 300:
            self.accepted, self.refused = answer.server_time or self.accepted, None
            return answer
        secrets = self.auth.secrets if self.auth else ()
        if answer.status == 500 and _not_there(answer):
            raise NotFound(words(f"not there: {answer.method} {answer.where}", secrets), status=500)
        raise refusal(answer, secrets)

    def _not_accepted(self, answer: Answer) -> AuthFailed:
        if self.refused is None:
            self.refused = answer.server_time
        since = f" since {_clock(self.refused)}" if self.refused is not None else ""
        if self.accepted is None:
            what = f"HTTP 401{since}: DSS does not know this API key"
        else:
            what = f"HTTP 401{since}: the API key has expired or was revoked; last accepted {_clock(self.accepted)}"
        return AuthFailed(what, _HINT, status=401)

    async def text(self, path: str, params: Params | None = None) -> bytes:
        """A log. BadResponse where a login page comes instead."""
        answer = await self.ask("GET", path, params=params, headers={"Accept": "text/plain"})
        kind = answer.headers.get("content-type", "")
        if "html" in kind or answer.body[:15].lstrip().lower().startswith((b"<!doctype html", b"<html")):
            answer.decode(dict)  # raises with the words for an HTML page
        return answer.body


def _clock(at: int | None) -> str:
    return "?" if at is None else datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _not_there(answer: Answer) -> bool:
    """A 500 whose own words say that the thing is not there (older DSS)."""
    try:
        said = msgspec.json.decode(answer.body, type=_Said)
    except msgspec.DecodeError:
        return False
    text = f"{said.error_type or ''} {said.message or ''} {said.detailed_message or ''}".lower()
    return any(word in text for word in _MISSING)
