"""Who we are to the cluster: TLS and SASL as librdkafka is told, made anew from the references each time a client is made.

``auth``: ``user`` and ``password`` (PLAIN, or SCRAM by ``options.mechanism``); ``token`` (OAUTHBEARER, a token that something
else renews); ``client_id`` and ``client_secret`` with ``options.token_url`` (OAUTHBEARER, OIDC client credentials, which
librdkafka fetches and renews itself); ``key_password`` of ``options.key_file``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from adapters.base import Secret, SourceSettings
from adapters.errors import AuthFailed
from adapters.kafka.options import Options, servers
from adapters.shared import claims_of, reveal
from adapters.tls import certificate_ends

KNOWN: Final = ("user", "password", "token", "client_id", "client_secret", "key_password")
SOON_MS: Final = 7 * 86_400_000
UNDATED_S: Final = 300.0
"""A token that does not say when it ends is asked for again after so long."""
Token = Callable[[Any], tuple[str, float]]


class Access:
    """Constructing checks the words (ValueError); ``config`` reads the secrets (AuthFailed)."""

    def __init__(self, settings: SourceSettings, options: Options) -> None:
        auth = settings.auth
        unknown = sorted(set(auth) - set(KNOWN))
        if unknown:
            raise ValueError(f"auth: unknown key {unknown[0]!r}; known: {', '.join(KNOWN)}")
        for a, b in (("user", "password"), ("client_id", "client_secret")):
            if (a in auth) != (b in auth):
                raise ValueError(f"auth: {a} and {b} belong together")
        ways = [way for way in ("user", "token", "client_id") if way in auth]
        if len(ways) > 1:
            raise ValueError(f"auth: {ways[0]} or {ways[1]}, not both")
        self._way = ways[0] if ways else ""
        oauth = self._way in ("token", "client_id")
        self.mechanism = options.mechanism or ("OAUTHBEARER" if oauth else "PLAIN" if self._way else "")
        if self.mechanism and not self._way:
            raise ValueError(f"options.mechanism: {self.mechanism} needs auth")
        if self._way and oauth != (self.mechanism == "OAUTHBEARER"):
            wants = "token, or client_id and client_secret" if self.mechanism == "OAUTHBEARER" else "user and password"
            raise ValueError(f"auth: {self.mechanism} needs {wants}")
        if (self._way == "client_id") != bool(options.token_url):
            raise ValueError("auth.client_id and options.token_url belong together")
        self.servers, self.tls = servers(settings.url)
        if not self.tls and (settings.tls_ca or options.cert_file or not settings.tls_verify):
            raise ValueError("url: expected kafkas://…, since there are settings of TLS; kafka:// speaks none")
        if "key_password" in auth and not options.key_file:
            raise ValueError("auth.key_password needs options.key_file")
        self._settings, self._options = settings, options
        self._cert = settings.config_folder / options.cert_file if options.cert_file else None
        self._key = settings.config_folder / options.key_file if options.key_file else None
        name = auth.get(self._way, "")
        self.user = name if isinstance(name, str) and self._way in ("user", "client_id") else ""
        """As configured, for people; empty where it is itself a secret."""
        self.secrets: list[str] = []
        self._token = ""

    def __repr__(self) -> str:
        return f"Access({self.mechanism or 'nobody'}, tls={self.tls})"

    async def config(self) -> tuple[dict[str, Any], Token | None]:
        """What librdkafka is told of access, and who gives it tokens. Not to be kept, and never to be shown."""
        s, o = self._settings, self._options
        protocol = ("SASL_" if self._way else "") + ("SSL" if self.tls else "PLAINTEXT")
        out: dict[str, Any] = {"bootstrap.servers": self.servers, "security.protocol": protocol}
        if self._way:
            out["sasl.mechanism"] = self.mechanism
        if self.tls:
            out["enable.ssl.certificate.verification"] = s.tls_verify
            if s.tls_ca:
                out["ssl.ca.location"] = str(self._readable(s.tls_ca, "tls.ca"))
            if self._cert and self._key:
                out["ssl.certificate.location"] = str(self._readable(self._cert, "options.cert_file"))
                out["ssl.key.location"] = str(self._readable(self._key, "options.key_file"))
            if "key_password" in s.auth:
                out["ssl.key.password"] = await self._reveal("key_password")
        if self._way == "user":
            out |= {"sasl.username": await self._reveal("user"), "sasl.password": await self._reveal("password")}
        elif self._way == "client_id":
            out |= {
                "sasl.oauthbearer.method": "oidc",
                "sasl.oauthbearer.client.id": await self._reveal("client_id"),
                "sasl.oauthbearer.client.secret": await self._reveal("client_secret"),
                "sasl.oauthbearer.token.endpoint.url": o.token_url,
            }
            if o.scope:
                out["sasl.oauthbearer.scope"] = o.scope
        elif self._way == "token":
            self._token = await self._reveal("token")
            return out, self._give
        return out, None

    def _give(self, _: Any) -> tuple[str, float]:
        """A token and when it ends (seconds since the epoch), asked of its origin again. In a thread of librdkafka: never raises."""
        secret = self._settings.auth["token"]
        if isinstance(secret, Secret):
            try:
                self._token = secret.reveal().strip() or self._token
            except Exception:  # the one before may still be good; the broker says so where it is not
                pass
        if self._token not in self.secrets:
            self.secrets.append(self._token)
        end = claims_of(self._token).get("exp")
        return self._token, float(end) if isinstance(end, (int, float)) else time.time() + UNDATED_S

    async def warnings(self) -> list[str]:
        """What a person should know of it before it happens."""
        out: list[str] = []
        if self.tls and not self._settings.tls_verify:
            out.append("the brokers' certificates are not verified (tls.verify = false)")
        if self._way and self.mechanism in ("PLAIN", "OAUTHBEARER") and not self.tls:
            what = "password" if self.mechanism == "PLAIN" else "token"
            out.append(f"the {what} travels unencrypted: write kafkas:// where the brokers speak TLS")
        now = time.time() * 1000
        last: dict[str, float] = {}
        if self._token and isinstance(exp := claims_of(self._token).get("exp"), (int, float)):
            last["token"] = exp * 1000
        if self._cert:
            try:
                text = await asyncio.to_thread(self._cert.read_text)
            except (OSError, UnicodeDecodeError):
                text = ""
            if (end := certificate_ends(text)) is not None:
                last["client certificate"] = float(end)
        for what, end in last.items():
            # a token that something renews is short by nature: only one that is over is worth a word
            if end < now or (what != "token" and end - now < SOON_MS):
                day = time.strftime("%Y-%m-%d %H:%M", time.gmtime(end / 1000))
                out.append(f"the {what} {'ended' if end < now else 'ends'} on {day} UTC")
        return out

    async def _reveal(self, name: str) -> str:
        value = self._settings.auth[name]
        text = (await reveal(value, name.replace("_", " "))).strip()
        if not text:
            origin = value.origin if isinstance(value, Secret) else "auth"
            raise AuthFailed(f"no {name} from {origin}", "see auth of this source")
        if isinstance(value, Secret) and text not in self.secrets:
            self.secrets.append(text)
        return text

    @staticmethod
    def _readable(path: Path, what: str) -> Path:
        try:
            with path.open("rb"):
                return path
        except OSError as error:
            reason = error.strerror or type(error).__name__
        raise AuthFailed(f"the file of {what} cannot be read: {reason}", "see tls and options of this source")
