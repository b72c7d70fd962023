"""The contracts of imports name each adapter by hand: none that is added may be forgotten there."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

PROJECT = tomllib.loads((Path(__file__).resolve().parent.parent / "pyproject.toml").read_text())
MODULES = {at.partition(":")[0] for at in PROJECT["project"]["entry-points"]["watchfloor.adapters"].values()}
CONTRACTS = {c["name"]: c for c in PROJECT["tool"]["importlinter"]["contracts"]}


@pytest.mark.parametrize(
    ("contract", "key"),
    [
        ("What the terminal reads stays light", "forbidden_modules"),
        ("Adapters do not import each other", "modules"),
    ],
)
def test_each_adapter_is_in_it(contract: str, key: str) -> None:
    named = CONTRACTS[contract][key]
    assert MODULES
    assert {m for m in MODULES if not any(m == n or m.startswith(f"{n}.") for n in named)} == set()
