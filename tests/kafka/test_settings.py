"""What may be written: url, auth, options, include and queries; each mistake is one sentence, and no secret is in any text."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Secret, SourceSettings
from adapters.errors import AuthFailed
from adapters.kafka import KafkaAdapter
from adapters.kafka.access import Access
from adapters.kafka.options import Options, servers
from adapters.kafka.queries import Query, parse
from adapters.kafka.survey import figure, span

SECRET = "pw-9f3a"


def secret(text: str = SECRET) -> Secret:
    return Secret(lambda: text, "env:KAFKA_PASSWORD")


def settings(**more: Any) -> SourceSettings:
    return SourceSettings(**({"name": "k", "kind": "kafka", "url": "kafkas://k1:9093"} | more))


def access(**more: Any) -> Access:
    s = settings(**more)
    return Access(s, Options.read(s.options))


# --- where and who ------------------------------------------------------------------------------------------------------


def test_servers() -> None:
    assert servers("kafka://k1:9092,k2") == ("k1:9092,k2:9092", False)
    assert servers("kafkas://[::1]:9093/") == ("[::1]:9093", True)
    for wrong in (
        "k1:9092",
        "https://k1:9092",
        "kafka://",
        "kafka://k1:9092/topic",
        "kafka://a:b@k1",
        "kafka://k1, k2",
    ):
        with pytest.raises(ValueError, match="url: expected"):
            servers(wrong)


PAIR = {"user": "watchfloor", "password": secret()}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"url": "kafka://h"}, {"security.protocol": "PLAINTEXT"}),
        ({}, {"security.protocol": "SSL", "enable.ssl.certificate.verification": True}),
        ({"tls_verify": False}, {"enable.ssl.certificate.verification": False}),
        ({"auth": PAIR}, {"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN", "sasl.username": "watchfloor", "sasl.password": SECRET}),
        ({"auth": PAIR, "options": {"mechanism": "SCRAM-SHA-512"}, "url": "kafka://h"}, {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "SCRAM-SHA-512"}),
        (
            {"auth": {"client_id": "wf", "client_secret": secret()}, "options": {"token_url": "https://idp/token", "scope": "kafka"}},
            {"sasl.mechanism": "OAUTHBEARER", "sasl.oauthbearer.method": "oidc", "sasl.oauthbearer.client.secret": SECRET, "sasl.oauthbearer.scope": "kafka"},
        ),
        ({"auth": {"token": secret()}}, {"sasl.mechanism": "OAUTHBEARER"}),
    ],
)  # fmt: skip
async def test_what_librdkafka_is_told(more: dict[str, Any], expected: dict[str, Any]) -> None:
    one = access(**more)
    config, token = await one.config()
    assert expected.items() <= config.items()
    assert (token is not None) == ("token" in more.get("auth", {}))
    if token is not None:
        text, end = token("")
        assert text == SECRET
        assert 0 < end - time.time() <= 300
    assert SECRET not in repr(one) + repr(one._settings)


async def test_files_of_tls(tmp_path: Path) -> None:
    for name in ("ca.pem", "c.pem", "k.pem"):
        (tmp_path / name).write_text("PEM")
    one = access(
        tls_ca=tmp_path / "ca.pem", config_folder=tmp_path, options={"cert_file": "c.pem", "key_file": "k.pem"},
        auth={"key_password": secret()},
    )  # fmt: skip
    config, _ = await one.config()
    assert config["ssl.ca.location"] == str(tmp_path / "ca.pem")
    assert config["ssl.certificate.location"] == str(tmp_path / "c.pem")
    assert config["ssl.key.location"] == str(tmp_path / "k.pem")
    assert config["ssl.key.password"] == SECRET
    (tmp_path / "k.pem").unlink()
    with pytest.raises(AuthFailed, match=r"options\.key_file cannot be read: No such file"):
        await one.config()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"url": "kafka://h", "tls_ca": Path("x")}, "url: expected kafkas://"),
        ({"auth": {"user": "x"}}, "auth: user and password belong together"),
        ({"auth": {"client_id": "x"}}, "auth: client_id and client_secret belong together"),
        ({"auth": {**PAIR, "token": secret()}}, "auth: user or token, not both"),
        ({"auth": {"pass": "x"}}, "auth: unknown key 'pass'; known: user, password"),
        ({"auth": {"key_password": secret()}}, "auth.key_password needs options.key_file"),
        ({"auth": {"token": secret()}, "options": {"mechanism": "PLAIN"}}, "auth: PLAIN needs user and password"),
        ({"auth": PAIR, "options": {"mechanism": "OAUTHBEARER"}}, "auth: OAUTHBEARER needs token, or client_id"),
        ({"options": {"mechanism": "PLAIN"}}, "options.mechanism: PLAIN needs auth"),
        ({"options": {"mechanism": "GSSAPI"}}, "options.mechanism: expected one of PLAIN, SCRAM"),
        ({"options": {"token_url": "https://x"}}, "auth.client_id and options.token_url belong together"),
        ({"auth": {"client_id": "x", "client_secret": secret()}, "options": {"token_url": "http://idp"}}, "options.token_url: expected a URL that begins with https"),
        ({"options": {"cert_file": "x"}}, "cert_file and key_file belong together"),
        ({"options": {"groups": "loader"}}, "options.groups: expected a list of names"),
        ({"options": {"groups": ["load*"]}}, "options.groups: expected whole names, got 'load*'; patterns stand in include"),
        ({"options": {"topics": ["t"]}}, "options.topics: needs options.groups too"),
        ({"options": {"isolation": "x"}}, "options.isolation: expected read_uncommitted or read_committed"),
        ({"options": {"timeout": 0}}, "options.timeout: expected seconds, more than 0 and at most 30"),
        ({"options": {"rate": True}}, "options.rate: expected seconds, 15 and at most 3600"),
        ({"options": {"speed": 1}}, "options: unknown key 'speed'; known: cert_file, groups"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence(more: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError) as wrong:
        KafkaAdapter(settings(**more))
    assert said in str(wrong.value)
    assert SECRET not in str(wrong.value)


async def test_a_secret_that_cannot_be_had_says_where_it_should_come_from() -> None:
    def broken() -> str:
        raise OSError("no such thing")

    for value in (Secret(broken, "file:/run/kafka"), Secret(lambda: " ", "file:/run/kafka")):
        one = KafkaAdapter(settings(auth={"user": "x", "password": value}))
        with pytest.raises(AuthFailed, match="file:/run/kafka"):
            await one.runs(None)
        await one.close()


async def test_what_should_be_known_before_it_happens() -> None:
    assert await access(url="kafka://h", auth=PAIR).warnings() == [
        "the password travels unencrypted: write kafkas:// where the brokers speak TLS"
    ]
    assert await access(tls_verify=False).warnings() == [
        "the brokers' certificates are not verified (tls.verify = false)"
    ]
    body = base64.urlsafe_b64encode(json.dumps({"exp": 1_700_000_000}).encode()).decode().rstrip("=")
    one = access(auth={"token": secret(f"a.{body}.c")})
    _, token = await one.config()
    assert token is not None
    assert token("")[1] == 1_700_000_000
    assert await one.warnings() == ["the token ended on 2023-11-14 22:13 UTC"]


# --- queries ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("lag(loader)", Query("lag", ("loader",))),
        (" lag ( 'my group, 1' , \"t\" ) ", Query("lag", ("my group, 1", "t"))),
        ("sum(lag(*, orders.*))", Query("lag", ("*", "orders.*"), "sum")),
        ("max( drain(a-b_c.d) )", Query("drain", ("a-b_c.d",), "max")),
        ("offline", Query("offline")),
        ("offline()", Query("offline")),
        ("under_replicated(t*)", Query("under_replicated", ("t*",))),
        ("produced(t)", Query("produced", ("t",))),
    ],
)
def test_queries(text: str, query: Query) -> None:
    assert parse(text) == query
    assert KafkaAdapter.wrong_query(text) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it is empty"),
        ("lag", "lag wants a group, or a group and a topic in its brackets"),
        ("lag()", "lag wants a group, or a group and a topic"),
        ("lag(a, b, c)", "lag wants a group, or a group and a topic"),
        ("lag(a", "the ( of lag is not closed"),
        ("lag(", "the ( of lag is not closed"),
        ("lag(a b)", 'expected a name and then , or ) in "a b)"'),
        ("lag(a) > 5", 'nothing may stand behind the ) but there is "> 5"'),
        ("lags(a)", "there is no lags: known are lag, rate, drain"),
        ("sum(max(lag(*)))", "sum of max: one of them is enough"),
        ("sum(lag(*)", "the ( of lag is not closed"),
        ("max(kafka_lag{topic='cdm'})", "expected a function like lag(GROUP), got \"kafka_lag{topic='cdm'}\""),
        ("brokers(1)", "brokers wants no name in its brackets"),
        ("produced('')", "produced wants one name in its brackets"),
        ("\x1b[31m" + "x" * 300, 'expected a function like lag(GROUP), got "'),
    ],
)
def test_a_wrong_query_is_one_clause(text: str, said: str) -> None:
    found = KafkaAdapter.wrong_query(text)
    assert found is not None
    assert said in found
    assert found.isprintable()
    assert len(found) <= 200


def test_figures_and_spans() -> None:
    assert [span(s) for s in (0, 0.2, 59.1, 60, 3599, 3600, 12_000, 90_000, 86_400 * 400)] == [
        "0s", "1s", "1m", "1m", "1h", "1h", "3h 20m", "1d 1h", "400d",
    ]  # fmt: skip
    assert [figure(v) for v in (0, 0.02, 0.34, 1, 3.44, 12.6, 40_000)] == [
        "0",
        "0.02",
        "0.3",
        "1",
        "3.4",
        "13",
        "40,000",
    ]
