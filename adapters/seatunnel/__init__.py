"""Apache SeaTunnel's own engine (Zeta): jobs, their steps and rates, stop, hold with a savepoint, release, start."""

from adapters.seatunnel.adapter import SeaTunnelAdapter

__all__ = ["SeaTunnelAdapter"]
