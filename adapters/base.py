"""The one contract between Watchfloor and any orchestrator.

An adapter is one file, one entry point of the group ``watchfloor.adapters`` and one test class on
``adapters.contract.AdapterContract``. All calls are async, raise ``adapters.errors`` only, keep no store and no clock
of their own: ``now`` is given where time matters.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from adapters.errors import Unsupported
from adapters.extras import Asset, Operation, Readings, SeriesQuery, SourceItem
from adapters.model import Caps, LogChunk, Pipeline, Run, Sample, StepRun, Verb
from adapters.parameters import Parameter


class Secret:
    """A value that never shows itself: ``repr`` and ``str`` are ``****``. ``reveal`` asks its origin (again if it expired)."""

    __slots__ = ("_get", "origin")

    def __init__(self, get: Callable[[], str], origin: str) -> None:
        self._get = get
        self.origin = origin

    def reveal(self) -> str:
        return self._get()

    def __repr__(self) -> str:
        return "****"

    __str__ = __repr__


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSettings:
    """What one ``[[source]]`` table says, read and checked. ``folder`` is this source's own private state folder."""

    name: str
    kind: str
    url: str = ""
    environment: str = ""
    timezone: str = "UTC"
    auth: Mapping[str, str | Secret] = field(default_factory=dict[str, "str | Secret"])
    tls_verify: bool = True
    tls_ca: Path | None = None
    include: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    folder: Path = Path()
    requests_per_min: int = 60
    jobs: tuple[Any, ...] = ()
    """Only for kind ``local``: the configuration's ``[[job]]`` tables (engine.config.model.Job)."""
    config_folder: Path = Path()
    """Folder of the configuration file: cwd of local jobs, base of relative paths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """For ``doctor`` and health. ``permissions``: verb or view → True, False, or None where it cannot be told without trying."""

    version: str
    identity: str | None = None
    permissions: Mapping[str, bool | None] = field(default_factory=dict[str, "bool | None"])
    server_time: int | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Listing:
    """Pipelines of a source. ``complete`` False (paged out, filtered, truncated): absence proves nothing."""

    items: Sequence[Pipeline]
    complete: bool
    server_time: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Runs that changed. Call again with ``cursor`` at once while not ``complete``, later otherwise."""

    runs: Sequence[Run]
    cursor: str | None
    complete: bool
    server_time: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What a person asked for. ``client_id`` is ours, unique, short, and lets the world be asked about it later."""

    verb: Verb
    key: str
    client_id: str
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    business_date: str | None = None
    who: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One exact call as it will be made and is shown. HTTP: method, URL, body. Local: method ``exec`` or ``signal``, argv."""

    method: str
    target: str
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Already masked (``Bearer ****``): what is shown, never what is sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The exact calls for one action; the plan shows and hashes them and ``send`` sends those and nothing else.

    ``effect`` what it will do, ``proof`` how it will be known, ``undo`` how to go back: one clause each, for the dialog.
    ``steady`` how many readings in a row must say Done; ``patience_s`` how long until it is called unproved.
    ``memo`` is the adapter's own (JSON-able, without secrets), so that ``reconcile`` works after a restart.
    """

    action: Action
    calls: tuple[Call, ...]
    idempotent: bool
    effect: str
    proof: str
    undo: str = ""
    note: str = ""
    warnings: tuple[str, ...] = ()
    """What speaks against it and forbids nothing (a parameter outside of what is recommended): shown among the guards."""
    steady: int = 1
    patience_s: float = 120.0
    memo: Mapping[str, Any] = field(default_factory=dict[str, Any])
    answered: str | None = None
    """Key of the run that the call was answered with (``Sent.run``), where another process asks ``reconcile`` later on."""


@dataclass(frozen=True, slots=True)
class Sent:
    """The system took it. ``run`` is the key of the run that it made, where there is one."""

    words: str
    run: str | None = None


@dataclass(frozen=True, slots=True)
class NotSent:
    """It certainly did not happen (refused, or never left this host); a person may try again."""

    words: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may have happened: the answer was lost. Never sent again blindly; ``reconcile`` asks."""

    words: str


@dataclass(frozen=True, slots=True)
class Done:
    """The world shows the effect."""

    words: str
    run: str | None = None


@dataclass(frozen=True, slots=True)
class NotDone:
    """Not (yet). ``final``: it cannot come any more. ``begun``: the call did arrive, its effect is on the way (a run that
    is there but still queued); after a lost answer that tells "not yet" from "it never came"."""

    words: str
    final: bool = False
    begun: bool = False


@dataclass(frozen=True, slots=True)
class Several:
    """Candidates, and no word on which of them is ours, or whether the only one is: a person must decide."""

    words: str
    runs: tuple[str, ...]


SendResult = Sent | NotSent | Unknown
Reconciled = Done | NotDone | Several


class Adapter(ABC):
    """One orchestrator. Construct with settings; ``close`` when done. No call may block the loop.

    The constructor looks at its settings (ValueError, Unsupported: one sentence), asks nobody and reveals nothing:
    ``check`` makes adapters only to hear what they say.
    """

    kind: ClassVar[str]
    min_poll_s: ClassVar[float] = 5.0
    near: ClassVar[bool] = False
    """On this host: asking costs next to nothing, so listings and steps are asked for at every change."""
    secret_options: ClassVar[tuple[str, ...]] = ()
    """Names of tables in ``options`` whose values may be references to secrets, as in ``auth``: they come as ``Secret``."""

    def __init__(self, settings: SourceSettings) -> None:
        self.settings = settings

    @property
    @abstractmethod
    def caps(self) -> Caps:
        """What can be asked of this source now (may narrow after ``probe`` learnt the version)."""

    @abstractmethod
    async def probe(self) -> Probe: ...

    @abstractmethod
    async def pipelines(self) -> Listing: ...

    @abstractmethod
    async def runs(self, cursor: str | None, active_only: bool = False) -> Page:
        """Changes since an opaque cursor; None: what is active and recent. ``active_only``: just what is not terminal."""

    @abstractmethod
    async def history(self, pipeline: str, depth: int = 60, days: int = 60) -> Sequence[Run]:
        """Past runs of one pipeline, newest first, marked ``backfilled``."""

    @abstractmethod
    async def read(self, key: str) -> Pipeline | Run:
        """The thing as it is now (pipeline key or run key), for plan and verify. NotFound if it is not there."""

    @abstractmethod
    async def steps(self, run: str) -> Sequence[StepRun]: ...

    @abstractmethod
    async def log(self, step: str, attempt: int, cursor: str | None) -> LogChunk:
        """Log of one try of one step (step key) from ``cursor`` on; None: from the beginning."""

    @abstractmethod
    async def prepare(self, action: Action) -> Prepared:
        """Exact calls for an action. Unsupported / Conflict / NotFound where it makes no sense now."""

    def parameters(self, verb: Verb, key: str) -> Sequence[Parameter]:
        """What the verb may be given beside its key, for the plan to ask for. ``prepare`` reads and checks the values itself
        (``adapters.parameters.read_all``). Known without asking anybody; a strange key has none."""
        return ()

    @abstractmethod
    async def send(self, prepared: Prepared) -> SendResult: ...

    @abstractmethod
    async def reconcile(self, prepared: Prepared) -> Reconciled:
        """Ask the world whether the effect is there. Reads only."""

    async def items(self) -> Sequence[SourceItem]:
        """Parts of the source that are no pipelines, all of them (``items`` in ``caps``). Asked once a minute."""
        return ()

    async def assets(self) -> Sequence[Asset]:
        """What its pipelines make and wait for, all of them (``assets`` in ``caps``). Asked every few minutes."""
        return ()

    async def operations(self, known: Sequence[str] = ()) -> Sequence[Operation]:
        """Backfills that run or ended lately (``operations`` in ``caps``). Asked once a minute, sooner while one runs.

        ``known``: keys of pipelines of which an operation was not over when last heard of; those are named in any case,
        so that an end that nobody watched is told.
        """
        return ()

    async def samples(self, queries: Sequence[SeriesQuery]) -> Readings:
        """What is measured now (``metrics`` in ``caps``): the answers to ``queries``, and what the source measures of itself or
        of hosts without being asked. Asked at the source's own cadence, ten seconds at the least.

        A query that cannot be answered is a reason in ``failed``, not an error: only a source that does not answer raises.
        """
        return Readings(failed={q.name: "this kind of source answers no queries" for q in queries})

    async def past_samples(self, query: SeriesQuery | None, since: int, until: int, step_ms: int) -> Sequence[Sample]:
        """What was measured in [since, until), one reading a ``step_ms`` (``metrics-past`` in ``caps``), series named as
        ``samples`` names them; None: what it measures without being asked. BadResponse: the query is refused."""
        raise Unsupported("this kind of source keeps no past measurements")

    @classmethod
    def wrong_query(cls, text: str) -> str | None:
        """What a query has wrong that can be seen without asking anybody, in one clause; None: nothing was seen."""
        return None

    async def tick(self, now: int) -> None:
        """Called once a second. Only the embedded default uses it: local jobs become due here."""
        return None

    async def close(self) -> None:
        return None

    @property
    def notes(self) -> tuple[str, ...]:
        """What is wrong with the source although it answers, as of the latest listing ("scheduler is unhealthy")."""
        return ()

    @property
    def spent(self) -> tuple[int, int]:
        """Requests and bytes since construction, for the budget and the Sources screen."""
        return (0, 0)
