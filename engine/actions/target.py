"""What a verb and a key mean: which source, which pipeline, which run; and how the thing stands, read now."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from adapters.base import Adapter
from adapters.errors import AdapterError, NotFound
from adapters.model import VERBS, Key, KeyOf, Pipeline, Run, State, Verb, VerbSpec, parse_key, unquote_id
from engine.actions.arm import environment_of
from engine.actions.words import clean, pipeline_words, run_words, since_of, state_word, suggestion
from engine.config.model import Facts, Source
from engine.context import Context
from engine.request import RequestError
from engine.store import actions as rows

READ_S: Final = 10.0
"""Seconds that a source has to say how the thing stands."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Target:
    """One thing that one verb is about. ``key`` is what the adapter is given, ``read_key`` what is read to see it."""

    verb: Verb
    spec: VerbSpec
    key: str
    read_key: str
    scope: str
    parsed: Key
    source: Source
    environment: str
    color: str
    pipeline_name: str
    facts: Facts
    consumers: tuple[str, ...]
    downstream: tuple[str, ...]
    next_run: int | None

    @property
    def name(self) -> str:
        """``environment/pipeline``, as it is typed."""
        return f"{self.environment}/{self.pipeline_name}"


@dataclass(frozen=True, slots=True)
class Several:
    """A run verb on a pipeline with more than one active run: a person must choose."""

    target: Target
    runs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Observed:
    """How the thing stood when it was read. ``version`` is what must not change between plan and act.

    Of an active run that is its state and attempt; its source's time of change may move while it works. Of one that
    ended everything counts: cleared and failed again is not what was seen. For ``start`` also which runs were active.
    """

    thing: Pipeline | Run
    read_at: int
    words: str
    word: str
    version: tuple[Any, ...]
    attempt: int
    seen_attempt: int
    active: tuple[str, ...]
    since: int | None

    def now(self) -> dict[str, Any]:
        """The ``now`` of a plan reply; pipelines have a mode and no state, runs the other way round."""
        run = self.thing if isinstance(self.thing, Run) else None
        mode = self.thing.mode if isinstance(self.thing, Pipeline) else None
        return {
            "state": None if run is None else int(run.state),
            "mode": None if mode is None else int(mode),
            "word": self.word,
            "native": None if run is None else clean(run.native, 60),
            "since": self.since,
            "attempt": self.attempt,
            "read_at": self.read_at,
            "words": self.words,
        }


def resolve(ctx: Context, verb: Verb, text: str, params: dict[str, Any]) -> Target | Several:
    """Find what is meant, in the store; RequestError where nothing is. Does not ask the source."""
    spec = VERBS[verb]
    try:
        key = parse_key(text)
        str(key).encode()
    except (ValueError, UnicodeError) as error:
        raise RequestError("bad_request", clean(str(error), 300)) from None
    source = _source(ctx, key.source)
    with ctx.store.transaction() as tx:
        facts = rows.pipeline_facts(tx, key.pipeline_key)
        active = rows.active_runs(tx, key.pipeline_key)
        latest = rows.latest_terminal(tx, key.pipeline_key)
    target = _target(ctx, verb, spec, key, source, facts)
    if spec.of is KeyOf.PIPELINE or key.run is not None:
        return _with_step(ctx, target, params)
    if len(active) > 1:
        return Several(target, tuple(run for run, _ in active))
    if active:
        run = active[0][0]
    elif verb in (Verb.RERUN, Verb.RERUN_FAILED, Verb.RERUN_FROM, Verb.MARK) and latest is not None:
        run = latest
    elif facts is None:
        run = None
        _unknown_pipeline(ctx, key)
    else:
        run = None
    if run is None:
        raise RequestError("refused", f"{target.name} has no run to {verb}: none is active" + _last(latest))
    native = unquote_id(run.partition("/")[2])
    return _with_step(ctx, _target(ctx, verb, spec, replace(key, run=native), source, facts), params)


def _last(latest: str | None) -> str:
    return f"; its last run is {clean(unquote_id(latest.partition('/')[2]), 80)}" if latest else ""


def _source(ctx: Context, name: str) -> Source:
    source = next((s for s in ctx.config.sources if s.name == name), None)
    if source is None:
        raise RequestError(
            "not_found",
            f"no source {clean(name, 60)!r} is configured",
            suggestion(name, [s.name for s in ctx.config.sources]),
        )
    if name not in ctx.adapters:
        raise RequestError("unreachable", f"source {name} has no working adapter", "see: watchfloor doctor")
    return source


def _target(
    ctx: Context, verb: Verb, spec: VerbSpec, key: Key, source: Source, facts: rows.PipelineFacts | None
) -> Target:
    key = _as_meant(verb, spec, key)
    pipeline = key.pipeline_key
    name = clean(facts.name if facts else key.pipeline, 200) or clean(key.pipeline, 200)
    run = key.run_key
    return Target(
        verb=verb,
        spec=spec,
        key=str(key),
        read_key=run or pipeline,
        scope=run or pipeline,
        parsed=key,
        source=source,
        environment=environment_of(source),
        color=next((e.color for e in ctx.config.environments if e.name == source.environment), ""),
        pipeline_name=name,
        facts=Facts(
            key=str(key),
            source=source.name,
            environment=source.environment,
            application=facts.application if facts else None,
            layer=facts.layer if facts else None,
            tags=facts.tags if facts else (),
        ),
        consumers=facts.consumers if facts else (),
        downstream=facts.downstream if facts else (),
        next_run=facts.next_run if facts else None,
    )


def _as_meant(verb: Verb, spec: VerbSpec, key: Key) -> Key:
    """A pipeline's verb on one of its runs means the pipeline, a run's verb on one of its steps the run."""
    if spec.of is KeyOf.PIPELINE:
        return Key(key.source, key.pipeline)
    if spec.of is KeyOf.RUN and verb is not Verb.MARK:
        return Key(key.source, key.pipeline, key.run)
    return key


def _with_step(ctx: Context, target: Target, params: dict[str, Any]) -> Target:
    """``rerun-from`` needs a step: in the key, else in ``params.step``."""
    if target.spec.of is not KeyOf.STEP or target.parsed.step is not None:
        return target
    step = params.pop("step", None)
    if isinstance(step, str) and step:
        try:
            key = parse_key(f"{target.read_key}#{step}")
        except ValueError as error:
            raise RequestError("bad_request", clean(str(error), 300)) from None
        return replace(target, parsed=key, key=str(key), facts=replace(target.facts, key=str(key)))
    with ctx.store.transaction() as tx:
        steps = rows.steps_now(tx, target.read_key)
    bad = next((name for name, state in steps if state.bad), None)
    first = bad or (steps[0][0] if steps else "STEP")
    raise RequestError("bad_request", f"{target.verb} names a step", f"for example {target.read_key}#{first}")


# --- reading -------------------------------------------------------------------------------------------------------


async def observe(ctx: Context, target: Target) -> Observed:
    """Ask the source how the thing stands. RequestError ``not_found`` or ``unreachable``; nothing is sent either way."""
    adapter = adapter_of(ctx, target)
    began = ctx.clock.now()
    try:
        thing = await timed(adapter.read(target.read_key), READ_S)
    except NotFound:
        raise _not_found(ctx, target) from None
    except AdapterError as error:
        raise unreachable(target, error) from None
    with ctx.store.transaction() as tx:
        active = rows.active_runs(tx, target.parsed.pipeline_key)
        steps = rows.steps_now(tx, target.read_key) if isinstance(thing, Run) else []
        stored = rows.seen_attempt(tx, target.read_key) if isinstance(thing, Run) else None
    now = ctx.clock.now()
    if isinstance(thing, Run):
        ended = (thing.ended, thing.source_updated) if thing.state.terminal else ()
        seen = 1 if stored is None else stored[0] + (1 if stored[1].terminal and not thing.state.terminal else 0)
        running = (
            [name for name, state in steps if state in (State.RUNNING, State.RETRYING)] if thing.state.active else []
        )
        return Observed(
            thing=thing,
            read_at=began,
            words=run_words(thing, now, running),
            word=state_word(thing.state),
            version=(int(thing.state), thing.attempt, thing.started, *ended),
            attempt=thing.attempt,
            seen_attempt=max(seen, thing.attempt),
            active=(),
            since=since_of(thing),
        )
    keys = tuple(sorted(key for key, _ in active)) if target.verb in (Verb.START, Verb.BACKFILL) else ()
    return Observed(
        thing=thing,
        read_at=began,
        words=pipeline_words(thing, active),
        word=thing.mode.name.lower(),
        version=(int(thing.mode), *keys),
        attempt=0,
        seen_attempt=0,
        active=keys,
        since=None,
    )


def adapter_of(ctx: Context, target: Target) -> Adapter:
    adapter = ctx.adapters.get(target.source.name)
    if adapter is None:
        raise RequestError(
            "unreachable", f"source {target.source.name} has no working adapter", "see: watchfloor doctor"
        )
    return adapter


async def timed(call: Awaitable[T], seconds: float) -> T:
    """Wait at most so long; a source that says nothing is an AdapterError like any other."""
    try:
        async with asyncio.timeout(seconds):
            return await call
    except TimeoutError:
        raise AdapterError(f"no answer within {seconds:g} s") from None


def unreachable(target: Target, error: AdapterError) -> RequestError:
    said = clean(error.what, 300)
    return RequestError("unreachable", f"{target.source.name}: {said}; nothing was sent", clean(error.hint, 300))


def _not_found(ctx: Context, target: Target) -> RequestError:
    source = target.source.name
    with ctx.store.transaction() as tx:
        if target.parsed.run is None:
            known = rows.pipeline_keys(tx, source)
        else:
            known = rows.recent_runs(tx, target.parsed.pipeline_key) or rows.pipeline_keys(tx, source)
    others = [key for key in known if key != target.read_key]
    return RequestError(
        "not_found", f"{source} knows no {clean(target.read_key, 200)}", suggestion(target.read_key, others)
    )


def _unknown_pipeline(ctx: Context, key: Key) -> None:
    with ctx.store.transaction() as tx:
        known = rows.pipeline_keys(tx, key.source)
    raise RequestError(
        "not_found", f"no pipeline {clean(key.pipeline_key, 200)} is known", suggestion(key.pipeline_key, known)
    )
