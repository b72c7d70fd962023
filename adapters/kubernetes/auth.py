"""Credentials of a cluster, kept fresh: tokens (also from a file that rotates), exec plugins with an end, certificates.

What is read from a kubeconfig is read again when it is refused; a token's file once a minute, as the API's own clients
do; a plugin half a minute before the end that it named, by the server's clock.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from adapters.base import Secret
from adapters.errors import AdapterError, AuthFailed
from adapters.http import Answer, Http, words
from adapters.kubernetes import tls
from adapters.kubernetes.kubeconfig import Credential, Exec, Place
from adapters.kubernetes.wire import ms
from adapters.shared import claims_of, reveal
from adapters.tls import certificate_ends

ROTATES_S: Final = 60.0
_AHEAD_MS: Final = 30_000
_PAUSE_S: Final = 5.0
PLUGIN_S: Final = 30.0
SOON_MS: Final = 7 * 86_400_000
"""A credential that nothing renews is spoken of this long before its end."""


class _Plugin(msgspec.Struct, rename="camel"):
    token: str | None = None
    client_certificate_data: str | None = None
    client_key_data: str | None = None
    expiration_timestamp: datetime | None = None


class _ExecCredential(msgspec.Struct):
    status: _Plugin | None = None


class KubeAuth:
    """``read`` reads the place again (blocking; in a thread). ``given``: ``auth.token`` of the source, which counts first."""

    def __init__(self, place: Place, read: Callable[[], Place], given: str | Secret | None) -> None:
        self._place = place
        self._read = read
        self._given = given
        self._headers: dict[str, str] | None = None
        self._token = ""
        self._ends: int | None = None
        self._asked_s = 0.0
        self._certificate, self._key = place.credential.certificate, place.credential.key
        self._lock = asyncio.Lock()
        self._seen: list[str] = []
        self._keep(place.credential.token)
        self._keep(place.credential.key)

    def __repr__(self) -> str:
        return f"KubeAuth({self._place.origin!r})"

    @property
    def secrets(self) -> Sequence[str]:
        return self._seen

    def context(self) -> ssl.SSLContext:
        return tls.context(self._place.ca, self._place.verify, self._certificate, self._key)

    async def headers(self, http: Http) -> Mapping[str, str]:
        if self._headers is None or self._old(http):
            async with self._lock:
                if self._headers is None or self._old(http):
                    self._headers = await self._mint(http)
        return self._headers

    async def again(self, http: Http, answer: Answer, used: Mapping[str, str]) -> bool:
        """401; and 403 to ``system:anonymous``, which is what the API calls whoever it does not know."""
        if answer.status == 403 and b"system:anonymous" not in answer.body[:2000]:
            return False
        async with self._lock:
            if self._headers != dict(used):  # another request has renewed it meanwhile
                return self._headers is not None
            certificate = self._certificate
            plugin = self._given is None and self._place.credential.exec is not None
            if plugin and asyncio.get_running_loop().time() - self._asked_s < _PAUSE_S:
                return False  # what it gave a moment ago is refused: it would give the same
            if self._given is None and self._place.context:
                self._place = await asyncio.to_thread(self._again)
                credential = self._place.credential
                if credential.exec is None:
                    self._certificate, self._key = credential.certificate, credential.key
                    self._keep(self._key)
            fresh = await self._mint(http)
            new = fresh != dict(used) or certificate != self._certificate
            if certificate != self._certificate:
                await http.reopen()
            self._headers = fresh
        if answer.status == 403 and not new:
            what = "the cluster does not know who asks: it calls it system:anonymous"
            raise AuthFailed(what, "the source sends no credential, or none that counts there", status=403)
        return new

    def _again(self) -> Place:
        """Only credentials are read anew: a kubeconfig that now points elsewhere never moves this source to another cluster."""
        try:
            fresh = self._read()
        except AdapterError:
            return self._place
        return fresh if fresh.server == self._place.server and fresh.context == self._place.context else self._place

    def _old(self, http: Http) -> bool:
        since = asyncio.get_running_loop().time() - self._asked_s
        credential = self._place.credential
        if self._given is None and credential.token_file is not None:
            return since > ROTATES_S
        if not self.renewed or self._ends is None or http.server_time is None:
            return False
        return http.server_time > self._ends - _AHEAD_MS and since > _PAUSE_S

    @property
    def renewed(self) -> bool:
        """Whether there is a new one to be had when this one ends."""
        credential = self._place.credential
        if self._given is not None:
            return isinstance(self._given, Secret)
        return credential.token_file is not None or (credential.exec is not None and not credential.token)

    async def _mint(self, http: Http) -> dict[str, str]:
        self._asked_s = asyncio.get_running_loop().time()
        credential = self._place.credential
        if self._given is not None:
            return self._bearer(await reveal(self._given))
        if credential.token_file is not None:
            return self._bearer(await asyncio.to_thread(_token_of, credential.token_file, self._token))
        if credential.token:
            return self._bearer(credential.token)
        if credential.exec is not None:
            return await self._plugin(http, credential.exec, credential)
        return {}

    async def _plugin(self, http: Http, plugin: Exec, credential: Credential) -> dict[str, str]:
        said = await run(plugin)
        if not said.token and not (said.client_certificate_data and said.client_key_data):
            raise AuthFailed(words(f"the exec plugin {plugin.command} gives neither a token nor a certificate"))
        if said.client_certificate_data and said.client_key_data:
            changed = said.client_certificate_data != self._certificate
            self._certificate, self._key = said.client_certificate_data, said.client_key_data
            self._keep(self._key)
            if changed and self._headers is not None:
                await http.reopen()
        headers = self._bearer(said.token or "")
        self._ends = ms(said.expiration_timestamp) or self._ends
        return headers

    def _bearer(self, token: str) -> dict[str, str]:
        self._token = token.strip()
        self._keep(self._token)
        end = self.claims().get("exp")
        self._ends = int(end * 1000) if isinstance(end, (int, float)) else None
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    def _keep(self, secret: str) -> None:
        if secret and secret not in self._seen:
            self._seen = [*self._seen[-9:], secret]

    def claims(self) -> Mapping[str, Any]:
        """What a token that is a JWT says of itself (``sub``, ``exp``), unverified; empty where it says nothing."""
        return claims_of(self._token)

    def ending(self, now: int | None) -> str | None:
        """A clause where what nothing renews ends soon, or has ended, by the server's clock."""
        found: list[tuple[int, str]] = []
        if self._ends is not None and not self.renewed:
            found.append((self._ends, "token"))
        if self._certificate and (self._place.credential.exec is None or not self.renewed):
            end = certificate_ends(self._certificate)
            found += [(end, "client certificate")] if end is not None else []
        if now is None or not found:
            return None
        end, what = min(found)
        if end - now > SOON_MS:
            return None
        day = datetime.fromtimestamp(end / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")
        return f"its {what} has ended on {day}" if end <= now else f"its {what} ends on {day}; nothing renews it"


def _token_of(path: Path, before: str) -> str:
    """While it is being replaced the one before goes on."""
    why = ""
    try:
        text = path.read_text().strip()
    except OSError as err:
        text, why = "", err.strerror or "no such file"
    if text or before:
        return text or before
    raise AuthFailed(words(f"the token {path} cannot be read ({why or 'it is empty'})"))


async def run(plugin: Exec) -> _Plugin:
    """Runs the plugin, without a terminal and at most 30 s; AuthFailed says what it said."""
    spec: dict[str, Any] = {"interactive": False}
    if plugin.cluster is not None:
        spec["cluster"] = plugin.cluster
    told = {"apiVersion": plugin.version, "kind": "ExecCredential", "spec": spec}
    env = {**os.environ, **plugin.env, "KUBERNETES_EXEC_INFO": msgspec.json.encode(told).decode()}
    what = ""
    out = err = b""
    try:
        process = await asyncio.create_subprocess_exec(
            plugin.command,
            *plugin.args,
            env=env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        what = f"the exec plugin {plugin.command} cannot be run ({error.strerror or 'not found'})"
    else:
        try:
            async with asyncio.timeout(PLUGIN_S):
                out, err = await process.communicate()
        except TimeoutError:
            what = f"the exec plugin {plugin.command} did not end within {PLUGIN_S:.0f} s"
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if not what and process.returncode:
            last = (err.decode(errors="replace").strip().splitlines() or [""])[-1]
            what = f"the exec plugin {plugin.command} failed ({process.returncode})" + (f": {last}" if last else "")
    found: _ExecCredential | None = None
    if not what:
        try:
            found = msgspec.json.decode(out, type=_ExecCredential)
        except (msgspec.DecodeError, UnicodeDecodeError):
            what = f"the exec plugin {plugin.command} prints no ExecCredential"
    if what or found is None or found.status is None:
        hint = plugin.hint or "run it by hand as the engine's user"
        raise AuthFailed(words(what or f"the exec plugin {plugin.command} prints no status"), hint)
    return found.status
