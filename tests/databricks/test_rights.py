"""``doctor`` on Databricks: each right that the page asks for is tested, without an effect, and said where it is not told."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.base import Probe
from adapters.databricks import DatabricksAdapter
from adapters.databricks.rights import CLUSTERS, RIGHTS, UPDATES, Right
from adapters.model import Verb
from tests.databricks.world import settings
from tests.servers.databricks_like import DatabricksLike

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "systems" / "databricks.md").read_text()
OPTIONS = {"read_timeout": 0.4, "connect_timeout": 1.0, "clusters": True}
LEVELS = {
    "job": ("CAN_VIEW", "CAN_MANAGE_RUN", "CAN_MANAGE"),
    "pipeline": ("CAN_VIEW", "CAN_RUN", "CAN_MANAGE"),
    "cluster": ("CAN_ATTACH_TO", "CAN_RESTART", "CAN_MANAGE"),
}
RUNS = (Verb.START, Verb.STOP, Verb.RERUN, Verb.RERUN_FAILED, Verb.RERUN_FROM)


async def probed(like: DatabricksLike) -> Probe:
    adapter = DatabricksAdapter(settings(like, options=OPTIONS))
    found = await adapter.probe()
    await adapter.close()
    return found


@pytest.fixture
def full(like: DatabricksLike, job: int) -> DatabricksLike:
    """One of each kind."""
    like.add_run(job, "TERMINATED", "FAILED")
    like.add_pipe("silver")
    like.add_cluster("shared")
    return like


def give(like: DatabricksLike, on: str, level: str) -> None:
    levels = {like.me: level}
    for job in like.jobs.values():
        job.levels = levels if on == "job" else {}
    for pipe in like.pipes.values():
        pipe.levels = levels if on == "pipeline" else {}
    like.cluster_levels = levels if on == "cluster" else {}


def test_the_page_asks_for_what_doctor_tests_and_no_more() -> None:
    table = TEXT.split("| to | on | level |")[1].split("\n\n")[0]
    rows = [tuple(cell.strip() for cell in row.strip("|").split("|")) for row in table.splitlines() if "| each" in row]
    assert [(to, on.removeprefix("each "), level.partition(" (")[0]) for to, on, level in rows] == [
        (right.to, right.on, right.level) for right in RIGHTS
    ]
    for told in (UPDATES, CLUSTERS, "output"):
        assert f"`{told}`" in TEXT


async def test_all_of_it_is_told_and_nothing_changes(full: DatabricksLike) -> None:
    found = await probed(full)
    assert set(found.permissions) == {told for right in RIGHTS for told in right.tells}
    assert all(found.permissions.values())
    assert {r.method for r in full.requests} == {"GET"}
    assert found.warnings == (
        "rights were read off one job (daily) and one pipeline (silver) and one cluster (shared) only",
    )


@pytest.mark.parametrize("right", [r for r in RIGHTS if r.on != "job" or r.to != RIGHTS[0].to], ids=lambda r: r.to)
async def test_the_smallest_level_is_enough_and_a_lesser_one_is_not(full: DatabricksLike, right: Right) -> None:
    of = LEVELS[right.on]
    least = of.index(right.level.replace(" ", "_"))
    for number, level in enumerate(of):
        give(full, right.on, level)
        can = (await probed(full)).permissions
        assert [can[told] for told in right.tells] == [number >= least] * len(right.tells), level


@pytest.mark.parametrize(
    ("where", "lost", "kept"),
    [
        ("runs/list", ("view", *RUNS), (Verb.PAUSE, "pipelines", "clusters")),
        ("runs/get-output", ("output",), ("view", Verb.START)),
        ("/events", ("pipelines",), ("view", Verb.START)),
        ("/clusters/list", ("clusters",), ("view", Verb.START, UPDATES)),
        ("2.0/pipelines", ("pipelines",), ("view", Verb.START)),
    ],
)
async def test_what_may_not_be_read_is_said(
    full: DatabricksLike, where: str, lost: tuple[str, ...], kept: tuple[str, ...]
) -> None:
    full.forbid = lambda method, path: where in path
    found = await probed(full)
    assert [found.permissions[told] for told in lost] == [False] * len(lost)
    assert all(found.permissions[told] for told in kept)
    if where == "runs/list":
        assert any("runs may not be listed" in text for text in found.warnings)


async def test_what_cannot_be_known_is_a_warning(full: DatabricksLike) -> None:
    full.forbid = lambda method, path: "permissions" in path
    found = await probed(full)
    assert {told for told, may in found.permissions.items() if may is None} == {
        *RUNS,
        Verb.PAUSE,
        Verb.RESUME,
        UPDATES,
        CLUSTERS,
    }
    for name in ("job daily", "pipeline silver", "cluster shared"):
        assert any(name in text and "may not be read" in text for text in found.warnings)
    full.groups = ["users", "admins"]
    assert all((await probed(full)).permissions.values()), "an admin may all of it"


async def test_of_kinds_that_are_not_watched_nothing_is_asked(full: DatabricksLike) -> None:
    adapter = DatabricksAdapter(settings(full, options={"pipelines": False}))
    assert not {"pipelines", UPDATES, CLUSTERS} & (await adapter.probe()).permissions.keys()
    assert not [r for r in full.requests if "/pipelines" in r.path]
    await adapter.close()
