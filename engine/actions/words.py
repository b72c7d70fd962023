"""Small words and cleanings of the acting room: how long, harmless text, masked values, a call as it can be copied."""

from __future__ import annotations

import json
import re
import shlex
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, cast

from adapters.base import Call
from adapters.model import Pipeline, Run, State

MASK = "****"
REASON_LIMIT = 500
_SECRET_NAME = re.compile(
    r"passw|passphrase|secret|token|api[-_]?key|private[-_]?key|credential|authorization|cookie", re.IGNORECASE
)
_NOT_SECRET = frozenset({"idempotency_token"})
"""Ids that we choose ourselves; they must stay readable in a plan."""
SHORTEST = 4
"""Characters from which a secret is looked for in other texts; a shorter one would hide half of every sentence."""
_USERINFO = re.compile(r"(?<=://)[^/?#@\s]+@")
_QUERY = re.compile(r"([?&;]([^=&#;\s]+)=)([^&#;\s]*)")
_SCHEME = re.compile(r"(Bearer|Basic|Token|Digest)\s+\S.*", re.IGNORECASE)


def clean(text: str, limit: int = 2000) -> str:
    """One line without control, format (bidi) and surrogate characters: what came from outside, harmless on a terminal."""
    out = "".join(c if c.isprintable() and unicodedata.category(c) != "Cf" else " " for c in text[: limit + 1])
    return out[:limit].strip()


def lasted(ms: int) -> str:
    """``48s``, ``4m 02s``, ``31m``, ``1h 52m``, ``6d 4h``."""
    seconds = max(0, ms) // 1000
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 600:
        return f"{seconds // 60}m {seconds % 60:02d}s"
    if seconds < 3600:
        return f"{seconds // 60}m"
    if seconds < 86_400:
        return f"{seconds // 3600}h {seconds % 3600 // 60:02d}m"
    return f"{seconds // 86_400}d {seconds % 86_400 // 3600}h"


def state_word(state: State) -> str:
    return state.name.lower().replace("_", " ")


def run_words(run: Run, now: int, steps: Sequence[str] = ()) -> str:
    """``running 22m · step load_fact``; ``failed 4m 02s ago · KeyError``. The native word is added where it says more."""
    word = state_word(run.state)
    parts: list[str] = []
    since = since_of(run)
    if since is None:
        parts.append(word)
    else:
        parts.append(f"{word} {lasted(now - since)}" + (" ago" if run.state.terminal else ""))
    if run.native and run.native.casefold() not in (word, word.replace(" ", "_")):
        parts.append(f"it says {clean(run.native, 60)}")
    if run.sub:
        parts.append(clean(run.sub, 60))
    if run.attempt > 1:
        parts.append(f"attempt {run.attempt}")
    if steps:
        parts.append(("step " if len(steps) == 1 else "steps ") + ", ".join(clean(s, 60) for s in steps[:3]))
    if run.state.bad and run.error:
        parts.append(clean(run.error, 120))
    return " · ".join(parts)


def since_of(run: Run) -> int | None:
    """Since when the run is in its state, ms UTC; None where the source does not say."""
    if run.state.terminal:
        return run.ended
    if run.state is State.QUEUED:
        return run.queued
    return run.started if run.started is not None else run.queued


def pipeline_words(pipeline: Pipeline, active: Sequence[tuple[str, State]]) -> str:
    """``active · every day 05:00 · 1 run active``."""
    parts = [pipeline.mode.name.lower()]
    if pipeline.schedule:
        parts.append(clean(pipeline.schedule, 60))
    if active:
        parts.append(f"{len(active)} run{'s' if len(active) > 1 else ''} active")
    else:
        parts.append("no run active")
    return " · ".join(parts)


def suggestion(word: str, known: Iterable[str]) -> str:
    """``did you mean 'x'?`` or nothing."""
    close = get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else ""


# --- masking: adapters mask what they know; this is the second lock on the same door -------------------------------


def mask(value: Any, name: str = "") -> Any:
    """A copy of JSON-able data in which whatever is named like a secret reads ``****``."""
    if _secret(name) and value not in (None, "", True, False):
        return MASK
    if isinstance(value, Mapping):
        return {str(k): mask(v, str(k)) for k, v in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return _mask_list(cast("Sequence[Any]", value))
    return mask_url(value) if isinstance(value, str) else value


def _secret(name: str) -> bool:
    return bool(name) and name not in _NOT_SECRET and _SECRET_NAME.search(name) is not None


def _mask_list(values: Sequence[Any]) -> list[Any]:
    """An argv too: ``--password x`` and ``--password=x``."""
    out: list[Any] = []
    hide_next = False
    for value in values:
        if hide_next and isinstance(value, str):
            out.append(MASK)
            hide_next = False
            continue
        hide_next = False
        if isinstance(value, str) and value.startswith("-"):
            flag, equals, _ = value.partition("=")
            if _SECRET_NAME.search(flag):
                out.append(f"{flag}={MASK}" if equals else flag)
                hide_next = not equals
                continue
        out.append(mask(value))
    return out


def mask_url(text: str) -> str:
    """``https://user:pass@host/?token=x`` → ``https://****@host/?token=****``; other text as it is."""
    if "://" not in text:
        return text
    text = _USERINFO.sub(f"{MASK}@", text)
    return _QUERY.sub(lambda m: m[1] + (MASK if _SECRET_NAME.search(m[2]) else m[3]), text)


def mask_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Header values of secrets keep their scheme: ``Bearer ****``."""
    out: dict[str, str] = {}
    for name, value in headers.items():
        if _SECRET_NAME.search(name) and not value.endswith(MASK):
            found = _SCHEME.fullmatch(value)
            value = f"{found[1]} {MASK}" if found else MASK
        out[name] = value
    return out


def secret_values(params: Mapping[str, Any]) -> tuple[str, ...]:
    """Values of params that are named like secrets: they may stand again in an argv or a sentence, without their name."""
    found: set[str] = set()

    def look(value: Any, name: str) -> None:
        if isinstance(value, Mapping):
            for key, inner in cast("Mapping[Any, Any]", value).items():
                look(inner, str(key) if not _secret(name) else name)
        elif isinstance(value, list | tuple):
            for inner in cast("Sequence[Any]", value):
                look(inner, name)
        elif _secret(name) and value is not None and not isinstance(value, bool) and len(str(value)) >= SHORTEST:
            found.add(str(value))

    look(params, "")
    return tuple(sorted(found, key=len, reverse=True))


def hide(value: Any, secrets: Sequence[str]) -> Any:
    """A copy of JSON-able data in which none of these values stands."""
    if not secrets:
        return value
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, MASK)
        return value
    if isinstance(value, Mapping):
        return {hide(str(k), secrets): hide(v, secrets) for k, v in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [hide(inner, secrets) for inner in cast("Sequence[Any]", value)]
    return MASK if str(value) in secrets else value


def shown(call: Call, secrets: Sequence[str] = ()) -> dict[str, Any]:
    """A call as a plan shows, stores and audits it: masked, JSON-able."""
    return hide(
        {
            "method": call.method,
            "target": _mask_target(call.target),
            "body": mask(call.body),
            "headers": mask_headers(call.headers),
        },
        secrets,
    )


def _mask_target(target: str) -> str:
    """A URL, or an argv as one line."""
    if "://" in target or "-" not in target:
        return mask_url(target)
    try:
        argv = shlex.split(target)
    except ValueError:
        return target
    masked = _mask_list(argv)
    return target if masked == argv else shlex.join(masked)


def copy_text(calls: Sequence[Mapping[str, Any]]) -> str:
    """Masked calls as lines for a shell: curl for HTTP, argv otherwise. For reading and for telling others."""
    return "\n".join(_copy(call) for call in calls)


def _copy(call: Mapping[str, Any]) -> str:
    method, target, body = str(call["method"]), str(call["target"]), call["body"]
    if "://" not in target:
        if isinstance(body, list):
            return shlex.join(str(part) for part in cast("list[Any]", body))
        return target if method == "exec" else f"{method} {target}"
    argv = ["curl", "-X", method, target]
    headers = dict(cast("Mapping[str, str]", call["headers"]))
    if body is not None and not any(name.casefold() == "content-type" for name in headers):
        headers["Content-Type"] = "application/json"
    for name, value in headers.items():
        argv += ["-H", f"{name}: {value}"]
    if body is not None:
        argv += ["-d", body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)]
    return shlex.join(argv)
