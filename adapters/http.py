"""The one HTTP client of the adapters. Nothing else imports httpx, and this does so only at the first request.

It says what happened in ``adapters.errors`` only, never in httpx's words; each text is one clause of at most 200
characters without credentials or control characters. A request is sent once; only a GET whose connection was dropped
without an answer is asked a second time.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar
from urllib.parse import SplitResult, urljoin, urlsplit, urlunsplit

import msgspec

from adapters.errors import (
    AdapterError,
    AuthFailed,
    BadResponse,
    Conflict,
    Forbidden,
    NotFound,
    RateLimited,
    Unreachable,
)

if TYPE_CHECKING:
    import httpx

MAX_BODY: Final = 32 << 20
"""Bytes of one answer, decompressed; a longer one is a BadResponse."""
MAX_WORDS: Final = 200
KEEPALIVE_S: Final = 4.0
"""Shorter than the 5 s of uvicorn: a connection that the server is about to close is not used for an action."""
_REDIRECTS: Final = 3

T = TypeVar("T")
Params = Mapping[str, "str | int | Sequence[str]"]


class Auth(Protocol):
    """Puts credentials on requests. Implementations keep them out of their repr."""

    async def headers(self, http: Http) -> Mapping[str, str]:
        """Headers for the next request; may ask for a token first (``http.request(…, auth=False)``)."""
        ...

    async def again(self, http: Http, answer: Answer, used: Mapping[str, str]) -> bool:
        """The answer refuses ``used``: True if there is something new to try, once."""
        ...

    @property
    def secrets(self) -> Sequence[str]:
        """Values that no text may contain."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. ``server_time``: its ``Date`` header, ms UTC, where it has one."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    server_time: int | None
    method: str
    where: str
    """Path of the request, without query: fit for a message."""

    @property
    def html(self) -> bool:
        return "html" in self.headers.get("content-type", "") or self.body[:64].lstrip()[:1] == b"<"

    def decode(self, shape: type[T]) -> T:
        """The body as a typed value; BadResponse if it is not that."""
        wrong = ""
        try:
            return msgspec.json.decode(self.body, type=shape)
        except msgspec.ValidationError as err:
            wrong = f"an answer of another shape ({err})"
        except msgspec.DecodeError:
            wrong = "an HTML page where JSON was expected" if self.html else "truncated or broken JSON"
        hint = "a login page or a proxy may stand before it" if self.html else ""
        raise BadResponse(words(f"{wrong} from {self.where}"), hint, status=self.status)


# --- words ----------------------------------------------------------------------------------------------------------

_MASKS: Final = (
    (re.compile(r"//[^/\s@\"']+@"), "//"),
    (re.compile(r"\beyJ[\w-]{5,}\.[\w-]+(\.[\w-]*)?"), "****"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]+"), r"\1 ****"),
    (re.compile(r"(?i)(authorization[\"']?\s*[:=]\s*)(?!bearer|basic)[^\s,;}]+"), r"\1****"),
    (
        re.compile(
            r"(?i)([\w-]*(?:token|passw(?:or)?d|pwd|secret|api[_-]?key|signature|\bsig|credential)[\w-]*[\"']?\s*[=:]\s*[\"']?)[^\s&\"',;}]+"
        ),
        r"\1****",
    ),
)
_ESCAPES: Final = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")


def words(text: str, secrets: Sequence[str] = ()) -> str:
    """A text from outside as one harmless clause: without credentials, control characters, more than 200 characters."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "****")
    text = _CONTROL.sub(" ", _ESCAPES.sub("", text[: 20 * MAX_WORDS]))
    for pattern, mask in _MASKS:
        text = pattern.sub(mask, text)
    text = " ".join(text.split())
    return text if len(text) <= MAX_WORDS else text[: MAX_WORDS - 1] + "…"


def bare_url(url: str) -> str:
    """A base URL without userinfo, query, fragment and closing slash."""
    parts = urlsplit(url.strip())
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(SplitResult(parts.scheme, host, parts.path.rstrip("/"), "", ""))


def date_ms(text: str | None) -> int | None:
    """An HTTP date in ms UTC; None if it is none."""
    if not text:
        return None
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that ``Retry-After`` asks for; a date is reckoned against the server's own clock. At most a day."""
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        until = date_ms(text)
        now = date_ms(headers.get("date")) or int(datetime.now(UTC).timestamp() * 1000)
        if until is None:
            return None
        seconds = (until - now) / 1000
    return min(max(seconds, 0.0), 86_400.0) if seconds == seconds else None


def _says(answer: Answer) -> str:
    """What the server itself says about its refusal, in its words."""
    if answer.html:
        return ""
    try:
        body: Any = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, RecursionError):
        return ""
    said: Any = body
    if isinstance(body, dict):
        said = next((body[k] for k in ("detail", "error", "message", "title", "msg") if body.get(k)), "")
    if isinstance(said, list) and said:
        said = said[0]
    if isinstance(said, dict):
        where = (
            ".".join(str(p) for p in said.get("loc", ()) if p != "body") if isinstance(said.get("loc"), list) else ""
        )
        text = next((str(said[k]) for k in ("msg", "reason", "message", "detail") if said.get(k)), "")
        return f"{where}: {text}" if where and text else text
    return said if isinstance(said, str) else ""


def refusal(answer: Answer, secrets: Sequence[str] = ()) -> AdapterError:
    """The typed error for an answer that is not a success."""
    said = _says(answer)
    status = answer.status
    what = words(f"HTTP {status} from {answer.method} {answer.where}" + (f": {said}" if said else ""), secrets)
    if status == 401:
        return AuthFailed(what, "check the credential of this source", status=status)
    if status == 403:
        return Forbidden(what, "the credential is known and may not do this", status=status)
    if status in (404, 410) and not answer.html:
        return NotFound(what, status=status)
    if status == 429:
        return RateLimited(what, "too many requests", retry_after=retry_after(answer.headers))
    if status == 409 or (status in (412, 422, 423) and _plain(answer)):
        return Conflict(what, status=status)
    if 300 <= status < 400:
        return BadResponse(
            words(f"redirected elsewhere by {answer.where}"), "a login page may stand before it", status=status
        )
    return BadResponse(what, "", status=status)


def _plain(answer: Answer) -> bool:
    """The refusal is a sentence (about a state), not a list of what was wrong with our body."""
    try:
        body: Any = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, RecursionError):
        return False
    return isinstance(body, dict) and isinstance(body.get("detail"), str)


def _agent() -> str:
    try:
        return f"watchfloor/{version('watchfloor')}"
    except PackageNotFoundError:
        return "watchfloor/0"


# --- the client -----------------------------------------------------------------------------------------------------


class Http:
    """One client for one source, for ever: keeps connections, counts what it spends, redacts what it says.

    ``connect_s``, ``read_s`` (silence between two bytes) and ``total_s`` (a whole answer) are seconds. ``context`` makes the
    TLS of each new client where ``verify`` and ``ca`` do not say enough (client certificates), ``server_name`` is whom the
    certificate must name where that is not the host, ``proxy`` a proxy's URL. ``transport`` is for tests only.
    """

    def __init__(
        self,
        base: str,
        *,
        auth: Auth | None = None,
        verify: bool = True,
        ca: Path | None = None,
        in_flight: int = 4,
        connect_s: float = 5.0,
        read_s: float = 15.0,
        total_s: float = 60.0,
        max_body: int = MAX_BODY,
        context: Callable[[], ssl.SSLContext] | None = None,
        server_name: str = "",
        proxy: str = "",
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.base = bare_url(base)
        self.auth = auth
        self.requests = 0
        self.bytes = 0
        self.server_time: int | None = None
        """The latest ``Date`` seen, ms UTC."""
        self._verify, self._ca = verify, ca
        self._connect_s, self._read_s, self._total_s = connect_s, read_s, total_s
        self._max_body = max_body
        self._context, self._server_name, self._proxy = context, server_name, proxy
        self._transport = transport
        self._retired: httpx.AsyncClient | None = None
        self._slots = asyncio.Semaphore(in_flight)
        self._in_flight = in_flight
        self._client: httpx.AsyncClient | None = None

    def __repr__(self) -> str:
        return f"Http({self.base!r})"

    def url(self, path: str) -> str:
        return self.base + path

    def words(self, text: str) -> str:
        """``words`` with this source's own secrets masked too."""
        return words(text, self.auth.secrets if self.auth else ())

    async def get(
        self, path: str, shape: type[T], params: Params | None = None, *, auth: bool = True
    ) -> tuple[T, Answer]:
        """GET, typed. Raises adapters.errors."""
        answer = await self.ask("GET", path, params=params, auth=auth)
        return answer.decode(shape), answer

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
        """One request that must succeed (2xx); anything else is raised as a typed error."""
        answer = await self.request(method, path, params=params, body=body, headers=headers, auth=auth)
        if not 200 <= answer.status < 300:
            raise refusal(answer, self.auth.secrets if self.auth else ())
        return answer

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
        """One request to its answer, whatever its status. ``path`` is below the base URL and may carry a query. A ``body`` of
        bytes is sent as it is, anything else as JSON.

        Credentials refused are renewed and the request sent once more: a refused request had no effect.
        """
        content = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        hook = self.auth if auth else None
        used = await hook.headers(self) if hook else {}
        answer = await self._patiently(method, path, params, content, {**(headers or {}), **used})
        if hook and answer.status in (401, 403) and await hook.again(self, answer, used):
            used = await hook.headers(self)
            answer = await self._patiently(method, path, params, content, {**(headers or {}), **used})
        return answer

    async def _patiently(
        self, method: str, path: str, params: Params | None, content: bytes | None, headers: Mapping[str, str]
    ) -> Answer:
        """A GET whose connection was dropped without an answer is asked once more: it may have been idle too long."""
        try:
            return await self._hops(method, path, params, content, headers)
        except _Dropped as lost:
            if method != "GET":
                raise Unreachable(lost.what, lost.hint, sent=True) from None
        try:
            return await self._hops(method, path, params, content, headers)
        except _Dropped as lost:
            again = lost
        raise Unreachable(again.what, again.hint, sent=True)

    async def _hops(
        self, method: str, path: str, params: Params | None, content: bytes | None, headers: Mapping[str, str]
    ) -> Answer:
        """Follows redirects of a GET on the same origin; credentials never travel to another host."""
        url = self.url(path)
        for _ in range(_REDIRECTS):
            answer = await self._once(method, url, params, content, headers)
            to = answer.headers.get("location")
            if method != "GET" or not 300 <= answer.status < 400 or not to:
                return answer
            target = urljoin(url, to)
            if urlsplit(target)[:2] != urlsplit(self.base)[:2]:
                host = words(urlsplit(target).hostname or "?")
                what = f"redirected to another host ({host}), which is not followed"
                raise BadResponse(what, "a login page may stand before it", status=answer.status)
            url, params = target, None
        raise BadResponse(words(f"redirected in a circle at {urlsplit(url).path}"))

    async def _once(
        self, method: str, url: str, params: Params | None, content: bytes | None, headers: Mapping[str, str]
    ) -> Answer:
        import httpx

        where = urlsplit(url).path
        host = urlsplit(self.base).netloc
        failure: AdapterError | None = None
        async with self._slots:
            client = self._open()
            self.requests += 1
            sending = dict(headers)
            if content is not None:
                sending.setdefault("Content-Type", "application/json")
            request = client.build_request(
                method,
                url,
                params=None if params is None else _query(params),
                content=content,
                headers=sending,
                extensions={"sni_hostname": self._server_name} if self._server_name else None,
            )
            try:
                async with asyncio.timeout(self._total_s):
                    return await self._read(client, request, where)
            except TimeoutError:
                failure = Unreachable(f"{host} did not finish its answer within {self._total_s:g} s")
            except (httpx.ConnectTimeout, httpx.PoolTimeout):
                failure = Unreachable(f"no connection to {host} within {self._connect_s:g} s", sent=False)
            except httpx.ConnectError as err:
                failure = Unreachable(self.words(_connect_words(host, err)), _connect_hint(err), sent=False)
            except (httpx.ReadTimeout, httpx.WriteTimeout):
                failure = Unreachable(f"{host} was silent for {self._read_s:g} s")
            except httpx.DecodingError:
                failure = BadResponse(words(f"an answer that cannot be decompressed from {where}"))
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError, httpx.CloseError) as err:
                if "incomplete" in str(err) or "without sending complete" in str(err):
                    failure = BadResponse(words(f"an answer that broke off from {where}"))
                else:
                    failure = _Dropped(f"{host} closed the connection without an answer")
            except (httpx.ProxyError, httpx.UnsupportedProtocol, httpx.LocalProtocolError) as err:
                failure = Unreachable(self.words(f"cannot speak to {host}: {err}"), sent=False)
            except (httpx.HTTPError, httpx.InvalidURL) as err:
                failure = Unreachable(self.words(f"the request to {host} failed: {err}"))
        raise failure  # outside the except blocks: httpx's exceptions carry the request with its credentials

    async def _read(self, client: httpx.AsyncClient, request: httpx.Request, where: str) -> Answer:
        response = await client.send(request, stream=True)
        try:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > self._max_body:
                    raise BadResponse(words(f"an answer of more than {self._max_body >> 20} MiB from {where}"))
        finally:
            self.bytes += response.num_bytes_downloaded
            await response.aclose()
        at = date_ms(response.headers.get("date"))
        self.server_time = at if at is not None else self.server_time
        return Answer(response.status_code, dict(response.headers), bytes(body), at, request.method, where)

    def _open(self) -> httpx.AsyncClient:
        if self._client is not None:
            return self._client
        import httpx

        context: ssl.SSLContext | bool = False
        if self._context is not None and self.base.startswith("https"):
            context = self._context()
        elif self._verify and self.base.startswith("https"):
            context = ssl.create_default_context()
            if self._ca is not None:
                self._trust(context, self._ca)
        timeout = httpx.Timeout(self._read_s, connect=self._connect_s, pool=self._total_s)
        limits = httpx.Limits(
            max_connections=self._in_flight, max_keepalive_connections=self._in_flight, keepalive_expiry=KEEPALIVE_S
        )
        host = urlsplit(self.base).hostname or ""
        near = host == "localhost" or host.startswith("127.") or host == "::1"
        self._client = httpx.AsyncClient(
            verify=context,
            timeout=timeout,
            limits=limits,
            follow_redirects=False,
            trust_env=not near,
            headers={"User-Agent": _agent(), "Accept": "application/json"},
            proxy=self._proxy or None,
            transport=self._transport,
        )
        return self._client

    def _trust(self, context: ssl.SSLContext, ca: Path) -> None:
        why = ""
        try:
            context.load_verify_locations(cafile=str(ca))
        except ssl.SSLError:
            why = "holds no certificate"
        except OSError as err:
            why = f"cannot be read ({err.strerror or 'no such file'})"
        if why:
            raise Unreachable(words(f"the CA file {ca} {why}"), "see tls.ca of this source", sent=False)

    async def reopen(self) -> None:
        """New connections from now on, by a new ``context`` (a client certificate was renewed). What is under way on the old
        ones may end there: they are closed with the next renewal."""
        old, self._retired, self._client = self._retired, self._client, None
        if old is not None:
            await old.aclose()

    async def close(self) -> None:
        clients = (self._client, self._retired)
        self._client = self._retired = None
        for client in clients:
            if client is not None:
                await client.aclose()


class _Dropped(Unreachable):
    """The connection went away before the first byte of an answer. Never leaves this module."""


def _query(params: Params) -> list[tuple[str, str | int | float | bool | None]]:
    pairs: list[tuple[str, str | int | float | bool | None]] = []
    for name, value in params.items():
        if isinstance(value, (str, int)):
            pairs.append((name, value))
        else:
            pairs += [(name, one) for one in value]
    return pairs


def _connect_words(host: str, err: Exception) -> str:
    text = str(err)
    if "CERTIFICATE_VERIFY_FAILED" in text:
        reason = text.partition("certificate verify failed: ")[2].partition(" (_ssl")[0]
        return f"the TLS certificate of {host} is not trusted" + (f": {reason}" if reason else "")
    if "SSL" in text or "ssl" in text:
        return f"no TLS with {host}: {text}"
    if "Name or service not known" in text or "nodename nor servname" in text or "name resolution" in text:
        return f"the name {host} is not known"
    return f"nobody answers at {host}"


def _connect_hint(err: Exception) -> str:
    return "tls = { ca = … } names the authority to trust" if "CERTIFICATE_VERIFY_FAILED" in str(err) else ""
