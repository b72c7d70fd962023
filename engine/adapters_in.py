"""From a ``[[source]]`` to a living adapter: entry points, secrets, one private folder each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, cast

from adapters.base import Adapter, Secret, SourceSettings
from adapters.model import JobSpec
from engine.config.model import LOCAL, Config, SecretRef, Source
from engine.config.paths import Places
from engine.config.secrets import SecretError, reference, resolve

GROUP = "watchfloor.adapters"


class NoAdapter(Exception):
    """No adapter of that kind, or it cannot be loaded here; ``str`` is one sentence that says what to install."""


def adapter_class(kind: str) -> type[Adapter]:
    """The class behind ``kind``. Ours load through the entry points too, as a third party's does."""
    for point in entry_points(group=GROUP, name=kind):
        try:
            found = point.load()
        except ImportError as error:
            raise NoAdapter(
                f"the adapter for kind {kind!r} needs the Python package {error.name!r}; install it"
            ) from None
        except Exception as error:  # it is somebody else's, or half installed
            raise NoAdapter(
                f"the adapter for kind {kind!r} cannot be loaded ({type(error).__name__}); install it again"
            ) from None
        if not (isinstance(found, type) and issubclass(found, Adapter)):
            raise NoAdapter(f"the entry point {kind!r} is not an Adapter")
        return found
    known = ", ".join(sorted(p.name for p in entry_points(group=GROUP)))
    raise NoAdapter(f"no adapter of kind {kind!r} is installed; known kinds: {known}")


def make_adapter(source: Source, config: Config, places: Places) -> Adapter:
    """Construct it; secrets stay references until the first call."""
    folder = places.state / source.name
    folder.mkdir(parents=True, exist_ok=True)
    kind = adapter_class(source.kind)
    jobs = config.jobs if source.kind == LOCAL else ()
    return kind(_settings(kind, source, config.folder, folder, lambda ref: resolve(ref, config.folder), jobs))


def try_adapter(kind: type[Adapter], source: Source, config_folder: Path, folder: Path) -> Adapter:
    """Construct it only to hear what is wrong with its settings: as ``make_adapter`` does, but in a folder that is thrown away,
    without jobs, and with references that give nothing. ValueError or AdapterError in one sentence."""
    return kind(_settings(kind, source, config_folder, folder, _sealed))


def _sealed(ref: SecretRef) -> Secret:
    def get() -> str:
        raise SecretError(ref, "it is not read for a look at the settings", "run: watchfloor doctor")

    return Secret(get, str(ref))


def _settings(
    kind: type[Adapter],
    source: Source,
    config_folder: Path,
    folder: Path,
    secret: Callable[[SecretRef], Secret],
    jobs: tuple[JobSpec, ...] = (),
) -> SourceSettings:
    return SourceSettings(
        name=source.name,
        kind=source.kind,
        url=source.url,
        environment=source.environment,
        timezone=source.timezone,
        auth={name: secret(v) if isinstance(v, SecretRef) else v for name, v in source.auth.items()},
        tls_verify=source.tls_verify,
        tls_ca=config_folder / source.tls_ca if source.tls_ca else None,
        include=source.include,
        options=_options(kind, source.options, secret),
        folder=folder,
        requests_per_min=source.requests_per_min,
        jobs=jobs,
        config_folder=config_folder,
    )


def _options(kind: type[Adapter], given: Mapping[str, Any], secret: Callable[[SecretRef], Secret]) -> Mapping[str, Any]:
    """The adapter's own settings; references to secrets in the tables that it names, resolved as those of ``auth``."""
    found: dict[str, Any] = dict(given)
    for name in kind.secret_options:
        table = found.get(name)
        if isinstance(table, dict):
            pairs = cast("dict[str, Any]", table).items()
            found[name] = {k: v if (ref := reference(v)) is None else secret(ref) for k, v in pairs}
    return found
