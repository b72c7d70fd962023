"""Where ``HeaderAuth`` was before other kinds used it too."""

from __future__ import annotations

from adapters.auth import HeaderAuth

__all__ = ["HeaderAuth"]
