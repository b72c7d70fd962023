"""Options of a source of this kind: typed, checked, each refused with a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from adapters.errors import Unsupported

_SECONDS: Final[Mapping[str, float]] = {"connect_timeout": 5.0, "read_timeout": 30.0, "total_timeout": 90.0}
_FLAGS: Final[Mapping[str, bool]] = {"pipelines": True, "submit_runs": False, "tasks": True, "clusters": False}


def checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """All options with their defaults; Unsupported for one that there is not, or of another type."""
    found: dict[str, Any] = {**_SECONDS, **_FLAGS, "date_parameter": ""}
    for name, value in given.items():
        if name not in found:
            raise Unsupported(f"the databricks adapter has no option {name!r}; it has {', '.join(found)}")
        what = f"option {name!r} of the databricks adapter is"
        if name in _FLAGS:
            if not isinstance(value, bool):
                raise Unsupported(f"{what} true or false, not {value!r}")
        elif name == "date_parameter":
            if not isinstance(value, str) or not value.strip():
                raise Unsupported(f"{what} the name of a job parameter, not {value!r}")
        elif isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 600:
            raise Unsupported(f"{what} a number of seconds up to 600, not {value!r}")
        found[name] = value
    return found
