"""Numbers that an HTTP endpoint gives: JSON, a text, its status, how long it takes, its certificate, Prometheus exposition.

Each path is asked once an ask, whatever number of queries look at its answer. Read only: a POST is made where the
options name its path, and never otherwise.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, cast
from urllib.parse import urlsplit

from adapters.auth import HeaderAuth
from adapters.base import Probe, SourceSettings
from adapters.errors import AdapterError, BadResponse, RateLimited, Unreachable
from adapters.extras import Readings, SeriesQuery
from adapters.http import Answer, Http, refusal, words
from adapters.measuring import MeasuringAdapter
from adapters.model import Sample
from adapters.probes.base import Labelled, as_series, known_options, now_ms, seconds, wrong_text
from adapters.probes.exposition import Wanted
from adapters.probes.matching import TAIL, Found, Matcher
from adapters.probes.regex import Regex, before_regex, wrong_regex
from adapters.probes.values import JsonPath, NoValue, document
from adapters.tls import certificate_ends

JSON: Final = ("GET", "POST")
WORDS: Final = (*JSON, "status", "ms", "certificate", "text", "metric")
AT_ONCE: Final = 4
MAX_BODY: Final = 8 << 20
TIMEOUTS: Final = {"connect_timeout": 5.0, "read_timeout": 10.0, "total_timeout": 15.0}
MOST_S: Final = 30.0
ASK_S: Final = 35.0
"""For all requests of one ask; what has not begun by then is not asked."""
DAY_MS: Final = 86_400_000
Asked = tuple[str, str]
"""Method and path."""


@dataclass(frozen=True, slots=True)
class Query:
    what: str
    path: str
    json: JsonPath | None = None
    regex: Regex | None = None
    wanted: Wanted | None = None

    @property
    def asked(self) -> Asked:
        return ("POST" if self.what == "POST" else "GET", self.path)

    @classmethod
    def parse(cls, text: str) -> Query:
        """ValueError: a clause on what is wrong."""
        what, _, rest = text.strip().partition(" ")
        rest = rest.strip()
        if what not in WORDS:
            raise ValueError(f"it begins with one of {' '.join(WORDS)}")
        path, _, more = rest.partition(" ")
        more = more.strip()
        if what == "certificate" and not path:
            path = "/"
        if not path.startswith("/") or not path.isprintable() or path.startswith("//"):
            raise ValueError(f"expected a path like /stats after {what}")
        if what in JSON:
            return cls(what, path, json=JsonPath.parse(more))
        if what == "text":
            found = before_regex(rest)
            if found is None or " " in found[0]:
                raise ValueError("expected text /path /REGEX/")
            regex = Regex(found[1], found[2])
            if wrong := wrong_regex(regex):
                raise ValueError(wrong)
            return cls(what, found[0], regex=regex)
        if what == "metric":
            return cls(what, path, wanted=Wanted.parse(more))
        if more:
            raise ValueError(f"expected nothing after the path, got {words(more)[:40]!r}")
        return cls(what, path)


@dataclass(frozen=True, slots=True)
class _Reply:
    """An answer and how long it took; or why there is none. ``status``: also where the answer could not be taken."""

    answer: Answer | None
    ms: float
    error: AdapterError | None = None

    @property
    def status(self) -> int | None:
        return self.answer.status if self.answer else self.error.status if self.error else None


class HttpAdapter(MeasuringAdapter):
    """``url`` is the base of all paths. ``options``: ``probe`` = a query that must have an answer while all is well, like
    ``GET /health .status``, or a plain path (default: the base, any answer but a refusal); ``post`` = path → body of each POST that may be
    made; ``headers`` = further headers; ``connect_timeout``, ``read_timeout``, ``total_timeout`` in seconds."""

    kind: ClassVar[str] = "http"
    nothing: ClassVar[str] = "this endpoint is only read; it runs nothing"

    def __init__(self, settings: SourceSettings, *, transport: Any = None) -> None:
        super().__init__(settings)
        o = settings.options
        known_options(o, "probe", "post", "headers", *TIMEOUTS)
        limits = {name: seconds(o, name, default, MOST_S) for name, default in TIMEOUTS.items()}
        self._probe = _probe(o.get("probe", ""))
        self._posts = _posts(o.get("post", {}))
        self._headers = {"Accept": "application/json, text/plain;q=0.9, */*;q=0.8", **_headers(o.get("headers", {}))}
        self._auth = HeaderAuth(settings.auth)
        self._http = Http(
            settings.url,
            auth=self._auth,
            verify=settings.tls_verify,
            ca=settings.tls_ca,
            connect_s=limits["connect_timeout"],
            read_s=limits["read_timeout"],
            total_s=limits["total_timeout"],
            max_body=MAX_BODY,
            in_flight=AT_ONCE,
            transport=transport,
        )
        self._connect_s = limits["connect_timeout"]
        self._matcher = Matcher()

    def __repr__(self) -> str:
        return f"HttpAdapter({self.settings.name!r}, {self._http.base!r})"

    @property
    def spent(self) -> tuple[int, int]:
        return (self._http.requests, self._http.bytes)

    @classmethod
    def wrong_query(cls, text: str) -> str | None:
        return wrong_text(Query.parse, text)

    async def close(self) -> None:
        await self._http.close()

    # --- the source as a whole --------------------------------------------------------------------------------------

    async def alive(self) -> int | None:
        """Its probe query has an answer. Without one: something answers, and does not refuse us for good or for now."""
        if isinstance(self._probe, Query):
            reply = await self._ask(self._probe.asked)
            answer = self._good(reply)
            if self._probe.json is not None:
                why = ""
                try:
                    self._probe.json.read(document(answer.body))
                except NoValue as error:
                    why = error.what
                if why:
                    raise BadResponse(words(f"{why} ({self._probe.path})"), "see options.probe", status=answer.status)
            return answer.server_time
        answer = await self._http.request("GET", self._probe, headers=self._headers)
        if answer.status in (401, 403, 429) or answer.status >= 500 or (self._probe and not _fine(answer)):
            raise refusal(answer, self._auth.secrets)
        return answer.server_time

    async def probe(self) -> Probe:
        at = await self.alive()
        warnings = [] if self.settings.tls_verify else ["the server's certificate is not verified (tls.verify = false)"]
        return Probe(
            version="not told",
            identity=self._auth.user or None,
            permissions={"metrics": True},
            server_time=at,
            warnings=tuple(warnings),
        )

    # --- one ask ----------------------------------------------------------------------------------------------------

    async def samples(self, queries: Sequence[SeriesQuery]) -> Readings:
        failed: dict[str, str] = {}
        parsed: dict[str, Query] = {}
        for query in queries:
            try:
                parsed[query.name] = one = Query.parse(query.text)
            except ValueError as error:
                failed[query.name] = words(f"the query cannot be read: {error}")
                continue
            if one.what == "POST" and one.path not in self._posts:
                failed[query.name] = words(f"POST {one.path} is not allowed: name it in options.post, with its body")
                del parsed[query.name]
        wanted = sorted({q.asked for q in parsed.values() if q.what != "certificate"})
        slots = asyncio.Semaphore(AT_ONCE)
        end = asyncio.get_running_loop().time() + ASK_S
        replies = dict(zip(wanted, await asyncio.gather(*(self._in_turn(slots, end, a) for a in wanted)), strict=True))
        days = await self._certificate() if any(q.what == "certificate" for q in parsed.values()) else 0.0
        matched = await self._match(parsed, replies)
        found: list[Sample] = []
        for query in queries:
            if query.name not in parsed:
                continue
            one = parsed[query.name]
            try:
                if one.what == "certificate":
                    if isinstance(days, NoValue):
                        raise days
                    found += as_series(query, [({}, days)], now_ms())
                    continue
                reply = replies[one.asked]
                answers = self._answers(one, reply, matched.get(query.name))
                t = reply.answer.server_time if reply.answer else None
                found += as_series(query, answers, now_ms() if t is None else t, self._auth.secrets)
            except NoValue as error:
                failed[query.name] = words(error.what, self._auth.secrets)
        if not found and replies:
            await self._all_failed(replies)
        return Readings(samples=tuple(found), failed=failed, server_time=self._http.server_time)

    async def _all_failed(self, replies: Mapping[Asked, _Reply]) -> None:
        """No query has a value: is it the queries, or the source? The source itself is asked, unless it says not to."""
        for reply in replies.values():
            if isinstance(reply.error, RateLimited):
                raise reply.error
        await self.alive()

    async def _in_turn(self, slots: asyncio.Semaphore, end: float, asked: Asked) -> _Reply:
        async with slots:
            if asyncio.get_running_loop().time() > end:
                return _Reply(None, 0, Unreachable("it was not asked: other paths took all the time", sent=False))
            return await self._ask(asked)

    async def _ask(self, asked: Asked) -> _Reply:
        """One request to its whole answer, whatever its status. 429 is an error, so that it is heeded."""
        method, path = asked
        began = asyncio.get_running_loop().time()
        body = self._posts.get(path) if method == "POST" else None
        try:
            answer = await self._http.request(method, path, body=body, headers=self._headers)
        except AdapterError as error:
            return _Reply(None, 0, error)
        took = (asyncio.get_running_loop().time() - began) * 1000
        return _Reply(answer, took, None if _fine(answer) else refusal(answer, self._auth.secrets))

    def _good(self, reply: _Reply) -> Answer:
        if reply.error is not None:
            raise reply.error
        assert reply.answer is not None
        return reply.answer

    async def _match(self, parsed: Mapping[str, Query], replies: Mapping[Asked, _Reply]) -> dict[str, Found]:
        jobs: dict[str, tuple[Regex, bytes]] = {}
        for name, query in parsed.items():
            reply = replies.get(query.asked)
            if query.regex is not None and reply is not None and reply.answer is not None and reply.error is None:
                jobs[name] = (query.regex, reply.answer.body[:TAIL])
        return dict(zip(jobs, await self._matcher.run(list(jobs.values())), strict=True))

    def _answers(self, query: Query, reply: _Reply, matched: Found | None) -> Sequence[Labelled]:
        if query.what == "status" and reply.status is not None:
            return [({}, 1 if 200 <= reply.status < 300 else 0)]
        if reply.error is not None or reply.answer is None:
            raise NoValue(reply.error.what if reply.error else "no answer")
        if query.what == "ms":
            return [({}, round(reply.ms, 3))]
        body = reply.answer.body
        if query.json is not None:
            return query.json.read(document(body))
        if query.wanted is not None:
            return query.wanted.read(body)
        if matched is None or matched.why or not matched.hits:
            raise NoValue(matched.why if matched and matched.why else "nothing in its answer matches")
        return matched.hits

    # --- the certificate --------------------------------------------------------------------------------------------

    async def _certificate(self) -> float | NoValue:
        """Days until what it shows ends, trusted or not: negative where it has ended. Not through a proxy."""
        parts = urlsplit(self._http.base)
        if parts.scheme != "https":
            return NoValue("it has no certificate: the url begins with http://")
        context = ssl.create_default_context()
        context.check_hostname = False  # nothing is sent: only what it shows is read
        context.verify_mode = ssl.CERT_NONE
        host, port = parts.hostname or "", parts.port or 443
        writer: asyncio.StreamWriter | None = None
        why = ""
        ended: int | None = None
        try:
            async with asyncio.timeout(self._connect_s):
                _, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=host)
            shown: Any = writer.get_extra_info("ssl_object")
            der = shown.getpeercert(binary_form=True)
            ended = certificate_ends(ssl.DER_cert_to_PEM_cert(der)) if der else None
        except TimeoutError:
            why = f"no TLS with {host} within {self._connect_s:g} s"
        except ssl.SSLError as error:
            why = f"no TLS with {host}: {error.reason or 'refused'}"
        except (OSError, ValueError):
            why = f"nobody answers at {host}:{port}"
        finally:
            if writer is not None:
                writer.transport.abort()
        if ended is None:
            return NoValue(words(why or f"the certificate of {host} does not say when it ends"))
        return (ended - now_ms()) / DAY_MS


def _fine(answer: Answer) -> bool:
    return 200 <= answer.status < 300


def _probe(text: Any) -> Query | str:
    if not isinstance(text, str):
        raise ValueError(f"options.probe: expected a query like GET /health .status, or a path, got {text!r}")
    if not text or text.startswith("/"):
        return text.strip()
    try:
        found = Query.parse(text)
    except ValueError as error:
        raise ValueError(f"options.probe: {error}") from None
    if found.what not in ("GET", "status"):
        raise ValueError("options.probe: expected GET /path .where or status /path")
    return found


def _posts(given: Any) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise ValueError('options.post: expected paths and bodies, like { "/search" = { size = 0 } }')
    out = cast("dict[str, Any]", given)
    for path, body in out.items():
        if not path.startswith("/") or not isinstance(body, (dict, list)):
            raise ValueError(f"options.post: expected a path and its body as a table, got {path!r}")
    return out


def _headers(given: Any) -> dict[str, str]:
    if not isinstance(given, dict):
        raise ValueError("options.headers: expected names and values")
    out: dict[str, str] = {}
    for name, value in cast("dict[str, Any]", given).items():
        if not isinstance(value, str) or not (name + value).isascii() or not (name + value).isprintable():
            raise ValueError(f"options.headers: expected printable text for {name!r}")
        if name.lower() in ("authorization", "cookie", "proxy-authorization", "host", "content-length"):
            raise ValueError(f"options.headers: {name} may not stand here; credentials stand under auth")
        out[name] = value
    return out
