"""The receiver of messages that the alerts' tests use."""

from tests.alerts.conftest import _receiver_process, receiver

__all__ = ["_receiver_process", "receiver"]
