"""A real Kafka that wants a client certificate, or SCRAM: who is believed, who is refused, and what is said."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

from adapters.base import Secret, SourceSettings
from adapters.errors import AdapterError, AuthFailed, Unreachable
from adapters.kafka import KafkaAdapter
from tests.real.kafka_stand import Broker

pytestmark = pytest.mark.real


def certificates(folder: Path) -> None:
    """An authority, a broker's certificate (127.0.0.1) and a client's that ends tomorrow; another authority of nobody's."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl in PATH to make certificates with")

    def openssl(*args: str) -> None:
        subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True)

    for name in ("ca", "other"):
        openssl(
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "9",
            "-subj",
            f"/CN={name}",
            "-keyout",
            f"{name}.key",
            "-out",
            f"{name}.pem",
        )
    (folder / "san").write_text("subjectAltName=IP:127.0.0.1\n")
    for name, days in (("broker", "9"), ("client", "1")):
        openssl(
            "req",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            f"/CN={name}",
            "-keyout",
            f"{name}.key",
            "-out",
            f"{name}.csr",
        )
        openssl(
            "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", days,
            "-extfile", "san", "-out", f"{name}.pem",
        )  # fmt: skip
    both = (folder / "broker.key").read_text() + (folder / "broker.pem").read_text()
    (folder / "broker-both.pem").write_text(both)


async def test_certificates(tmp_path: Path) -> None:
    certificates(tmp_path)
    config = {
        "listener.security.protocol.map": "CLIENT:SSL,CONTROLLER:PLAINTEXT", "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(tmp_path / "broker-both.pem"), "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(tmp_path / "ca.pem"), "ssl.client.auth": "required",
    }  # fmt: skip
    mine = {"cert_file": "client.pem", "key_file": "client.key", "timeout": 10.0}
    with Broker(tmp_path / "broker", config=config) as broker:

        def adapter(ca: str, **more: Any) -> KafkaAdapter:
            known: dict[str, Any] = {
                "name": "k", "kind": "kafka", "url": f"kafkas://{broker.url}", "tls_ca": tmp_path / ca, "config_folder": tmp_path,
                "options": mine,
            }  # fmt: skip
            return KafkaAdapter(SourceSettings(**(known | more)))

        one = adapter("ca.pem")
        probe = await one.probe()
        assert probe.identity is not None
        assert probe.identity.startswith("cluster ")
        assert [w for w in probe.warnings if w.startswith("the client certificate ends on ")]
        await one.close()
        for ca, options, kinds, said in (
            ("other.pem", mine, (Unreachable,), "TLS: "),
            ("ca.pem", {"timeout": 10.0}, (Unreachable, AuthFailed), "alert"),
        ):
            one = adapter(ca, options=options)
            with pytest.raises(AdapterError) as refused:
                await one.runs(None)
            assert isinstance(refused.value, kinds)
            assert said in refused.value.what
            await one.close()
        one = adapter("other.pem", tls_verify=False)
        assert "the brokers' certificates are not verified (tls.verify = false)" in (await one.probe()).warnings
        await one.close()
        one = adapter("ca.pem", url=f"kafka://{broker.url}", tls_ca=None, options={"timeout": 3.0})
        with pytest.raises(Unreachable) as plain:
            await one.runs(None)
        assert "no broker answers" in plain.value.what
        await one.close()


async def test_scram(tmp_path: Path) -> None:
    mechanism = "SCRAM-SHA-512"
    config = {
        "sasl.enabled.mechanisms": f"PLAIN,{mechanism}",
        f"listener.name.client.{mechanism.lower()}.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
    }
    with Broker(tmp_path / "broker", secure=True, config=config) as broker:
        admin = AdminClient({**broker.client(), "log_level": 0})
        user = UserScramCredentialUpsertion(
            "scrammy", ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096), b"pw-of-scram"
        )
        for done in admin.alter_user_scram_credentials([user]).values():
            done.result(20)
        for password, good in (("pw-of-scram", True), ("another-9f3a", False)):
            auth = {"user": "scrammy", "password": Secret(lambda password=password: password, "env:T")}
            options = {"mechanism": mechanism, "timeout": 10.0}
            one = KafkaAdapter(
                SourceSettings(name="k", kind="kafka", url=f"kafka://{broker.url}", auth=auth, options=options)
            )
            if good:
                assert ((await one.probe()).identity or "").startswith("scrammy on cluster ")
            else:
                with pytest.raises(AuthFailed) as refused:
                    await one.probe()
                assert "invalid credentials" in refused.value.what
                assert password not in refused.value.what
            await one.close()
