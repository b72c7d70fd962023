"""Probes: small sources that only measure. ``files`` of this host, ``http`` endpoints, ``command``: what a program prints.

Nothing is imported here: the configuration reads ``adapters.probes.regex``, and must stay light.
"""
