"""Credentials of an Airflow 3: a token of its own, or user and password that mint one by ``POST /auth/token``."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from adapters.airflow.wire import Token
from adapters.base import Secret
from adapters.errors import AdapterError, AuthFailed, BadResponse
from adapters.http import Answer, Http, refusal


class TokenAuth:
    """Mints on first use, and once more for a request whose token is refused. At most one mint is under way."""

    def __init__(self, auth: Mapping[str, str | Secret]) -> None:
        user = auth.get("user", "")
        self._user = user
        self.user = "" if isinstance(user, Secret) else user
        """As configured, for people; empty where it is itself a secret."""
        self._password = auth.get("password")
        self._given = auth.get("token")
        self._token: str | None = None
        self._lock = asyncio.Lock()
        self._seen: list[str] = []

    def __repr__(self) -> str:
        return f"TokenAuth(user={self.user!r})"

    @property
    def secrets(self) -> Sequence[str]:
        return self._seen

    async def headers(self, http: Http) -> Mapping[str, str]:
        if self._token is None:
            async with self._lock:
                if self._token is None:
                    self._token = await self._mint(http)
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    async def again(self, http: Http, answer: Answer, used: Mapping[str, str]) -> bool:
        """401 always, 403 only where it speaks of the token: any other 403 is about permission."""
        if answer.status == 403 and not _about_token(answer):
            return False
        refused = used.get("Authorization", "").removeprefix("Bearer ")
        async with self._lock:
            if self._token != refused:  # another request has renewed it meanwhile
                return self._token is not None
            fresh = await self._mint(http)
            if not fresh or fresh == refused:
                return False
            self._token = fresh
            return True

    async def _mint(self, http: Http) -> str:
        if self._given is not None:
            return self._keep(await _reveal(self._given))
        if self._password is None:
            return ""
        password = self._keep(await _reveal(self._password))
        body = {"username": await _reveal(self._user), "password": password}
        answer = await http.request("POST", "/auth/token", body=body, auth=False)
        if answer.status in (401, 403):
            raise AuthFailed(
                http.words(f"Airflow does not accept the password of user {self.user!r}"),
                "check auth.user and auth.password of this source",
                status=answer.status,
            )
        if answer.status in (404, 405):
            what = f"no Airflow 3 at {http.base}: it has no /auth/token"
            raise BadResponse(what, "`watchfloor doctor` says what is there", status=answer.status)
        if not 200 <= answer.status < 300:
            raise refusal(answer, self._seen)
        return self._keep(answer.decode(Token).access_token)

    def _keep(self, secret: str) -> str:
        """Remember what must not be shown; the last few suffice, tokens live for a day."""
        if secret and secret not in self._seen:
            self._seen = [*self._seen[-9:], secret]
        return secret

    def claims(self) -> Mapping[str, Any]:
        """What the token says of itself (``sub``, ``role`` …), unverified; empty where it says nothing."""
        parts = (self._token or "").split(".")
        if len(parts) != 3:
            return {}
        try:
            found: Any = msgspec.json.decode(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        except (ValueError, msgspec.DecodeError):
            return {}
        return found if isinstance(found, dict) else {}


async def _reveal(value: str | Secret) -> str:
    """A secret may come from a command: its origin is asked in a thread. A failure is a sentence, never the secret."""
    if isinstance(value, str):
        return value
    try:
        return await asyncio.to_thread(value.reveal)
    except AdapterError:
        raise
    except Exception:
        origin = value.origin
    raise AuthFailed(f"the credential cannot be read from {origin}", "see auth of this source")


def _about_token(answer: Answer) -> bool:
    text = answer.body[:2000].lower()
    return b"jwt" in text or b"token" in text
