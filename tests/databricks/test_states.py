"""Words of Databricks in ours: each documented one, both blocks, and what happens to one that nobody knows."""

from __future__ import annotations

import pytest

from adapters.databricks.quartz import cron_of
from adapters.databricks.states import judge
from adapters.databricks.wire import Code, RunState, RunStatus
from adapters.model import State
from adapters.schedule import parse


def said(
    life: str | None,
    result: str | None = None,
    *,
    new: str | None = None,
    code: str | None = None,
    kind: str | None = None,
) -> tuple[RunState | None, RunStatus | None]:
    old = RunState(life_cycle_state=life, result_state=result) if life else None
    details = Code(code=code, type=kind) if code or kind else None
    return old, RunStatus(state=new, termination_details=details) if new else None


@pytest.mark.parametrize(
    ("life", "result", "native", "state", "sub"),
    [
        ("QUEUED", None, "QUEUED", State.QUEUED, None),
        ("PENDING", None, "PENDING", State.QUEUED, "compute is being prepared"),
        ("BLOCKED", None, "BLOCKED", State.QUEUED, "waits for what comes before it"),
        ("WAITING_FOR_RETRY", None, "WAITING_FOR_RETRY", State.RETRYING, None),
        ("RUNNING", None, "RUNNING", State.RUNNING, None),
        ("TERMINATING", None, "TERMINATING", State.STOPPING, None),
        ("TERMINATING", "SUCCESS", "TERMINATING", State.RUNNING, "compute is being cleaned up"),
        ("TERMINATED", "SUCCESS", "SUCCESS", State.SUCCESS, None),
        ("TERMINATED", "SUCCESS_WITH_FAILURES", "SUCCESS_WITH_FAILURES", State.WARNING, "with failures"),
        ("TERMINATED", "FAILED", "FAILED", State.FAILED, None),
        ("TERMINATED", "TIMEDOUT", "TIMEDOUT", State.TIMED_OUT, None),
        ("TERMINATED", "CANCELED", "CANCELED", State.STOPPED, None),
        ("TERMINATED", "UPSTREAM_CANCELED", "UPSTREAM_CANCELED", State.STOPPED, "upstream canceled"),
        ("TERMINATED", "UPSTREAM_FAILED", "UPSTREAM_FAILED", State.SKIPPED, "upstream failed"),
        ("TERMINATED", "EXCLUDED", "EXCLUDED", State.SKIPPED, "conditions not met"),
        ("TERMINATED", "DISABLED", "DISABLED", State.SKIPPED, "disabled"),
        ("SKIPPED", "MAXIMUM_CONCURRENT_RUNS_REACHED", "SKIPPED", State.SKIPPED, "maximum concurrent runs reached"),
        ("SKIPPED", None, "SKIPPED", State.SKIPPED, None),
        ("INTERNAL_ERROR", None, "INTERNAL_ERROR", State.FAILED, None),
        ("INTERNAL_ERROR", "FAILED", "INTERNAL_ERROR/FAILED", State.FAILED, None),
        ("INTERNAL_ERROR", "TIMEDOUT", "INTERNAL_ERROR/TIMEDOUT", State.TIMED_OUT, None),
        ("INTERNAL_ERROR", "SUCCESS", "INTERNAL_ERROR/SUCCESS", State.FAILED, None),
    ],
)
def test_the_older_block(life: str, result: str | None, native: str, state: State, sub: str | None) -> None:
    assert judge(*said(life, result), ended=True) == (native, state, sub)


@pytest.mark.parametrize(
    ("new", "code", "native", "state", "sub"),
    [
        ("WAITING", None, "WAITING", State.QUEUED, "waiting"),
        ("RUNNING", None, "RUNNING", State.RUNNING, None),
        ("TERMINATED", "SUCCESS", "SUCCESS", State.SUCCESS, None),
        ("TERMINATED", "SUCCESS_WITH_FAILURES", "SUCCESS_WITH_FAILURES", State.WARNING, "with failures"),
        ("TERMINATED", "USER_CANCELED", "USER_CANCELED", State.STOPPED, "by a person"),
        ("TERMINATED", "CANCELED", "CANCELED", State.STOPPED, "by the platform"),
        ("TERMINATED", "MAX_CONCURRENT_RUNS_EXCEEDED", "MAX_CONCURRENT_RUNS_EXCEEDED", State.SKIPPED,
         "maximum concurrent runs reached"),
        ("TERMINATED", "RUN_EXECUTION_ERROR", "RUN_EXECUTION_ERROR", State.FAILED, None),
        ("TERMINATED", "CLUSTER_ERROR", "CLUSTER_ERROR", State.FAILED, "cluster error"),
    ],
)  # fmt: skip
def test_the_newer_block_alone(new: str, code: str | None, native: str, state: State, sub: str | None) -> None:
    assert judge(*said(None, new=new, code=code), ended=True) == (native, state, sub)


def test_the_worse_of_both_is_believed() -> None:
    both = said("TERMINATED", "SUCCESS", new="TERMINATED", code="SUCCESS_WITH_FAILURES")
    assert judge(*both, ended=True) == ("SUCCESS/SUCCESS_WITH_FAILURES", State.WARNING, "with failures")
    both = said("TERMINATED", "SUCCESS", new="TERMINATED", code="RUN_EXECUTION_ERROR")
    assert judge(*both, ended=True)[1] is State.FAILED
    both = said("TERMINATED", "SUCCESS", new="TERMINATED", code="A_NEW_ONE")
    assert judge(*both, ended=True) == ("SUCCESS/A_NEW_ONE?", State.WARNING, None)
    assert judge(*said("WAITING_FOR_RETRY", new="WAITING"), ended=False)[1] is State.RETRYING
    assert (
        judge(*said("TERMINATED", "CANCELED", new="TERMINATED", code="USER_CANCELED"), ended=True)[2] == "by a person"
    )


def test_only_the_platform_s_own_failures_are_called_so() -> None:
    """An ordinary failing task is reported as INTERNAL_ERROR too."""
    plain = said("INTERNAL_ERROR", "FAILED", new="TERMINATED", code="RUN_EXECUTION_ERROR", kind="CLIENT_ERROR")
    assert judge(*plain, ended=True)[2] is None
    cloud = said("INTERNAL_ERROR", "FAILED", new="TERMINATED", code="CLOUD_FAILURE", kind="CLOUD_FAILURE")
    assert judge(*cloud, ended=True)[2] == "cloud failure"
    theirs = said("TERMINATED", "FAILED", new="TERMINATED", code="INTERNAL_ERROR", kind="INTERNAL_ERROR")
    assert judge(*theirs, ended=True)[2] == "platform error"


@pytest.mark.parametrize(
    ("words", "native"),
    [
        (("TERMINATED", "VANISHED"), "VANISHED?"),
        (("TERMINATED", None), "TERMINATED?"),
        (("HIBERNATING", None), "HIBERNATING?"),
        ((None, None), "?"),
    ],
)
def test_an_unknown_word_is_never_green(words: tuple[str | None, str | None], native: str) -> None:
    assert judge(*said(*words), ended=True) == (native, State.WARNING, None)
    assert judge(*said(*words), ended=False) == (native, State.RUNNING, None)


def test_why_it_waits_in_the_queue() -> None:
    status = RunStatus(state="QUEUED", queue_details=Code(code="MAX_CONCURRENT_RUNS_REACHED", message="x"))
    assert judge(None, status, ended=False)[2] == "the job's maximum of concurrent runs is reached"
    status = RunStatus(state="QUEUED", queue_details=Code(code="A_NEW_LIMIT", message="some new limit"))
    assert judge(None, status, ended=False)[2] == "some new limit"
    assert judge(RunState(life_cycle_state="QUEUED", queue_reason="full"), None, ended=False)[2] == "full"


@pytest.mark.parametrize(
    ("quartz", "cron"),
    [
        ("0 30 7 * * ?", "30 7 * * ?"),
        ("56 0/15 * * * ?", "0/15 * * * ?"),
        ("0 0 6 ? * MON-FRI", "0 6 ? * MON-FRI"),
        ("0 0 6 ? * 2-6", "0 6 ? * 1-5"),
        ("0 0 6 ? * 1,7 *", "0 6 ? * 0,6"),
        ("0 0 6 ? * 6L", "0 6 ? * 5L"),
        ("0 0 6 ? * 2#1", "0 6 ? * 1#1"),
        ("0 0 6 ? * L", "0 6 ? * 6"),
        ("0 0 6 ? * 2/2", "0 6 ? * 1,3,5"),
        ("0 0 6 L * ?", "0 6 L * ?"),
        # what five fields cannot say stays as it is written
        ("0 0 6 LW * ?", None),
        ("0 0 6 L-3 * ?", None),
        ("0/30 * * * * ?", None),
        ("0 0 6 * * ? 2027", None),
        ("0 0 22-2 * * ?", None),
        ("nonsense", None),
    ],
)
def test_quartz_in_five_fields(quartz: str, cron: str | None) -> None:
    assert cron_of(quartz) == (cron or quartz)
    if cron:
        assert parse(cron, "Europe/Paris")


def test_quartz_counts_weekdays_from_sunday_one() -> None:
    """2 is Monday: its next tick after a Friday is a Monday's."""
    friday = 1_795_167_600_000  # 2026-11-20T09:40Z
    assert parse(cron_of("0 0 6 ? * 2"), "UTC").after(friday) == parse("0 6 * * mon", "UTC").after(friday)
