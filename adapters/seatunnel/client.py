"""The REST interface of a SeaTunnel cluster, wherever it lies: v2 (Jetty, below the url) or v1 (Hazelcast's own port).

Which one it is shows by what answers, never by a version. Both have the same paths below their prefix. v1 closes the
connection on paths that it does not know at its root and answers 400 with nothing below its prefix (seen live); v2 answers
with a page of HTML (from its source).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec

from adapters.errors import AdapterError, BadResponse, NotFound, Unreachable, Unsupported
from adapters.http import Answer, Http, Params, refusal, words
from adapters.seatunnel.wire import Job, LogLink, Paged, is_id, known, named

T = TypeVar("T")
V1: Final = "/hazelcast/rest/maps"
ROWS_FIRST: Final = 1_000
ROWS: Final = 200
"""Of a page of finished jobs, once those before are known."""
PAGES: Final = 50
NO_LOGS: Final = "this SeaTunnel has no REST path for logs: they lie in the logs folder of its nodes"


class Api:
    """``prefix`` None: nothing has answered yet."""

    def __init__(self, http: Http, secured: bool = False) -> None:
        """``secured``: whether a password goes along."""
        self.http, self.secured = http, secured
        self.prefix: str | None = None
        self.logs: bool | None = None
        """Whether it has a path for logs; None: not seen yet."""
        self._newest_first = False

    @property
    def generation(self) -> str:
        if self.prefix is None:
            return ""
        return "v1" if (self.http.base + self.prefix).endswith(V1) else "v2"

    # --- one question -----------------------------------------------------------------------------------------------

    async def where(self) -> str:
        """The prefix; found out at the first question."""
        if self.prefix is None:
            await self.overview()
        return self.prefix or ""

    async def overview(self) -> tuple[dict[str, Any], Answer]:
        """Every value a text. Looks for the interface again, so that a cluster that was upgraded is found."""
        tried = [self.prefix] if self.prefix is not None else [""] if self.http.base.endswith(V1) else ["", V1]
        first: AdapterError | None = None
        for prefix in tried:
            try:
                answer = await self._ask("GET", f"{prefix}/overview")
                found = answer.decode(dict[str, Any])
                if not {"projectVersion", "runningJobs"} & set(found):
                    raise BadResponse(words(f"an answer of another shape from {answer.where}"))
            except AdapterError as err:
                if not _elsewhere(err) or prefix == tried[-1]:
                    raise (first if first is not None and _elsewhere(err) else err) from None
                first = err
                continue
            self.prefix = prefix
            return found, answer
        raise AssertionError("unreachable")

    async def get(self, path: str, shape: type[T], params: Params | None = None) -> tuple[T, Answer]:
        answer = await self.ask(path, params)
        return answer.decode(shape), answer

    async def ask(self, path: str, params: Params | None = None) -> Answer:
        try:
            return await self._ask("GET", await self.where() + path, params)
        except NotFound:
            self.prefix = None
            raise

    async def _ask(self, method: str, path: str, params: Params | None = None) -> Answer:
        answer = await self.http.request(method, path, params=params)
        if 200 <= answer.status < 300:
            return answer
        raise said(self.http, answer)

    # --- jobs -------------------------------------------------------------------------------------------------------

    async def running(self) -> tuple[list[Job], Answer]:
        """All of them in one answer: what a page of these would be is not sure, and they are needed whole."""
        found, answer = await self.get("/running-jobs", list[Job] | Paged)  # type: ignore[arg-type]
        jobs = found.data if isinstance(found, Paged) else found
        return [named(job, answer.where) for job in jobs], answer

    async def finished(self, seen: Mapping[str, Any] | None = None) -> tuple[list[Job], Answer]:
        """Those that ended, the oldest first; by pages where the server knows pages, else all at once.

        ``seen``: id to signature of those known; where the newest come first, a page that ends with one of them as it was
        is the last one that is asked for, and the answer is what there is of new ones.
        """
        short = bool(seen) and self._newest_first
        rows = ROWS if short else ROWS_FIRST
        found: dict[str, Job] = {}
        for page in range(1, PAGES + 1):
            part, answer = await self.get("/finished-jobs", list[Job] | Paged, {"page": page, "rows": rows})  # type: ignore[arg-type]
            jobs = [named(job, answer.where) for job in (part.data if isinstance(part, Paged) else part)]
            found |= {job.id: job for job in jobs if job.id not in found}
            if not isinstance(part, Paged):
                self._newest_first = False
                break
            if page == 1:
                self._newest_first = _newest_first(jobs)
            if not jobs or page * rows >= part.total:
                break
            if short and self._newest_first and seen is not None and seen.get(jobs[-1].id) == signature(jobs[-1]):
                break
        else:
            raise BadResponse(f"more than {PAGES} pages of finished jobs")
        ordered = sorted(found.values(), key=lambda job: str(job.finish or ""))
        return ordered, answer

    async def job(self, native: str) -> tuple[Job, Answer]:
        """The job as it is now; NotFound where there is none of this id."""
        if not is_id(native):
            raise NotFound(words(f"{native} is no id of a SeaTunnel job"))
        found, answer = await self.get(f"/job-info/{native}", Job)
        job = known(found, answer.where)
        if job.id != native:
            raise BadResponse(words(f"job {job.id} was answered where {native} was asked for"))
        return job, answer

    # --- the rest ---------------------------------------------------------------------------------------------------

    async def members(self) -> tuple[list[dict[str, Any]], Answer]:
        return await self.get("/system-monitoring-information", list[dict[str, Any]])

    async def can_force(self) -> bool:
        """Whether a forced stop is known: by a path that came after it. Only asked when somebody wants it, or by doctor."""
        try:
            await self._ask("GET", await self.where() + "/pending-jobs")
        except (NotFound, BadResponse) as err:
            if err.status in (400, 404):
                return False
            raise
        return True

    async def log_names(self, native: str = "") -> list[LogLink]:
        """Log files of one job over all nodes. Unsupported where there is no path for logs."""
        try:
            path = f"/logs/{native}" if native else "/logs"
            found = await self._ask("GET", await self.where() + path, {"format": "json"})
        except (NotFound, BadResponse) as err:
            if err.status == 404 or (err.status == 400 and self.generation == "v1"):
                self.logs = False
                raise Unsupported(NO_LOGS) from None
            raise
        links = found.decode(list[LogLink])
        self.logs = True
        return links

    async def log_file(self, name: str) -> bytes | None:
        """The whole file as it is now on the node that the url names (there is no part of one); None: it is not there."""
        answer = await self.http.request(
            "GET", await self.where() + f"/log/{name}", headers={"Accept": "text/plain, */*"}
        )
        if answer.status == 400 and not answer.body:
            return None
        if not 200 <= answer.status < 300:
            raise said(self.http, answer)
        if answer.html:
            raise BadResponse(words(f"an HTML page where a log was expected from {answer.where}"))
        return answer.body


def said(http: Http, answer: Answer) -> AdapterError:
    """As the client words it, but Jetty's 404 is an HTML page, and a page is no reason to call it a bad answer."""
    secrets = http.auth.secrets if http.auth else ()
    if answer.status == 404:
        return NotFound(words(f"HTTP 404 from {answer.method} {answer.where}", secrets), status=404)
    if answer.status >= 500 and (text := message(answer)):
        what = words(f"HTTP {answer.status} from {answer.method} {answer.where}: {text}", secrets)
        return BadResponse(what, status=answer.status)
    return refusal(answer, secrets)


def message(answer: Answer) -> str:
    """What SeaTunnel says of its refusal, without the stack trace and the names of its exceptions."""
    try:
        body = msgspec.json.decode(answer.body, type=dict[str, Any])
    except msgspec.DecodeError:
        return ""
    line = str(body.get("message") or "").split("\n", 1)[0]
    return line.rpartition("Exception: ")[2].strip()


def signature(job: Job) -> tuple[str | None, str, str]:
    """What changes when anything that is shown of an ended job does."""
    return job.jobStatus, str(job.createTime), str(job.finish)


def _elsewhere(err: AdapterError) -> bool:
    """Nothing of SeaTunnel lies there: look at the other place."""
    if isinstance(err, Unreachable):
        return err.sent and "without an answer" in err.what
    return isinstance(err, NotFound) or (isinstance(err, BadResponse) and err.status == 400)


def _newest_first(jobs: list[Job]) -> bool:
    times = [str(job.finish) for job in jobs if job.finish is not None]
    return len(times) > 1 and times[0] > times[-1]
