"""Credentials of a cluster: kubeconfigs, plugins, tokens that rotate, and what is never shown."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import pytest

from adapters.base import SourceSettings
from adapters.errors import AdapterError, AuthFailed, Unreachable, Unsupported
from adapters.kubernetes import KubernetesAdapter, kubeconfig
from adapters.kubernetes.kubeconfig import Wanted, find
from tests.kubernetes.auth_parts import Pki, adapter_of, calls, config, plugin, works, written
from tests.servers.kubernetes_like import KubernetesLike

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
