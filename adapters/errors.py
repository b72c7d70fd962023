"""The only exceptions that leave an adapter. Each says what happened in one clause fit for a screen."""

from __future__ import annotations


class AdapterError(Exception):
    """``what`` is one clause without secrets; ``hint`` says what a person can do."""

    def __init__(self, what: str, hint: str = "", *, status: int | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint
        self.status = status


class Unreachable(AdapterError):
    """No answer: refused, timed out, reset, no such host, TLS refused. ``sent``: whether the request may have left."""

    def __init__(self, what: str, hint: str = "", *, sent: bool = True) -> None:
        super().__init__(what, hint)
        self.sent = sent


class RateLimited(AdapterError):
    """429 (or the system's own word). ``retry_after``: seconds it asked for, or None."""

    def __init__(self, what: str, hint: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(what, hint, status=429)
        self.retry_after = retry_after


class AuthFailed(AdapterError):
    """The credential is not accepted (expired, wrong, absent)."""


class Forbidden(AdapterError):
    """The credential is known and may not do this."""


class NotFound(AdapterError):
    """The thing is not there."""


class Conflict(AdapterError):
    """The system refuses because of what is already there (409, 422 on a state)."""


class BadResponse(AdapterError):
    """An answer that cannot be used: 5xx, HTML for JSON, truncated, of another shape."""


class Unsupported(AdapterError):
    """This system, or this version of it, has no such thing."""
