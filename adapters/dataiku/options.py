"""What ``options`` of a dataiku source may say, typed and checked with one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from adapters.errors import Unsupported

BUILDS: Final = (
    "NON_RECURSIVE_FORCED_BUILD",
    "RECURSIVE_BUILD",
    "RECURSIVE_FORCED_BUILD",
    "RECURSIVE_MISSING_ONLY_BUILD",
)
_MOST_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class Options:
    """Timeouts in seconds. ``projects``: globs of project keys, none: all that the key sees. ``datasets``: globs of
    ``PROJECT.dataset`` whose last builds are followed, none: all, in turn; those named without a wildcard also with their
    checks and metrics. ``builds``: ``PROJECT.dataset`` that are pipelines of their own, started by building them."""

    connect_timeout: float = 5.0
    read_timeout: float = 15.0
    total_timeout: float = 60.0
    all_users: bool = True
    projects: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    builds: tuple[str, ...] = ()
    build_type: str = BUILDS[0]
    business_date_param: str = "business_date"


def options(given: Mapping[str, Any]) -> Options:
    """Unsupported with one sentence where something is not as it must be."""
    found = Options()
    for name, value in given.items():
        if name in ("connect_timeout", "read_timeout", "total_timeout"):
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= _MOST_S:
                raise _no(name, f"a number of seconds up to {_MOST_S:.0f}", value)
            found = replace(found, **{name: float(value)})
        elif name == "all_users":
            if not isinstance(value, bool):
                raise _no(name, "true or false", value)
            found = replace(found, all_users=value)
        elif name in ("projects", "datasets", "builds"):
            if not isinstance(value, (list, tuple)) or not all(isinstance(v, str) and v for v in value):
                raise _no(name, "a list of texts", value)
            if name != "projects" and (odd := next((v for v in value if "." not in v and v != "*"), None)):
                raise _no(name, "a list of PROJECT.dataset", odd)
            if name == "builds" and (odd := next((v for v in value if set(v) & set("*?[")), None)):
                raise _no(name, "a list of PROJECT.dataset without wildcards", odd)
            found = replace(found, **{name: tuple(value)})
        elif name == "build_type":
            if value not in BUILDS:
                raise _no(name, f"one of {', '.join(BUILDS)}", value)
            found = replace(found, build_type=value)
        elif name == "business_date_param":
            if not isinstance(value, str) or not value:
                raise _no(name, "the name of a parameter", value)
            found = replace(found, business_date_param=value)
        else:
            names = ", ".join(Options.__slots__)
            raise Unsupported(f"the dataiku adapter has no option {name!r}; it has {names}")
    return found


def _no(name: str, expected: str, value: Any) -> Unsupported:
    return Unsupported(f"option {name!r} of the dataiku adapter is {expected}, not {value!r}")
