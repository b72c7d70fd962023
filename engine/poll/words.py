"""From an adapter's error to health and a sentence for 3 a.m."""

from __future__ import annotations

from adapters.errors import AdapterError, AuthFailed, BadResponse, Forbidden, RateLimited, Unreachable, Unsupported
from adapters.model import Health


def judge(error: AdapterError) -> tuple[Health, str, str]:
    """(health, what happened, what to do)."""
    if isinstance(error, RateLimited):
        return (
            Health.RATE_LIMITED,
            error.what,
            error.hint or "it asked for fewer requests; lower `requests` of this source",
        )
    if isinstance(error, AuthFailed):
        return (
            Health.AUTH_FAILED,
            error.what,
            error.hint or "renew the credential this source's `auth` refers to, then Ctrl+R",
        )
    if isinstance(error, Forbidden):
        return (
            Health.AUTH_FAILED,
            error.what,
            error.hint or "the credential is known but may not read this; ask for the read role",
        )
    if isinstance(error, Unreachable):
        return (
            Health.UNREACHABLE,
            error.what,
            error.hint or "check that it runs and that this host may reach its address",
        )
    if isinstance(error, Unsupported):
        return Health.BAD_ANSWER, error.what, error.hint or "see the documentation for the versions that are supported"
    if isinstance(error, BadResponse):
        return (
            Health.BAD_ANSWER,
            error.what,
            error.hint or "the server answers, but not as its API should; see its own log",
        )
    return Health.BAD_ANSWER, error.what, error.hint
