"""Logs: only what is new, whole lines, the container that was there before, and what is lost."""

from __future__ import annotations

import pytest

from adapters.base import LogChunk
from adapters.errors import NotFound
from adapters.kubernetes import KubernetesAdapter
from adapters.model import step_key
from tests.kubernetes.world import key_of
from tests.servers.kubernetes_like import KubernetesLike
from tests.servers.kubernetes_state import Obj


@pytest.fixture
def pod(like: KubernetesLike) -> Obj:
    like.add_job("daily-1", cron="daily")
    return like.pods_of("daily-1")[0]


@pytest.fixture
def step(like: KubernetesLike, pod: Obj) -> str:
    return step_key(key_of(like.find("jobs", "etl", "daily-1")), "main")


def asked(like: KubernetesLike) -> dict[str, list[str]]:
    return next(r.query for r in reversed(like.requests) if r.path.endswith("/log"))


async def whole(adapter: KubernetesAdapter, step: str, attempt: int = 1) -> tuple[bytes, LogChunk]:
    data, cursor = b"", None
    for _ in range(200):
        chunk = await adapter.log(step, attempt, cursor)
        data += chunk.data
        if chunk.end or chunk.cursor == cursor:
            return data, chunk
        cursor = chunk.cursor
    raise AssertionError("a log without an end")


async def test_lines_of_one_stamp_and_second_come_once(
    like: KubernetesLike, adapter: KubernetesAdapter, pod: Obj, step: str
) -> None:
    at = "2026-11-21T10:00:00.5{:08d}Z"
    for n in (1, 2, 2):
        like.say(pod, f"line {n}", at=at.format(n))
    chunk = await adapter.log(step, 1, None)
    assert chunk.data == b"line 1\nline 2\nline 2\n"
    assert "sinceTime" not in asked(like)
    for _ in range(2):  # the same stamp once more, and the same words; and again
        like.say(pod, "line 2", at=at.format(2))
        chunk = await adapter.log(step, 1, chunk.cursor)
        assert chunk.data == b"line 2\n"
    like.say(pod, "line 3", at=at.format(3))
    chunk = await adapter.log(step, 1, chunk.cursor)
    assert chunk.data == b"line 3\n"
    assert asked(like)["sinceTime"] == ["2026-11-21T10:00:00Z"]
    again = await adapter.log(step, 1, chunk.cursor)
    assert (again.data, again.end, again.cursor) == (b"", False, chunk.cursor)


async def test_a_stamp_with_an_offset_is_asked_for_in_utc(
    like: KubernetesLike, adapter: KubernetesAdapter, pod: Obj, step: str
) -> None:
    like.say(pod, "one", at="2026-11-21T11:00:00.123456789+01:00")
    chunk = await adapter.log(step, 1, None)
    like.say(pod, "two", at="2026-11-21T11:00:01.1+01:00")
    chunk = await adapter.log(step, 1, chunk.cursor)
    assert chunk.data == b"two\n"
    assert asked(like)["sinceTime"] == ["2026-11-21T10:00:00Z"]


async def test_a_long_log_comes_in_pieces_of_whole_lines(
    like: KubernetesLike, adapter: KubernetesAdapter, pod: Obj, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.kubernetes.logs.PIECE", 200)
    for n in range(40):
        like.say(pod, f"line {n:02d} " + "x" * 20, at=f"2026-11-21T10:00:{n // 2:02d}.{n:09d}Z")
    like.finish("daily-1")
    data, chunk = await whole(adapter, step)
    assert [line.split()[1] for line in data.splitlines()] == [f"{n:02d}".encode() for n in range(40)]
    assert chunk.end
    assert asked(like)["limitBytes"] == ["200"]


async def test_more_than_fits_in_one_second_is_asked_for_in_a_larger_piece_or_left_out_with_a_word(
    like: KubernetesLike, adapter: KubernetesAdapter, pod: Obj, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.kubernetes.logs.PIECE", 200)
    monkeypatch.setattr("adapters.kubernetes.logs.MOST", 800)
    for n in range(30):
        like.say(pod, f"line {n:02d} " + "x" * 20, at=f"2026-11-21T10:00:00.{n:09d}Z")
    like.say(pod, "later", at="2026-11-21T10:00:01.0Z")
    like.finish("daily-1")
    notes: list[str] = []
    data, cursor = b"", None
    for _ in range(20):
        chunk = await adapter.log(step, 1, cursor)
        data, cursor = data + chunk.data, chunk.cursor
        notes += [chunk.note] if chunk.note else []
        if chunk.end:
            break
    assert data.endswith(b"later\n")
    assert b"line 11" in data
    assert len(data.splitlines()) == len(set(data.splitlines()))
    assert any("in one second: some of it is left out" in note for note in notes)


async def test_the_end_comes_with_the_containers_end(
    like: KubernetesLike, adapter: KubernetesAdapter, pod: Obj, step: str
) -> None:
    like.say(pod, "one")
    chunk = await adapter.log(step, 1, None)
    assert not chunk.end
    like.say(pod, "two")
    like.finish("daily-1", state="failed")
    chunk = await adapter.log(step, 1, chunk.cursor)
    assert (chunk.data, chunk.end) == (b"two\n", True)


async def test_a_restarted_containers_log_is_the_previous_one(
    like: KubernetesLike, adapter: KubernetesAdapter, pod: Obj, step: str
) -> None:
    like.say(pod, "first start", at="2026-11-21T10:00:00.1Z")
    chunk = await adapter.log(step, 1, None)
    like.logs[("etl", pod["metadata"]["name"], "main", True)] = [
        ("2026-11-21T10:00:00.1Z", "first start"),
        ("2026-11-21T10:00:01.2Z", "it breaks"),
    ]
    like.logs[("etl", pod["metadata"]["name"], "main", False)] = [("2026-11-21T10:00:02.3Z", "second start")]
    pod["status"]["containerStatuses"][0] |= {
        "restartCount": 1, "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}},
    }  # fmt: skip
    like.put("pods", pod)
    rest = await adapter.log(step, 1, chunk.cursor)
    assert (rest.data, rest.end) == (b"it breaks\n", True)
    assert asked(like)["previous"] == ["true"]
    assert (await adapter.log(step, 1, None)).data == b"first start\nit breaks\n"
    assert (await adapter.log(step, 2, None)).data == b"second start\n"
    pod["status"]["containerStatuses"][0]["restartCount"] = 3
    gone = await adapter.log(step, 1, chunk.cursor)
    assert gone.end
    assert "started again more than once" in (gone.note or "")
    assert "last two starts" in ((await adapter.log(step, 1, None)).note or "")


async def test_what_waits_says_for_what(like: KubernetesLike, adapter: KubernetesAdapter, pod: Obj, step: str) -> None:
    pod["status"] |= {"phase": "Pending"}
    pod["status"]["containerStatuses"][0]["state"] = {"waiting": {"reason": "ImagePullBackOff"}}
    chunk = await adapter.log(step, 1, None)
    assert (chunk.data, chunk.end, chunk.note) == (b"", False, "not started yet: ImagePullBackOff")
    assert not any(r.path.endswith("/log") for r in like.requests)
    pod["status"] |= {"phase": "Failed", "reason": "Evicted"}
    chunk = await adapter.log(step, 1, None)
    assert (chunk.end, chunk.note) == (True, "it never ran, so it has no log: Evicted")


async def test_400_between_two_questions_is_no_error(
    like: KubernetesLike, adapter: KubernetesAdapter, pod: Obj, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = like._log

    def late(namespace: str, name: str, query: dict[str, list[str]]) -> bytes:
        pod["status"]["containerStatuses"][0]["state"] = {"waiting": {"reason": "ContainerCreating"}}
        return real(namespace, name, query)

    monkeypatch.setattr(like, "_log", late)
    chunk = await adapter.log(step, 1, None)
    assert not chunk.end
    assert "waiting to start: ContainerCreating" in (chunk.note or "")


async def test_a_pod_that_was_deleted_ends_its_log(
    like: KubernetesLike, adapter: KubernetesAdapter, pod: Obj, step: str
) -> None:
    like.say(pod, "one")
    chunk = await adapter.log(step, 1, None)
    like.drop("pods", "etl", pod["metadata"]["name"])
    gone = await adapter.log(step, 1, chunk.cursor)
    assert (gone.end, gone.data) == (True, b"")
    assert (gone.note or "").startswith("its pod was deleted, and its log with it")


async def test_a_rotated_log_says_that_lines_may_be_missing(
    like: KubernetesLike, adapter: KubernetesAdapter, pod: Obj, step: str
) -> None:
    like.say(pod, "one", at="2026-11-21T10:00:00.1Z")
    chunk = await adapter.log(step, 1, None)
    like.logs[("etl", pod["metadata"]["name"], "main", False)] = [("2026-11-21T10:00:09.1Z", "nine")]
    chunk = await adapter.log(step, 1, chunk.cursor)
    assert (chunk.data, chunk.note) == (b"nine\n", "the log was rotated meanwhile: lines may be missing here")


async def test_a_line_without_its_end_waits_until_the_container_has_ended(
    like: KubernetesLike, adapter: KubernetesAdapter, pod: Obj, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = b"2026-11-21T10:00:00.1Z one\n2026-11-21T10:00:00.2Z two"
    monkeypatch.setattr(like, "_log", lambda *_: body)
    chunk = await adapter.log(step, 1, None)
    assert chunk.data == b"one\n"
    like.finish("daily-1")
    chunk = await adapter.log(step, 1, chunk.cursor)
    assert (chunk.data, chunk.end) == (b"two\n", True)


async def test_the_kubelets_own_words_are_a_note(
    like: KubernetesLike, adapter: KubernetesAdapter, pod: Obj, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(like, "_log", lambda *_: b"unable to retrieve container logs for containerd://abc")
    like.finish("daily-1")
    chunk = await adapter.log(step, 1, None)
    assert (chunk.data, chunk.end) == (b"", True)
    assert chunk.note == "unable to retrieve container logs for containerd://abc"


async def test_a_container_that_is_not_there(like: KubernetesLike, adapter: KubernetesAdapter, step: str) -> None:
    with pytest.raises(NotFound, match="has no container other"):
        await adapter.log(step.replace("#main", "#other"), 1, None)
