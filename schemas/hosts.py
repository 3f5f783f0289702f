"""Where hrefs may lead: the one check before anything of a catalogue's is followed.

Flows in: an href and the hosts that its source allows; an address. Flows out: yes or no. Stops before any connection:
names are resolved by who connects, and a redirect is another href that must be asked about again.

An entry of `allowed_hosts` is one of
    example.com         that host on the scheme's own port (80, 443)
    example.com:8443    that host on that port only
    127.0.0.1:*         that host on any port (an API on the loopback or the local network, added by hand)
    s3://eodata         that bucket (read with the operator's own keys)
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}
"""The schemes that are followed over the network, with their own ports; `file:` and all others never are."""

_HOST = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\]")
_BUCKET = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(/|$)")
_GLOBAL_UNICAST, _TRANSLATED = ipaddress.ip_network("2000::/3"), ipaddress.ip_network("64:ff9b::/96")
_UNSAFE = re.compile(r"[\x00-\x20\x7f\\]")


def host_allowed(href: str, allowed_hosts: Iterable[str]) -> bool:
    """Whether an href leads to a host and scheme that its source may use.

    Anything that two URL parsers could read differently (backslashes, blanks, user names, encoded hosts) is refused.

    Args:
        href: Absolute, as the catalogue or a redirect gave it.
        allowed_hosts: As in `Acquisition.allowed_hosts`; see the module's text for the forms.
    """
    allowed = {entry.strip().lower() for entry in allowed_hosts}
    if _UNSAFE.search(href):
        return False
    if bucket := _BUCKET.match(href):
        return f"s3://{bucket[1]}" in allowed
    where = host_and_port(href)
    if where is None:
        return False
    host, port, default = where
    return bool(allowed & {f"{host}:{port}", f"{host}:*"}) or (port == default and host in allowed)


def host_and_port(href: str) -> tuple[str, int, int] | None:
    """Host (lower case, IPv6 in brackets), port and the scheme's own port; none when it is no plain http(s) URL."""
    try:
        parts = urlsplit(href)
        port = parts.port
    except ValueError:
        return None
    default = DEFAULT_PORTS.get(parts.scheme.lower())
    authority = parts.netloc.lower()
    host = authority if port is None else authority.rsplit(":", 1)[0]
    host = host.removesuffix(":") if not host.endswith("]") else host
    if default is None or not _HOST.fullmatch(host):
        return None
    return (host.rstrip("."), default if port is None else port, default)


def is_public(address: str) -> bool:
    """Whether an address is on the public internet; IPv4 inside IPv6 is looked at as what it is.

    Of IPv6 only what is given out as global unicast counts: the library calls more global than that, old site-local
    addresses (fec0::/10), IPv4 in forms long given up (::/96, ::ffff:0:0:0/96) and a site's own translators
    (64:ff9b:1::/48) among it.

    Source: IANA, Internet Protocol Version 6 Address Space; RFC 6052, section 2.1; RFC 8215.
    """
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if ip in _TRANSLATED:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return inner.is_global and not inner.is_multicast
        return ip.is_global and ip in _GLOBAL_UNICAST
    return ip.is_global and not ip.is_multicast
