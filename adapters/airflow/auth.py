"""Credentials of an Airflow. What ``auth`` of a source holds decides:

- ``user`` and ``password``: Airflow 3 mints a token for them (``POST /auth/token``); to Airflow 2 they are sent with each
  request (Basic; its server spends some 100 ms on each).
- ``token``: sent as it is (Bearer), to both. From a reference it is asked for again when it has expired or is refused: so a
  Google access token of Cloud Composer, or an API token of Astronomer (neither seen live).
- ``web_token``: of Amazon MWAA. It is exchanged once for a session at MWAA's own login page, then again when that has ended
  (from its documentation, not seen live; the token itself is good for 60 s).
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from adapters.airflow.v2 import AirflowHttp
from adapters.airflow.wire import Token
from adapters.auth import known_auth
from adapters.base import Secret
from adapters.errors import AuthFailed, BadResponse
from adapters.http import Answer, Http, refusal
from adapters.shared import claims_of, reveal

MWAA_LOGINS: Final = ("/aws_mwaa/login", "/pluginsv2/aws_mwaa/login")
"""Of MWAA's Airflow 2 and 3, by its documentation; the second only where the first is not there."""
_AHEAD_MS: Final = 30_000
_PAUSE_S: Final = 60.0
"""Airflow 2 says 403 to an expired token and to what is forbidden alike: for it a reference is asked no more often."""
_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}


class TokenAuth:
    """Mints on first use, and once more for a request whose token is refused. At most one mint is under way.

    ``life_s``: a token is asked for again after so many seconds, whatever it says of itself; 0: when it is refused.
    """

    def __init__(self, auth: Mapping[str, str | Secret], life_s: float = 0.0) -> None:
        known_auth(auth, "user", "password", "token", "web_token")
        user = auth.get("user", "")
        self._user = user
        self.user = "" if isinstance(user, Secret) else user
        """As configured, for people; empty where it is itself a secret."""
        self._password = auth.get("password")
        self._given = auth.get("token")
        self._web = auth.get("web_token")
        self._life_s = life_s
        self._headers: dict[str, str] | None = None
        self._token = ""
        self._basic = False
        self._asked_s = 0.0
        self._lock = asyncio.Lock()
        self._seen: list[str] = []

    def __repr__(self) -> str:
        return f"TokenAuth(user={self.user!r})"

    @property
    def secrets(self) -> Sequence[str]:
        return self._seen

    @property
    def comes_first(self) -> bool:
        """It can be sent before it is known which generation of Airflow answers."""
        return self._given is not None or self._web is not None

    @property
    def shown(self) -> str:
        """How the header looks in a plan."""
        return "Basic ****" if self._basic else "Bearer ****"

    async def headers(self, http: Http) -> Mapping[str, str]:
        two = not self.comes_first and isinstance(http, AirflowHttp) and await http.settle() == 2
        if self._headers is None or two != self._basic or self._over(http):
            async with self._lock:
                if self._headers is None or two != self._basic or self._over(http):
                    self._headers = await self._mint(http, basic=two)
        return self._headers

    async def again(self, http: Http, answer: Answer, used: Mapping[str, str]) -> bool:
        """401 always; 403 where it speaks of the token, and where Airflow 2 does not tell what it means by it."""
        if answer.status == 403 and not _about_token(answer):
            doubtful = self.comes_first and isinstance(http, AirflowHttp) and http.generation == 2
            if not doubtful or self._now() - self._asked_s < _PAUSE_S:
                return False
        return await self.renew(http, used)

    async def renew(self, http: Http, used: Mapping[str, str] | None = None) -> bool:
        """Ask for the credential again; True if there is a new one. ``used``: what was refused, default the present one."""
        refused = dict(used) if used is not None else self._headers
        async with self._lock:
            if self._headers != refused:  # another request has renewed it meanwhile
                return self._headers is not None
            fresh = await self._mint(http, basic=self._basic)
            if not fresh or fresh == refused:
                return False
            self._headers = fresh
            return True

    def _over(self, http: Http) -> bool:
        """Past its time, by the token's own word and the server's clock, or by ``life_s``."""
        if self._life_s and self._now() - self._asked_s > self._life_s:
            return True
        ends = self.claims().get("exp")
        if http.server_time is None or not isinstance(ends, (int, float)):
            return False
        return http.server_time > ends * 1000 - _AHEAD_MS and self._now() - self._asked_s > _PAUSE_S

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    async def _mint(self, http: Http, *, basic: bool) -> dict[str, str]:
        self._asked_s, self._basic = self._now(), basic
        if self._web is not None:
            return await self._mwaa(http, self._keep(await reveal(self._web)))
        if self._given is not None:
            self._token = self._keep(await reveal(self._given))
            return {"Authorization": f"Bearer {self._token}"} if self._token else {}
        if self._password is None:
            return {}
        password = self._keep(await reveal(self._password))
        user = await reveal(self._user)
        if basic:
            pair = base64.b64encode(f"{user}:{password}".encode()).decode()
            return {"Authorization": f"Basic {self._keep(pair)}"}
        answer = await http.request("POST", "/auth/token", body={"username": user, "password": password}, auth=False)
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
        self._token = self._keep(answer.decode(Token).access_token)
        return {"Authorization": f"Bearer {self._token}"}

    async def _mwaa(self, http: Http, web_token: str) -> dict[str, str]:
        """Logs in: Airflow 2 answers with the cookie ``session``, Airflow 3 with ``_token``, which is a bearer token."""
        form, status = urlencode({"token": web_token}).encode(), 0
        for path in MWAA_LOGINS:
            answer = await http.request("POST", path, body=form, headers=_FORM, auth=False)
            cookies = answer.headers.get("set-cookie", "")
            if (bearer := _cookie(cookies, "_token")) is not None:
                self._token = self._keep(bearer)
                return {"Authorization": f"Bearer {self._token}"}
            if (session := _cookie(cookies, "session")) is not None:
                return {"Cookie": f"session={self._keep(session)}"}
            if (status := answer.status) not in (404, 405):
                break
        raise AuthFailed(
            f"the login of MWAA at {http.base} gives no session (HTTP {status})",
            "auth.web_token is a fresh WebToken of `aws mwaa create-web-login-token`; it is good for 60 s",
            status=status,
        )

    def _keep(self, secret: str) -> str:
        """Remember what must not be shown; the last few suffice, tokens live for a day."""
        if secret and secret not in self._seen:
            self._seen = [*self._seen[-9:], secret]
        return secret

    def claims(self) -> Mapping[str, Any]:
        """What the token says of itself (``sub``, ``role``, ``exp`` …), unverified; empty where it says nothing."""
        return claims_of(self._token)


def _cookie(header: str, name: str) -> str | None:
    found = re.search(rf"(?:^|[,;]\s*){name}=([^;,\s]+)", header)
    return found[1] if found else None


def _about_token(answer: Answer) -> bool:
    text = answer.body[:2000].lower()
    return b"jwt" in text or b"token" in text
