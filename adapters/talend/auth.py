"""Credentials of Talend Management Console. What ``auth`` of a source holds decides:

- ``token``: a personal access token, sent as it is. The console shows its end only to its owner, not to the API, so
  ``options.token_expires`` may say it.
- ``client_id`` and ``client_secret``: a service account. A token for it is asked for (``POST /security/oauth/token``),
  lives 30 minutes, and is renewed a minute before its end or when it is refused.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from adapters.auth import known_auth
from adapters.base import Secret
from adapters.errors import AuthFailed
from adapters.http import Answer, Http, refusal
from adapters.shared import reveal
from adapters.talend.wire import Token, number

TOKEN_PATH: Final = "/security/oauth/token"
LIFE_S: Final = 1_800.0
"""Of a service account's token, where its answer does not say it."""
_AHEAD_S: Final = 60.0


class TalendAuth:
    """At most one token is asked for at a time. ``audience``: for whom a service account's token is."""

    def __init__(self, auth: Mapping[str, str | Secret], audience: str) -> None:
        known_auth(auth, "token", "client_id", "client_secret")
        self._given = auth.get("token")
        self._client = auth.get("client_id", "")
        self._secret = auth.get("client_secret")
        self._audience = audience
        self._headers: dict[str, str] = {}
        self._token = ""
        self._until = 0.0
        self._lock = asyncio.Lock()
        self._seen: list[str] = []
        self.changed = 0
        """How often a personal access token was another one when it was read again: it may be of another user."""

    def __repr__(self) -> str:
        return f"TalendAuth({self.who!r})"

    @property
    def secrets(self) -> Sequence[str]:
        return self._seen

    @property
    def service(self) -> bool:
        """A service account; else a personal access token."""
        return self._given is None and self._secret is not None

    @property
    def who(self) -> str:
        """For people."""
        if self._given is not None:
            return "a personal access token"
        named = self._client if isinstance(self._client, str) else ""
        return f"service account {named}".rstrip() if self._secret is not None else "nobody (no credential)"

    @property
    def life_s(self) -> float | None:
        """Seconds that a service account's token is still good for; None where there is none."""
        return max(0.0, self._until - _now()) if self.service and self._token else None

    def ends_ms(self) -> int | None:
        """When the token says itself that it ends (only if it is a JSON web token)."""
        parts = self._token.split(".")
        if len(parts) != 3:
            return None
        try:
            found: Any = msgspec.json.decode(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        except (ValueError, msgspec.DecodeError):
            return None
        ends = number(found.get("exp")) if isinstance(found, dict) else None
        return None if ends is None else int(ends * 1000)

    async def headers(self, http: Http) -> Mapping[str, str]:
        if not self._headers or self._over():
            async with self._lock:
                if not self._headers or self._over():
                    self._headers = await self._mint(http)
        return self._headers

    async def again(self, http: Http, answer: Answer, used: Mapping[str, str]) -> bool:
        """401 only: 403 is a right that is missing."""
        if answer.status != 401:
            return False
        async with self._lock:
            if self._headers != dict(used):  # another request has renewed it meanwhile
                return bool(self._headers)
            fresh = await self._mint(http)
            if not fresh or fresh == dict(used):
                return False
            self._headers = fresh
            return True

    def _over(self) -> bool:
        return self.service and _now() > self._until - _AHEAD_S

    async def _mint(self, http: Http) -> dict[str, str]:
        if self._given is not None:
            token = self._keep((await reveal(self._given)).strip())
            self.changed += bool(self._token) and token != self._token
            self._token = token
        elif self._secret is not None:
            await self._ask(http)
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    async def _ask(self, http: Http) -> None:
        secret = self._keep((await reveal(self._secret or "")).strip())
        client = (await reveal(self._client)).strip()
        if isinstance(self._client, Secret):
            self._keep(client)
        pair = self._keep(base64.b64encode(f"{client}:{secret}".encode()).decode())
        asked = _now()
        answer = await http.request(
            "POST",
            TOKEN_PATH,
            body={"grant_type": "client_credentials", "audience": self._audience},
            headers={"Authorization": f"Basic {pair}"},
            auth=False,
        )
        if answer.status in (400, 401, 403):
            raise AuthFailed(
                http.words(f"TMC gives no token to {self.who} (HTTP {answer.status})"),
                "check auth.client_id and auth.client_secret, and that the service account may use the API",
                status=answer.status,
            )
        if not 200 <= answer.status < 300:
            raise refusal(answer, self._seen)
        said = answer.decode(Token)
        self._token = self._keep(said.access_token)
        life = number(said.expires_in)  # a text in the API's own description
        self._until = asked + (life if life and life > 0 else LIFE_S)

    def _keep(self, secret: str) -> str:
        """Remember what must not be shown; the last few suffice."""
        if secret and secret not in self._seen:
            self._seen = [*self._seen[-9:], secret]
        return secret


def _now() -> float:
    return asyncio.get_running_loop().time()
