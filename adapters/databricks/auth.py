"""Credentials of a Databricks workspace. What ``auth`` of a source holds decides:

- ``token``: a personal access token, or any bearer token from a reference (an Entra ID token of Azure); sent as it is. It is
  asked for again from its reference when it is refused, and a minute before the end that it names itself (a JWT's ``exp``).
- ``client_id`` and ``client_secret``: a service principal (OAuth, machine to machine). A token is minted at the workspace's
  ``/oidc/v1/token`` and again well before it ends: Databricks has refused tokens within their last 30 s.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from adapters.auth import known_auth
from adapters.base import Secret
from adapters.databricks.client import about_token, refusal
from adapters.errors import AuthFailed
from adapters.http import Answer, Http
from adapters.shared import claims_of, reveal

TOKEN_PATH: Final = "/oidc/v1/token"
EARLY_S: Final = 120.0
"""A minted token is renewed so long before its end; one that lives less than twice that, at half its life."""
PAUSE_S: Final = 60.0
"""A reference whose token has ended by its own word is asked no more often."""
_FORM: Final = b"grant_type=client_credentials&scope=all-apis"
_PRINTABLE: Final = re.compile(r"[\x21-\x7e]+")
_NONE: Final = "the source has no credential"
_HINT: Final = "auth = { token = … } or { client_id = …, client_secret = … }"


class _Token(msgspec.Struct):
    access_token: str
    expires_in: float | None = None


class DatabricksAuth:
    """Mints or reveals on first use, and once more for a request whose token is refused. At most one at a time."""

    def __init__(self, auth: Mapping[str, str | Secret]) -> None:
        known_auth(auth, "token", "client_id", "client_secret")
        self._given = auth.get("token")
        self._id = auth.get("client_id")
        self._secret = auth.get("client_secret")
        self._token = ""
        self._until: float | None = None
        self._asked_s = 0.0
        self._lock = asyncio.Lock()
        self._seen: list[str] = []

    def __repr__(self) -> str:
        return f"DatabricksAuth({'a service principal' if self.machine else 'a token'})"

    @property
    def machine(self) -> bool:
        """It is a service principal with a secret."""
        return self._given is None and self._id is not None

    @property
    def secrets(self) -> Sequence[str]:
        return self._seen

    async def headers(self, http: Http) -> Mapping[str, str]:
        if not self._token or self._over(http):
            async with self._lock:
                if not self._token or self._over(http):
                    await self._renew(http)
        return {"Authorization": f"Bearer {self._token}"}

    async def again(self, http: Http, answer: Answer, used: Mapping[str, str]) -> bool:
        """401, and the 403 that speaks of the token: True where there is another token to try."""
        if answer.status == 403 and not about_token(answer):
            return False
        async with self._lock:
            if used.get("Authorization") != f"Bearer {self._token}":  # another request has renewed it meanwhile
                return True
            refused = self._token
            await self._renew(http)
            return self._token != refused

    def claims(self) -> Mapping[str, Any]:
        """What a JWT says of itself (``sub``, ``exp`` …), unverified; empty for a personal access token."""
        return claims_of(self._token)

    def _over(self, http: Http) -> bool:
        if self._until is not None:
            return asyncio.get_running_loop().time() >= self._until
        ends = self.claims().get("exp")
        if http.server_time is None or not isinstance(ends, (int, float)):
            return False
        now = asyncio.get_running_loop().time()  # the reference may give the same one again: not with every request
        return http.server_time > (ends - 60) * 1000 and now - self._asked_s > PAUSE_S

    async def _renew(self, http: Http) -> None:
        self._asked_s = asyncio.get_running_loop().time()
        if self._given is not None:
            self._token = self._keep(await reveal(self._given))
            return
        if self._id is None or self._secret is None:
            raise AuthFailed(_NONE, _HINT)
        await self._mint(http, await reveal(self._id), self._keep(await reveal(self._secret)))

    async def _mint(self, http: Http, client: str, secret: str) -> None:
        began = asyncio.get_running_loop().time()
        pair = self._keep(base64.b64encode(f"{client}:{secret}".encode()).decode())
        headers = {"Authorization": f"Basic {pair}", "Content-Type": "application/x-www-form-urlencoded"}
        answer = await http.request("POST", TOKEN_PATH, body=_FORM, headers=headers, auth=False)
        if answer.status in (400, 401, 403):
            what = f"Databricks does not accept the service principal's secret (HTTP {answer.status})"
            raise AuthFailed(what, "check auth.client_id and auth.client_secret; a secret ends", status=answer.status)
        if not 200 <= answer.status < 300:
            raise refusal(answer, self._seen)
        found = answer.decode(_Token)
        self._token = self._keep(found.access_token)
        life = found.expires_in if found.expires_in and found.expires_in > 0 else 3600.0
        self._until = began + max(life - EARLY_S, life / 2)

    def _keep(self, secret: str) -> str:
        """Remember what must not be shown. A token that cannot stand in a header is refused before it is tried."""
        if not _PRINTABLE.fullmatch(secret):
            raise AuthFailed("the credential is empty or has blanks or line breaks in it", "see auth of this source")
        if secret not in self._seen:
            self._seen = [*self._seen[-11:], secret]
        return secret
