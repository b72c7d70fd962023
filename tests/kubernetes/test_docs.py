"""docs/systems/kubernetes.md: samples load as they stand, the role is what is asked for, what cannot be done is in the same words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from adapters.kubernetes import KubernetesAdapter
from adapters.kubernetes.adapter import _OTHER, _SECONDS, _WHY_NOT
from adapters.kubernetes.rights import CLUSTER_RIGHTS, RIGHTS
from engine.adapters_in import make_adapter
from engine.config.load import load
from engine.config.paths import places

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "systems" / "kubernetes.md").read_text()
SAMPLES = re.findall(r"```toml\n(.*?)```", TEXT, re.S)
ROLE, CLUSTER_ROLE = (yaml.safe_load(y) for y in re.findall(r"```yaml\n(.*?)```", TEXT, re.S))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: re.search(r'name = "(.+?)"', s)[1])
async def test_a_sample_makes_an_adapter(tmp_path: Path, sample: str) -> None:
    file = tmp_path / "watchfloor.toml"
    file.write_text(sample)
    config = load(file)
    assert [w for w in config.warnings if "[[route]]" not in w] == []
    for source in config.sources:
        adapter = make_adapter(source, config, places(file, env={"XDG_STATE_HOME": str(tmp_path)}))
        assert isinstance(adapter, KubernetesAdapter)
        await adapter.close()


def rights(role: dict[str, list[dict[str, list[str]]]]) -> set[tuple[str, str, str]]:
    return {
        (verb, resource, group)
        for rule in role["rules"]
        for verb in rule["verbs"]
        for resource in rule["resources"]
        for group in rule["apiGroups"]
    }


def test_the_role_is_what_doctor_asks_for_and_no_more() -> None:
    assert rights(ROLE) == set(RIGHTS)
    assert rights(CLUSTER_ROLE) == set(CLUSTER_RIGHTS)


def test_every_option_is_told() -> None:
    for option in (*_SECONDS, *_OTHER):
        assert f"`{option}`" in TEXT


def test_what_is_lacking_is_said_in_the_same_words() -> None:
    told = " ".join(TEXT.split())
    for what in ("rerun-failed", "mark", "backfill", "history", "assets"):
        assert _WHY_NOT[what] in told, what
