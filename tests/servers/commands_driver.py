#!/usr/bin/env -S python3 -I -S
"""A backfill driver as operation books have them: its world is one JSON file, it lists, starts, stops and writes logs.

``driver STATE COMMAND [--flag value]…``. It refuses (exit 64, and a line in ``invented``) whatever it does not know. Bad days stand
in the state: garbage, half JSON, silence, floods, exit codes. The environment must hold DRIVER_TOKEN, as real ones need one.
"""

import contextlib
import fcntl
import json
import os
import signal
import sys
import time

FLAGS = {
    "version": set(),
    "list": set(),
    "operations": set(),
    "status": {"pipeline", "run"},
    "logs": {"run", "step", "attempt", "offset"},
    "start": {"pipeline", "run", "date", "concurrency", "mode", "full"},
    "pause": {"pipeline"},
    "resume": {"pipeline"},
    "hold": {"run"},
    "release": {"run"},
    "stop": {"run"},
    "rerun": {"run", "as"},
    "rerun-failed": {"run"},
    "dry-run": {"pipeline", "from", "to", "concurrency"},
    "backfill": {"pipeline", "from", "to", "as", "concurrency"},
    "backfill-pause": {"id"},
    "backfill-resume": {"id"},
    "backfill-cancel": {"id"},
}
READS = ("version", "list", "operations", "status", "logs", "dry-run")


class World:
    """The state file under its lock; written back where ``write`` is said."""

    def __init__(self, path, write=False):
        self.path, self.write = path, write

    def __enter__(self):
        self.lock = open(self.path + ".lock", "w")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        with open(self.path) as file:
            self.data = json.load(file)
        return self.data

    def __exit__(self, *error):
        if self.write and error[0] is None:
            with open(self.path + ".new", "w") as file:
                json.dump(self.data, file)
            os.rename(self.path + ".new", self.path)
        self.lock.close()


def fresh():
    return {
        "pipelines": {}, "runs": {}, "ops": {}, "logs": {}, "effects": 0, "calls": 0, "done": [], "invented": [], "fault": None,
        "skew": 0.0, "made": 0,
    }  # fmt: skip


def stamp(world, ago=0.0):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + world["skew"] - ago))


def entry(world, name, run):
    out = {"pipeline": run["pipeline"], "run": name, "paused": world["pipelines"][run["pipeline"]]["paused"]}
    out |= {
        k: run[k] for k in ("state", "started", "ended", "error", "kind", "attempt", "client_id", "date") if run.get(k)
    }
    out["business_date"] = out.pop("date", None)
    step = {"name": "load", "state": run["state"], "started": run.get("started"), "ended": run.get("ended")}
    out["steps"] = [step | ({"error": run["error"]} if run.get("error") else {})]
    return out


def bend(found, fault):
    """The answer of a bad day."""
    for one in found:
        if fault == "missing-ids":
            one.pop("pipeline", None)
        if fault == "missing-fields":
            for name in set(one) - {"pipeline", "run", "id"}:
                del one[name]
        if fault == "unknown-fields":
            one |= {"nobody": {"knows": [1, None]}, "newer": True}
        if fault == "unknown-state":
            one["state"] = "quiescing" if "state" in one else None
            for step in one.get("steps", ()):
                step["state"] = "quiescing"
        if fault == "escapes":
            one["name"] = "\x1b]0;owned\x07\x1b[2J" + one["pipeline"]
            one["error"] = "\x1b[31mred\x1b[0m \u202e line\nline"
        if fault == "types":
            one |= {"paused": {"a": 1}, "started": [], "attempt": "many", "tags": 7, "params": "x", "ended": True}
        if fault == "secret" and "run" in one:
            one["error"] = "cannot log in with " + os.environ.get("DRIVER_TOKEN", "")
    return found


def write(text, fault):
    if fault == "truncated":
        text = text[: len(text) // 2]
    sys.stdout.write(text)
    sys.stdout.flush()


def bad_day(fault, reading):
    """Ends the process where the day is such."""
    codes = {"forbidden": 77, "not-found": 66, "busy": 75, "broken": 1}
    if fault in codes:
        said = {"broken": 'Traceback (most recent call last):\n  File "x"\nValueError: the driver broke'}.get(
            fault, fault
        )
        sys.stderr.write(f"{said} {os.environ.get('DRIVER_TOKEN', '')}\n")
        sys.exit(codes[fault])
    if fault == "hang":
        time.sleep(60)
    if fault == "slow":
        time.sleep(0.3)
    if fault == "dies" and not reading:
        os.kill(os.getpid(), signal.SIGKILL)
    garbage = {
        "html": "<html><body>Please log in</body></html>",
        "shape": '{"nonsense": {"a": 1}}',
        "truncated": '{"a": ',
    }
    if fault in garbage and (fault != "truncated" or not reading):
        sys.stdout.write(garbage[fault])
        sys.exit(0 if reading else 1)
    if fault == "flood":
        with contextlib.suppress(OSError):
            for _ in range(160):
                sys.stdout.write("x" * 65_536)
            sys.stdout.flush()
        sys.exit(0)


def read(world, command, flags, fault):
    if command == "version":
        return "driver 4.2\nbuilt for tests\n"
    if command == "dry-run":
        if flags["from"] < "2020-01-01":
            sys.stderr.write("ERROR no data before 2020\n")
            sys.exit(3)
        return f"would run {flags['from']} to {flags['to']}\nat concurrency {flags.get('concurrency', '?')}\n"
    if command == "logs":
        data = world["logs"].get(flags["run"], "")
        return data.encode()[int(flags.get("offset", 0)) :].decode()
    if command == "operations":
        return json.dumps(bend(list(world["ops"].values()), fault))
    if command == "status":
        run = world["runs"].get(flags["run"])
        if run is None:
            sys.stderr.write("no such run\n")
            sys.exit(66)
        return json.dumps(bend([entry(world, flags["run"], run)], fault)[0])
    bare = [{"pipeline": n, "schedule": "0 5 * * *", **p} for n, p in world["pipelines"].items()]
    told = bare + [entry(world, n, r) for n, r in world["runs"].items()]
    return json.dumps({"now": stamp(world), "items": bend(told, fault)})


def act(world, command, flags):
    world["effects"] += 1
    world["made"] += 1
    world["done"].append([command, flags])
    name = flags.get("run")
    if command == "start":
        name = name or f"r{world['made']}"
        world["runs"][name] = {
            "pipeline": flags["pipeline"],
            "state": "queued",
            "kind": "manual",
            "date": flags.get("date"),
        }
    elif command in ("pause", "resume"):
        world["pipelines"][flags["pipeline"]]["paused"] = command == "pause"
    elif command in ("hold", "release"):
        world["runs"][name]["state"] = "paused" if command == "hold" else "running"
    elif command == "stop":
        world["runs"][name]["state"] = "cancelling"
    elif command == "rerun":
        new = flags.get("as") or f"r{world['made']}"
        world["runs"][new] = {**world["runs"][name], "state": "queued", "kind": "rerun", "ended": None, "error": None}
    elif command == "rerun-failed":
        run = world["runs"][name]
        run |= {"state": "running", "attempt": run.get("attempt", 1) + 1, "ended": None, "error": None}
    elif command == "backfill":
        op = f"op{world['made']}"
        world["ops"][op] = {
            "id": op, "pipeline": flags["pipeline"], "from": flags["from"], "to": flags["to"], "state": "running", "done": 0,
            "total": 14, "client_id": flags.get("as"), "started": stamp(world),
        }  # fmt: skip
    else:
        states = {"backfill-pause": "paused", "backfill-resume": "running", "backfill-cancel": "cancelled"}
        world["ops"][flags["id"]]["state"] = states[command]
    return name


def main(argv):
    path, command, rest = argv[0], argv[1], argv[2:]
    flags = {}
    known = FLAGS.get(command, set())
    while rest:
        flag = rest.pop(0).removeprefix("--")
        flags[flag] = "true" if flag == "full" else rest.pop(0) if rest else ""
    reading = command in READS
    with World(path, write=True) as world:
        world["calls"] += 1
        fault = world["fault"]
        if command not in FLAGS or not set(flags) <= known or not os.environ.get("DRIVER_TOKEN"):
            world["invented"].append(argv[1:])
            fault = "usage"
    if fault == "usage":
        return 64
    bad_day(fault, reading)
    if reading:
        with World(path) as world:
            text = read(world, command, flags, fault)
        write(text, fault)
        return 0
    if fault == "noop":
        print("done")
        return 0
    with World(path, write=True) as world:
        name = act(world, command, flags)
    if fault == "lost":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "hang-after":
        time.sleep(60)
    print(json.dumps({"pipeline": flags["pipeline"], "run": name}) if command == "start" else "done")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
