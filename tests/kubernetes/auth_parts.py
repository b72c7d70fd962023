"""What the tests of credentials of a cluster share."""

from __future__ import annotations

import json
import ssl
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.base import SourceSettings
from adapters.kubernetes import KubernetesAdapter


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
