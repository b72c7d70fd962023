"""Members that objects of the Kubernetes API have, as its own description names them (1.33 and later; batch/v1, core/v1).

The API drops what it does not know, with a warning at most; the server of the tests refuses it, so that nobody of ours
believes that it did something.
"""

from __future__ import annotations

from typing import Any

POLICIES = ("Background", "Foreground", "Orphan")
_OBJECT = "apiVersion kind metadata spec status"
_META = (
    "annotations creationTimestamp deletionGracePeriodSeconds deletionTimestamp finalizers generateName generation labels"
    " managedFields name namespace ownerReferences resourceVersion selfLink uid"
)
_CONTAINER = (
    "args command env envFrom image imagePullPolicy lifecycle livenessProbe name ports readinessProbe resizePolicy resources"
    " restartPolicy restartPolicyRules securityContext startupProbe stdin stdinOnce terminationMessagePath"
    " terminationMessagePolicy tty volumeDevices volumeMounts workingDir"
)

Shape = dict[str, Any]
"""Member to what is known of it: a ``type`` (or several), a ``Shape``, a list of one ``Shape``, or None for anything."""


def _of(names: str, **more: Any) -> Shape:
    return dict.fromkeys(names.split()) | more


_OWNER: Shape = {
    "apiVersion": str, "blockOwnerDeletion": bool, "controller": bool, "kind": str, "name": str, "uid": str,
}  # fmt: skip
_METADATA = _of(_META, name=str, namespace=str, labels=dict, annotations=dict, ownerReferences=[_OWNER])
_POD = _of(
    "activeDeadlineSeconds affinity automountServiceAccountToken dnsConfig dnsPolicy enableServiceLinks ephemeralContainers"
    " evictionResponders hostAliases hostIPC hostNetwork hostPID hostUsers hostname hostnameOverride imagePullSecrets nodeName"
    " nodeSelector os overhead preemptionPolicy priority priorityClassName readinessGates resourceClaims resources restartPolicy"
    " runtimeClassName schedulerName schedulingGates schedulingGroup securityContext serviceAccount serviceAccountName"
    " setHostnameAsFQDN shareProcessNamespace subdomain terminationGracePeriodSeconds tolerations topologySpreadConstraints"
    " volumes",
    containers=[_of(_CONTAINER, name=str, image=str, command=list, args=list, env=list)],
    initContainers=[_of(_CONTAINER, name=str, image=str, command=list, args=list, env=list)],
)
_COUNTS = "activeDeadlineSeconds backoffLimit backoffLimitPerIndex completions maxFailedIndexes parallelism ttlSecondsAfterFinished"
_JOB_SPEC: Shape = {
    **dict.fromkeys(_COUNTS.split(), int),
    **_of("podFailurePolicy podReplacementPolicy scheduling successPolicy"),
    "completionMode": str,
    "managedBy": str,
    "manualSelector": bool,
    "selector": dict,
    "suspend": bool,
    "template": {"metadata": _METADATA, "spec": _POD},
}
JOB = _of(_OBJECT, apiVersion=str, kind=str, metadata=_METADATA, spec=_JOB_SPEC)
SUSPENSION: Shape = {"spec": {"suspend": bool}}
"""A patch of ours: the one thing that is documented for it here."""
DELETE_OPTIONS: Shape = {
    "apiVersion": str, "kind": str, "gracePeriodSeconds": int, "propagationPolicy": str,
    "preconditions": {"resourceVersion": str, "uid": str},
}  # fmt: skip
"""Without ``dryRun``, ``orphanDependents`` and the like: what this server could not do as it was told."""
ACCESS_REVIEW = _of(
    _OBJECT,
    apiVersion=str,
    kind=str,
    spec={
        "resourceAttributes": dict.fromkeys(
            ("group", "name", "namespace", "resource", "subresource", "verb", "version"), str
        )
    },
)
SELF_REVIEW = _of("apiVersion kind metadata status", apiVersion=str, kind=str)


def odd(shape: Any, given: Any, at: str = "") -> list[str]:
    """Where something is not of a shape: members that it lacks, values of another type. A null is a member left out."""
    if shape is None or (given is None and at):
        return []
    if isinstance(shape, list):
        if not isinstance(given, list):
            return [f"{at} is no list"]
        return [said for i, item in enumerate(given) for said in odd(shape[0], item, f"{at}[{i}]")]
    if isinstance(shape, dict):
        if not isinstance(given, dict):
            return [f"{at or 'the body'} is no object"]
        unknown = [f"{at}.{name}" for name in given if name not in shape]
        return unknown + [
            said for name in shape if name in given for said in odd(shape[name], given[name], f"{at}.{name}")
        ]
    good = isinstance(given, shape) and not (shape is int and isinstance(given, bool))
    return [] if good else [f"{at} is no {shape.__name__}"]
