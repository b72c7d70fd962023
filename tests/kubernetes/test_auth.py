"""Credentials of a cluster: kubeconfigs, plugins, tokens that rotate, certificates, and what is never shown."""

from __future__ import annotations

import base64
import builtins
import json
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Secret, SourceSettings
from adapters.errors import AdapterError, AuthFailed, Unreachable, Unsupported
from adapters.kubernetes import KubernetesAdapter, kubeconfig, tls
from adapters.kubernetes.kubeconfig import Wanted, find
from adapters.model import Verb
from tests.kubernetes.world import action, settings
from tests.servers.kubernetes_like import KubernetesLike


def config(server: str, user: dict[str, Any], /, **cluster: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "prod",
        "clusters": [{"name": "c", "cluster": {"server": server, **cluster}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "prod", "context": {"cluster": "c", "user": "u", "namespace": "etl"}}],
    }


def written(folder: Path, body: dict[str, Any], name: str = "config") -> Path:
    file = folder / name
    file.write_text(json.dumps(body))
    return file


def adapter_of(file: Path, **more: Any) -> KubernetesAdapter:
    options = {"kubeconfig": str(file), "read_timeout": 2.0, **more}
    return KubernetesAdapter(SourceSettings(name="k8s", kind="kubernetes", options=options))


async def works(adapter: KubernetesAdapter) -> None:
    assert len((await adapter.pipelines()).items) == 1


# --- kubeconfig ---------------------------------------------------------------------------------------------------------


async def test_a_kubeconfig_in_json_and_in_yaml(tmp_path: Path, like: KubernetesLike) -> None:
    body = config(like.url, {"token": like.token})
    yaml = f"""
# written by hand
apiVersion: v1
clusters:
- {{name: c, cluster: {{server: "{like.url}"}}}}
contexts:
- name: prod
  context: &ctx
    cluster: c
    user: u
    namespace: etl
- name: other
  context: *ctx
current-context: prod
users:
- name: u
  user:
    token: {like.token}
"""
    for text in (json.dumps(body), yaml):
        (tmp_path / "config").write_text(text)
        one = adapter_of(tmp_path / "config")
        await works(one)
        assert any("no options.context" in w for w in (await one.probe()).warnings)
        await one.close()
        two = adapter_of(tmp_path / "config", context="prod")
        assert not any("no options.context" in w for w in (await two.probe()).warnings)
        await two.close()


def test_yaml_scalars_stay_text(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(
        "current-context: 1e3\nclusters: [{name: no, cluster: {server: 'https://h', insecure-skip-tls-verify: true}}]\n"
        "users: [{name: 0123, user: {token: 2026-11-21}}]\ncontexts: [{name: 1e3, context: {cluster: no, user: 0123}}]\n"
    )
    place = find(Wanted(kubeconfig=tmp_path / "config"))
    assert (place.context, place.credential.user, place.credential.token, place.verify) == (
        "1e3", "0123", "2026-11-21", False,
    )  # fmt: skip


def test_without_pyyaml_the_extra_is_named_and_json_still_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def no_yaml(name: str, *rest: Any, **more: Any) -> Any:
        if name == "yaml":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", no_yaml)
    (tmp_path / "config").write_text("a: b\n")
    with pytest.raises(Unsupported) as said:
        find(Wanted(kubeconfig=tmp_path / "config"))
    assert "PyYAML" in said.value.what
    assert "watchfloor[kubernetes]" in said.value.hint
    assert find(Wanted(kubeconfig=written(tmp_path, config("https://h", {"token": "t"})))).server == "https://h"


def test_several_files_are_read_as_one_and_paths_are_from_their_own_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "t").write_text("from-b\n")
    first, second = config("https://one", {}), config("https://two", {"tokenFile": "t"})
    first["users"] = []
    second["contexts"][0]["context"]["namespace"] = "hidden"
    files = [written(tmp_path / "a", first), written(tmp_path / "b", second)]
    place = find(Wanted(), {"KUBECONFIG": ":".join(map(str, files)), "HOME": "/nowhere"})
    assert (place.server, place.namespace) == ("https://one", "etl")
    assert place.credential.token_file == tmp_path / "b" / "t"


@pytest.mark.parametrize(
    ("user", "cluster", "says"),
    [
        ({"auth-provider": {"name": "gcp"}}, {}, "has 'auth-provider'"),
        ({"username": "a", "password": "hunter2hunter2"}, {}, "has 'username'"),
        ({"as": "root"}, {}, "has 'as'"),
        ({"exec": {"apiVersion": "client.authentication.k8s.io/v1alpha1", "command": "x"}}, {}, "v1alpha1"),
        ({"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "x", "interactiveMode": "Always"}}, {}, "wants a terminal"),
        ({"exec": {"apiVersion": "client.authentication.k8s.io/v1"}}, {}, "no command"),
        ({"client-certificate": "not-there.pem"}, {}, "cannot be read"),
        ({"client-certificate-data": "hunter2!"}, {}, "no base64 of PEM"),
        ({}, {"certificate-authority": "no.pem"}, "cannot be read"),
        ({}, {"server": ""}, "has no server"),
    ],
)  # fmt: skip
def test_what_a_kubeconfig_lacks_is_one_sentence(tmp_path: Path, user: Any, cluster: Any, says: str) -> None:
    file = written(tmp_path, config("https://h", user, **cluster))
    with pytest.raises(AdapterError) as said:
        find(Wanted(kubeconfig=file))
    assert says in said.value.what
    assert "hunter2" not in said.value.what + said.value.hint


def test_contexts_that_are_not_there(tmp_path: Path) -> None:
    file = written(tmp_path, config("https://h", {}))
    with pytest.raises(Unsupported, match="has no context 'prd'; it has prod"):
        find(Wanted(kubeconfig=file, context="prd"))
    with pytest.raises(Unreachable, match="there is no kubeconfig"):
        find(Wanted(kubeconfig=tmp_path / "nowhere"))
    (tmp_path / "bad").write_text("a: [b\ntoken: hunter2hunter2")
    with pytest.raises(Unsupported, match="is no YAML") as said:
        find(Wanted(kubeconfig=tmp_path / "bad"))
    assert "hunter2" not in said.value.what


async def test_a_kubeconfig_that_now_points_elsewhere_moves_no_source(tmp_path: Path, like: KubernetesLike) -> None:
    file = written(tmp_path, config(like.url, {"token": like.token}))
    one = adapter_of(file)
    await works(one)
    with KubernetesLike(token="other-token") as other:
        body = config(other.url, {"token": "other-token"})
        file.write_text(json.dumps(body))
        like.tokens = {"other-token"}
        with pytest.raises(AuthFailed):  # nor are credentials of the other cluster shown to this one
            await one.runs(None)
        assert other.requests == []
    await one.close()


async def test_a_token_that_was_renewed_in_the_kubeconfig_is_found(tmp_path: Path, like: KubernetesLike) -> None:
    file = written(tmp_path, config(like.url, {"token": like.token}))
    one = adapter_of(file)
    await works(one)
    like.tokens = {"new-token-of-test"}
    with pytest.raises(AuthFailed):
        await one.runs(None)
    file.write_text(json.dumps(config(like.url, {"token": "new-token-of-test"})))
    await one.runs(None)
    await one.close()


# --- tokens in files, a pod ---------------------------------------------------------------------------------------------


async def test_a_token_file_is_read_again_each_minute_and_when_refused(
    tmp_path: Path, like: KubernetesLike, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "token"
    token.write_text(like.token + "\n")
    one = adapter_of(written(tmp_path, config(like.url, {"tokenFile": "token", "token": "not-this"})))
    await works(one)
    token.write_text("second-token")
    like.tokens = {"second-token"}
    await one.runs(None)
    assert [r.status for r in like.requests][-2:] == [401, 200]
    token.write_text("third-token")
    like.tokens.add("third-token")
    monkeypatch.setattr("adapters.kubernetes.auth.ROTATES_S", -1.0)  # a minute later
    await one.runs(None)
    assert one._made is not None
    assert one._made[2]._token == "third-token"
    token.unlink()  # while it is being replaced
    await one.runs(None)
    await one.close()


async def test_a_pod_finds_its_own_cluster(
    tmp_path: Path, like: KubernetesLike, monkeypatch: pytest.MonkeyPatch, pki: Pki
) -> None:
    for name, text in (("token", like.token), ("namespace", "etl"), ("ca.crt", pki.ca.read_text())):
        (tmp_path / name).write_text(text)
    env = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "6443", "HOME": str(tmp_path)}
    place = find(Wanted(), env, tmp_path)
    assert (place.server, place.namespace, place.origin) == (
        "https://10.0.0.1:6443",
        "etl",
        "service account of this pod",
    )
    assert find(Wanted(), env | {"KUBERNETES_SERVICE_HOST": "fd00::1"}, tmp_path).server == "https://[fd00::1]:6443"
    with pytest.raises(Unreachable, match="this is no pod"):
        find(Wanted(in_cluster=True), {}, tmp_path)
    monkeypatch.setattr(kubeconfig, "ACCOUNT", tmp_path)
    one = KubernetesAdapter(
        SourceSettings(name="k8s", kind="kubernetes", url=like.url, options={"in_cluster": True, "read_timeout": 2.0})
    )
    await works(one)
    await one.close()


# --- exec plugins -------------------------------------------------------------------------------------------------------

PLUGIN = """
import json, os, pathlib, sys
here = pathlib.Path(__file__).parent
info = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
(here / "calls").open("a").write(json.dumps([sys.argv[1:], os.environ.get("WHO"), info]) + "\\n")
answer = json.loads((here / "answer").read_text())
if isinstance(answer, str):
    sys.exit(answer)
print(json.dumps({"apiVersion": info["apiVersion"], "kind": "ExecCredential", "status": answer}))
"""


def plugin(folder: Path, server: str, answer: Any, **more: Any) -> Path:
    (folder / "plugin.py").write_text(PLUGIN)
    (folder / "answer").write_text(json.dumps(answer))
    body = {
        "apiVersion": "client.authentication.k8s.io/v1", "command": sys.executable, "args": [str(folder / "plugin.py"), "get"],
        "env": [{"name": "WHO", "value": "me"}], "provideClusterInfo": True, "interactiveMode": "Never", **more,
    }  # fmt: skip
    return written(folder, config(server, {"exec": body}))


def calls(folder: Path) -> list[Any]:
    return [json.loads(line) for line in (folder / "calls").read_text().splitlines()]


async def test_a_plugin_is_asked_once_until_its_token_ends(
    tmp_path: Path, like: KubernetesLike, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = adapter_of(plugin(tmp_path, like.url, {"token": like.token, "expirationTimestamp": like.stamp(-600)}))
    await works(one)
    await one.runs(None)
    args, who, info = calls(tmp_path)[0]
    assert (args, who) == (["get"], "me")
    assert info["spec"] == {"interactive": False, "cluster": {"server": like.url}}
    assert len(calls(tmp_path)) == 1
    monkeypatch.setattr("adapters.kubernetes.auth._PAUSE_S", 0.0)
    like.skew_s = 590  # by the server's clock it ends in ten seconds
    await one.runs(None)
    (tmp_path / "answer").write_text(json.dumps({"token": "fresh-token", "expirationTimestamp": like.stamp(-3600)}))
    like.tokens = {"fresh-token"}
    like.requests.clear()
    await one.runs(None)
    assert {r.status for r in like.requests} == {200}, "renewed before its end, not because it was refused"
    assert one.notes == (), "what renews itself needs no word"
    await one.close()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("login expired, token=hunter2hunter2", "failed (1): login expired, token=****"),
        ({}, "gives neither a token nor a certificate"),
    ],
)
async def test_a_plugin_that_fails_says_so(tmp_path: Path, like: KubernetesLike, answer: Any, says: str) -> None:
    one = adapter_of(plugin(tmp_path, like.url, answer, installHint="get it from the team"))
    with pytest.raises(AuthFailed) as said:
        await one.runs(None)
    assert says in said.value.what
    assert like.requests == []
    await one.close()


async def test_a_plugin_that_is_not_there(tmp_path: Path, like: KubernetesLike) -> None:
    one = adapter_of(plugin(tmp_path, like.url, {}, command="no-such-plugin", installHint="get it from the team"))
    with pytest.raises(AuthFailed, match="no-such-plugin cannot be run") as said:
        await one.runs(None)
    assert said.value.hint == "get it from the team"
    await one.close()


async def test_a_plugin_that_hangs_is_ended(
    tmp_path: Path, like: KubernetesLike, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.kubernetes.auth.PLUGIN_S", 0.2)
    one = adapter_of(plugin(tmp_path, like.url, {}, args=["-c", "import time; time.sleep(60)"]))
    with pytest.raises(AuthFailed, match="did not end within"):
        await one.runs(None)
    await one.close()


# --- certificates -------------------------------------------------------------------------------------------------------


@dataclass
class Pki:
    ca: Path
    server: Path
    client: Path
    client_key: Path

    def server_side(self) -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(self.server)
        made.load_verify_locations(self.ca)
        made.verify_mode = ssl.CERT_OPTIONAL
        return made


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed here: no certificates can be made")
    folder = tmp_path_factory.mktemp("pki")

    def openssl(*args: str) -> None:
        subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True)

    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.pem", "-days", "3650", "-subj", "/CN=test-ca")
    for name, days, ext in (
        ("server", "3650", "subjectAltName=DNS:kube.test"),
        ("client", "3", "extendedKeyUsage=clientAuth"),
    ):
        (folder / "ext").write_text(ext)
        openssl("req", *curve, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl(
            "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", days,
            "-extfile", "ext", "-out", f"{name}.pem",
        )  # fmt: skip
    both = folder / "server-both.pem"
    both.write_text((folder / "server.pem").read_text() + (folder / "server.key").read_text())
    return Pki(folder / "ca.pem", both, folder / "client.pem", folder / "client.key")


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
    assert tls.ends("some words before\n" + pki.client.read_text()) == int(
        ssl.cert_time_to_seconds(said.strip()[9:]) * 1000
    )
    assert tls.ends("no certificate") is None
    assert tls.ends("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n") is None


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
