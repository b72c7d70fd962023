"""From tables that were read to one ``Config``: what no single key can tell (duplicates, names that must be known,
cycles, schedules) is looked at here. Everything wrong is noted at its place; nothing is built while anything is wrong.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

from adapters.model import JobSpec, StepSpec
from adapters.probes.regex import Regex, wrong_regex
from engine.config import owed, units
from engine.config.at import At, Node, looks_secret, printable
from engine.config.model import (
    LOCAL,
    Access,
    Card,
    Config,
    Contact,
    Environment,
    Limit,
    PipelineRule,
    Route,
    RunMetric,
    SavedView,
    Series,
    Source,
    StoreConfig,
)
from engine.config.named import OWN_SERIES

GROUP = "watchfloor.adapters"
NEED_URL = frozenset(
    {
        "airflow",
        "databricks",
        "dagster",
        "dataiku",
        "http",
        "kafka",
        "kafka_connect",
        "prefect",
        "prometheus",
        "seatunnel",
        "sql",
    }
)
ONE_HOST = ("http://localhost", "http://127.", "http://[::1]")


def installed_kinds() -> frozenset[str]:
    """Names of the installed adapters; nothing is imported. Empty where nothing is installed (a bare checkout)."""
    from importlib.metadata import entry_points

    return frozenset(point.name for point in entry_points(group=GROUP))


def build(
    path: Path,
    digest: str,
    nodes: Sequence[Node],
    kinds: Collection[str] | None,
    deep: bool,
    files: tuple[Path, ...],
) -> Config | None:
    """The configuration, or None when a problem was noted."""
    return _Build(path, digest, nodes, kinds, deep, files).run()


class _Build:
    def __init__(
        self,
        path: Path,
        digest: str,
        nodes: Sequence[Node],
        kinds: Collection[str] | None,
        deep: bool,
        files: tuple[Path, ...],
    ) -> None:
        self.path = path
        self.digest = digest
        self.main = nodes[0]
        self.nodes = nodes
        self.kinds = installed_kinds() if kinds is None else frozenset(kinds)
        self.deep = deep
        self.files = files
        self.doc = nodes[0].at.doc
        self.zone: str = self.main["timezone"] or "UTC"
        self.owed = owed.OwedChecks(self.all, self.unique, self.zone)

    def all(self, name: str) -> list[Node]:
        return [entry for node in self.nodes for entry in node.get(name) or ()]

    def run(self) -> Config | None:
        self.check_sources()
        self.check_jobs()
        self.check_people()
        self.owed.check()
        self.check_series()
        self.check_run_metrics()
        self.unique("card")
        self.unique("view")
        self.check_selectors()
        if self.deep:
            from engine.config import thorough  # it loads adapters

            thorough.look(self.all, self.path.parent, lambda node: self.source(node, self.zone))
        if self.doc.problems:
            return None
        self.warn()
        return self.make()

    # --- checks ---------------------------------------------------------------------------------------------------

    def unique(self, name: str, key: str = "name") -> dict[str, Node]:
        """Entries by name; what is there twice is noted."""
        seen: dict[str, Node] = {}
        for node in self.all(name):
            value = node[key]
            if value is None:
                continue
            first = seen.setdefault(value, node)
            if first is not node:
                where = first.at.doc.name
                line = (first.at / key).line
                (node.at / key).problem(
                    f'"{printable(value)}" is there twice (first: {where}:{line})', "give one of them another name"
                )
        return seen

    def check_sources(self) -> None:
        sources = self.unique("source")
        for name, node in sources.items():
            kind, url = node["kind"], node["url"]
            if name in units.SELECTOR_WORDS + units.THING_WORDS:
                (node.at / "name").problem(
                    f'expected another name, got "{name}", which is a word of selectors', "give the source another name"
                )
            if isinstance(kind, str):
                self.check_kind(node, name, kind)
            if isinstance(url, str) and "@" in url.partition("://")[2].partition("/")[0]:
                (node.at / "url").problem(
                    "expected a URL without user name and password, got one with them", "put them under auth"
                )
        for name, at in self.environments(tell=True).items():
            if name in units.SELECTOR_WORDS:
                at.problem(f'expected another name, got "{name}", which is a word of selectors', "rename it")

    def check_kind(self, node: Node, name: str, kind: str) -> None:
        known = self.kinds | {LOCAL}
        if self.kinds and kind not in known:
            close = units.nearest(kind, known)
            hint = f'did you mean "{close}"?' if close else "installed: " + ", ".join(sorted(known))
            (node.at / "kind").problem(f'expected an installed adapter, got "{printable(kind)}"', hint)
        if kind in NEED_URL and "url" not in node.given:
            node.at.problem("expected url, which is missing", f"add url: where this {kind} answers")
        if (kind == LOCAL) != (name == LOCAL):
            (node.at / "name").problem(
                f'expected the name "local" for the kind local and for no other, got "{name}"',
                'jobs of this host have name = "local"',
            )

    def environments(self, tell: bool = False) -> dict[str, At]:
        seen: dict[str, At] = {}
        for node in self.nodes:
            for name in node.get("environment") or {}:
                at = node.at / "environment" / name
                if name in seen and tell:
                    at.problem(
                        f'"{name}" is there twice (first: {seen[name].doc.name}:{seen[name].line})', "remove one"
                    )
                seen.setdefault(name, at)
        return seen

    def check_jobs(self) -> None:
        jobs = self.unique("job")
        for name, node in jobs.items():
            steps: dict[str, Node] = {}
            for step in node["step"] or ():
                if step["run"] and not step["run"][0].strip():
                    (step.at / "run" / 0).problem("expected a program, got nothing", 'write ["python", "load.py"]')
                if step["name"] is not None and steps.setdefault(step["name"], step) is not step:
                    (step.at / "name").problem(
                        f'"{step["name"]}" is there twice in this job', "give one of them another name"
                    )
            for n, other in enumerate(node["after"] or ()):
                if other == name:
                    (node.at / "after" / n).problem("expected other jobs, got the job itself", "remove it")
                elif other not in jobs:
                    self.unknown_job(node.at / "after" / n, name, other, jobs)
            self.check_schedule(node)
        self.check_cycles(jobs)

    def unknown_job(self, at: At, name: str, other: str, jobs: Iterable[str]) -> None:
        close = units.nearest(other, [j for j in jobs if j != name])
        if close:
            at.problem(f'expected the name of a job, got "{printable(other)}"', f'did you mean "{close}"?')
        else:  # it may come with another file of watchfloor.d: said, not refused
            at.warn(f'no job is called "{printable(other)}"', f"until there is one, {name} is not started after it")

    def check_schedule(self, node: Node) -> None:
        text = node["schedule"]
        if text is None:
            return
        parse = _schedule_parser()
        if parse is None:
            return
        try:
            parse(text, node["timezone"] or self.zone)
        except ValueError as error:
            said = str(error).strip().rstrip(".") or "it cannot be read as a schedule"
            (node.at / "schedule").problem(printable(said, 200), 'write five cron fields, like "*/5 * * * *"')

    def check_cycles(self, jobs: Mapping[str, Node]) -> None:
        done: set[str] = set()

        def visit(name: str, way: tuple[str, ...]) -> None:
            if name in way:
                ring = (*way[way.index(name) :], name)
                done.update(ring)
                (jobs[name].at / "after").problem("expected no circle, got " + " → ".join(ring), "remove one of them")
                return
            if name in done:
                return
            for other in jobs[name]["after"] or ():
                if other in jobs and other != name:
                    visit(other, (*way, name))
            done.add(name)

        for name in jobs:
            visit(name, ())

    def check_people(self) -> None:
        contacts = self.unique("contact")
        for route in self.all("route"):
            names = [(route.at / "to" / n, name) for n, name in enumerate(route["to"] or ())]
            names += [(route.at / "fallback", route["fallback"])] if route["fallback"] else []
            for at, name in names:
                if name not in contacts:
                    close = units.nearest(name, contacts)
                    hint = f'did you mean "{close}"?' if close else f'add a [[contact]] with name = "{printable(name)}"'
                    at.problem(f'expected the name of a contact, got "{printable(name)}"', hint)

    def check_series(self) -> None:
        kinds = {n["name"]: n["kind"] for n in self.all("source")}
        for name, node in self.unique("series").items():
            if name.startswith(OWN_SERIES) or set(name) & set("{}"):
                (node.at / "name").problem(
                    f'expected a name of your own, got "{printable(name)}"',
                    "names with { } and those that begin with host. host@ own. run. are Watchfloor's",
                )
            if node["query"] is not None and not node["query"].strip():
                (node.at / "query").problem("expected a query, got nothing", "write what the source is asked")
            if kinds.get(node["source"]) == LOCAL or (node["source"] == LOCAL and LOCAL not in kinds):
                (node.at / "source").problem(
                    "expected a source that answers queries, got the jobs of this host",
                    "name a source of another kind, like prometheus",
                )
            normal = node["normal"]
            if normal is not None and len(normal) == 2 and normal[0] > normal[1]:
                (node.at / "normal").problem("expected the lowest value first", f"write [{normal[1]}, {normal[0]}]")

    def check_run_metrics(self) -> None:
        named = {n["name"]: n for n in self.all("series")}
        for name, node in self.unique("run_metric").items():
            if name.startswith(OWN_SERIES) or set(name) & set("{}"):
                (node.at / "name").problem(
                    f'expected a name of your own, got "{printable(name)}"',
                    "names with { } and those that begin with host. host@ own. run. are Watchfloor's",
                )
            elif name in named:
                (node.at / "name").problem(
                    f'"{printable(name)}" is a [[series]] already', "give one of them another name"
                )
            wrong = wrong_regex(Regex(node["regex"])) if node["regex"] is not None else None
            if wrong:
                (node.at / "regex").problem(printable(wrong, 200), r"write it like 'loaded (\d+) rows'")

    def check_selectors(self) -> None:
        """A source or an environment that nobody knows is said, not refused: it may be configured tomorrow."""
        sources = {n["name"] for n in self.all("source")} | {LOCAL}
        environments = set(self.environments()) | {n["environment"] or n["name"] for n in self.all("source")} | {LOCAL}
        found = self.owed.selectors()
        for name, key in (
            ("pipeline", "match"),
            ("route", "match"),
            ("window", "on"),
            ("access", "on"),
            ("card", "match"),
            ("run_metric", "on"),
        ):
            found += [(node.at / key, node[key] or "*") for node in self.all(name)]
        for at, text in found:
            head, colon, rest = text.partition(":")
            if not colon or head in ("app", "layer", "tag", *units.THING_WORDS) or any(c in head for c in "*?["):
                continue
            what, word, known = (
                ("environment", rest, environments)
                if head == "env"
                else ("source", rest if head == "src" else head, sources)
            )
            if word not in known and not any(c in word for c in "*?["):
                close = units.nearest(word, [k for k in known if k])
                hint = f'did you mean "{close}"?' if close else "it matches nothing until there is one"
                at.warn(f'no {what} is called "{printable(word)}"', hint)
        for node in self.all("series"):
            if node["source"] and node["source"] not in sources:
                close = units.nearest(node["source"], sources - {None, LOCAL})
                hint = f'did you mean "{close}"?' if close else "nothing is kept until there is one"
                (node.at / "source").warn(f'no source is called "{printable(node["source"])}"', hint)

    def warn(self) -> None:
        warnings = self.doc.warnings
        if not self.all("route"):
            at = self.doc.name
            warnings.append(f"{at}: nobody would be told: there is no [[route]]; alerts are seen on screen only")
        for node in self.all("source"):
            if (node["tls"] or {}).get("verify") is False:
                (node.at / "tls" / "verify").warn(
                    "the server's certificate is not checked", "name its authority: tls = { ca = … }"
                )
            url = node["url"] or ""
            if url.startswith("http://") and node["auth"] and not url.startswith(ONE_HOST):
                (node.at / "url").warn("the credential travels unencrypted", "use https://")
        for node in self.all("job"):
            for at, env in ((s.at / "env", s["env"]) for s in (node, *(node["step"] or ()))):
                for name in env or {}:
                    if looks_secret(name):
                        (at / name).warn("this looks like a secret written in the file", f'use pass_env = ["{name}"]')
        for file in self.files:
            try:
                mode = file.stat().st_mode
            except OSError:
                continue
            if mode & stat.S_IWOTH:
                warnings.append(
                    f"{file}: anybody on this host can change it, and with it what is run here; chmod o-w it"
                )

    # --- building ---------------------------------------------------------------------------------------------------

    def make(self) -> Config:
        main = self.main
        zone = self.zone
        store = main["store"] or {}
        sources = tuple(self.source(n, zone) for n in self.all("source"))
        jobs = tuple(_job(n, zone) for n in self.all("job"))
        if jobs and not any(s.kind == LOCAL for s in sources):
            sources = (
                *sources,
                Source(name=LOCAL, kind=LOCAL, environment=LOCAL, protected=False, poll_ms=1000, timezone=zone),
            )
        colors = {name: env["color"] for node in self.nodes for name, env in (node.get("environment") or {}).items()}
        named = dict.fromkeys((*colors, *(s.environment for s in sources)))
        runbooks = main["runbooks"]
        digest = self.digest
        for read in self.owed.holiday_files.values():  # a holiday more is another configuration
            digest = hashlib.sha256(digest.encode() + read).hexdigest()
        return Config(
            path=self.path,
            folder=self.path.parent,
            hash=digest,
            timezone=zone,
            ui={k: v for k, v in (main["ui"] or {}).items() if v is not None},
            keys=main["keys"],
            store=StoreConfig(store.get("path"), store.get("retain_runs", StoreConfig().retain_runs_ms)),
            runbooks=runbooks["path"] if runbooks else None,
            environments=tuple(Environment(name, colors.get(name, "")) for name in named),
            sources=sources,
            pipelines=tuple(PipelineRule(**n) for n in self.all("pipeline")),
            jobs=jobs,
            contacts=tuple(Contact(n["name"], n["url"], n["timezone"] or zone) for n in self.all("contact")),
            routes=tuple(Route(n["match"], n["severity"], n["to"], n["fallback"]) for n in self.all("route")),
            expectations=tuple(owed.expectation(n, zone) for n in self.all("expectation")),
            windows=tuple(owed.window(n, zone) for n in self.all("window")),
            calendars=self.owed.calendars,
            feeds=tuple(owed.feed(n, zone) for n in self.all("feed")),
            checks=tuple(owed.check(n) for n in self.all("check")),
            access=tuple(Access(n["allow"], n["role"], n["on"]) for n in self.all("access")),
            series=tuple(
                Series(
                    n["name"],
                    n["source"],
                    n["query"],
                    n["unit"],
                    n["normal"],
                    f"{n.at.doc.name}:{n.at.line}",
                    n["every"],
                )
                for n in self.all("series")
            ),
            run_metrics=tuple(RunMetric(**n) for n in self.all("run_metric")),
            cards=tuple(Card(**n) for n in self.all("card")),
            views=tuple(SavedView(**n) for n in self.all("view")),
            limits=tuple(Limit(**n) for n in self.all("limit")),
            warnings=tuple(self.doc.warnings),
            files=(*self.files, *self.owed.holiday_files),
        )

    def source(self, node: Node, zone: str) -> Source:
        local = node["kind"] == LOCAL
        protected = node["protected"]
        tls = node["tls"] or {}
        return Source(
            name=node["name"],
            kind=node["kind"],
            url=node["url"],
            environment=node["environment"] or node["name"],
            protected=not local if protected is None else protected,
            poll_ms=node["poll"] if "poll" in node.given or not local else 1000,
            requests_per_min=node["requests"],
            include=node["include"],
            timezone=node["timezone"] or zone,
            auth=node["auth"],
            tls_verify=tls.get("verify", True),
            tls_ca=tls.get("ca"),
            options=node["options"],
        )


def _job(node: Node, zone: str) -> JobSpec:
    steps = tuple(
        StepSpec(name=s["name"], run=s["run"], env=s["env"], timeout_ms=s["timeout"], warning_codes=s["warning_codes"])
        for s in node["step"]
    )
    return JobSpec(
        name=node["name"],
        steps=steps,
        schedule=node["schedule"],
        timezone=node["timezone"] or zone,
        after=node["after"],
        timeout_ms=node["timeout"],
        retries=node["retries"],
        retry_delay_ms=node["retry_delay"],
        overlap=node["overlap"],
        catchup=node["catchup"],
        business_date=node["business_date"],
        env=node["env"],
        pass_env=node["pass_env"],
        owner=node["owner"],
        tags=node["tags"],
        description=node["description"],
    )


def _schedule_parser() -> Callable[[str, str], object] | None:
    try:
        from adapters.schedule import parse
    except ImportError:
        return None
    return parse
