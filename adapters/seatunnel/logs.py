"""The log of a job, in pieces: SeaTunnel gives a file whole or not at all, so what was read is left out by its length.

One log for the whole job (``job-ID.log``), where the engine is set to write one a job; and on each node that a part of it ran
on. Only files of the node that the url names can be read: links of the others name hosts inside of the cluster, and no
credential travels there. Where there is no log, what there is of it is given: the error that SeaTunnel keeps of a job.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

import msgspec

from adapters.errors import BadResponse, NotFound, Unsupported
from adapters.http import words
from adapters.model import Key, LogChunk
from adapters.seatunnel.client import NO_LOGS, Api
from adapters.seatunnel.states import state_of
from adapters.seatunnel.wire import LogLink
from adapters.shared import read_cursor, write_cursor

PIECE: Final = 4 << 20
NO_FILE: Final = "no log of this job by itself: it was not begun yet, or log4j2 of the engine writes all jobs into one"


class _Cursor(msgspec.Struct, omit_defaults=True):
    """``at`` bytes of the file ``name`` were handed out; ``elsewhere``: on how many other nodes there is one, too."""

    name: str = ""
    at: int = 0
    elsewhere: int = 0


async def log(api: Api, key: Key, cursor: str | None) -> LogChunk:
    """From ``cursor`` on; ``end`` once the job is over and all of it was read."""
    job, _ = await api.job(key.run or "")
    if job.name != key.pipeline:
        raise NotFound(words(f"job {key.run} is called {job.name}, not {key.pipeline}"))
    over = state_of(job)[1].terminal
    known = read_cursor(cursor, _Cursor)
    if not known.name:
        links, said = await _links(api, job.id)
        names = list(dict.fromkeys(link.logName for link in links if job.id in link.logName))
        if not names:
            text = str(job.errorMsg or "").encode() if over and cursor is None else b""
            more = "; this is the error that SeaTunnel keeps of the job" if text else ""
            return LogChunk(text, write_cursor(_Cursor(at=len(text))) if text else None, over, said + more)
        name = next((n for n in names if n == f"job-{job.id}.log"), names[0])
        known = _Cursor(name, 0, len({link.node for link in links if link.logName == name}) - 1)
    body = await api.log_file(quote(known.name, safe=""))
    if body is None:
        note = f"{words(known.name)} is not on this node" + (" but on others of the cluster" if known.elsewhere else "")
        return LogChunk(b"", cursor, over, note)
    note = None
    if cursor is None and known.elsewhere:
        note = f"parts of this job ran on {known.elsewhere} other nodes, with logs of their own"
    if len(body) < known.at:  # rolled over, or written anew by a restore on a fresh node
        known.at, note = 0, "the log was begun anew"
    data = body[known.at : known.at + PIECE]
    known.at += len(data)
    return LogChunk(data, write_cursor(known), over and known.at >= len(body), note)


async def _links(api: Api, native: str) -> tuple[list[LogLink], str]:
    """Log files of a job, and why there are none where there are none."""
    if api.logs is False:
        return [], NO_LOGS
    try:
        return await api.log_names(native), NO_FILE
    except Unsupported as err:
        return [], err.what
    except (
        BadResponse
    ) as err:  # its nodes ask each other without the password: the file itself can be read all the same
        if (err.status or 0) < 500:
            raise
        return [LogLink(f"job-{native}.log")], NO_FILE
