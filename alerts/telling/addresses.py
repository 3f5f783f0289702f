"""Where a webhook really leads.

Flows in: a host name. Flows out: the one address to connect to. Stops before connecting.

The address that was checked is the address that is used: a name that answers differently the second time cannot
lead a webhook into the operator's own network.
"""

from __future__ import annotations

import ipaddress
import socket

from schemas.errors import DeliveryFailed

_GLOBAL_UNICAST, _TRANSLATED = ipaddress.ip_network("2000::/3"), ipaddress.ip_network("64:ff9b::/96")


def refuse_private(host: str, port: int, *, allow_private: bool, unknown_is_fine: bool = False) -> str:
    """Resolve a host, refusing addresses that are not on the public internet.

    Args:
        host: Name or address, IPv6 without brackets.
        port: For the resolver.
        allow_private: Let private and loopback addresses pass.
        unknown_is_fine: A name that cannot be resolved now gives "" instead of an error.

    Returns:
        The first address of the name.

    Raises:
        DeliveryFailed: the name does not resolve, or one of its addresses is refused.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        if unknown_is_fine:
            return ""
        raise DeliveryFailed(f"host {host} does not resolve: {error}") from error
    addresses = [str(each[4][0]).split("%")[0] for each in found]
    refused = [] if allow_private else [address for address in addresses if not is_public(address)]
    if refused:
        raise DeliveryFailed(
            f"host {host} leads to {refused[0]}, which is private: add the receiver with --allow-private if it is yours"
        )
    return addresses[0]


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
