"""What the command line may call: each verb that reads configuration, touches the network or writes.

Imports are lazy on purpose: ``tui.cli`` imports this module before the first frame. Every function returns an exit code
and prints to the streams it is given; a person's mistake is one sentence and exit 2.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.request import (
    EXIT_BAD_INPUT,
    EXIT_NO_ENGINE,
    EXIT_NOT_WELL,
    EXIT_OK,
    EXIT_UNKNOWN,
    EXIT_UNREACHABLE,
    RequestError,
)

if TYPE_CHECKING:
    from adapters.base import Adapter
    from engine.ask import Ask
    from engine.config.model import Config
    from engine.config.paths import Places


def asking(args: Namespace) -> Ask:
    """A conversation with the engine of this place. RequestError if it runs on another file than the one that was named."""
    from engine.ask import Ask

    place = where(args)
    ask = Ask(place.socket)
    theirs = str(ask.hello.get("config") or "")
    if args.config and theirs and os.path.realpath(theirs) != os.path.realpath(place.config):
        ask.close()
        raise RequestError(
            "mismatch",
            f"the engine of {place.store} runs on {theirs}, not on {place.config}",
            "give a file a [store] path of its own, or leave out --config",
        )
    return ask


def fail(message: str, code: int = EXIT_BAD_INPUT) -> int:
    print(message, file=sys.stderr)
    return code


def where(args: Namespace) -> Places:
    """Places of this invocation (``[store] path`` is followed)."""
    from engine.config.paths import places

    return places(args.config, system=args.system, demo=getattr(args, "demo", False))


def read_config(args: Namespace) -> Config:
    """The configuration, or ConfigError with each problem on its line."""
    from engine.config.load import load

    return load(where(args).config)


# --- engine ---------------------------------------------------------------------------------------------------------


def engine(args: Namespace) -> int:
    """``engine run|stop|status|reload``."""
    match args.what:
        case "run":
            from engine.main import main

            argv = ["--config", str(args.config)] if args.config else []
            for flag in ("system", "demo", "standby", "read_only"):
                if getattr(args, flag, False):
                    argv.append("--" + flag.replace("_", "-"))
            return main(argv)
        case "stop":
            return engine_stop(args)
        case "reload":
            return simple(args, "reload", "the engine took the configuration")
        case _:
            return engine_status(args)


def engine_status(args: Namespace) -> int:
    from engine.ask import Ask, NoEngine

    place = where(args)
    try:
        with Ask(place.socket) as ask:
            status = ask("status")
    except NoEngine as error:
        return fail(f"{error} (store {place.store})", EXIT_NO_ENGINE)
    if args.format == "json":
        print_json("engine", status)
        return EXIT_OK
    print(f"engine {status['pid']} version {status['version']} · store {status['store']}")
    print(f"configuration {status['config']} {str(status['config_hash'])[:12]}")
    if status.get("config_error"):
        print(f"the file was changed and is not taken: {status['config_error']}")
    if status.get("store_error"):
        print(status["store_error"])
    for name, health in sorted(status["sources"].items()):
        print(f"  {name:<24} {health.replace('_', ' ')}")
    return EXIT_OK


def engine_stop(args: Namespace, patience_s: float = 10.0) -> int:
    """Ask it to stop and wait until its lock is free."""
    from engine.ask import NoEngine
    from engine.leader import Leader

    place = where(args)
    try:
        with asking(args) as ask:
            pid = ask("stop")["pid"]
    except NoEngine as error:
        return fail(str(error), EXIT_NO_ENGINE)
    except RequestError as error:
        return fail(f"{error.message}{'; ' + error.hint if error.hint else ''}", error.exit_code)
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        leader = Leader(place.lock)
        if leader.try_lock(0.0):
            leader.close()
            print(f"engine {pid} stopped; nobody watches now, no alert goes out")
            return EXIT_OK
        time.sleep(0.05)
    return fail(f"engine {pid} was asked to stop and has not ended after {patience_s:.0f}s", EXIT_UNKNOWN)


def simple(args: Namespace, do: str, words: str, **body: Any) -> int:
    """One request whose answer is said in ``words``."""
    from engine.ask import NoEngine

    try:
        with asking(args) as ask:
            answer = ask(do, **body)
    except NoEngine as error:
        return fail(str(error), EXIT_NO_ENGINE)
    except RequestError as error:
        return fail(f"{error.message}{'; ' + error.hint if error.hint else ''}", error.exit_code)
    print("\n".join((words, *answer.get("kept", ()))))
    return EXIT_OK


# --- acting -----------------------------------------------------------------------------------------------------------


def acting(args: Namespace) -> int:
    """``plan``, ``act``, ``settle`` and ``audit``, in a module of their own."""
    from engine import commands_act

    if args.command in ("plan", "act") and "*" in args.key:
        from engine import commands_bulk

        return commands_bulk.plan(args) if args.command == "plan" else commands_bulk.act(args)
    return int(getattr(commands_act, args.command)(args))


plan = act = settle = audit = acting


# --- people's words ---------------------------------------------------------------------------------------------------


def ack(args: Namespace) -> int:
    try:
        until = _until(args)
    except RequestError as error:
        return fail(error.message, error.exit_code)
    return simple(args, "ack", f"acknowledged {args.alert}", alert=args.alert, note=args.note or "", **until)


def silence(args: Namespace) -> int:
    try:
        until = _until(args)
    except RequestError as error:
        return fail(error.message, error.exit_code)
    return simple(args, "silence", f"silenced {args.match}", match=args.match, reason=args.reason, **until)


def note(args: Namespace) -> int:
    return simple(args, "note", "noted", key=args.key, text=" ".join(args.text))


def owed(args: Namespace) -> int:
    """``ping`` and ``waive``, in a module of their own."""
    from engine import commands_owed

    return int(getattr(commands_owed, args.command)(args))


ping = waive = owed


def stored(args: Namespace) -> int:
    """``backup`` and ``restore``, in a module of their own."""
    from engine import commands_store

    return int(getattr(commands_store, args.command)(args))


backup = restore = stored


def _until(args: Namespace) -> dict[str, Any]:
    if not args.until:
        return {}
    from engine.config.at import duration_ms

    try:
        return {"until": int(time.time() * 1000) + duration_ms(args.until)}
    except ValueError as error:
        raise RequestError("bad_request", f"--until: {error}") from None


def alerts(args: Namespace) -> int:
    from adapters.model import AlertState
    from engine.store.reader import Reader

    reader = Reader(where(args).store)
    try:
        rows = reader.alerts(open_only=not args.all)
    finally:
        reader.close()
    if args.format == "json":
        print_json("alerts", [row_dict(row) for row in rows])
    elif not rows:
        print("no open alert")
    for row in rows if args.format == "text" else ():
        held = f" ({row.held_back})" if row.held_back else ""
        print(f"{row.id[-4:]}  {row.severity.name.lower():<8} {row.state.name.lower():<8} {row.title}{held}")
    return EXIT_NOT_WELL if args.fail and any(row.state <= AlertState.ACKED for row in rows) else EXIT_OK


def notify(args: Namespace) -> int:
    """Send a test through the whole path and say what each recipient's service answered."""
    from engine.notify.test import send_test

    return send_test(read_config(args), where(args), args.to)


def logs(args: Namespace) -> int:
    """A step's log as bytes on stdout, control characters made harmless on a terminal."""
    from engine.log_out import print_log

    return print_log(where(args), args.key, args.follow)


# --- set-up -------------------------------------------------------------------------------------------------------------


def init(args: Namespace) -> int:
    from engine.config.starter import discover, write_starter

    place = where(args)
    if os.path.lexists(place.config):
        return fail(f"{place.config} exists already and is left as it is; edit it, then: watchfloor check")
    found = discover()
    try:
        written = write_starter(place.config, found)
    except OSError as error:
        return fail(f"{error.filename or place.config}: {error.strerror}; name another file with --config")
    if not written:
        return fail(f"{place.config} came to be a moment ago and is left as it is; next: watchfloor check")
    for item in found:
        print(f"found: {item.words}")
    print(f"wrote {place.config}; next: watchfloor check, then watchfloor")
    return EXIT_OK


def _many(found: Sequence[object], what: str) -> str:
    return f"{len(found)} {what}{'' if len(found) == 1 else 's'}"


def check(args: Namespace, wrong_view: Callable[[str, str, str], str | None] | None = None) -> int:
    """``wrong_view``: what a saved view's name, screen and filter have wrong, which only the terminal knows."""
    from engine.config.load import load

    config = load(where(args).config, deep=True)
    for view in config.views if wrong_view is not None else ():
        if wrong_view is not None and (wrong := wrong_view(view.name, view.screen, view.filter)):
            return fail(f"{config.path}: {wrong}")
    for warning in config.warnings:
        print(f"warning: {warning}")
    print(
        f"{config.path}: {_many(config.sources, 'source')}, {_many(config.jobs, 'job')},"
        f" {_many(config.contacts, 'contact')}, {_many(config.expectations, 'expectation')}: fine"
    )
    return EXIT_OK


def doctor(args: Namespace) -> int:
    import asyncio

    from adapters.base import Probe
    from adapters.errors import AdapterError
    from engine.adapters_in import NoAdapter, make_adapter
    from engine.config.doctor import doctor_report

    config, place = read_config(args), where(args)
    with contextlib.suppress(OSError):  # where it cannot be made the report says so
        place.state.mkdir(parents=True, exist_ok=True, mode=0o700)

    asked: dict[str, str] = {}

    async def ask() -> dict[str, Probe | str]:
        answers: dict[str, Probe | str] = {}
        for source in config.sources:
            try:
                adapter = make_adapter(source, config, place)
            except (NoAdapter, ValueError, OSError) as error:
                answers[source.name] = str(error)
                continue
            except AdapterError as error:  # an option that the adapter refuses
                answers[source.name] = f"{error.what}{'; ' + error.hint if error.hint else ''}"
                continue
            try:
                answers[source.name] = await asyncio.wait_for(adapter.probe(), 30)
                asked.update(await asyncio.wait_for(ask_series(config, source.name, adapter), 30))
            except TimeoutError:
                answers[source.name] = "no answer within 30 seconds"
            except AdapterError as error:
                answers[source.name] = f"{error.what}{'; ' + error.hint if error.hint else ''}"
            finally:
                await adapter.close()
        return answers

    probes = asyncio.run(ask())
    lines = doctor_report(config, place, probes, now=int(time.time() * 1000), series=asked)
    if args.format == "json":
        print_json("doctor", [row_dict(line) for line in lines])
    else:
        for line in lines:
            print(line)
    if any(isinstance(p, str) for p in probes.values()):
        return EXIT_UNREACHABLE
    return EXIT_NOT_WELL if any(line.ok is False for line in lines) else EXIT_OK


async def ask_series(config: Config, source: str, adapter: Adapter) -> dict[str, str]:
    """Each ``[[series]]`` of a source, asked once: what is wrong with its answer, "" where nothing is."""
    from adapters.extras import SeriesQuery

    queries = [SeriesQuery(s.name, s.query, s.unit) for s in config.series if s.source == source]
    if not queries:
        return {}
    if not adapter.caps.can("metrics"):
        return {q.name: adapter.caps.why("metrics") for q in queries}
    found = await adapter.samples(queries)
    return {q.name: found.failed.get(q.name, "") for q in queries}


def schema(args: Namespace) -> int:
    from engine.config.schema import json_schema

    print(json.dumps(json_schema(), indent=2))
    return EXIT_OK


def locate(args: Namespace) -> int:
    place = where(args)
    found = {
        "configuration": place.config, "store": place.store, "socket": place.socket, "lock": place.lock, "state": place.state,
        "runs": place.runs, "logs": place.logs, "audit": place.audit,
    }  # fmt: skip
    if args.format == "json":
        print_json("places", {k: str(v) for k, v in found.items()})
    else:
        for name, path in found.items():
            print(f"{name:<14} {path}{_standing(path)}")
    return EXIT_OK


def _standing(path: Path) -> str:
    try:
        return "" if path.exists() else "  (not there yet)"
    except OSError as error:  # a folder above it is not ours to look into
        return f"  ({(error.strerror or 'unreadable').lower()})"


# --- words out ------------------------------------------------------------------------------------------------------------


def row_dict(row: Any) -> dict[str, Any]:
    """A row as JSON: enums by name, sets sorted."""
    from dataclasses import fields, is_dataclass
    from enum import Enum

    def plain(value: Any) -> Any:
        if isinstance(value, Enum):
            return value.name.lower()
        if is_dataclass(value) and not isinstance(value, type):
            return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
        if isinstance(value, (list, tuple)):
            return [plain(v) for v in value]
        if isinstance(value, (set, frozenset)):
            return sorted(plain(v) for v in value)
        if isinstance(value, dict):
            return {str(k): plain(v) for k, v in value.items()}
        return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)

    return plain(row)


def print_json(name: str, data: Any) -> None:
    """``{schema, generated_at, data}``: the one shape of every JSON answer."""
    print(
        json.dumps(
            {"schema": f"watchfloor/{name}/1", "generated_at": int(time.time() * 1000), "data": data},
            ensure_ascii=False,
        )
    )


def refuse_foreign_packages() -> str | None:
    """Generic package names can be taken by others; one sentence if ``adapters`` or ``engine`` are not ours."""
    import importlib.util

    here = Path(__file__).resolve().parent.parent
    for name in ("adapters", "engine"):
        spec = importlib.util.find_spec(name)
        origin = Path(spec.origin).resolve() if spec and spec.origin else None
        if origin is None or here not in origin.parents:
            return (
                f"the Python package {name!r} here belongs to something else ({origin}); "
                + ("unset PYTHONPATH, or " if os.environ.get("PYTHONPATH") else "")
                + "install watchfloor into an environment of its own (venv, pipx or uv tool)"
            )
    return None


def umask(args: Namespace) -> None:
    os.umask(0o027 if args.system else 0o077)
