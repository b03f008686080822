"""
Where a request comes from.

The address is that of the connection. Behind a proxy it is what the proxy says in `X-Forwarded-For`, but only where
settings name the proxy: anybody can write the header. It is read from its end, where the nearest proxy wrote, up to the
first address that is no trusted proxy.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from aiohttp import web

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_MOST_HOPS = 32


def client_address(request: web.BaseRequest, trusted: tuple[Network, ...]) -> Address | None:
    """
    Who asks.

    Args:
        trusted: the proxies that are believed.

    Returns:
        None where the connection has no address, or a trusted proxy wrote something that is none.
    """
    address = _parse(request.remote or "")
    if not trusted or address is None or not is_in(address, trusted):
        return address
    said = ",".join(request.headers.getall("X-Forwarded-For", ()))
    for hop in reversed(said.split(",")[-_MOST_HOPS:] if said.strip() else ()):
        address = _parse(hop)
        if address is None or not is_in(address, trusted):
            return address
    return address


def is_secure(request: web.BaseRequest, trusted: tuple[Network, ...]) -> bool:
    """Whether the caller reached us over TLS, by the word of a trusted proxy."""
    peer = _parse(request.remote or "") if trusted else None
    if peer is None or not is_in(peer, trusted):
        return False
    return request.headers.get("X-Forwarded-Proto", "").strip().lower() == "https"


def is_in(address: Address, networks: Iterable[Network]) -> bool:
    """Whether an address belongs to one of the networks."""
    return any(address in network for network in networks)


def _parse(text: str) -> Address | None:
    """An address; one of IPv4 in the clothes of IPv6 is taken as what it is. Ports are left off."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
