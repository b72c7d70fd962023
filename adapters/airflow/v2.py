"""Which Airflow answers, and what is different about an Airflow 2.

Airflow 3 has ``/api/v2``, Airflow 2 has ``/api/v1``. The two are so alike that everything else is written for ``/api/v2``; the
path is the older one where an Airflow 2 answers. Seen live on 2.11.2 and 3.3.2; what is done for older releases of 2.x (``since``)
is from their documentation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from adapters.airflow.wire import Version
from adapters.errors import AdapterError, BadResponse, Forbidden, NotFound
from adapters.http import Answer, Http, Params, refusal
from adapters.model import Verb

if TYPE_CHECKING:
    from adapters.airflow.auth import TokenAuth

NEWER: Final = "/api/v2/"
OLDER: Final = "/api/v1/"
HEALTH: Final = "/api/v2/monitor/health"
NOBODY: Final = "watchfloor-asks-what-it-may"
"""The id of a DAG that is nowhere: asked about it, Airflow 2 answers 403 to whom may not, and 404 to whom may."""
_ASKED: Final[Mapping[str, tuple[str, str, Any]]] = {
    Verb.PAUSE: ("PATCH", "?update_mask=is_paused", {"is_paused": True}),
    Verb.START: ("POST", "/dagRuns", {}),
    Verb.STOP: ("PATCH", "/dagRuns/none", {"state": "failed"}),
    Verb.RERUN: ("POST", "/dagRuns/none/clear", {"dry_run": True}),
    Verb.RERUN_FAILED: ("POST", "/clearTaskInstances", {"dry_run": True, "dag_run_id": "none"}),
}
_SAME: Final = {Verb.RESUME: Verb.PAUSE, Verb.RERUN_FROM: Verb.RERUN_FAILED, Verb.MARK: Verb.STOP}


class AirflowHttp(Http):
    """The client of one Airflow. Before its first request of the API it finds out which generation answers.

    ``forced`` 2 or 3: not asked. ``release`` is (2, 11) of a 2.11.2, None while it is not known.
    """

    def __init__(self, base: str, credential: TokenAuth, *, forced: int = 0, **more: Any) -> None:
        super().__init__(base, auth=credential, **more)
        self.credential = credential
        self._forced = forced
        self.generation = forced
        self.version = ""
        self._asking = asyncio.Lock()
        self._may: dict[str, bool | None] = {}

    @property
    def release(self) -> tuple[int, int] | None:
        head = self.version.split(".")
        return (int(head[0]), int(head[1])) if len(head) > 1 and head[0].isdigit() and head[1].isdigit() else None

    def since(self, major: int, minor: int) -> bool:
        """Whether it is at least this release; one that is not known is taken for new."""
        return self.release is None or self.release >= (major, minor)

    @property
    def changed(self) -> str:
        """Of Airflow 2: the parameter that asks for runs changed since a time. Before 2.6 only for those that ended since:
        what else changes is active, and asked for by itself (not seen live)."""
        return "updated_at_gte" if self.since(2, 6) else "end_date_gte"

    def url(self, path: str) -> str:
        return super().url(older(path) if self.generation == 2 else path)

    async def settle(self) -> int:
        """2 or 3. NotFound where neither answers, or as the request failed."""
        if not self.generation:
            async with self._asking:
                if not self.generation:
                    self.generation = await self._find_out()
        return self.generation

    async def ask_version(self) -> str:
        """Its version, asked now."""
        if self._forced:
            sent = self.credential.comes_first
            found, _ = await self.get("/api/v2/version", Version, auth=sent)
            self.version = found.version
        else:
            self.generation = 0
            await self.settle()
        return self.version

    async def _find_out(self) -> int:
        """Both tell their version to anybody; a gateway before them may want to see the token first."""
        sent = self.credential.comes_first
        newer = await super().request("GET", f"{NEWER}version", auth=sent)
        if newer.status not in (404, 405) and not newer.html:
            self.version = self._version(newer)
            return 3
        answer = await super().request("GET", f"{OLDER}version", auth=sent)
        if answer.status == 200 and not answer.html:
            self.version = self._version(answer)
            return 2
        if newer.status == 200 or answer.status not in (200, 404, 405, 410):
            self._version(newer if newer.status == 200 else answer)
        what = f"there is no Airflow API at {self.base}"
        raise NotFound(what, "url is where Airflow's own pages are, without /api", status=404)

    def _version(self, answer: Answer) -> str:
        if not 200 <= answer.status < 300:
            refused = refusal(answer, self.credential.secrets)
            if answer.status in (401, 403) and not self.credential.comes_first:
                refused.hint = 'a gateway hides which Airflow this is: say options = { api = "v1" } (Airflow 2) or "v2"'
            raise refused
        return answer.decode(Version).version

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        auth: bool = True,
    ) -> Answer:
        if path.startswith((NEWER, OLDER)):
            await self.settle()
        try:
            answer = await super().request(method, path, params=params, body=body, headers=headers, auth=auth)
        except BadResponse as err:  # Identity-Aware Proxy sends an expired token to a login page (not seen live)
            away = err.status is not None and 300 <= err.status < 400
            if not (away and auth and await self.credential.renew(self)):
                raise
            answer = await super().request(method, path, params=params, body=body, headers=headers, auth=auth)
        if (
            answer.status == 404
            and not self._forced
            and (answer.html or b"has been removed in Airflow 3" in answer.body)
        ):
            self.generation = 0  # it was upgraded, or something else stands there now: found out anew
        return answer

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
        try:
            return await super().ask(method, path, params=params, body=body, headers=headers, auth=auth)
        except Forbidden as err:
            if self.generation == 2:
                err.hint = "Airflow 2 says this to a wrong password too: check the credential, then its role"
            raise

    async def may(self) -> dict[str, bool | None]:
        """What this credential may do, by asking it of a DAG that is nowhere: nothing can happen. None: it cannot be told,
        or the answer was another. Asked once: Airflow writes such requests into its audit log. For Airflow 2."""
        if self._may:
            return self._may
        found: dict[str, bool | None] = {}
        for verb, (method, path, body) in _ASKED.items():
            try:
                answer = await self.request(method, f"{NEWER}dags/{NOBODY}{path}", body=body)
            except AdapterError:
                found[verb] = None
                continue
            found[verb] = {403: False, 404: True}.get(answer.status) if not answer.html else None
        self._may = found | {verb: found[like] for verb, like in _SAME.items()}
        return self._may


def older(path: str) -> str:
    """A path of ``/api/v2`` as ``/api/v1`` has it."""
    if path.startswith(HEALTH):
        return "/api/v1/health" + path.removeprefix(HEALTH)
    return OLDER + path.removeprefix(NEWER) if path.startswith(NEWER) else path


def run_url(base: str, dag: str, run: str) -> str:
    """Airflow 2's own page of a run; both ids as URL segments."""
    return f"{base}/dags/{dag}/grid?dag_run_id={run}"
