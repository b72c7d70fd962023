"""Which cluster, as whom: a kubeconfig, a pod's own service account, or what the source itself says.

A kubeconfig is YAML. JSON is YAML too and is read without help; for the rest PyYAML is needed, which comes with Apprise
today and is asked for by the extra ``kubernetes``. Every scalar is read as text (no dates, no booleans of YAML 1.1).
The fields are those of ``clientcmd.Config`` v1; what is first in a list of files wins, as with kubectl.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from adapters.errors import AuthFailed, Unreachable, Unsupported
from adapters.http import words

ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds ``token``, ``ca.crt`` and ``namespace``."""
_NOTHING: Final = ("", "null", "~")
_NONE: Final[Mapping[str, Any]] = {}


@dataclass(frozen=True, slots=True)
class Exec:
    """A credential plugin: ``command`` is run and prints an ExecCredential. ``cluster`` is told to it where it asks."""

    command: str
    args: tuple[str, ...] = field(repr=False)
    env: Mapping[str, str] = field(repr=False)
    version: str
    cluster: Mapping[str, Any] | None = field(repr=False)
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Credential:
    """As whom. Of several ``token_file`` counts before ``token``, before ``exec``; a certificate goes with any of them."""

    user: str = ""
    token: str = field(default="", repr=False)
    token_file: Path | None = None
    certificate: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    exec: Exec | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """One cluster and who asks it. ``origin`` says for people where this was read; ``assumed``: nobody named the context."""

    server: str
    namespace: str
    credential: Credential
    ca: str = ""
    verify: bool = True
    server_name: str = ""
    proxy: str = ""
    context: str = ""
    origin: str = ""
    assumed: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a source says of it: ``url`` and ``ca`` replace what is read elsewhere."""

    url: str = ""
    kubeconfig: Path | None = None
    context: str = ""
    in_cluster: bool = False
    ca: Path | None = None
    verify: bool = True


def find(wanted: Wanted, environ: Mapping[str, str] | None = None, account: Path | None = None) -> Place:
    """Reads files. In this order: what the source names; ``$KUBECONFIG``; ``~/.kube/config``; the pod that this runs in."""
    env = os.environ if environ is None else environ
    account = account or ACCOUNT
    named = wanted.kubeconfig is not None or bool(wanted.context)
    if wanted.in_cluster:
        return _pod(wanted, env, account)
    if wanted.url and not named:
        ca = _text(wanted.ca, "the CA") if wanted.ca else ""
        return Place(wanted.url, "", Credential(), ca, wanted.verify, origin="url of the source")
    files = [wanted.kubeconfig] if wanted.kubeconfig else _usual(env)
    there = [f for f in files if f.is_file()]
    if not there and not named and env.get("KUBERNETES_SERVICE_HOST") and (account / "token").is_file():
        return _pod(wanted, env, account)
    if not there:
        raise Unreachable(
            words(f"there is no kubeconfig {', '.join(map(str, files))}"),
            "name one with options.kubeconfig, or a url and auth.token",
            sent=False,
        )
    return _configured(wanted, [(f, _read(f)) for f in there])


def _usual(env: Mapping[str, str]) -> list[Path]:
    listed = [Path(part) for part in env.get("KUBECONFIG", "").split(os.pathsep) if part]
    return listed or [Path(env.get("HOME", "~")).expanduser() / ".kube" / "config"]


# --- a pod ------------------------------------------------------------------------------------------------------------


def _pod(wanted: Wanted, env: Mapping[str, str], account: Path) -> Place:
    host, port = env.get("KUBERNETES_SERVICE_HOST", ""), env.get("KUBERNETES_SERVICE_PORT", "443")
    if not host and not wanted.url:
        what = "this is no pod: KUBERNETES_SERVICE_HOST is not set"
        raise Unreachable(what, "options.in_cluster is for a Watchfloor that runs in the cluster", sent=False)
    try:
        namespace = (account / "namespace").read_text().strip()
    except OSError:
        namespace = ""
    return Place(
        server=wanted.url or f"https://{f'[{host}]' if ':' in host else host}:{port}",
        namespace=namespace,
        credential=Credential(token_file=account / "token"),
        ca=_text(wanted.ca or account / "ca.crt", "the CA"),
        verify=wanted.verify,
        origin="service account of this pod",
    )


# --- a kubeconfig -----------------------------------------------------------------------------------------------------


def _read(path: Path) -> Mapping[str, Any]:
    text = _text(path, "the kubeconfig")
    found: Any = None
    why = ""
    if text.lstrip().startswith("{"):
        try:
            found = msgspec.json.decode(text)
        except msgspec.DecodeError:
            why = "is no JSON"
    else:
        found, why = _yaml(text)
    if why or not isinstance(found, dict):
        raise Unsupported(words(f"the kubeconfig {path} {why or 'holds no mapping'}"))
    return found


def _yaml(text: str) -> tuple[Any, str]:
    try:
        import yaml
    except ImportError:
        raise Unsupported(
            "a kubeconfig in YAML needs the Python package PyYAML, which is not installed",
            "pip install 'watchfloor[kubernetes]', or write it as JSON: kubectl config view --raw -o json",
        ) from None
    try:
        return yaml.load(text, Loader=yaml.BaseLoader), ""
    except yaml.YAMLError as err:
        mark = getattr(err, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark is not None else ""
    except RecursionError:
        where = ""
    return None, f"is no YAML{where}"  # what the parser says may quote a line with a token


def _configured(wanted: Wanted, files: Sequence[tuple[Path, Mapping[str, Any]]]) -> Place:
    named = next((_str(body.get("current-context")) for _, body in files if _str(body.get("current-context"))), "")
    context = wanted.context or named
    where = ", ".join(str(path) for path, _ in files)
    if not context:
        raise Unsupported(words(f"{where} has no current-context"), "name one with options.context")
    _, chosen = _entry(files, "contexts", "context", context, where)
    base, cluster = _entry(files, "clusters", "cluster", _str(chosen.get("cluster")), where)
    user = _str(chosen.get("user"))
    folder, who = _entry(files, "users", "user", user, where) if user else (base, _NONE)
    server = wanted.url or _str(cluster.get("server"))
    if not server:
        raise Unsupported(words(f"the cluster of context {context} in {where} has no server"))
    verify = wanted.verify and _str(cluster.get("insecure-skip-tls-verify")).lower() != "true"
    if wanted.ca:
        ca = _text(wanted.ca, "the CA")
    else:
        ca = _inline(cluster, "certificate-authority", base, "the CA") if verify else ""
    return Place(
        server=server,
        namespace=_str(chosen.get("namespace")),
        credential=_credential(who, user, folder, server, ca, cluster),
        ca=ca,
        verify=verify,
        server_name=_str(cluster.get("tls-server-name")),
        proxy=_str(cluster.get("proxy-url")),
        context=context,
        origin=f"context {context} of {where}",
        assumed=not wanted.context,
    )


def _entry(
    files: Sequence[tuple[Path, Mapping[str, Any]]], many: str, one: str, name: str, where: str
) -> tuple[Path, Mapping[str, Any]]:
    """The folder of the file that has it first, and the entry."""
    names: list[str] = []
    for path, body in files:
        listed = body.get(many)
        for item in listed if isinstance(listed, list) else ():
            if isinstance(item, dict) and isinstance(item.get(one), dict):
                if _str(item.get("name")) == name:
                    return path.parent, item[one]
                names.append(_str(item.get("name")))
    known = f"it has {', '.join(names[:8])}" if names else "it has none"
    raise Unsupported(words(f"{where} has no {one} {name!r}; {known}"))


def _credential(
    who: Mapping[str, Any], user: str, folder: Path, server: str, ca: str, cluster: Mapping[str, Any]
) -> Credential:
    for old, instead in (
        ("auth-provider", "Kubernetes took auth providers out in 1.26: use its exec plugin"),
        ("username", "Kubernetes took passwords out in 1.19: use a token"),
        ("as", "acting as somebody else is not spoken here: name a user of its own"),
    ):
        if who.get(old) not in (None, *_NOTHING):
            raise Unsupported(words(f"user {user} of the kubeconfig has {old!r}"), instead)
    token_file = _str(who.get("tokenFile"))
    certificate = _inline(who, "client-certificate", folder, "the client certificate")
    return Credential(
        user=user,
        token=_str(who.get("token")),
        token_file=folder / Path(token_file).expanduser() if token_file else None,
        certificate=certificate,
        key=_inline(who, "client-key", folder, "the client key") if certificate else "",
        exec=_exec(who.get("exec"), folder, server, ca, cluster),
    )


def _exec(body: Any, folder: Path, server: str, ca: str, cluster: Mapping[str, Any]) -> Exec | None:
    if not isinstance(body, dict):
        return None
    command, version = _str(body.get("command")), _str(body.get("apiVersion"))
    if not command:
        raise Unsupported("the exec plugin of the kubeconfig has no command")
    if version not in ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"):
        raise Unsupported(
            words(f"the exec plugin {command} speaks {version or 'no apiVersion'}"),
            "client.authentication.k8s.io/v1 and v1beta1 are understood: kubectl and the plugin may be old",
        )
    if _str(body.get("interactiveMode")) == "Always":
        raise Unsupported(
            words(f"the exec plugin {command} wants a terminal (interactiveMode: Always)"), "an engine has none"
        )
    told: dict[str, Any] | None = None
    if str(body.get("provideClusterInfo")).lower() == "true":
        told = {"server": server}
        if ca:
            told["certificate-authority-data"] = base64.b64encode(ca.encode()).decode()
        for name in ("tls-server-name", "proxy-url"):
            if _str(cluster.get(name)):
                told[name] = _str(cluster.get(name))
        for extension in cluster.get("extensions") or ():
            if isinstance(extension, dict) and extension.get("name") == "client.authentication.k8s.io/exec":
                told["config"] = extension.get("extension")
    args, env = body.get("args"), body.get("env")
    return Exec(
        command=str(folder / command) if "/" in command and not command.startswith("/") else command,
        args=tuple(map(str, args)) if isinstance(args, list) else (),
        env={
            _str(item.get("name")): _str(item.get("value"))
            for item in (env if isinstance(env, list) else ())
            if isinstance(item, dict)
        },
        version=version,
        cluster=told,
        hint=words(_str(body.get("installHint"))),
    )


def _inline(body: Mapping[str, Any], name: str, folder: Path, what: str) -> str:
    """``name-data`` (base64) counts before ``name`` (a file, from the kubeconfig's own folder); PEM text, or nothing."""
    data, file = _str(body.get(f"{name}-data")), _str(body.get(name))
    if data:
        try:
            return base64.b64decode(data, validate=False).decode()
        except (binascii.Error, ValueError):
            pass
        raise Unsupported(f"{name}-data of the kubeconfig is no base64 of PEM")
    return _text(folder / Path(file).expanduser(), what) if file else ""


def _text(path: Path, what: str) -> str:
    why = ""
    try:
        return path.read_text()
    except OSError as err:
        why = err.strerror or "no such file"
    except UnicodeDecodeError:
        why = "it is no text"
    raise AuthFailed(words(f"{what} {path} cannot be read ({why})"))


def _str(value: Any) -> str:
    return "" if value is None or str(value) in _NOTHING or isinstance(value, (dict, list)) else str(value)
