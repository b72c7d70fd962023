"""Credentials: ``user`` and ``password`` (Basic) or ``token`` (Bearer), as the configuration refers to them; none: nothing is sent.

What is refused is asked for again from its reference, once: a file or a command may have a new one.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, Sequence

from adapters.base import Secret
from adapters.errors import AuthFailed
from adapters.http import Answer, Http


def known_auth(auth: Mapping[str, str | Secret], *known: str) -> None:
    """ValueError names the first key that is not known: what is mistyped would else be a credential that is not there."""
    for name in sorted(set(auth) - set(known)):
        if not known:
            raise ValueError("auth: expected none, since this kind of source has no credentials; remove it")
        raise ValueError(f"auth: unknown key {name!r}; known: {', '.join(known)}")


class HeaderAuth:
    """The ``auth`` of most systems, for ``Http(auth=…)``. ValueError: it has a key that is not known, or half of a pair."""

    def __init__(self, auth: Mapping[str, str | Secret]) -> None:
        known_auth(auth, "user", "password", "token")
        if "token" in auth and {"user", "password"} & set(auth):
            raise ValueError("auth: token, or user and password, not both")
        if ("user" in auth) != ("password" in auth):
            raise ValueError("auth: user and password belong together")
        self._auth = dict(auth)
        user = auth.get("user", "")
        self.user = "" if isinstance(user, Secret) else user
        """As configured, for people; empty where it is itself a secret."""
        self._headers: Mapping[str, str] | None = None
        self._seen: list[str] = []

    def __repr__(self) -> str:
        return f"HeaderAuth(user={self.user!r})"

    @property
    def secrets(self) -> Sequence[str]:
        return self._seen

    async def headers(self, http: Http) -> Mapping[str, str]:
        if self._headers is None:
            self._headers = await self._made()
        return self._headers

    async def again(self, http: Http, answer: Answer, used: Mapping[str, str]) -> bool:
        if answer.status != 401 or not self._auth:
            return False
        if self._headers == used:
            self._headers = await self._made()
        return self._headers != used

    async def _made(self) -> Mapping[str, str]:
        if "token" in self._auth:
            return {"Authorization": f"Bearer {await self._reveal('token')}"}
        if "password" in self._auth:
            pair = f"{await self._reveal('user')}:{await self._reveal('password')}"
            code = base64.b64encode(pair.encode()).decode()
            self._seen.append(code)
            return {"Authorization": f"Basic {code}"}
        return {}

    async def _reveal(self, name: str) -> str:
        value = self._auth[name]
        if not isinstance(value, Secret):
            return value
        failed = ""
        try:
            text = (await asyncio.to_thread(value.reveal)).strip()
        except Exception as error:
            failed, text = type(error).__name__, ""
        if not text:
            raise AuthFailed(
                f"no {name} from {value.origin}" + (f" ({failed})" if failed else ""), "see auth of this source"
            )
        if text not in self._seen:
            self._seen.append(text)
        return text
