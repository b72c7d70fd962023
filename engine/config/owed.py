"""What is owed, by when, as it is configured: expectations, windows, calendars, feeds and checks.

What no single key can tell is looked at here: which keys mean something for a type, names that must be known, promises
that overlap, files of holidays. Problems are noted at their place; nothing is made while there is one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from adapters import schedule as schedules
from adapters.model import Severity
from engine.config import shapes_owed, units, vocabulary
from engine.config.at import At, Node, printable
from engine.config.calendars import read_calendar
from engine.config.model import Check, Expectation, Feed, ValueRule, Window
from engine.config.paths import relative
from engine.owed.calendar import DAILY, ONE_DAY, BusinessCalendar, Days

_CYCLE = (date(2024, 1, 1), date(2024, 1, 1) + timedelta(days=28 * 365 + 7))  # dates and weekdays meet in every way
_HELD = re.compile(r"\{[^{}]*\}")
FEED_FILLED = ("{business_date}", "{yyyymmdd}")
CHECK_FILLED = ("{business_date}", "{run}")
MEASURED = ("metric", "resource", "volume", "reconcile", "quota", "budget", "forecast")
"""Types that are judged of measured values."""
_RULE = (
    "series", "above", "below", "mean_above", "mean_below", "peak_above", "clear_at", "events", "min_events", "normal", "least_share",
    "anomaly", "allow_empty", "most", "share", "resets", "period", "over", "against", "tolerance", "tolerance_percent",
)  # fmt: skip
WINDOW_MS = 2 * 3_600_000
"""So long the readings are kept of which a mean and a peak are made."""
NOT_THINGS = 'expected a selector of pipelines, got "{}"'
WHERE_THINGS = "feed: belongs to source_arrival and to after of [[pipeline]], ping: to heartbeat, series: and asset: to what is measured"


class OwedChecks:
    """Looks at all of it once. ``nodes``: the entries of a list, of all files; ``unique``: the same by name, doubles noted.

    ``calendars``: those that could be read; ``holiday_files``: what was read for them, with its bytes.
    """

    def __init__(
        self, nodes: Callable[[str], list[Node]], unique: Callable[[str, str], dict[str, Node]], zone: str
    ) -> None:
        self.nodes = nodes
        self.unique = unique
        self.zone = zone
        self.calendars: dict[str, BusinessCalendar] = {}
        self.holiday_files: dict[Path, bytes] = {}

    def check(self) -> None:
        self.known_calendars = self.unique("calendar", "name")
        self.feeds = self.unique("feed", "name")
        self.checks = self.unique("check", "name")
        for name, node in self.known_calendars.items():
            self.calendars[name] = read_calendar(name, node, self.zone, self.holiday_files)
        for node in self.feeds.values():
            self.check_feed(node)
        for node in self.checks.values():
            _check_check(node)
        for node in self.nodes("pipeline"):
            self.check_pipeline(node)
        for node in self.unique("expectation", "id").values():
            self.check_expectation(node)
        self.check_overlaps()
        for node in self.unique("window", "name").values():
            self.check_window(node)

    # --- calendars, feeds, checks, pipelines --------------------------------------------------------------------------

    def check_calendar(self, node: Node) -> None:
        name = node["calendar"]
        if name is not None and name not in self.known_calendars:
            _unknown(node.at / "calendar", "calendar", name, self.known_calendars)

    def check_feed(self, node: Node) -> None:
        _check_path(node, FEED_FILLED)
        for n, text in enumerate(node["feeds"] or ()):
            _pipelines_only(node.at / "feeds" / n, text)

    def check_pipeline(self, node: Node) -> None:
        for n, name in enumerate(node["done_when"] or ()):
            if name not in self.checks:
                _unknown(node.at / "done_when" / n, "check", name, self.checks)
        for n, text in enumerate(node["after"] or ()):
            if text.startswith("feed:"):
                self.check_feed_name(node.at / "after" / n, text)
            else:
                _pipelines_only(node.at / "after" / n, text)

    def check_feed_name(self, at: At, text: str) -> None:
        name = text.partition(":")[2]
        if name not in self.feeds:
            _unknown(at, "feed", name, self.feeds)

    def check_window(self, node: Node) -> None:
        if ("end" in node.given) == ("duration" in node.given):
            node.at.problem("expected either end or duration", "keep one of them")
        start = node["start"]
        if "days" in node.given and start is not None and start.day is not None:
            (node.at / "days").problem("expected days or a weekday in start, got both", "keep one of them")
        if "calendar" in node.given and "days" not in node.given:
            (node.at / "calendar").problem(
                "expected days beside calendar, there is none", 'add days, like days = "last business day"'
            )
            return
        self.check_calendar(node)

    # --- expectations -----------------------------------------------------------------------------------------------

    def check_expectation(self, node: Node) -> None:
        name, kind = node["id"], node["type"]
        if name in shapes_owed.MADE:
            (node.at / "id").problem(
                f'expected another id, got "{name}", which names what is owed without configuration', "rename it"
            )
        if kind is None:
            return
        self.check_keys(node, kind)
        self.check_calendar(node)
        self.check_on(node, kind)
        if kind == "sequence" and node["after"] is not None:
            _pipelines_only(node.at / "after", node["after"])
            if node["after"] == node["on"]:
                (node.at / "after").problem("expected another pipeline than on, got the same", "name what comes first")

    def check_keys(self, node: Node, kind: str) -> None:
        takes = shapes_owed.TAKES[kind]
        for key in shapes_owed.EXPECTATION.fields:
            if key in node.given and key not in takes and key not in shapes_owed.EVERY:
                (node.at / key).problem(
                    f"expected a key that means something with {kind}, {key} does not",
                    f"remove it; {kind} takes {', '.join(takes)}",
                )
        needs = shapes_owed.NEEDS.get(kind, ())
        if needs and not any(key in node.given for key in needs):
            (node.at / "type").problem(f"expected {' or '.join(needs)} with {kind}, there is none", f"add {needs[0]}")
        if "due" in node.given and "due_after_schedule" in node.given and "due_after_schedule" in takes:
            (node.at / "due_after_schedule").problem(
                "expected either due or due_after_schedule, got both", "keep one of them"
            )

    def check_on(self, node: Node, kind: str) -> None:
        at, on = node.at / "on", node["on"]
        if kind == "completeness":
            _check_members(node)
            return
        if "on" not in node.given:
            node.at.problem("expected on, which is missing", f"add on: {_ON.get(kind, 'which pipelines')}")
            return
        if on is None:
            return
        head, _, name = on.partition(":")
        match kind:
            case "source_arrival":
                if head != "feed":
                    at.problem(
                        f'expected a feed with source_arrival, like "feed:NAME", got "{printable(on)}"',
                        "add a [[feed]] for the file and name it",
                    )
                else:
                    self.check_feed_name(at, on)
            case "heartbeat":
                if head != "ping" or not re.fullmatch(vocabulary.JOB_NAME, name, re.ASCII):
                    at.problem(
                        f'expected a heartbeat\'s name, like "ping:backup", got "{printable(on)}"',
                        "its program says `watchfloor ping NAME ok`",
                    )
            case "freshness":
                self.check_fresh(node, at, head)
            case _ if kind in MEASURED:
                self.check_measured(node, at, head)
            case _:
                _pipelines_only(at, on)

    def check_fresh(self, node: Node, at: At, head: str) -> None:
        """Of a pipeline, of a series that tells an instant or a date, or of an asset."""
        if head in units.THING_WORDS and head not in ("series", "asset"):
            at.problem(NOT_THINGS.format(printable(node["on"])), "freshness is of pipelines, series:NAME or asset:NAME")
        name = (node["on"] or "").partition(":")[2]
        unit = next((n["unit"] for n in self.nodes("series") if head == "series" and n["name"] == name), None)
        if unit is not None and unit not in ("time", "date"):
            at.problem(
                f'expected a series of an instant or a date, {printable(name)} has the unit "{printable(unit)}"',
                'write unit = "time" or "date" in its [[series]]',
            )
        if "by" in node.given and "max_age" in node.given:
            (node.at / "max_age").problem("expected either by or max_age, got both", "keep one of them, or make two")
        if head == "asset" and "by" in node.given:
            (node.at / "by").problem(
                "expected max_age of an asset, got by", "an asset tells when it was made, not of which date"
            )
        for key in ("days", "business_date"):
            if key in node.given and "by" not in node.given:
                (node.at / key).problem(f"expected by beside {key}, there is none", f"add by, or remove {key}")

    def check_measured(self, node: Node, at: At, head: str) -> None:
        kind, of_runs = node["type"], node["series"] is not None
        told = [n["name"] for n in self.nodes("run_metric") if n["name"]]
        if of_runs and head in units.THING_WORDS:
            (node.at / "series").problem(
                f'expected pipelines in on beside series, got "{printable(node["on"])}"',
                "name the pipelines, or remove series",
            )
        elif not of_runs and head != "series":
            hint = 'write on = "series:NAME"' + (
                ", or name in series what its runs tell" if "series" in shapes_owed.TAKES[kind] else ""
            )
            at.problem(f'expected what is measured, like "series:cdm_lag", got "{printable(node["on"])}"', hint)
        elif of_runs and node["series"] not in told:
            _unknown(node.at / "series", "run_metric", node["series"], told)
        for key in ("against", "events"):
            if node[key] is not None and not node[key].startswith("series:"):
                (node.at / key).problem(f'expected "series:NAME", got "{printable(node[key])}"', "name one series")
        normal = node["normal"]
        if normal is not None and normal[0] > normal[1]:
            (node.at / "normal").problem("expected the lowest value first", f"write [{normal[1]}, {normal[0]}]")
        if node["window"] is not None and node["window"] > WINDOW_MS:
            (node.at / "window").problem(
                "expected a window of at most 2 h, got a longer one",
                "older readings are kept by the minute only; name less",
            )
        for key in ("tolerance", "tolerance_percent", "over", "min_events"):
            if node[key] is not None and node[key] < 0:
                (node.at / key).problem(
                    f"expected 0 or more, got the number {node[key]:g}", "write it without the sign"
                )
        if node["clear_at"] is not None:
            self.check_clear(node)
        if "min_events" in node.given and node["events"] is None:
            (node.at / "min_events").problem(
                "expected events beside min_events, there is none", 'add events = "series:NAME"'
            )
        if node["resets"] is not None:
            try:
                schedules.parse(node["resets"], node["timezone"] or self.zone)
            except ValueError as error:
                (node.at / "resets").problem(str(error).partition("; ")[0], 'write "0 0 * * *" for each midnight')
        if kind in ("quota", "budget", "forecast") and node["most"] is not None and node["most"] <= 0:
            (node.at / "most").problem(f"expected more than nothing, got the number {node['most']:g}", "name the limit")
        if kind == "forecast" and "within" not in node.given:
            (node.at / "type").problem("expected within with forecast, there is none", 'add within = "14d"')

    def check_clear(self, node: Node) -> None:
        clear, above, below = node["clear_at"], node["above"], node["below"]
        if (above is None) == (below is None):
            (node.at / "clear_at").problem("expected either above or below beside clear_at", "name one of them")
        elif (above is not None and clear > above) or (below is not None and clear < below):
            (node.at / "clear_at").problem(
                f"expected clear_at on the good side of {above if below is None else below:g}, got the number {clear:g}",
                "it is where a value must come back to",
            )

    def check_overlaps(self) -> None:
        """Two promises of one type, on one selector, that owe something on one date would be told twice."""
        seen: dict[tuple[Any, ...], list[Node]] = {}
        ids: set[str] = set()
        for node in self.nodes("expectation"):
            kind, name = node["type"], node["id"]
            if kind not in shapes_owed.TAKES or kind in MEASURED or kind == "freshness" or name is None or name in ids:
                continue
            ids.add(name)
            thing = tuple(sorted(_members(node))) if kind == "completeness" else (node["on"], node["after"])
            if not thing or not thing[0]:
                continue
            earlier = seen.setdefault((kind, *thing), [])
            for other in earlier:
                if self.overlap(node, other):
                    dated = "days" in shapes_owed.TAKES[kind]
                    node.at.problem(
                        f'expected no overlap with another {kind} of the same selector, got one with "{printable(other["id"])}" '
                        f"({other.at.place})",
                        "keep one of them" + (", or give them different days" if dated else ""),
                    )
                    break
            earlier.append(node)

    def overlap(self, one: Node, two: Node) -> bool:
        """Whether both owe something on one date."""
        a, b = (node["days"] or DAILY for node in (one, two))
        if "days" not in shapes_owed.TAKES[one["type"]]:
            return True
        if _weekly(a) and _weekly(b) and not a.weekdays & b.weekdays:
            return False
        rules = [(days, self.calendars.get(node["calendar"] or "")) for days, node in ((a, one), (b, two))]
        for day in (*a.dates, *b.dates, *_dates()):
            if all(
                days.includes(day, works) and (works is None or works.is_business_day(day)) for days, works in rules
            ):
                return True
        return False

    # --- what is said, not refused ------------------------------------------------------------------------------------

    def selectors(self) -> list[tuple[At, str]]:
        """Selectors of pipelines that stand in these entries, for the look at unknown sources."""
        out: list[tuple[At, str]] = []
        for name, key in (("pipeline", "after"), ("feed", "feeds"), ("expectation", "of")):
            out += [(node.at / key / n, t) for node in self.nodes(name) for n, t in enumerate(node[key] or ())]
        for key in ("on", "after"):
            out += [(node.at / key, node[key]) for node in self.nodes("expectation") if node[key]]
        return out


_ON = {"source_arrival": '"feed:NAME" of a [[feed]]', "heartbeat": '"ping:NAME"'} | dict.fromkeys(
    MEASURED, '"series:NAME"'
)


def _check_check(node: Node) -> None:
    kinds = [key for key in ("run", "file", "series") if key in node.given]
    if len(kinds) > 1:
        words = f"expected either {kinds[0]} or {kinds[1]}, got both"
        (node.at / kinds[1]).problem(words, "keep one of them, or make two checks")
        return
    normal = node["normal"]
    if normal is not None and normal[0] > normal[1]:
        (node.at / "normal").problem("expected the lowest value first", f"write [{normal[1]:g}, {normal[0]:g}]")
    if node["on"] is not None and node["on"].partition(":")[0] in units.THING_WORDS:
        (node.at / "on").problem(NOT_THINGS.format(printable(node["on"])), "an output is of pipelines")
    run = node["run"]
    if run and not run[0].strip():
        (node.at / "run" / 0).problem("expected a program, got nothing", 'write ["python", "count.py"]')
    for key, needs in (("min_size", "file"), ("timeout", "run"), ("normal", "series"), ("step", "on")):
        if key in node.given and needs not in node.given:
            (node.at / key).problem(f"expected {needs} beside {key}, there is none", f"add {needs}, or remove {key}")
    _check_path(node, CHECK_FILLED)


def _check_path(node: Node, filled: Sequence[str]) -> None:
    text = node["file"]
    if text is None:
        return
    if "://" in text:
        (node.at / "file").problem("expected a path on this host, got a URL", "name a file that this host can see")
        return
    for held in _HELD.findall(text):
        if held not in filled:
            close = units.nearest(held, filled)
            (node.at / "file").problem(
                f'expected {" or ".join(filled)}, got "{printable(held)}"',
                f'did you mean "{close}"?' if close else "remove it",
            )


def _check_members(node: Node) -> None:
    name, on, of = node["id"], node["on"], node["of"] or ()
    if name is not None and not re.fullmatch(vocabulary.JOB_NAME, name, re.ASCII):
        (node.at / "id").problem(
            f'expected {vocabulary.name.expected} as the id of a completeness, got "{printable(name)}"',
            f"its key is set:ID{'' if name.isascii() else '; write it in ASCII'}",
        )
    if "of" not in node.given and "on" not in node.given:
        (node.at / "type").problem("expected of with completeness, there is none", "add of: selectors of its members")
    elif "of" in node.given and on is not None and on != f"set:{name}":
        (node.at / "on").problem("expected of alone, got on beside it", "remove on: its members are those of of")
    elif "of" not in node.given and on is not None:
        _pipelines_only(node.at / "on", on)
    for n, text in enumerate(of):
        _pipelines_only(node.at / "of" / n, text)


def _members(node: Node) -> tuple[str, ...]:
    return node["of"] or ((node["on"],) if node["on"] else ())


def _pipelines_only(at: At, text: str) -> None:
    if text.partition(":")[0] in units.THING_WORDS:
        at.problem(NOT_THINGS.format(printable(text)), WHERE_THINGS)


def _unknown(at: At, what: str, name: str, known: Iterable[str]) -> None:
    close = units.nearest(name, known)
    hint = f'did you mean "{close}"?' if close else f'add a [[{what}]] with name = "{printable(name)}"'
    at.problem(f'expected the name of a {what}, got "{printable(name)}"', hint)


def _weekly(days: Days) -> bool:
    return not (days.month_days or days.nth or days.business or days.any_business or days.dates)


def _dates() -> Iterable[date]:
    day, end = _CYCLE
    while day < end:
        yield day
        day += ONE_DAY


# --- making ---------------------------------------------------------------------------------------------------------


def expectation(node: Node, zone: str) -> Expectation:
    values = _values(
        node, zone, "due_after_schedule", "limit", "max_age", "start_grace", "alert_if_late_by", "expected", "margin"
    )
    if values["severity"] is None:
        values["severity"] = Severity.HIGH
    rule = {key: values.pop(key) for key in _RULE}
    spans = {key: values.pop(key) for key in ("window", "for", "within")}
    if node["type"] in MEASURED:
        held = spans["for"] if node["type"] in ("metric", "resource") or "for" in node.given else 0
        values["value"] = ValueRule(**rule, window_ms=spans["window"], for_ms=held, within_ms=spans["within"])
    if node["type"] == "completeness":
        values |= {"of": _members(node), "on": f"set:{node['id']}"}
    return Expectation(**values, place=node.at.place)


def feed(node: Node, zone: str) -> Feed:
    values = _values(node, zone, "buffer")
    values["file"] = _absolute(node)
    return Feed(**values, place=node.at.place)


def check(node: Node) -> Check:
    values: dict[str, Any] = {"timeout_ms" if k == "timeout" else k: v for k, v in node.items()}
    values["file"] = _absolute(node)
    if values["normal"] is not None:
        values["normal"] = tuple(values["normal"])
    return Check(**values, place=node.at.place)


def window(node: Node, zone: str) -> Window:
    return Window(**_values(node, zone, "duration", "post_grace"))


def _values(node: Node, zone: str, *durations: str) -> dict[str, Any]:
    values: dict[str, Any] = {f"{k}_ms" if k in durations else k: v for k, v in node.items()}
    return values | {"timezone": values["timezone"] or zone}


def _absolute(node: Node) -> str | None:
    return None if node["file"] is None else str(relative(node.at.doc.folder, node["file"]))
