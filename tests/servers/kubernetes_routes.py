"""What a cluster shaped like Kubernetes answers. A path or a parameter that its API does not have is 500 and is noted.

Parameters are those of the API reference; ``sinceTime`` is one of PodLogOptions, though the generated clients lack it.
Fields by which pods may be selected: kubernetes.io, "Field Selectors".
"""

from __future__ import annotations

import base64
import json
import re
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

from tests.servers import kubernetes_shapes as shapes
from tests.servers.kubernetes_state import Effect, Obj, Refused, State, copied

Query = dict[str, list[str]]
Answer = tuple[int, Any]
LIST = {"limit", "continue", "labelSelector", "fieldSelector", "watch", "resourceVersion", "allowWatchBookmarks",
        "timeoutSeconds", "resourceVersionMatch", "pretty", "sendInitialEvents"}  # fmt: skip
MADE = {"fieldManager", "fieldValidation", "pretty"}
"""Of what makes or changes. Not ``dryRun``: this server would do it."""
LOG = {
    "container",
    "follow",
    "previous",
    "sinceTime",
    "sinceSeconds",
    "timestamps",
    "tailLines",
    "limitBytes",
    "pretty",
}
NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
RESOURCES = {("batch/v1", "jobs"): "Job", ("batch/v1", "cronjobs"): "CronJob", ("v1", "pods"): "Pod"}


class Routes(State):
    """``may`` is the RBAC of the cluster: verb, resource (with subresource), group, namespace."""

    def __init__(self) -> None:
        super().__init__()
        self.version_word = "v1.33.2"
        self.metrics = "there"
        """``there``, ``absent`` (404, as where no metrics-server is) or ``silent`` (503)."""
        self.may: Callable[[str, str, str, str], bool] = lambda verb, resource, group, namespace: True
        self.user = "system:serviceaccount:ops:watchfloor"
        self.old = False
        """Before 1.28: no SelfSubjectReview."""
        self.gone_as_event = True
        """A watch of a compacted version: an ERROR event in a 200, else HTTP 410. Both are seen in the world."""
        self.watch_wait_s = 0.0
        """How long a watch stays open at most, where the test does not want the whole ``timeoutSeconds``."""
        self.invented: list[str] = []
        self.lists = 0
        self._rest: dict[str, tuple[int, list[Obj]]] = {}

    def answer(self, method: str, path: str, query: Query, body: Any, kind: str) -> Answer:
        with self.lock:
            return self._answer(method, path, query, body, kind)

    def _answer(self, method: str, path: str, query: Query, body: Any, kind: str) -> Answer:
        parts = path.strip("/").split("/")
        if method == "GET" and path in ("/version", "/version/"):
            self._only(query, set(), method, path)
            return 200, {
                "major": "1", "minor": "33", "gitVersion": self.version_word, "platform": "linux/amd64", "gitCommit": "a80dfbcf",
                "gitTreeState": "clean", "buildDate": "2026-06-17T18:32:02Z", "goVersion": "go1.24.4", "compiler": "gc",
            }  # fmt: skip
        if method == "POST" and path == "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews":
            self._only(query, MADE, method, path)
            return 201, self._review(body)
        if method == "POST" and path == "/apis/authentication.k8s.io/v1/selfsubjectreviews":
            if self.old:
                raise Refused(404, "NotFound", "the server could not find the requested resource")
            self._only(query, MADE, method, path)
            self._shaped(shapes.SELF_REVIEW, body, f"{method} {path}", "authentication.k8s.io/v1", "SelfSubjectReview")
            return 201, {"kind": "SelfSubjectReview", "status": {"userInfo": {"username": self.user}}}
        if parts[:3] == ["apis", "metrics.k8s.io", "v1beta1"]:
            return 200, self._usage(method, parts[3:], query)
        if method == "GET" and path == "/api/v1/nodes":
            self._only(query, {"limit", "continue", "pretty"}, method, path)
            self._check("list", "nodes", "", "")
            return 200, self._page("nodes", list(self.nodes.values()), query, "NodeList")
        if parts[:2] == ["api", "v1"]:
            return self._objects(method, "v1", parts[2:], query, body, kind, path)
        if parts[:3] == ["apis", "batch", "v1"]:
            return self._objects(method, "batch/v1", parts[3:], query, body, kind, path)
        return self._invented(method, path)

    def _invented(self, method: str, what: str) -> Answer:
        self.invented.append(f"{method} {what}")
        raise Refused(500, "InternalError", f"no such thing in the API that is known here: {method} {what}")

    def _only(self, query: Query, known: set[str], method: str, path: str) -> None:
        if odd := set(query) - known:
            self._invented(method, f"{path} with {sorted(odd)}")

    def _shaped(self, shape: shapes.Shape, body: Any, what: str, api: str = "", kind: str = "") -> Obj:
        """The body, which has no member that the API does not name, none of another type, and is of no other kind."""
        said = shapes.odd(shape, body)
        if not said:
            said = [
                f"its {name} is {body[name]}"
                for name, wanted in (("apiVersion", api), ("kind", kind))
                if wanted and body.get(name, wanted) != wanted
            ]
        if said:
            self._invented(what.partition(" ")[0], f"{what.partition(' ')[2]} with {', '.join(said)}")
        return body

    def _check(self, verb: str, resource: str, group: str, namespace: str) -> None:
        if not self.may(verb, resource, group, namespace):
            where = f' in the namespace "{namespace}"' if namespace else " at the cluster scope"
            name = resource + (f".{group}" if group else "")
            raise Refused(
                403, "Forbidden",
                f'{name} is forbidden: User "{self.user}" cannot {verb} resource "{resource}" in API group "{group}"{where}',
            )  # fmt: skip

    # --- objects ----------------------------------------------------------------------------------------------------

    def _objects(
        self, method: str, group: str, parts: list[str], query: Query, body: Any, kind: str, path: str
    ) -> Answer:
        namespace = None
        if parts[:1] == ["namespaces"] and len(parts) > 2:
            namespace, parts = parts[1], parts[2:]
        resource = parts[0] if parts else ""
        if (group, resource) not in RESOURCES:
            return self._invented(method, path)
        api = "batch" if group != "v1" else ""
        if len(parts) == 1 and method == "GET":
            self._only(query, LIST, method, path)
            watching = query.get("watch", ["0"])[0] in ("1", "true")
            self._check("watch" if watching else "list", resource, api, namespace or "")
            if watching:
                return 200, self._watch(resource, namespace, query)
            self.lists += 1
            return 200, self._list(resource, namespace, query)
        if namespace is None:
            return self._invented(method, path)
        if len(parts) == 1 and method == "POST" and resource == "jobs":
            self._only(query, MADE, method, path)
            self._check("create", resource, api, namespace)
            return self._create(namespace, body)
        if len(parts) == 2:
            return self._one(method, resource, api, namespace, parts[1], query, body, kind)
        if parts[2:] == ["log"] and resource == "pods" and method == "GET":
            self._only(query, LOG, method, path)
            self._check("get", "pods/log", "", namespace)
            return 200, self._log(namespace, parts[1], query)
        return self._invented(method, path)

    def _one(
        self, method: str, resource: str, api: str, namespace: str, name: str, query: Query, body: Any, kind: str
    ) -> Answer:
        where = f"{resource}/{name}"
        if method == "GET":
            self._only(query, {"pretty"}, method, where)
            self._check("get", resource, api, namespace)
            return 200, copied(self.find(resource, namespace, name))
        if method == "PATCH" and resource in ("jobs", "cronjobs"):
            self._only(query, MADE, method, where)
            self._check("patch", resource, api, namespace)
            return 200, self._patch(resource, namespace, name, body, kind)
        if method == "DELETE" and resource == "jobs":
            self._only(query, {"propagationPolicy", "gracePeriodSeconds", "pretty"}, method, where)
            self._check("delete", resource, api, namespace)
            return 200, self._delete(namespace, name, query, {} if body is None else body)
        return self._invented(method, where)

    def _list(self, resource: str, namespace: str | None, query: Query) -> Obj:
        found = [o for o in self.all(resource, namespace) if _selected(o, query)]
        return self._page(resource, found, query, RESOURCES.get(("batch/v1", resource), "Pod") + "List")

    def _page(self, resource: str, found: list[Obj], query: Query, kind: str) -> Obj:
        """``limit`` and ``continue``: the rest of a list is of the version at which it began, until that is compacted."""
        at, items = self.version, found
        if token := query.get("continue", [""])[0]:
            at = int(base64.b64decode(token).split(b":")[0])
            if token not in self._rest or at < self.compacted:
                said = "The provided continue parameter is too old to display a consistent list result."
                raise Refused(410, "Expired", said)
            at, items = self._rest[token]
        limit = int(query.get("limit", ["0"])[0]) or len(items)
        meta: Obj = {"resourceVersion": str(at)}
        if len(items) > limit:
            left = base64.b64encode(f"{at}:{uuid.uuid4().hex}".encode()).decode()
            self._rest[left] = at, items[limit:]
            meta |= {"continue": left, "remainingItemCount": len(items) - limit}
        version = "v1" if resource in ("pods", "nodes") else "batch/v1"
        return {"kind": kind, "apiVersion": version, "metadata": meta, "items": copied(items[:limit])}

    def _watch(self, resource: str, namespace: str | None, query: Query) -> list[Obj]:
        """Lines of the stream; the handler sends them, waits and closes."""
        since = int(query.get("resourceVersion", ["0"])[0] or 0)
        if since < self.compacted or self.mode == "page2":
            gone = Refused(410, "Expired", f"too old resource version: {since} ({self.compacted})")
            if self.gone_as_event:
                return [{"type": "ERROR", "object": gone.body}]
            raise gone
        out = [
            {"type": what, "object": obj}
            for version, name, what, obj in self.events
            if version > since and name == resource and namespace in (None, obj["metadata"]["namespace"])
        ]
        if query.get("allowWatchBookmarks", [""])[0] in ("1", "true"):
            kind = RESOURCES.get(("batch/v1", resource), "Pod")
            meta = {"resourceVersion": str(self.version), "creationTimestamp": None}
            out.append({"type": "BOOKMARK", "object": {"kind": kind, "metadata": meta}})
        return copied(out)

    def _create(self, namespace: str, body: Any) -> Answer:
        self._shaped(shapes.JOB, body, f"POST jobs of {namespace}", "batch/v1", "Job")
        meta = body.get("metadata") or {}
        name = meta.get("name", "")
        if not NAME.fullmatch(name) or len(name) > 63:
            raise Refused(422, "Invalid", f'Job.batch "{name}" is invalid: metadata.name')
        if not ((body.get("spec") or {}).get("template") or {}).get("spec"):
            raise Refused(422, "Invalid", f'Job.batch "{name}" is invalid: spec.template: Required value')
        if meta.get("resourceVersion") or meta.get("uid"):
            raise Refused(400, "BadRequest", "resourceVersion should not be set on objects to be created")
        template = body["spec"]["template"]
        labels = (template.get("metadata") or {}).get("labels") or {}
        if body["spec"].get("selector") or any(k.endswith("controller-uid") for k in labels):
            raise Refused(
                422, "Invalid", f'Job.batch "{name}" is invalid: spec.selector: `selector` not auto-generated'
            )
        if (namespace, name) in self.objects["jobs"]:
            details = {"name": name, "group": "batch", "kind": "jobs"}
            raise Refused(409, "AlreadyExists", f'jobs.batch "{name}" already exists', details)
        if self.mode == "noop":
            return 201, copied(body) | {"metadata": meta | {"uid": str(uuid.uuid4()), "namespace": namespace}}
        job = self.make_job(namespace, body)
        self.effects.append(Effect("create", "jobs", namespace, name, copied(body)))
        return 201, copied(job)

    def _patch(self, resource: str, namespace: str, name: str, body: Any, kind: str) -> Obj:
        if kind != "application/merge-patch+json":
            raise Refused(415, "UnsupportedMediaType", f"the body of the request was in an unknown format: {kind}")
        obj = self.find(resource, namespace, name)
        self._shaped(shapes.SUSPENSION, body, f"PATCH {resource}/{name}")
        if (body.get("spec") or {}).get("suspend") is None:
            self._invented("PATCH", f"{resource}/{name} with {body}")
        if self.mode == "noop":
            return copied(obj) | {"spec": obj["spec"] | body["spec"]}
        changed = obj["spec"].get("suspend") != body["spec"]["suspend"]
        if changed:
            obj["spec"]["suspend"] = body["spec"]["suspend"]
            obj["metadata"]["generation"] += 1
            self.put(resource, obj)
            self.effects.append(Effect("patch", resource, namespace, name, body))
            if resource == "jobs" and obj["spec"]["suspend"]:
                self._end_pods(namespace, name)
        return copied(obj)

    def _end_pods(self, namespace: str, name: str) -> None:
        for pod in self.pods_of(name, namespace):
            if pod["status"]["phase"] in ("Pending", "Running"):
                pod["metadata"]["deletionTimestamp"] = self.stamp()
                self.put("pods", pod)

    def _delete(self, namespace: str, name: str, query: Query, options: Obj) -> Obj:
        job = self.find("jobs", namespace, name)
        self._shaped(shapes.DELETE_OPTIONS, options, f"DELETE jobs/{name}", kind="DeleteOptions")
        policy = options.get("propagationPolicy") or query.get("propagationPolicy", ["Orphan"])[0]
        if policy not in shapes.POLICIES:
            self._invented("DELETE", f"jobs/{name} with the propagationPolicy {policy}")
        uid = (options.get("preconditions") or {}).get("uid")
        if uid is not None and uid != job["metadata"]["uid"]:
            said = f"the UID in the precondition ({uid}) does not match the UID in record ({job['metadata']['uid']})"
            raise Refused(409, "Conflict", f'Operation cannot be fulfilled on jobs.batch "{name}": {said}')
        details = {"name": name, "group": "batch", "kind": "jobs", "uid": job["metadata"]["uid"]}
        done = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
        if self.mode == "noop":
            return done
        pods = self.pods_of(name, namespace)
        if policy == "Orphan":
            self.orphans += [p["metadata"]["name"] for p in pods]
        else:
            for pod in pods:
                pod["metadata"]["deletionTimestamp"] = self.stamp()
                self.put("pods", pod)
        job["metadata"]["deletionTimestamp"] = self.stamp()
        self.drop("jobs", namespace, name)
        self.effects.append(Effect("delete", "jobs", namespace, name, options))
        return done

    # --- logs, metrics, rights --------------------------------------------------------------------------------------

    def _log(self, namespace: str, name: str, query: Query) -> bytes:
        pod = self.find("pods", namespace, name)
        names = [c["name"] for c in pod["spec"]["containers"] + pod["spec"].get("initContainers", [])]
        container = query.get("container", [names[0] if len(names) == 1 else ""])[0]
        if container not in names:
            raise Refused(
                400, "BadRequest", f"a container name must be specified for pod {name}, choose one of: {names}"
            )
        status = next((c for c in pod["status"].get("containerStatuses", []) if c["name"] == container), None)
        state = (status or {}).get("state", {})
        previous = query.get("previous", ["false"])[0] == "true"
        if previous and not (status or {}).get("lastState", {}).get("terminated"):
            raise Refused(400, "BadRequest", f'previous terminated container "{container}" in pod "{name}" not found')
        if not previous and not ("running" in state or "terminated" in state):
            reason = state.get("waiting", {}).get("reason", "ContainerCreating")
            said = f'container "{container}" in pod "{name}" is waiting to start: {reason}'
            raise Refused(400, "BadRequest", said)
        lines = self.logs.get((namespace, name, container, previous), [])
        if since := query.get("sinceTime", [""])[0]:
            bound = datetime.fromisoformat(since)
            lines = [(at, text) for at, text in lines if datetime.fromisoformat(at) >= bound]
        if tail := query.get("tailLines", [""])[0]:
            lines = lines[-int(tail) :]
        stamps = query.get("timestamps", ["false"])[0] == "true"
        data = "".join(f"{at} {text}\n" if stamps else f"{text}\n" for at, text in lines).encode()
        limit = query.get("limitBytes", [""])[0]
        return data[: int(limit)] if limit else data

    def _usage(self, method: str, parts: list[str], query: Query) -> Obj:
        if method != "GET":
            self._invented(method, f"metrics of {'/'.join(parts)}")
        if self.metrics == "absent":
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        if self.metrics == "silent":
            raise Refused(503, "ServiceUnavailable", "the server is currently unable to handle the request")
        self._only(query, set(), method, "/".join(parts))
        if parts == ["nodes"]:
            self._check("list", "nodes", "metrics.k8s.io", "")
            return {"kind": "NodeMetricsList", "items": list(self.usage_nodes.values())}
        namespace = parts[1] if len(parts) == 3 and parts[0] == "namespaces" else None
        if parts[-1:] != ["pods"] or (namespace is None and len(parts) != 1):
            self._invented(method, "/".join(parts))
        self._check("list", "pods", "metrics.k8s.io", namespace or "")
        items = [u for (ns, _), u in self.usage_pods.items() if namespace in (None, ns)]
        return {"kind": "PodMetricsList", "items": items}

    def _review(self, body: Any) -> Obj:
        what = "POST selfsubjectaccessreviews"
        self._shaped(shapes.ACCESS_REVIEW, body, what, "authorization.k8s.io/v1", "SelfSubjectAccessReview")
        asked = (body.get("spec") or {}).get("resourceAttributes") or {}
        if not asked.get("verb") or not asked.get("resource"):
            self._invented("POST", f"selfsubjectaccessreviews with {json.dumps(body)}")
        resource = asked["resource"] + (f"/{asked['subresource']}" if asked.get("subresource") else "")
        may = self.may(asked["verb"], resource, asked.get("group", ""), asked.get("namespace", ""))
        return body | {"status": {"allowed": may, **({} if may else {"reason": ""})}}


def _selected(obj: Obj, query: Query) -> bool:
    labels = obj["metadata"].get("labels") or {}
    for part in re.split(r",(?![^(]*\))", query.get("labelSelector", [""])[0]):
        if found := re.fullmatch(r"\s*([\w./-]+)\s+in\s+\(([^)]*)\)\s*", part):
            if labels.get(found[1]) not in [v.strip() for v in found[2].split(",")]:
                return False
        elif "=" in part:
            name, _, value = part.partition("=")
            if labels.get(name) != value.lstrip("="):
                return False
        elif part and part not in labels:
            return False
    for part in query.get("fieldSelector", [""])[0].split(","):
        if not part:
            continue
        found = re.fullmatch(r"(status\.phase|metadata\.name)(!=|=)(\w[\w.-]*)", part)
        if found is None:
            raise Refused(400, "BadRequest", f'"{part}" is not a known field selector')
        value = obj["status"]["phase"] if found[1] == "status.phase" else obj["metadata"]["name"]
        if (value == found[3]) != (found[2] == "="):
            return False
    return True
