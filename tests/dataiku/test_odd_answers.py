"""Whatever JSON a DSS answers with: a typed error or a harmless value, never another exception."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.base import SourceSettings
from adapters.dataiku import DataikuAdapter
from adapters.errors import AdapterError
from adapters.extras import SeriesQuery
from adapters.model import State, Verb
from tests.dataiku.world import action

WORDS = st.sampled_from(
    [
        "projectKey", "id", "name", "active", "running", "start", "end", "runId", "trigger", "params", "steps", "triggers", "type",
        "result", "outcome", "thrown", "message", "scenarioRun", "stepRuns", "step", "additionalReportItems", "jobId", "payload",
        "def", "state", "outputs", "baseStatus", "activities", "startTime", "endTime", "lastBuild", "buildEndTime", "metrics",
        "metric", "lastValues", "value", "versionTag", "lastModifiedBy", "groups", "daysOfWeek", "frequency", "hour", "builds",
    ]
)  # fmt: skip
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 2**53), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=8),
    st.sampled_from(["CDM", "daily", "SUCCESS", "temporal", "Daily", "JOB_EXECUTED", "custom_python", "r1", "Monday"]),
)  # fmt: skip
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=6), max_leaves=14
)
RUN = st.fixed_dictionaries({"runId": st.sampled_from(["r1", "r2"])}, optional={
    "start": LEAVES, "end": LEAVES, "result": JSON, "trigger": JSON,
})  # fmt: skip
STEP = st.fixed_dictionaries({"step": st.fixed_dictionaries({"id": st.sampled_from(["a", "b"])}, optional={"name": LEAVES})}, optional={
    "start": LEAVES, "end": LEAVES, "result": JSON, "additionalReportItems": JSON,
})  # fmt: skip
ANSWERS = st.fixed_dictionaries(
    {
        "/projects/": st.just([{"projectKey": "CDM"}]),
        "/scenarios/": st.one_of(st.just([{"id": "daily", "running": True}]), JSON),
        "get-last-runs": st.lists(RUN, max_size=3) | JSON,
        "/r1/": st.fixed_dictionaries({"scenarioRun": RUN, "stepRuns": st.lists(STEP, max_size=3)}) | JSON,
        "": st.dictionaries(WORDS, JSON, max_size=6) | JSON,
    }
)


async def ask(answers: dict[str, Any]) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        path = request.url.path
        key = next((k for k in answers if k and path.endswith(k)), "")
        return httpx.Response(200, json=answers[key], headers={"date": "Sat, 21 Nov 2026 10:00:00 GMT"})

    source = SourceSettings(
        name="dss",
        kind="dataiku",
        url="http://dss.test",
        auth={"key": "k"},
        options={"builds": ["CDM.sales"], "datasets": ["CDM.sales"]},
    )
    adapter = DataikuAdapter(source, transport=httpx.MockTransport(handler))
    run, build = "dss:CDM.daily/r1", "dss:CDM.dataset.sales"
    calls = [
        adapter.probe, adapter.pipelines, lambda: adapter.runs(None), lambda: adapter.steps(run), lambda: adapter.log(run + "#a", 1, None),
        lambda: adapter.read(run), lambda: adapter.read("dss:CDM.daily"), lambda: adapter.history("dss:CDM.daily"), adapter.items,
        adapter.assets, lambda: adapter.read(build + "/r1"), lambda: adapter.steps(build + "/r1"), lambda: adapter.history(build),
        lambda: adapter.samples([SeriesQuery("s", "CDM.sales | basic:SIZE")]),
        *(lambda v=v, k=k: adapter.prepare(action(v, k)) for v, k in (
            (Verb.START, "dss:CDM.daily"), (Verb.PAUSE, "dss:CDM.daily"), (Verb.STOP, run), (Verb.RERUN, run), (Verb.START, build),
        )),
    ]  # fmt: skip
    for call in calls:
        try:
            found = await call()
        except AdapterError as err:
            said = err.what
            found = None
        else:
            said = ""
        assert not said or said.isprintable()
        for one in getattr(found, "runs", ()) or (found if isinstance(found, list) else ()):
            state, ended = getattr(one, "state", None), getattr(one, "ended", None)
            assert not (state is State.SUCCESS and getattr(one, "native", "").endswith("?")), one
            assert state is None or state.terminal or ended is None, one
    await adapter.close()


@given(ANSWERS)
@settings(max_examples=150, deadline=None)
def test_any_json_is_harmless(answers: dict[str, Any]) -> None:
    asyncio.run(ask(answers))
