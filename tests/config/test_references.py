"""What is a reference to a secret, and what only looks like one."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.base import Adapter, Secret
from engine.adapters_in import _options
from engine.config.model import SecretRef
from engine.config.secrets import reference, resolve


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({"env": "A"}, SecretRef("env", "A")),
        ({"file": "a.txt"}, SecretRef("file", "a.txt")),
        ({"cred": "a"}, SecretRef("cred", "a")),
        ({"cmd": ["pass", "show", "x"]}, SecretRef("cmd", ("pass", "show", "x"))),
        ({"cmd": "pass show x"}, None),
        ({"cmd": []}, None),
        ({"env": "A", "file": "b"}, None),
        ({"env": 3}, None),
        ({"other": "A"}, None),
        ({}, None),
        ("A", None),
    ],
)
def test_reference(value: Any, found: SecretRef | None) -> None:
    assert reference(value) == found


def test_only_tables_that_the_adapter_names_are_resolved(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("TOKEN_OF_TEST", "s3cr3t")

    class Taking(Adapter):
        secret_options = ("env",)

    options = {"env": {"A": {"env": "TOKEN_OF_TEST"}, "B": "plain"}, "other": {"A": {"env": "TOKEN_OF_TEST"}}}
    found = _options(Taking, options, lambda ref: resolve(ref, tmp_path))
    assert isinstance(found["env"]["A"], Secret)
    assert found["env"]["A"].reveal() == "s3cr3t"
    assert "s3cr3t" not in repr(found)
    assert found["env"]["B"] == "plain"
    assert found["other"] == options["other"]
    assert _options(Adapter, options, lambda ref: resolve(ref, tmp_path)) == options
