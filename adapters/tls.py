"""When a certificate ends, read from the certificate itself: of a client, of a server that is only looked at."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

_UTC_TIME: Final = 0x17
"""The DER tag of a time with a year of two digits."""


def certificate_ends(certificate: str) -> int | None:
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
