"""What the credential may do, asked of the cluster itself (SelfSubjectAccessReview): nothing is changed by asking."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from adapters.errors import BadResponse, Forbidden, NotFound
from adapters.http import Http, words
from adapters.kubernetes.watch import ALL
from adapters.model import Verb

REVIEW: Final = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
WHO: Final = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
"""Since Kubernetes 1.28."""

SPACES_ASKED: Final = 3
"""Namespaces that are asked about one by one: each costs a request a right."""

Right = tuple[str, str, str]
"""Verb, resource (with its subresource), API group."""

JOBS: Final[Right] = ("list", "jobs", "batch")
CRONJOBS: Final[Right] = ("list", "cronjobs", "batch")
RIGHTS: Final[tuple[Right, ...]] = (
    JOBS,
    ("watch", "jobs", "batch"),
    ("get", "jobs", "batch"),
    CRONJOBS,
    ("watch", "cronjobs", "batch"),
    ("get", "cronjobs", "batch"),
    ("list", "pods", ""),
    ("get", "pods", ""),
    ("get", "pods/log", ""),
    ("create", "jobs", "batch"),
    ("patch", "jobs", "batch"),
    ("delete", "jobs", "batch"),
    ("patch", "cronjobs", "batch"),
    ("list", "pods", "metrics.k8s.io"),
)
CLUSTER_RIGHTS: Final[tuple[Right, ...]] = (("list", "nodes", ""), ("list", "nodes", "metrics.k8s.io"))
NEEDS: Final[Mapping[str, Right]] = {
    Verb.START: ("create", "jobs", "batch"),
    Verb.RERUN: ("create", "jobs", "batch"),
    Verb.STOP: ("delete", "jobs", "batch"),
    Verb.HOLD: ("patch", "jobs", "batch"),
    Verb.RELEASE: ("patch", "jobs", "batch"),
    Verb.PAUSE: ("patch", "cronjobs", "batch"),
    Verb.RESUME: ("patch", "cronjobs", "batch"),
    "log": ("get", "pods/log", ""),
    "steps": ("list", "pods", ""),
}
"""What a verb or view of ours comes down to."""


class _Said(msgspec.Struct):
    allowed: bool | None = None
    reason: str | None = None


class _Review(msgspec.Struct):
    status: _Said


class _User(msgspec.Struct):
    username: str | None = None


class _Self(msgspec.Struct, rename="camel"):
    user_info: _User | None = None


class _SelfReview(msgspec.Struct):
    status: _Self | None = None


def named(right: Right) -> str:
    """``create jobs.batch``, as the cluster writes it."""
    verb, resource, group = right
    return f"{verb} {resource}" + (f".{group}" if group else "")


async def ask(http: Http, namespaces: Sequence[str]) -> dict[tuple[str, Right], bool | None]:
    """By namespace (``""`` for what belongs to the whole cluster) and right. None where the cluster does not say, or was not
    asked: of many namespaces only what is not allowed in all of them is asked of each of the first few."""
    whole: dict[tuple[str, Right], bool | None] = {}
    if len(namespaces) > 1:
        whole = await _all(http, [(ALL, right) for right in RIGHTS])
    out: dict[tuple[str, Right], bool | None] = {
        (ns, right): True if whole.get((ALL, right)) else None for ns in namespaces for right in RIGHTS
    }
    asked = [key for key, may in out.items() if may is None and key[0] in namespaces[:SPACES_ASKED]]
    return out | await _all(http, [*asked, *(("", right) for right in CLUSTER_RIGHTS)])


async def _all(http: Http, wanted: Sequence[tuple[str, Right]]) -> dict[tuple[str, Right], bool | None]:
    answers = await asyncio.gather(*(_one(http, ns, right) for ns, right in wanted), return_exceptions=True)
    out: dict[tuple[str, Right], bool | None] = {}
    for key, answer in zip(wanted, answers, strict=True):
        if isinstance(answer, (Forbidden, NotFound)):
            out[key] = None
        elif isinstance(answer, BaseException):
            raise answer
        else:
            out[key] = answer
    return out


async def _one(http: Http, namespace: str, right: Right) -> bool | None:
    verb, resource, group = right
    name, _, part = resource.partition("/")
    attributes: dict[str, Any] = {"verb": verb, "resource": name, "group": group}
    if part:
        attributes["subresource"] = part
    if namespace and namespace != ALL:
        attributes["namespace"] = namespace
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    return (await http.ask("POST", REVIEW, body=body)).decode(_Review).status.allowed


async def who(http: Http) -> str | None:
    """The name that the cluster knows us by; None where it is too old to say, or does not want to."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    try:
        found = (await http.ask("POST", WHO, body=body)).decode(_SelfReview)
    except (Forbidden, NotFound, BadResponse):
        return None
    user = found.status.user_info if found.status else None
    return words(user.username) if user and user.username else None


def folded(found: Mapping[tuple[str, Right], bool | None]) -> dict[str, bool | None]:
    """For ``doctor``: by right, over all namespaces. Where they differ each is named."""
    out: dict[str, bool | None] = {}
    for right in dict.fromkeys(right for _, right in found):
        said = {ns: may for (ns, r), may in found.items() if r == right}
        if len(set(said.values())) == 1:
            out[named(right)] = next(iter(said.values()))
        else:
            out |= {f"{named(right)} in {ns}": may for ns, may in said.items()}
    return out


def lacking(found: Mapping[tuple[str, Right], bool | None]) -> dict[str, str]:
    """Verbs and views that are refused in every watched namespace, with the reason."""
    out: dict[str, str] = {}
    for what, right in NEEDS.items():
        said = {ns: may for (ns, r), may in found.items() if r == right}
        if said and all(may is False for may in said.values()):
            where = "in the cluster" if ALL in said else f"in {', '.join(said)}"
            out[what] = words(f"the credential may not {named(right)} {where}")
    return out
