"""Questions to a worker of Kafka Connect, typed. Any worker answers for the whole group.

One request tells the status of every connector (2.3 and later); an older one answers it with the bare names, and then a few
connectors are asked about at each poll, those longest unasked first.
"""

from __future__ import annotations

import re
from typing import Final, cast
from urllib.parse import quote

import msgspec

from adapters.errors import AdapterError, BadResponse, NotFound
from adapters.http import Answer, Http, refusal, words
from adapters.kafka_connect.wire import Entry, Info, Refusal, Status, Version

ONE_BY_ONE: Final = 25
"""Connectors that are asked about by one poll where there is no ``expand``."""
_NOBODY: Final = "watchfloor-asks-what-there-is"
"""Name of no connector, to ask whether a path exists."""
_VERSION: Final = re.compile(r"(\d+)\.(\d+)")
_CONFLUENT: Final = ("-ccs", "-ce")
"""Ends of Confluent's version numbers, which are four ahead of Apache's: 7.0 is 3.0."""
Listed = dict[str, Entry] | list[str]
_LISTED: Final = cast("type[Listed]", Listed)


def path(name: str, more: str = "") -> str:
    """Below ``/connectors``; NotFound for a name that would be another path."""
    if name in ("", ".", ".."):
        raise NotFound(f"{name!r} is no connector")
    return f"/connectors/{quote(name, safe='')}{more}"


async def listed(http: Http, *expand: str) -> tuple[Listed, Answer]:
    """All connectors with what is asked of each. A list of names: this worker cannot expand. BadResponse where one has no name."""
    found, answer = await http.get("/connectors", _LISTED, {"expand": expand} if expand else None)
    if isinstance(found, dict):
        for name, entry in found.items():
            if (entry.status and entry.status.name != name) or (entry.info and entry.info.name != name):
                raise BadResponse(words(f"connector {name} is listed under another name"))
    return found, answer


async def names(http: Http) -> set[str]:
    """Of every connector that is configured, also of those without a status."""
    found, _ = await listed(http)
    return set(found)


async def status(http: Http, name: str) -> tuple[Status, Answer]:
    found, answer = await http.get(path(name, "/status"), Status)
    if found.name != name:
        raise BadResponse(words(f"asked about connector {name}, told about {found.name}"))
    return found, answer


async def info(http: Http, name: str) -> tuple[Info, Answer]:
    return await http.get(path(name), Info)


async def version(http: Http) -> tuple[Version, Answer]:
    return await http.get("/", Version)


async def can_stop(http: Http) -> bool:
    """Whether connectors can be stopped (3.5): a GET of that path changes nothing and is 405 where it exists, 404 where not."""
    answer = await http.request("GET", path(_NOBODY, "/stop"))
    if answer.status in (404, 405):
        return answer.status == 405
    if 200 <= answer.status < 300:
        raise BadResponse(words(f"HTTP {answer.status} from GET {answer.where}, which no Kafka Connect has"))
    raise refusal(answer, http.auth.secrets if http.auth else ())


def restarts_tasks(said: str) -> bool:
    """Whether a version restarts what failed with one call (3.0). Unsure is no: then each failed task is restarted by itself."""
    found = _VERSION.match(said)
    if found is None:
        return False
    return int(found[1]) >= (7 if said.endswith(_CONFLUENT) else 3)


async def one_by_one(http: Http, found: list[str], known: dict[str, Status | None], most: int) -> None:
    """Bring ``known`` up to date: what is gone leaves it, and ``most`` connectors are asked about, the longest unasked first.

    ``known`` keeps the order in which they were asked about. Without a status a connector is None.
    """
    for name in [n for n in known if n not in set(found)]:
        del known[name]
    due = [n for n in found if n not in known][:most]
    due += [n for n in known if n not in due][: most - len(due)]
    for name in due:
        said: Status | None = None
        try:
            said, _ = await status(http, name)
        except NotFound as err:
            if not names_it(err, name):
                raise
        known.pop(name, None)
        known[name] = said


def names_it(err: AdapterError, name: str) -> bool:
    """Whether a refusal speaks of this very connector: a 404 of a proxy, or of a path that is not there, does not."""
    return name in err.what.partition(": ")[2]


def message(answer: Answer) -> str:
    """What Kafka Connect says of its refusal; "" where it says nothing."""
    try:
        return words(msgspec.json.decode(answer.body, type=Refusal).message or "")
    except (msgspec.DecodeError, msgspec.ValidationError):
        return ""
