"""Jobs that we make: from the template of a CronJob, or as a copy of a Job that was there.

What the server or its controllers put on an object is left out of a copy: with the selector and labels of the old one the
new Job would lay hands on the old one's pods.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

from adapters.base import Action
from adapters.errors import Conflict
from adapters.http import MAX_WORDS, words
from adapters.kubernetes import wire
from adapters.kubernetes.wire import said

LONGEST: Final = 63
"""Of a Job's name: it becomes a label of its pods."""
_MARK: Final = "-wf-"
_NOT_OURS: Final = ("controller-uid", "job-name", "batch.kubernetes.io/", "cronjob.kubernetes.io/", wire.OWN)
_NOT_KEPT: Final = ("kubectl.kubernetes.io/last-applied-configuration", *_NOT_OURS)


def name_for(base: str, client_id: str) -> str:
    """``base-wf-client id``, of what a name may have in it; ``base`` is cut where it gets too long, the id never."""
    ident = re.sub(r"[^a-z0-9-]+", "-", client_id.lower()).strip("-")
    if len(ident) > 40 or not ident:
        ident = hashlib.sha256(client_id.encode()).hexdigest()[:26]
    room = LONGEST - len(_MARK) - len(ident)
    return base[:room].rstrip("-.") + _MARK + ident


def from_cron(cron: Mapping[str, Any], action: Action) -> dict[str, Any]:
    """As ``kubectl create job --from=cronjob/…`` makes it, with a name of ours."""
    template = said(cron, "spec", "jobTemplate")
    spec = said(template, "spec")
    if not isinstance(spec, dict):
        raise Conflict("the CronJob has no template for Jobs")
    name, namespace, uid = (str(said(cron, "metadata", p) or "") for p in ("name", "namespace", "uid"))
    owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": name, "uid": uid, "controller": True}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name_for(name, action.client_id),
            "namespace": namespace,
            "labels": _kept(said(template, "metadata", "labels"), ()),
            "annotations": _kept(said(template, "metadata", "annotations"), ())
            | {wire.INSTANTIATE: "manual"}
            | _ours(action),
            "ownerReferences": [owner],
        },
        "spec": spec,
    }


def copy_of(job: Mapping[str, Any], action: Action, pipeline: str, of: str | None) -> dict[str, Any]:
    """The same again. ``pipeline``: name of the Job or CronJob that it is a run of; ``of``: the run that it repeats.

    Conflict where a copy is not possible, with the reason.
    """
    if (why := not_again(job)) is not None:
        raise Conflict(why)
    spec = dict(said(job, "spec") or {})
    for field in ("selector", "suspend", "manualSelector"):
        spec.pop(field, None)
    template = dict(spec.get("template") or {})
    meta = dict(template.get("metadata") or {})
    meta["labels"] = _kept(meta.get("labels"), _NOT_OURS)
    meta.pop("creationTimestamp", None)
    spec["template"] = {**template, "metadata": meta}
    owners = [o for o in said(job, "metadata", "ownerReferences") or () if o.get("kind") == "CronJob"]
    owners = [{k: v for k, v in o.items() if k != "blockOwnerDeletion"} for o in owners]
    labels = _kept(said(job, "metadata", "labels"), _NOT_OURS)
    notes = _kept(said(job, "metadata", "annotations"), _NOT_KEPT) | _ours(action)
    if owners:
        notes[wire.INSTANTIATE] = "manual"
    else:
        labels[wire.PIPELINE] = pipeline
    if of is not None:
        notes[wire.RERUN_OF] = of
    body: dict[str, Any] = {
        "name": name_for(pipeline, action.client_id),
        "namespace": said(job, "metadata", "namespace"),
        "labels": labels,
        "annotations": notes,
    }
    if owners:
        body["ownerReferences"] = owners
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": body, "spec": spec}


def not_again(job: Mapping[str, Any]) -> str | None:
    """Why no copy of this Job can be made; None where it can."""
    if said(job, "spec", "manualSelector"):
        return "the Job chooses its pods by a selector of its own (manualSelector): a copy would take over its pods"
    for owner in said(job, "metadata", "ownerReferences") or ():
        if owner.get("controller") and owner.get("kind") != "CronJob":
            kind, name = words(str(owner.get("kind"))), words(str(owner.get("name")))
            return f"{kind} {name} made this Job and would not know a copy: it is run again from there"
    return None


def _ours(action: Action) -> dict[str, str]:
    out = {wire.CLIENT_ID: action.client_id}
    if action.who:
        out[wire.STARTED_BY] = action.who
    if action.business_date is not None:
        out[wire.BUSINESS_DATE] = action.business_date
    return out


def _kept(given: Any, without: tuple[str, ...]) -> dict[str, str]:
    found: Mapping[str, Any] = given if isinstance(given, dict) else {}
    return {str(k): str(v) for k, v in found.items() if not str(k).startswith(without or ("\0",))}


# --- as it is shown ---------------------------------------------------------------------------------------------------

_FLAG: Final = re.compile(
    r"(?i)^--?[\w.-]*(?:token|passw(?:or)?d|pwd|secret|api[_-]?key|credential)[\w.-]*(=.*)?$", re.S
)
MASK: Final = "****"


def shown(body: Any) -> Any:
    """A copy without what is secret, or may be: values of environment variables, and of arguments that name a secret."""
    if isinstance(body, list):
        return [shown(item) for item in body]
    if not isinstance(body, dict):
        return body
    out: dict[str, Any] = {}
    for name, value in body.items():
        if name == "env" and isinstance(value, list):
            out[name] = [
                {**item, "value": MASK} if isinstance(item, dict) and item.get("value") else shown(item)
                for item in value
            ]
        elif name in ("args", "command") and isinstance(value, list):
            out[name] = _arguments(value)
        else:
            out[name] = shown(value)
    return out


def _arguments(given: list[Any]) -> list[Any]:
    out: list[Any] = []
    hide = False
    for item in given:
        found = _FLAG.match(item) if isinstance(item, str) else None
        if hide and found is None:
            out.append(MASK)
            hide = False
        elif found is not None:
            flag, equals, _ = item.partition("=")
            out.append(f"{flag}={MASK}" if equals else item)
            hide = not equals
        else:
            out.append(_script(item) if isinstance(item, str) else item)
    return out


def _script(text: str) -> str:
    """A text as it is, unless a line of it names a secret: then that line is masked and cut."""
    lines = text.split("\n")
    return "\n".join(
        line if MASK not in words(line[:MAX_WORDS]) and MASK not in words(line[-MAX_WORDS:]) else words(line)
        for line in lines
    )
