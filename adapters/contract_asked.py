"""What the contracts of adapters ask and compare: small things that both of them need."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar
from unittest import SkipTest

from adapters.base import (
    Adapter,
    Done,
    NotDone,
    Prepared,
    Reconciled,
)
from adapters.contract_server import Fault, MetricsServer, Server
from adapters.errors import (
    AdapterError,
    AuthFailed,
    BadResponse,
    Conflict,
    Forbidden,
    NotFound,
    RateLimited,
    Unreachable,
    Unsupported,
)
from adapters.model import Run, State, Verb

T = TypeVar("T")
REFUSALS: Final[dict[Fault, tuple[type[AdapterError], ...]]] = {
    Fault.DOWN: (Unreachable,),
    Fault.HANG: (Unreachable,),
    Fault.UNAUTHORIZED: (AuthFailed,),
    Fault.FORBIDDEN: (Forbidden,),
    Fault.NOT_FOUND: (NotFound, Unsupported),
    Fault.CONFLICT: (Conflict,),
    Fault.RATE_LIMITED: (RateLimited,),
    Fault.RATE_LIMITED_AFTER: (RateLimited,),
    Fault.RATE_LIMITED_DATE: (RateLimited,),
    Fault.SERVER_ERROR: (BadResponse,),
    Fault.HTML: (BadResponse,),
    Fault.TRUNCATED: (BadResponse,),
    Fault.SHAPE: (BadResponse,),
}
PATIENCE_S: Final = 10.0
MANY: Final = 310


def verbs(adapter: Adapter) -> list[Verb]:
    return [v for v in Verb if adapter.caps.can(v)]


def params(server: Server, verb: Verb) -> Mapping[str, Any]:
    """What the verb needs beside its key; a server without ``params`` has no verb that needs anything."""
    said = getattr(server, "params", None)
    return {} if said is None else said(verb)


def end_of(server: Server) -> State:
    """How what ``change`` ends is told: success, but by a server that says otherwise."""
    return getattr(server, "ends", State.SUCCESS)


def untold(server: Server, verb: Verb) -> bool:
    """After a lost answer the system does not tell whose the new run is."""
    return verb in getattr(server, "untold", ())


def begin(server: Server, fault: Fault) -> None:
    if not server.fault(fault):
        raise SkipTest(f"this system cannot have such a day: {fault.value}")


def reads(
    adapter: Adapter, pipeline: str, run: str, step: str, cursor: str | None
) -> Iterator[tuple[str, Callable[[], Awaitable[Any]]]]:
    yield "probe", adapter.probe
    yield "pipelines", adapter.pipelines
    yield "changes", lambda: adapter.runs(cursor)
    yield "first runs", lambda: adapter.runs(None)
    yield "read a pipeline", lambda: adapter.read(pipeline)
    yield "read a run", lambda: adapter.read(run)
    yield "steps", lambda: adapter.steps(run)
    yield "log", lambda: adapter.log(step, 1, None)
    if adapter.caps.can("history"):
        yield "history", lambda: adapter.history(pipeline)
    for what, ask in (("items", adapter.items), ("assets", adapter.assets), ("operations", adapter.operations)):
        if adapter.caps.can(what):
            yield what, ask


async def raises(
    server: Server | MetricsServer,
    call: Awaitable[Any],
    *types: type[AdapterError],
    case: str = "",
    fault: Fault | None = None,
) -> None:
    """It raises one of these, and its text is harmless. Any exception that is no AdapterError ends the test."""
    got, error = await outcome(asyncio.wait_for(call, 3 * PATIENCE_S))
    assert error is not None, f"{case}: {got!r}, expected {named(types)}"
    assert isinstance(error, types), f"{case}: {type(error).__name__}({error.what}), expected {named(types)}"
    harmless(server, error)
    if isinstance(error, RateLimited):
        after = error.retry_after
        assert (after is None) == (fault is Fault.RATE_LIMITED), f"{case}: asked to wait {after}"
        assert fault is not Fault.RATE_LIMITED_AFTER or after == 7
        assert fault is not Fault.RATE_LIMITED_DATE or 5 <= (after or 0) <= 12


async def outcome(call: Awaitable[T]) -> tuple[T | None, AdapterError | None]:
    try:
        return await call, None
    except AdapterError as err:
        return None, err


def named(types: Sequence[type]) -> str:
    return " or ".join(t.__name__ for t in types)


def harmless(server: Server | MetricsServer, err: AdapterError) -> None:
    """One clause, no secret in it nor in what hangs on it, no control character, no novel."""
    text = f"{err.what} {err.hint}"
    assert err.what.strip(), f"{type(err).__name__} says nothing"
    assert len(err.what) <= 200, f"too long: {err.what}"
    assert text.isprintable(), f"control characters: {text!r}"
    chain: BaseException | None = err
    while chain is not None:
        clean(server, str(chain), repr(chain), repr(getattr(chain, "__dict__", {})))
        chain = chain.__cause__ or chain.__context__


def clean(server: Server | MetricsServer, *texts: str) -> None:
    for text in texts:
        for secret in server.secrets():
            assert secret not in text, f"a secret shows: {text.replace(secret, '<SECRET>')[:300]}"


async def drain(adapter: Adapter, cursor: str | None) -> tuple[dict[str, Run], str | None]:
    """Every page there is. The same run may come twice; the later one counts."""
    seen: dict[str, Run] = {}
    for _ in range(100):
        page = await adapter.runs(cursor)
        assert len({r.key for r in page.runs}) == len(page.runs), "a page has each run once"
        seen |= {r.key: r for r in page.runs}
        cursor = page.cursor
        if page.complete:
            return seen, cursor
    raise AssertionError("100 pages and still not complete")


async def drain_states(adapter: Adapter) -> set[State]:
    return {r.state for r in (await drain(adapter, None))[0].values()}


async def step_states(adapter: Adapter, run: str) -> set[State]:
    return {s.state for s in await adapter.steps(run)}


async def settled(server: Server, adapter: Adapter, prepared: Prepared) -> Reconciled:
    """As the engine does: ask until it is done, time passing in that world between."""
    found: Reconciled = NotDone("never asked")
    for _ in range(10):
        found = await adapter.reconcile(prepared)
        if isinstance(found, Done):
            return found
        server.settle()
    return found


def stored(prepared: Prepared, answered: str | None = None) -> Prepared:
    """As it comes back from a store: its memo has been JSON. ``answered``: the run that it was answered with."""
    memo = json.loads(json.dumps(dict(prepared.memo)))
    return Prepared(
        action=prepared.action,
        calls=prepared.calls,
        idempotent=prepared.idempotent,
        effect=prepared.effect,
        proof=prepared.proof,
        memo=memo,
        answered=answered,
    )
