"""TLS as a kubeconfig has it: its own authority alone, a client certificate from memory, and when that one ends."""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

from adapters.errors import AuthFailed, Unreachable

_SEQUENCE: Final = 0x30
_UTC_TIME: Final = 0x17


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


def ends(certificate: str) -> int | None:
    """When the first certificate of a PEM is no longer good (``notAfter``), ms UTC; None where that cannot be read."""
    try:
        der = ssl.PEM_cert_to_DER_cert(certificate[certificate.index("-----BEGIN CERTIFICATE") :].strip() + "\n")
    except ValueError:
        begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
        first = certificate.partition(begin)[2].partition(end)[0]
        try:
            der = ssl.PEM_cert_to_DER_cert(f"{begin}{first}{end}\n")
        except ValueError:
            return None
    try:
        body = next(_parts(next(_parts(der))[1]))[1]
        fields = [p for p in _parts(body) if p[0] != 0xA0]  # without the version
        tag, text = list(_parts(fields[3][1]))[1]  # serial, algorithm, issuer, validity
        form = "%y%m%d%H%M%SZ" if tag == _UTC_TIME else "%Y%m%d%H%M%SZ"
        return int(datetime.strptime(text.decode(), form).replace(tzinfo=UTC).timestamp() * 1000)
    except (StopIteration, IndexError, ValueError, RuntimeError):
        return None


def _parts(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each DER value that stands in ``data``, one level deep."""
    at = 0
    while at + 2 <= len(data):
        tag, length = data[at], data[at + 1]
        at += 2
        if length & 0x80:
            size = length & 0x7F
            length = int.from_bytes(data[at : at + size], "big")
            at += size
        yield tag, data[at : at + length]
        at += length
