"""Run by its path and isolated (-I -S), in a process of its own: a regular expression that never ends can be ended so.

Reads jobs from its standard input: one line of JSON (``regex ignore count every size``), then ``size`` bytes. Writes a line
when it is there and one of JSON for each: ``[[labels, value], …]``, of each set of labels the last value or the number of
lines, or every value without labels. No other module of ours is imported here.
"""

import json
import re
import resource
import sys
import warnings

LONGEST = 8192
"""Characters of a line that are looked at."""
MOST = 51
MOST_VALUES = 200_000
CPU_S = 60


def answer(regex: str, ignore: bool, count: bool, every: bool, data: bytes) -> list:  # pyright: ignore[reportMissingTypeArgument, reportUnknownParameterType]
    pattern = re.compile(regex, re.IGNORECASE if ignore else 0)
    names = [name for name in pattern.groupindex if name != "value"]
    group = pattern.groupindex.get("value")
    if group is None:
        named = set(pattern.groupindex.values())
        group = next((n for n in range(1, pattern.groups + 1) if n not in named), 0)
    found, all_of_them = {}, []
    for raw in data.split(b"\n"):
        line = raw[: 4 * LONGEST].decode("utf-8", "replace")[:LONGEST].rstrip("\r")
        for match in pattern.finditer(line):
            if not count and match[group] is None:
                continue
            if every:
                if len(all_of_them) < MOST_VALUES:
                    all_of_them.append([{}, match[group]])
                continue
            labels = tuple((name, match[name] or "") for name in names)
            if labels not in found and len(found) >= MOST:
                continue
            if count:
                found[labels] = found.get(labels, 0) + 1
                break
            found[labels] = match[group]
    return all_of_them or [[dict(labels), value] for labels, value in found.items()]


def main() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    warnings.simplefilter("ignore")
    source = sys.stdin.buffer
    print("ready", flush=True)
    while head := source.readline():
        job = json.loads(head)
        data = source.read(job["size"])
        print(json.dumps(answer(job["regex"], job["ignore"], job["count"], job["every"], data)), flush=True)


if __name__ == "__main__":
    main()
