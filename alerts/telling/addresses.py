"""Where a webhook really leads.

Flows in: a host name. Flows out: the one address to connect to. Stops before connecting.

The address that was checked is the address that is used: a name that answers differently the second time cannot
lead a webhook into the operator's own network.
"""

from __future__ import annotations

import socket

from schemas.errors import DeliveryFailed
from schemas.hosts import is_public


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
