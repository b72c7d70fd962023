"""All Jobs, or all CronJobs, of the watched namespaces, kept up to date.

Listed once, 500 a page from one consistent version; from then on one ``watch`` a look, which brings what changed and
ends after a second. Where the cluster no longer knows the version (410 Gone) it is listed again. Nothing is taken of an
answer that did not come whole. Each change has a number that only rises, which is what a cursor holds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final, Generic, TypeVar

import msgspec

from adapters.errors import BadResponse, Forbidden
from adapters.http import Answer, Http, Params, refusal, words
from adapters.kubernetes.wire import CronJob, CronJobs, Job, Jobs, ListMeta, Status

PAGE: Final = 500
PAGES_AT_MOST: Final = 400
WATCH_S: Final = 1
_RESTARTS: Final = 2
_REMEMBERED: Final = 2_000
ALL: Final = "*"

T = TypeVar("T", Job, CronJob)


class Gone(BadResponse):
    """410: the version, or the rest of a list, is no longer kept. Never leaves this package."""


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


class _Versioned(msgspec.Struct):
    metadata: ListMeta


def path(resource: str, namespace: str, name: str = "") -> str:
    """Of ``jobs`` or ``cronjobs`` (batch/v1) or ``pods`` (v1): all namespaces with ``*``."""
    base = "/api/v1" if resource == "pods" else "/apis/batch/v1"
    where = "" if namespace == ALL else f"/namespaces/{namespace}"
    return f"{base}{where}/{resource}" + (f"/{name}" if name else "")


async def get(http: Http, where: str, params: Params | None = None) -> Answer:
    """A GET that must succeed; 410 is ``Gone``."""
    answer = await http.request("GET", where, params=params)
    if 200 <= answer.status < 300:
        return answer
    err = refusal(answer, http.auth.secrets if http.auth else ())
    if answer.status == 410:
        raise Gone(err.what, status=410)
    raise err


P = TypeVar("P", bound=msgspec.Struct)


async def pages(
    http: Http, where: str, shape: type[P], params: Mapping[str, str | int] | None = None
) -> tuple[list[P], str | None]:
    """Every page of a list, and the version that it is of. Begun again where the rest of it has gone meanwhile, and with
    smaller pages where one is too long to be read."""
    limit = PAGE
    for restart in range(_RESTARTS + 1):
        found: list[P] = []
        asked: dict[str, str | int] = {**(params or {}), "limit": limit}
        try:
            while True:
                answer = await get(http, where, asked)
                page = answer.decode(shape)
                found.append(page)
                meta: ListMeta | None = getattr(page, "metadata", None)
                if meta is None or not meta.continue_:
                    return found, meta.resource_version if meta else None
                if len(found) >= PAGES_AT_MOST:
                    raise BadResponse(words(f"more than {len(found) * limit} objects from {where}"))
                asked["continue"] = meta.continue_
        except BadResponse as err:
            too_long = err.status is None and "MiB" in err.what
            if restart == _RESTARTS or not (too_long or isinstance(err, Gone)):
                raise
            limit = limit // 5 if too_long else limit
    raise AssertionError("unreachable")


class Known(Generic[T]):
    """``items`` by namespace and name, as of the last ``refresh``; ``number`` of the latest change."""

    def __init__(self, resource: str, one: type[T], many: type[Jobs] | type[CronJobs], namespaces: tuple[str, ...]):
        self.resource = resource
        self.items: dict[tuple[str, str], T] = {}
        self.number = 0
        self.numbers: dict[tuple[str, str], int] = {}
        self.gone: deque[tuple[int, T]] = deque(maxlen=_REMEMBERED)
        """Deleted before our eyes, as they were then, with the number of that change."""
        self.refused: dict[str, Forbidden] = {}
        self.unwatched: set[str] = set()
        """Namespaces in which this may be listed and not watched: there the whole list is read at each look."""
        self._one, self._many = one, many
        self._namespaces = namespaces
        self._versions: dict[str, str | None] = {}

    @property
    def listed(self) -> bool:
        return any(v is not None for v in self._versions.values())

    async def refresh(self, http: Http) -> None:
        """Forbidden where no namespace may be read; one that may not is kept in ``refused``."""
        for namespace in self._namespaces:
            try:
                await self._look(http, namespace)
            except Forbidden as err:
                self.refused[namespace] = self._named(err, namespace)
                self._forget(namespace)
            else:
                self.refused.pop(namespace, None)
        if len(self.refused) == len(self._namespaces):
            raise next(iter(self.refused.values()))

    async def _look(self, http: Http, namespace: str) -> None:
        version = self._versions.get(namespace)
        if version is not None and namespace not in self.unwatched:
            try:
                await self._watch(http, namespace, version)
                return
            except Gone:
                self._versions[namespace] = None
            except Forbidden:
                self.unwatched.add(namespace)
            except BadResponse as err:
                if (
                    err.status is None or err.status < 500
                ):  # too much of it, or none that can be read: the list next time
                    self._versions[namespace] = None
                raise
        await self._list(http, namespace)

    async def _list(self, http: Http, namespace: str) -> None:
        found, version = await pages(http, path(self.resource, namespace), self._many)
        there: dict[tuple[str, str], T] = {}
        for page in found:
            for item in page.items:
                there[(item.metadata.namespace, item.metadata.name)] = item  # type: ignore[assignment]
        for key in [k for k in self.items if namespace in (ALL, k[0]) and k not in there]:
            self._drop(key)
        for key, item in there.items():
            before = self.items.get(key)
            told = item.metadata.resource_version
            if before is None or told is None or before.metadata.resource_version != told:
                self._put(key, item)
        self._versions[namespace] = version

    async def _watch(self, http: Http, namespace: str, version: str) -> None:
        asked: Params = {
            "watch": "1",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": WATCH_S,
        }
        answer = await get(http, path(self.resource, namespace), asked)
        changes: list[tuple[str, T]] = []
        for line in answer.body.splitlines():
            if not line.strip():
                continue
            kind, item, at = self._event(answer, line)
            version = at or version
            if item is not None:
                changes.append((kind, item))
        for kind, item in changes:
            key = (item.metadata.namespace, item.metadata.name)
            if kind == "DELETED":
                self._drop(key)
                self.number += 1
                self.gone.append((self.number, item))
            else:
                self._put(key, item)
        self._versions[namespace] = version

    def _event(self, answer: Answer, line: bytes) -> tuple[str, T | None, str | None]:
        """One line of a watch: what happened, to what, and the version after it."""
        wrong = ""
        try:
            event = msgspec.json.decode(line, type=_Event)
            if event.type == "ERROR":
                status = msgspec.json.decode(event.object, type=Status)
                if status.code == 410 or status.reason in ("Expired", "Gone"):
                    raise Gone(words(status.message or "the version is gone"), status=410)
                raise BadResponse(words(f"the watch of {self.resource} ended: {status.message}"), status=status.code)
            if event.type == "BOOKMARK":
                return event.type, None, msgspec.json.decode(event.object, type=_Versioned).metadata.resource_version
            item = msgspec.json.decode(event.object, type=self._one)
            return event.type, item, item.metadata.resource_version
        except msgspec.ValidationError as err:
            wrong = f"an answer of another shape ({err})"
        except msgspec.DecodeError:
            wrong = "an HTML page where JSON was expected" if answer.html else "truncated or broken JSON"
        raise BadResponse(words(f"{wrong} from {answer.where}"), status=answer.status)

    def _put(self, key: tuple[str, str], item: T) -> None:
        self.number += 1
        self.items[key], self.numbers[key] = item, self.number

    def _drop(self, key: tuple[str, str]) -> None:
        self.items.pop(key, None)
        self.numbers.pop(key, None)

    def _forget(self, namespace: str) -> None:
        self._versions.pop(namespace, None)
        for key in [k for k in self.items if namespace in (ALL, k[0])]:
            self._drop(key)

    def _named(self, err: Forbidden, namespace: str) -> Forbidden:
        """What is refused, before the API's own long words."""
        where = "all namespaces" if namespace == ALL else namespace
        return Forbidden(
            words(f"may not list {self.resource}.batch in {where}: {err.what}"), err.hint, status=err.status
        )

    def notes(self) -> list[str]:
        """What may not be read, in clauses."""
        found = [err.what for err in self.refused.values()]
        if self.unwatched:
            where = ", ".join(sorted(self.unwatched))
            found.append(
                words(f"{self.resource} may be listed and not watched in {where}: whole lists are read each time")
            )
        return found
