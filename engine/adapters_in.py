"""From a ``[[source]]`` to a living adapter: entry points, secrets, one private folder each."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any, cast

from adapters.base import Adapter, SourceSettings
from engine.config.model import Config, SecretRef, Source
from engine.config.paths import Places
from engine.config.secrets import reference, resolve

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
    auth = {
        name: resolve(value, config.folder) if isinstance(value, SecretRef) else value
        for name, value in source.auth.items()
    }
    settings = SourceSettings(
        name=source.name,
        kind=source.kind,
        url=source.url,
        environment=source.environment,
        timezone=source.timezone,
        auth=auth,
        tls_verify=source.tls_verify,
        tls_ca=config.folder / source.tls_ca if source.tls_ca else None,
        include=source.include,
        options=_options(kind, source, config),
        folder=folder,
        requests_per_min=source.requests_per_min,
        jobs=config.jobs if source.kind == "local" else (),
        config_folder=config.folder,
    )
    return kind(settings)


def _options(kind: type[Adapter], source: Source, config: Config) -> Mapping[str, Any]:
    """The adapter's own settings; references to secrets in the tables that it names, resolved as those of ``auth``."""
    found: dict[str, Any] = dict(source.options)
    for name in kind.secret_options:
        table = found.get(name)
        if isinstance(table, dict):
            pairs = cast("dict[str, Any]", table).items()
            found[name] = {k: v if (ref := reference(v)) is None else resolve(ref, config.folder) for k, v in pairs}
    return found
