"""What an Airflow 3 has beside runs: components by their heartbeat, pools, import errors, warnings, assets."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from adapters.airflow import AirflowAdapter
from adapters.airflow.items import HealthParts, said, whole
from adapters.errors import BadResponse, Forbidden, Unreachable
from adapters.extras import Standing
from adapters.http import date_ms
from tests.airflow.world import settings
from tests.servers.airflow_like import AirflowLike

DATA = Path(__file__).parent / "data"
TRACE = (
    'Traceback (most recent call last):\r\n  File "<frozen importlib._bootstrap>", line 241, in _call\n'
    '  File "/opt/dags/broken.py", line 3, in <module>\n    import \x1b[31mnope\x1b[0m\n'
    "ModuleNotFoundError: No module named 'nope' password=hunter2\n"
)


async def by_kind(adapter: AirflowAdapter, kind: str) -> dict[str, object]:
    return {i.name: i for i in await adapter.items() if i.kind == kind}


def test_a_recorded_dead_scheduler_is_bad_by_its_own_word() -> None:
    health = msgspec.json.decode((DATA / "health_scheduler_down.json").read_bytes(), type=HealthParts)
    now = date_ms("Sat, 21 Nov 2026 09:36:06 GMT")
    assert [(i.name, i.standing, i.words, i.value) for i in health.items(now)] == [
        ("scheduler", Standing.BAD, "silent: nothing new starts", 50.618),
        ("metadata database", Standing.FINE, "healthy", None),
        ("DAG processor", Standing.FINE, "healthy", 6.554),
        ("triggerer", Standing.FINE, "healthy", 0.23),
    ]


async def test_age_of_a_heartbeat_is_by_the_servers_own_clock(like: AirflowLike, adapter: AirflowAdapter) -> None:
    like.skew_s = -7_200  # two hours behind us
    like.beat_age_s["triggerer"] = 400
    found = await by_kind(adapter, "component")
    assert set(found) == {"scheduler", "metadata database", "DAG processor", "triggerer"}
    scheduler, triggerer = found["scheduler"], found["triggerer"]
    assert scheduler.standing is Standing.FINE  # type: ignore[attr-defined]
    assert scheduler.value < 3  # type: ignore[attr-defined]
    assert (triggerer.standing, triggerer.words) == (Standing.WARNING, "silent: deferred tasks stand still")  # type: ignore[attr-defined]
    assert 398 <= triggerer.value <= 403  # type: ignore[attr-defined]


async def test_a_heartbeat_that_is_old_is_not_well_whatever_the_server_says(
    like: AirflowLike, adapter: AirflowAdapter
) -> None:
    body = {
        "scheduler": {"status": "healthy", "latest_scheduler_heartbeat": "2026-11-21T05:12:00+00:00"},
        "triggerer": {"status": None},
    }
    health = msgspec.json.decode(json.dumps(body), type=HealthParts)
    (one,) = health.items(date_ms("Sat, 21 Nov 2026 05:13:01 GMT"))
    assert (one.standing, one.since) == (Standing.BAD, date_ms("Sat, 21 Nov 2026 05:12:00 GMT"))
    (fine,) = health.items(date_ms("Sat, 21 Nov 2026 05:13:00 GMT"))
    assert fine.standing is Standing.FINE
    (unclocked,) = health.items(None)
    assert (unclocked.standing, unclocked.value) == (Standing.FINE, None), "an unknown age is not 0"


async def test_pools_say_what_fills_them(like: AirflowLike, adapter: AirflowAdapter) -> None:
    like.add_pool("heavy", 4, running=3, queued=1, scheduled=5)
    like.add_pool("off", 0)
    like.add_pool("endless", -1, running=2)
    found = await by_kind(adapter, "pool")
    assert {n: (p.standing, p.words, p.value, p.limit) for n, p in found.items()} == {  # type: ignore[attr-defined]
        "default_pool": (Standing.FINE, "idle", 0.0, 128.0),
        "heavy": (Standing.WARNING, "full: 3 running, 1 queued, 5 scheduled", 4.0, 4.0),
        "off": (Standing.WARNING, "no slots: nothing in it starts", 0.0, 0.0),
        "endless": (Standing.FINE, "2 running", 2.0, None),
    }


async def test_import_errors_have_one_line_and_the_whole_trace_made_harmless(
    like: AirflowLike, adapter: AirflowAdapter
) -> None:
    like.add_import_error("broken.py", TRACE)
    like.add_import_error("broken.py", "SyntaxError: x", bundle_name="other")
    like.add_import_error("quiet.py", "")
    found = await by_kind(adapter, "import-error")
    assert set(found) == {"broken.py", "broken.py (other)", "quiet.py"}
    one = found["broken.py"]
    assert one.words == "ModuleNotFoundError: No module named 'nope' password=****"  # type: ignore[attr-defined]
    assert one.standing is Standing.BAD  # type: ignore[attr-defined]
    assert "\x1b" not in one.text  # type: ignore[attr-defined]
    assert "\r" not in one.text  # type: ignore[attr-defined]
    assert one.text.count("\n") == 4  # type: ignore[attr-defined]
    assert one.since is not None  # type: ignore[attr-defined]
    assert found["quiet.py"].words == "cannot be read; Airflow does not say why"  # type: ignore[attr-defined]


def test_what_a_trace_says() -> None:
    assert said("Traceback (most recent call last):\n  File x\nKeyError: 'a'\n\n") == "KeyError: 'a'"
    assert said("  indented only\n") == "indented only"
    assert said("") == ""
    assert whole("x" * 30_000).endswith("… (longer than is kept here)")


async def test_warnings_name_their_pipeline_and_only_wanted_ones(like: AirflowLike) -> None:
    like.add_dag("other")
    like.add_warning("daily", "Dag 'daily' references non-existent pools: ['gone']")
    like.add_warning("other", "not ours")
    adapter = AirflowAdapter(settings(like, include=("dai*",)))
    found = await by_kind(adapter, "warning")
    (one,) = found.values()
    assert (one.name, one.key, one.words) == (  # type: ignore[attr-defined]
        "daily non-existent pool", "af:daily", "Dag 'daily' references non-existent pools: ['gone']",
    )  # fmt: skip
    await adapter.close()


async def test_assets_have_their_last_event_who_makes_and_who_waits(like: AirflowLike, adapter: AirflowAdapter) -> None:
    at = like.now() - timedelta(hours=1)
    like.add_asset("orders", producers=("daily",), consumers=("report", "daily"), event=at, by=("daily", "r1"))
    like.add_asset("never")
    orders, never = await adapter.assets()
    assert (orders.name, orders.uri, orders.group) == ("orders", "s3://lake/orders", "lake")
    assert (orders.producers, orders.consumers) == (("af:daily",), ("af:daily", "af:report"))
    assert orders.event_by == "af:daily/r1"
    assert orders.last_event == int(at.timestamp() * 1000)
    assert (never.last_event, never.event_by) == (None, None)
    assert len({orders.key, never.key}) == 2
    like.forbid = lambda method, path: path.endswith("/events")
    assert [a.event_by for a in await adapter.assets()] == [None, None], "who made it is a nicety"


async def test_what_may_not_be_read_is_said_of_that_part_alone(like: AirflowLike, adapter: AirflowAdapter) -> None:
    like.forbid = lambda method, path: path.endswith(("/pools", "/importErrors"))
    found = await adapter.items()
    refused = {i.kind: i for i in found if i.name == ""}
    assert set(refused) == {"pool", "import-error"}
    assert all("403" in i.words and i.standing is Standing.WARNING for i in refused.values())
    assert {i.name for i in found if i.kind == "component"} >= {"scheduler"}
    like.forbid = lambda method, path: path.endswith("/assets")
    with pytest.raises(Forbidden):
        await adapter.assets()


@pytest.mark.parametrize(
    ("fault", "kind"), [("500", BadResponse), ("html", BadResponse), ("shape", BadResponse), ("hang", Unreachable)]
)
async def test_a_part_that_fails_otherwise_fails_the_whole(
    like: AirflowLike, adapter: AirflowAdapter, fault: str, kind: type
) -> None:
    """What was known stays known then; half a listing would make the other half look gone."""
    like.fault_on = lambda method, path: path.endswith("/importErrors")
    like.fault = fault
    with pytest.raises(kind):
        await adapter.items()


async def test_fields_that_a_version_lacks_or_adds_change_nothing(like: AirflowLike, adapter: AirflowAdapter) -> None:
    like.add_import_error("broken.py", TRACE)
    like.add_asset("orders", event=like.now())
    for fault in ("missing-fields", "unknown-fields"):
        like.fault = fault
        assert {i.kind for i in await adapter.items()} >= {"pool", "import-error"}
        assert len(await adapter.assets()) == 1


async def test_more_than_a_page_is_all_there(like: AirflowLike, adapter: AirflowAdapter) -> None:
    for n in range(250):
        like.add_asset(f"a{n}")
    assert len({a.key for a in await adapter.assets()}) == 250
