"""The HTTP client of one workspace: the shared one, with Databricks' own habits of refusing read as what they are.

- A personal access token that is wrong or has ended is answered with **403** and ``{"error_code": 403, "message": "Invalid
  access token."}``, its code a number: that is a refused credential, not a missing right.
- What does not exist is often a 400 (``INVALID_PARAMETER_VALUE … does not exist``).
- 503 with ``Retry-After`` asks to wait as 429 does; so do some codes and sentences of limits, whatever their status.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from adapters.errors import (
    AdapterError,
    AuthFailed,
    BadResponse,
    Conflict,
    Forbidden,
    NotFound,
    RateLimited,
)
from adapters.http import Answer, Http, Params, retry_after, words

_STRING: Final = re.compile(r"([A-Z][A-Z_]+): (.*)", re.S)
_LIMITS: Final = frozenset(("REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED"))
_LIMIT_WORDS: Final = (
    "rpc token bucket limit",
    "com.databricks.backend.manager.util.unknownworkerenvironmentexception",
)
_GONE: Final = re.compile(r"does not exist|not found|no longer exists|cannot be found|could not find", re.I)


class DatabricksHttp(Http):
    """``ask`` and ``get`` raise what Databricks means by its refusals."""

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
        answer = await self.request(method, path, params=params, body=body, headers=headers, auth=auth)
        if not 200 <= answer.status < 300:
            raise refusal(answer, self.auth.secrets if self.auth else ())
        return answer


def said(answer: Answer) -> tuple[str, str]:
    """(error code, message) of a refusal, in any of its forms; empty where it says nothing."""
    if answer.html:
        return ("", "")
    try:
        body: Any = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, RecursionError):
        found = _STRING.match(answer.body[:2000].decode("utf-8", "replace"))
        return (found[1], found[2]) if found else ("", "")
    if not isinstance(body, dict):
        return ("", "")
    message = next((str(body[k]) for k in ("message", "detail", "error_description", "error") if body.get(k)), "")
    code = body.get("error_code")
    return (str(code) if code is not None else str(body.get("scimType") or ""), message)


def about_token(answer: Answer) -> bool:
    """A 403 that means the credential: its code is the number 403, or it speaks of the token itself."""
    code, message = said(answer)
    lower = message.lower()
    return answer.status == 403 and (code == "403" or "invalid access token" in lower or "token is expired" in lower)


def refusal(answer: Answer, secrets: Sequence[str] = ()) -> AdapterError:
    """The typed error for an answer that is not a success."""
    status = answer.status
    code, message = said(answer)
    named = ": ".join(part for part in (code if not code.isdigit() else "", message) if part)
    what = words(f"HTTP {status} from {answer.method} {answer.where}" + (f": {named}" if named else ""), secrets)
    if status == 401:
        return AuthFailed(what, "check the credential of this source", status=status)
    if about_token(answer):
        what = words(f"the token is not accepted: Databricks answers 403, {message or 'as to an invalid one'}", secrets)
        wrong = "it is wrong or has ended; it is not a missing right"
        hint = wrong if "token" in message.lower() or not message else "it may be one of another workspace"
        return AuthFailed(what, hint, status=status)
    after = retry_after(answer.headers)
    limited = code in _LIMITS or any(text in message.lower() for text in _LIMIT_WORDS)
    if status == 429 or (status == 503 and after is not None) or limited:
        return RateLimited(what, "too many requests" if status == 429 else "it asks to wait", retry_after=after)
    if status == 403:
        hint = "the credential is known and may not do this"
        return Forbidden(what, "an IP access list may stand before it" if answer.html else hint, status=status)
    gone = code == "RESOURCE_DOES_NOT_EXIST" or (code == "INVALID_PARAMETER_VALUE" and _GONE.search(message))
    if (status in (404, 410) and not answer.html) or (status == 400 and gone):
        return NotFound(what, status=status)
    if status in (409, 412) or (status == 400 and code in ("INVALID_STATE", "RESOURCE_CONFLICT")):
        return Conflict(what, status=status)
    if 300 <= status < 400:
        what = words(f"redirected elsewhere by {answer.where}")
        return BadResponse(what, "a login page or a private link may stand before it", status=status)
    return BadResponse(what, "", status=status)
