"""A cluster-shaped server with one CronJob and a node, and an adapter on it. No test may ask for what the API lacks."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator

import pytest

from adapters.kubernetes import KubernetesAdapter
from tests.kubernetes.auth_parts import Pki
from tests.kubernetes.world import settings
from tests.servers.kubernetes_like import KubernetesLike


@pytest.fixture
def like() -> Iterator[KubernetesLike]:
    with KubernetesLike() as server:
        server.add_cron("daily", labels={"app.kubernetes.io/part-of": "sales"})
        server.add_node("node-1")
        yield server
        assert server.invented == []
        assert server.orphans == []


@pytest.fixture
async def adapter(like: KubernetesLike) -> AsyncIterator[KubernetesAdapter]:
    one = KubernetesAdapter(settings(like))
    yield one
    await one.close()


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
