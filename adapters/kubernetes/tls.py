"""TLS as a kubeconfig has it: its own authority alone, and a client certificate from memory."""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Generator
from contextlib import contextmanager

from adapters.errors import AuthFailed, Unreachable


def context(ca: str, verify: bool, certificate: str, key: str) -> ssl.SSLContext:
    """``ca``, ``certificate`` and ``key`` are PEM; with a ``ca`` no other authority is believed (as kubectl does)."""
    wrong = ""
    try:
        made = ssl.create_default_context(cadata=ca or None)
    except ssl.SSLError:
        made, wrong = ssl.create_default_context(), "the CA of the kubeconfig holds no certificate"
    if wrong:
        raise Unreachable(wrong, "see certificate-authority of its cluster", sent=False)
    if not verify:
        made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    if certificate:
        try:
            with _file(certificate + "\n" + key) as path:
                made.load_cert_chain(path)
        except (ssl.SSLError, OSError):
            wrong = "the client certificate and its key cannot be used"
    if wrong:
        raise AuthFailed(wrong, "they do not belong together, or are no PEM without a passphrase")
    return made


@contextmanager
def _file(text: str) -> Generator[str]:
    """A name under which OpenSSL reads this: of memory where the system has that, else of a private file, removed at once."""
    try:
        fd = os.memfd_create("watchfloor-tls")
    except (AttributeError, OSError):
        with tempfile.NamedTemporaryFile("w", prefix="watchfloor-") as file:
            file.write(text)
            file.flush()
            yield file.name
        return
    try:
        os.write(fd, text.encode())
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)
