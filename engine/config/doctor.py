"""What works, what the credential may do, what is missing. Pure assembly: the caller asked the sources already."""

from __future__ import annotations

import configparser
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from adapters.base import Probe
from engine.config.at import printable
from engine.config.model import Config, SecretRef, Source
from engine.config.paths import GROUP, Places
from engine.config.secrets import SecretError, resolve, warning

SKEW_MS = 30_000
NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "afs", "ceph", "glusterfs", "lustre"})


@dataclass(frozen=True, slots=True)
class Line:
    """``ok``: True works, False does not, None cannot be told or is worth knowing. ``hint``: what to do."""

    ok: bool | None
    what: str
    words: str
    hint: str = ""

    def __str__(self) -> str:
        mark = {True: "✓", False: "✗", None: "·"}[self.ok]
        return f"{mark} {self.what}: {self.words}" + (f"; {self.hint}" if self.hint else "")


def doctor_report(
    config: Config,
    places: Places,
    probes: Mapping[str, Probe | str],
    *,
    now: int | None = None,
    root: Path = Path("/"),
    series: Mapping[str, str] | None = None,
) -> list[Line]:
    """``probes``: of each source its probe, or in words why there is none. ``now`` (ms) allows a word on clocks. ``series``: of
    each ``[[series]]`` that was asked for what is wrong with its answer, "" where nothing is."""
    out = [Line(True, "configuration", f"{config.path}, {_count(config)}")]
    out += [Line(None, "configuration", printable(text, 300)) for text in config.warnings]
    out += _places(places, root)
    for source in config.sources:
        out += _source(config, source, probes.get(source.name, "was not asked"), now)
    for one in config.series:
        said = (series or {}).get(one.name)
        if said is not None:
            words = f"{one.source} answers" if not said else f"{one.where}: {printable(said, 300)}"
            out.append(Line(not said, f"series {one.name}", words, "correct its query" if "refused" in said else ""))
    for contact in config.contacts:
        out += _secret(f"contact {contact.name}", contact.url, config.folder)
    if config.jobs and not places.system:
        out.append(lingering(root))
    return out


def _count(config: Config) -> str:
    words = (
        (len(config.sources), "source"),
        (len(config.jobs), "job"),
        (len(config.contacts), "contact"),
        (len(config.routes), "route"),
    )
    return ", ".join(f"{n} {word}{'s' * (n != 1)}" for n, word in words)


# --- places -----------------------------------------------------------------------------------------------------------


def _places(places: Places, root: Path) -> Iterator[Line]:
    state = places.state
    wanted = 0o2750 if places.system else 0o700
    try:
        found = state.stat()
    except FileNotFoundError:
        yield Line(None, "state", f"{state} is not there yet", "the engine makes it")
    except OSError as error:
        yield Line(False, "state", f"{state} cannot be looked at: {(error.strerror or 'error').lower()}")
    else:
        mode = stat.S_IMODE(found.st_mode)
        open_to_others = mode & 0o077 & ~wanted
        yield Line(
            not open_to_others,
            "state",
            f"{state}, mode {mode:o}",
            f"others can look in: chmod {wanted:o} {state}" if open_to_others else "",
        )
        if not os.access(state, os.W_OK) and not places.system:
            yield Line(False, "state", f"{state} is not writable for you", f"let it belong to you: chown $USER {state}")
    kind = file_system(places.store, root)
    if kind in NETWORK:
        yield Line(
            False, "store", f"{places.store} lies on {kind}", "SQLite needs a local disk: move it with [store] path"
        )
    elif (odd := _no_store(places.store)) is not None:
        yield odd
    else:
        yield Line(True, "store", f"{places.store}" + (f" on {kind}" if kind else ""))
    if places.system and not _group_known(root):
        yield Line(False, "group", f"there is no group {GROUP}", f"groupadd --system {GROUP}")


def _no_store(store: Path) -> Line | None:
    """Why this cannot be a store, as far as can be seen without opening it: opening belongs to the engine."""
    hint = "name another file with [store] path"
    try:
        if store.is_dir():
            return Line(False, "store", f"{store} is a folder", hint)
        if store.exists() and store.stat().st_size:
            with store.open("rb") as file:
                if file.read(16) != b"SQLite format 3\0":
                    return Line(False, "store", f"{store} is something else than a store", hint)
    except OSError as error:
        return Line(False, "store", f"{store} cannot be looked at: {(error.strerror or 'error').lower()}")
    return None


def _group_known(root: Path) -> bool:
    try:
        return any(
            line.startswith(f"{GROUP}:") for line in (root / "etc/group").read_text(errors="replace").splitlines()
        )
    except OSError:
        return False


def file_system(path: Path, root: Path = Path("/")) -> str:
    """Type of the file system that holds ``path`` (the longest mount point above it), "" if it cannot be told."""
    try:
        lines = (root / "proc/self/mounts").read_text(errors="replace").splitlines()
    except OSError:
        return ""
    real = os.path.realpath(path)
    best, kind = "", ""
    for line in lines:
        words = line.split()
        if len(words) < 3:
            continue
        mount = words[1].replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
        if (real == mount or real.startswith(mount.rstrip("/") + "/")) and len(mount) >= len(best):
            best, kind = mount, words[2]
    return kind


# --- sources ------------------------------------------------------------------------------------------------------------


def _source(config: Config, source: Source, probe: Probe | str, now: int | None) -> Iterator[Line]:
    what = f"source {source.name}"
    missing = False
    for name, value in source.auth.items():
        if isinstance(value, SecretRef):
            for line in _secret(f"{what} {name}", value, config.folder):
                missing = missing or line.ok is False
                if line.ok is not True:
                    yield line
    if not source.tls_verify:
        yield Line(None, what, "its certificate is not checked", "name its authority: tls = { ca = … }")
    if source.tls_ca is not None and not source.tls_ca.is_file():
        yield Line(False, what, f"there is no file {source.tls_ca}", "put the authority's certificate there")
    if isinstance(probe, str):
        if not missing:  # the secret's own line says why already
            yield Line(False, what, printable(probe, 300))
        return
    who = f" as {printable(probe.identity)}" if probe.identity else ""
    guard = "protected: read-only until armed" if source.protected else "not protected"
    yield Line(True, what, f"{source.kind} {printable(probe.version)}{who}, {guard}")
    may = [k for k, v in sorted(probe.permissions.items()) if v]
    may_not = [k for k, v in sorted(probe.permissions.items()) if v is False]
    unknown = [k for k, v in sorted(probe.permissions.items()) if v is None]
    if may:
        yield Line(True, what, "may " + ", ".join(may))
    if may_not:
        yield Line(None, what, "may not " + ", ".join(may_not), "give the credential that right, or leave it to others")
    if unknown:
        yield Line(None, what, "cannot be told without trying: " + ", ".join(unknown))
    if now is not None and probe.server_time is not None and abs(now - probe.server_time) > SKEW_MS:
        seconds = round((probe.server_time - now) / 1000)
        yield Line(
            None, what, f"its clock is {abs(seconds)} s {'ahead' if seconds > 0 else 'behind'}", "look at NTP on both"
        )
    for text in probe.warnings:
        yield Line(None, what, printable(text, 300))


def _secret(what: str, ref: SecretRef, folder: Path) -> Iterator[Line]:
    try:
        resolve(ref, folder).reveal()
    except SecretError as error:
        yield Line(False, what, error.what, error.hint)
        return
    said = warning(ref, folder)
    yield Line(None, what, *said) if said else Line(True, what, f"secret found by {printable(ref)}")


# --- logging out ----------------------------------------------------------------------------------------------------------


def lingering(root: Path = Path("/"), user: str | None = None) -> Line:
    """Whether local jobs and the engine outlive the logout of the user who started them (logind.conf(5), loginctl(1))."""
    user = user or _user()
    what = "logout"
    if not (root / "run/systemd/system").is_dir():
        return Line(True, what, "no systemd here ends the processes of a user who logs out")
    if (root / "var/lib/systemd/linger" / user).exists():
        return Line(True, what, f"jobs go on when {user} logs out (lingering is on)")
    kill, excluded = kill_user_processes(root)
    hint = f"loginctl enable-linger {user}"
    if user in excluded or kill is False:
        return Line(True, what, f"jobs go on when {user} logs out")
    if kill:
        return Line(
            False, what, f"systemd ends the engine and its jobs when {user} logs out (KillUserProcesses=yes)", hint
        )
    return Line(
        None, what, f"whether jobs go on when {user} logs out is not said in logind.conf", f"to be sure: {hint}"
    )


def kill_user_processes(root: Path = Path("/")) -> tuple[bool | None, frozenset[str]]:
    """(KillUserProcesses, or None where no file sets it: then it is the builder's choice; KillExcludeUsers)."""
    kill: bool | None = None
    excluded = frozenset({"root"})
    for path in _logind_files(root):
        parser = configparser.ConfigParser(
            interpolation=None, strict=False, allow_no_value=True, comment_prefixes=("#", ";")
        )
        try:
            parser.read_string(path.read_text(errors="replace"))
        except (OSError, configparser.Error):
            continue
        if not parser.has_section("Login"):
            continue
        value = (parser.get("Login", "KillUserProcesses", fallback=None) or "").strip().lower()
        if value in ("yes", "true", "on", "1", "no", "false", "off", "0"):
            kill = value in ("yes", "true", "on", "1")
        users = parser.get("Login", "KillExcludeUsers", fallback=None)
        if users is not None:
            excluded = frozenset(users.split())
    return kill, excluded


def _logind_files(root: Path) -> Iterable[Path]:
    """In the order of their weight: main file (the first of etc, run, usr/lib), then drop-ins by name, whatever folder."""
    folders = [root / "etc/systemd", root / "run/systemd", root / "usr/lib/systemd"]
    main = next((f / "logind.conf" for f in folders if (f / "logind.conf").is_file()), None)
    drop: dict[str, Path] = {}
    for folder in reversed(folders):
        drop |= {p.name: p for p in (folder / "logind.conf.d").glob("*.conf")}
    return [*([main] if main else []), *(drop[name] for name in sorted(drop))]


def _user() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
