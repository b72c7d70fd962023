"""Histories with one of each: a flaky step, a broken run, a new level, steps that nobody read, a run that goes on after a failure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from adapters.base import Listing
from adapters.model import Pipeline, Run, RunKind, Sample, State, StepDef, StepRun, Trigger, run_key
from engine.store import pipelines, samples
from tests.tui.stores import DAY, HOUR, MINUTE, SECOND, House

AF = "prod-airflow:"
CONTRACTS = AF + "ldz_to_rdv_contracts"
STEPS = ("check_source", "extract_ldz", "load_fact", "quality", "publish")
S, F, W, K = State.SUCCESS, State.FAILED, State.WARNING, State.SKIPPED


def define(h: House, key: str, steps: Sequence[tuple[str, tuple[str, ...]]], source: str = "prod-airflow") -> None:
    name = key.partition(":")[2]
    item = Pipeline(
        key=key, name=name, trigger=Trigger.CRON, schedule="0 5 * * *", next_run=h.now + HOUR,
        steps=tuple(StepDef(name=s, after=a) for s, a in steps),
    )  # fmt: skip
    with h.tx() as tx:
        pipelines.apply_pipelines(tx, h.ids[source], Listing([item], complete=False), [])


def a_run(h: House, key: str, run: str, ago: int, took: int | None, state: State = S, **more: object) -> str:
    given: dict[str, object] = {"native": state.name.lower(), "kind": RunKind.SCHEDULED, **more}
    started = h.now - ago
    made = Run(
        key=run_key(key, run), state=state, queued=started - 8 * SECOND, started=started,
        ended=None if took is None else started + took, **given,  # type: ignore[arg-type]
    )  # fmt: skip
    h.runs(key.partition(":")[0], [made])
    return made.key


def put(
    h: House,
    run: str,
    start: int,
    steps: Sequence[tuple[str, State, int | None]],
    tries: Mapping[str, int] | None = None,
) -> None:
    """Steps one after the other from ``start``; ms None: it goes on, 0: it did not run."""
    at, out = start, list[StepRun]()
    for i, (name, state, ms) in enumerate(steps):
        n = (tries or {}).get(name, 1)
        ran = ms != 0
        for attempt in range(1, n + 1):
            last = attempt == n
            out.append(
                StepRun(
                    run=run, step=name, attempt=attempt, order=i, state=state if last else F,
                    native=(state if last else F).name.lower(), queued=at if ran else None, started=at + SECOND if ran else None,
                    ended=at + SECOND + ms if ran and ms is not None else None,
                    error="ORA-00001: unique constraint FACT_CONTRACT_PK" if state is F and last else None,
                )
            )  # fmt: skip
        at += ms or 0
    h.steps(run, out)


def tale(folder: Path) -> House:
    """``ldz_to_rdv_contracts``: 34 daily runs; of the oldest eight the steps are not read."""
    h = House(folder)
    h.engine()
    h.source("prod-airflow", color="red")
    h.source("legacy", kind="talend", offers=frozenset({"log"}), why_not={"steps": "the TMC API tells no steps"})
    h.source("local", kind="local", environment="local", protected=False, poll_ms=SECOND, ok_ago=SECOND)
    chain = [(s, (STEPS[i - 1],) if i else ()) for i, s in enumerate(STEPS)]
    define(h, CONTRACTS, chain)
    for i in range(34):  # the oldest first
        back = 34 - i
        ago = back * DAY - 3 * HOUR
        slow = 130 if back <= 6 else 100
        parts = [m * slow // 100 * (100, 97, 104, 101)[i % 4] // 100 for m in (14 * SECOND, 400 * SECOND, 710 * SECOND, 60 * SECOND, 185 * SECOND)]  # fmt: skip
        states = [S] * 5
        tries: dict[str, int] = {}
        if back in (4, 11, 19, 25):
            states, parts = [S, S, F, K, K], [parts[0], parts[1], parts[2] // 3, 0, 0]
        elif back == 15:
            states, parts = [F, F, F, F, F], [5 * SECOND] * 5
        elif back in (2, 8):
            tries = {"load_fact": 2 if back == 2 else 3}
            parts[2] *= 2
        elif back == 7:
            states[3] = W
        bad = F in states
        date = f"2026-{'10' if back > 19 else '11'}-{(51 - back) if back > 19 else (20 - back):02d}"
        error = "load_fact: ORA-00001: unique constraint" if bad else None
        state = F if bad else W if W in states else S
        key = a_run(h, CONTRACTS, f"d{i:02d}", ago, sum(parts) + 20 * SECOND, state, business_date=date, error=error)
        if i >= 8:
            put(h, key, h.now - ago, [(n, s, p) for n, s, p in zip(STEPS, states, parts, strict=True)], tries)

    fan = AF + "churn_features"
    define(
        h,
        fan,
        [
            ("read", ()),
            ("embed", ("read",)),
            ("score", ("read",)),
            ("write", ("embed", "score")),
            ("clean", ("write",)),
        ],
    )
    for i in range(12):
        key = a_run(h, fan, f"f{i:02d}", (12 - i) * DAY, 41 * MINUTE)
        put(h, key, h.now - (12 - i) * DAY, [(n, S, 8 * MINUTE) for n in ("read", "embed", "score", "write", "clean")])
    key = a_run(h, fan, "now", 40 * MINUTE, None, State.RUNNING)
    put(
        h, key, h.now - 40 * MINUTE, [("read", S, 8 * MINUTE), ("score", F, 4 * MINUTE), ("embed", State.RUNNING, None)]
    )

    part = AF + "mapped_load"
    define(h, part, [("list", ()), ("load", ("list",))])
    for i in range(5):
        key = a_run(h, part, f"m{i}", (5 - i) * DAY, 9 * MINUTE, F if i == 3 else S)
        begun = h.now - (5 - i) * DAY
        h.steps(
            key,
            [
                StepRun(run=key, step="list", native="success", state=S, started=begun, ended=begun + MINUTE),
                *(
                    StepRun(
                        run=key, step="load", map_index=n, order=1, native="x", state=F if i == 3 and n < 3 else S,
                        started=begun + MINUTE, ended=begun + 8 * MINUTE,
                    )
                    for n in range(12)
                ),
            ],
        )  # fmt: skip
    h.pipeline("legacy", "tmc_cards")
    h.history("legacy", "tmc_cards", n=20, usual=6 * MINUTE, odd={0: F, 1: F, 6: F})
    h.pipeline("prod-airflow", "never_ran")
    h.pipeline("local", "probe")
    h.history("local", "probe", n=12, usual=14 * SECOND, every=HOUR, last_ago=HOUR)
    with h.tx() as tx:
        samples.describe_series(tx, "host.cpu", unit="%", max=100.0)
        for i in range(200):
            samples.put_samples(
                tx, h.now - (200 - i) * SECOND, [Sample("host.cpu", h.now - (200 - i) * SECOND, 40.0 + i % 5, "%")]
            )
    return h
