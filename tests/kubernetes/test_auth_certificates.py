"""Credentials of a cluster: certificates, and who we are."""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Secret, SourceSettings
from adapters.errors import AuthFailed, Unreachable, Unsupported
from adapters.kubernetes import KubernetesAdapter
from adapters.model import Verb
from adapters.tls import certificate_ends
from tests.kubernetes.auth_parts import Pki, adapter_of, calls, config, plugin, works, written
from tests.kubernetes.world import action, settings
from tests.servers.kubernetes_like import KubernetesLike

# --- certificates -------------------------------------------------------------------------------------------------------


@pytest.fixture
def secure(pki: Pki) -> Iterator[KubernetesLike]:
    with KubernetesLike(tls=pki.server_side()) as server:
        server.certificates = True
        server.add_cron("daily")
        yield server


def b64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


@pytest.mark.parametrize("inline", [True, False])
async def test_client_certificates(tmp_path: Path, secure: KubernetesLike, pki: Pki, inline: bool) -> None:
    if inline:
        user = {"client-certificate-data": b64(pki.client), "client-key-data": b64(pki.client_key)}
        cluster = {"certificate-authority-data": b64(pki.ca)}
    else:
        user = {"client-certificate": str(pki.client), "client-key": str(pki.client_key)}
        cluster = {"certificate-authority": str(pki.ca)}
    file = written(tmp_path, config(secure.url, user, **cluster, **{"tls-server-name": "kube.test"}))
    one = adapter_of(file)
    await works(one)
    assert len(one.notes) == 1
    assert "its client certificate ends on" in one.notes[0]
    assert "PRIVATE KEY" not in repr(one._made)
    await one.close()


async def test_a_server_of_another_name_or_authority_is_not_believed(
    tmp_path: Path, secure: KubernetesLike, pki: Pki
) -> None:
    user = {"token": secure.token}
    for cluster in ({"certificate-authority": str(pki.ca)}, {"tls-server-name": "kube.test"}):
        one = adapter_of(written(tmp_path, config(secure.url, user, **cluster)))
        with pytest.raises(Unreachable, match=r"is not trusted|no TLS") as said:
            await one.runs(None)
        assert not said.value.sent
        await one.close()
    assert secure.requests == []
    one = adapter_of(written(tmp_path, config(secure.url, user, **{"insecure-skip-tls-verify": True})))
    assert "the server's certificate is not verified" in (await one.probe()).warnings
    await one.close()


async def test_a_key_that_does_not_belong_to_its_certificate(tmp_path: Path, secure: KubernetesLike, pki: Pki) -> None:
    user = {"client-certificate": str(pki.client), "client-key": str(pki.ca.with_name("ca.key"))}
    one = adapter_of(written(tmp_path, config(secure.url, user, **{"certificate-authority": str(pki.ca)})))
    with pytest.raises(AuthFailed, match="cannot be used"):
        await one.runs(None)
    await one.close()


async def test_a_certificate_of_a_plugin_is_renewed_with_new_connections(
    tmp_path: Path, secure: KubernetesLike, pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.kubernetes.auth._PAUSE_S", 0.0)
    answer = {
        "clientCertificateData": pki.client.read_text(), "clientKeyData": pki.client_key.read_text(),
        "expirationTimestamp": secure.stamp(-10),
    }  # fmt: skip
    file = plugin(tmp_path, secure.url, answer)
    body = json.loads(file.read_text())
    body["clusters"][0]["cluster"] |= {"certificate-authority-data": b64(pki.ca), "tls-server-name": "kube.test"}
    file.write_text(json.dumps(body))
    one = adapter_of(file)
    await works(one)
    (tmp_path / "answer").write_text(json.dumps(answer | {"clientCertificateData": pki.client.read_text() + "\n"}))
    await one.runs(None)
    await one.runs(None)
    assert len(calls(tmp_path)) >= 2
    await one.close()


def test_when_a_certificate_ends(pki: Pki) -> None:
    said = subprocess.run(
        ["openssl", "x509", "-noout", "-enddate", "-in", str(pki.client)], capture_output=True, text=True, check=True
    ).stdout
    assert certificate_ends("some words before\n" + pki.client.read_text()) == int(
        ssl.cert_time_to_seconds(said.strip()[9:]) * 1000
    )
    assert certificate_ends("no certificate") is None
    assert certificate_ends("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n") is None


# --- who we are ---------------------------------------------------------------------------------------------------------


def jwt(**claims: Any) -> str:
    parts = [base64.urlsafe_b64encode(json.dumps(c).encode()).decode().rstrip("=") for c in ({"alg": "RS256"}, claims)]
    return ".".join([*parts, "c2lnbmF0dXJl"])


async def test_a_static_token_that_ends_soon_is_spoken_of(tmp_path: Path, like: KubernetesLike) -> None:
    token = jwt(sub="system:serviceaccount:ops:watchfloor", exp=like.now() + 86_400)
    like.tokens = {token}
    one = adapter_of(written(tmp_path, config(like.url, {"token": token})))
    await works(one)
    assert one.notes[0].startswith("its token ends on ")
    like.skew_s = 2 * 86_400
    await one.runs(None)
    assert one.notes[0].startswith("its token has ended on ")
    like.old = True
    assert (await one.probe()).identity == "system:serviceaccount:ops:watchfloor"
    await one.close()


async def test_probe_says_rights_and_what_is_refused_is_not_offered(like: KubernetesLike) -> None:
    like.may = lambda verb, resource, group, namespace: verb not in ("patch", "delete") and resource != "nodes"
    one = KubernetesAdapter(settings(like))
    assert one.caps.can(Verb.STOP)
    probe = await one.probe()
    assert (probe.version, probe.identity) == ("v1.33.2", "system:serviceaccount:ops:watchfloor")
    assert probe.permissions["create jobs.batch"] is True
    assert probe.permissions["delete jobs.batch"] is False
    assert probe.permissions["get pods/log"] is True
    assert probe.permissions["list nodes"] is False
    assert not one.caps.can(Verb.STOP)
    assert one.caps.why(Verb.STOP) == "the credential may not delete jobs.batch in etl"
    assert one.caps.can(Verb.START)
    with pytest.raises(Unsupported, match=r"may not patch cronjobs\.batch in etl"):
        await one.prepare(action(Verb.PAUSE, "k8s:etl.cronjob.daily"))
    assert like.effects == []
    await one.close()


async def test_rights_in_many_namespaces_cost_few_questions(like: KubernetesLike) -> None:
    names = [f"ns-{n}" for n in range(12)]
    one = KubernetesAdapter(settings(like, options={"namespaces": names}))
    await one.probe()
    assert len(like.requests) < 20
    like.requests.clear()
    like.may = lambda verb, resource, group, namespace: namespace == "ns-0" or verb in ("list", "get", "watch")
    probe = await one.probe()
    assert len(like.requests) < 40
    may = {key: value for key, value in probe.permissions.items() if key.startswith("delete jobs.batch")}
    assert (may["delete jobs.batch in ns-0"], may["delete jobs.batch in ns-1"]) == (True, False)
    assert may["delete jobs.batch in ns-11"] is None
    assert one.caps.can(Verb.STOP)
    await one.close()


async def test_a_plugin_whose_credential_is_refused_is_not_run_again_at_once(
    tmp_path: Path, like: KubernetesLike, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = adapter_of(plugin(tmp_path, like.url, {"token": "refused-token"}))
    for _ in range(3):
        with pytest.raises(AuthFailed):
            await one.runs(None)
    assert len(calls(tmp_path)) == 1
    monkeypatch.setattr("adapters.kubernetes.auth._PAUSE_S", -1.0)
    (tmp_path / "answer").write_text(json.dumps({"token": like.token}))
    await one.runs(None)
    assert len(calls(tmp_path)) == 2
    await one.close()


async def test_without_a_credential_the_cluster_knows_nobody(like: KubernetesLike) -> None:
    one = KubernetesAdapter(settings(like, auth={}))
    with pytest.raises(AuthFailed, match="system:anonymous"):
        await one.runs(None)
    await one.close()


async def test_a_secret_that_cannot_be_read_is_a_sentence(like: KubernetesLike) -> None:
    def broken() -> str:
        raise ValueError("hunter2hunter2")

    one = KubernetesAdapter(settings(like, auth={"token": Secret(broken, "file:x")}))
    with pytest.raises(AuthFailed, match="cannot be read from file:x") as said:
        await one.runs(None)
    assert "hunter2" not in repr(said.value.__cause__) + repr(said.value.__context__)
    await one.close()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"namespace": "x"}, "has no option 'namespace'"), ({"namespaces": "x"}, "is a list of names"),
        ({"namespaces": []}, "is a list of names"), ({"namespaces": ["*", "a"]}, 'or "*" alone'),
        ({"namespaces": ["a/b"]}, "a name that is none"), ({"context": 3}, "is a text"), ({"in_cluster": 1}, "true or false"),
        ({"read_timeout": 0}, "a number of seconds"), ({"read_timeout": True}, "a number of seconds"),
        ({"in_cluster": True, "context": "x"}, "goes without"),
    ],
)  # fmt: skip
def test_options_are_checked(options: dict[str, Any], says: str) -> None:
    with pytest.raises(Unsupported, match=says.replace("*", r"\*")):
        KubernetesAdapter(SourceSettings(name="k8s", kind="kubernetes", options=options))


def test_other_credentials_are_refused() -> None:
    with pytest.raises(Unsupported, match=r"not auth\.password"):
        KubernetesAdapter(SourceSettings(name="k8s", kind="kubernetes", auth={"password": "x"}))
