"""Which network addresses belong to the public, pure."""

from __future__ import annotations

from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)

_HOUSES_V4 = tuple(
    IPv4Network(block)
    for block in (
        "0.0.0.0/8",  # this host, by whatever number
        "10.0.0.0/8",
        "100.64.0.0/10",  # carriers' own; one cloud's metadata service too
        "127.0.0.0/8",
        "168.63.129.16/32",  # a cloud's host agent, under a public number
        "169.254.0.0/16",  # link-local, where most clouds keep their metadata
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
_HOUSES_V6 = tuple(
    IPv6Network(block)
    for block in (
        "::/96",  # unspecified, loopback, and IPv4 written inside
        "64:ff9b:1::/48",  # translation within a house
        "100::/64",
        "2001::/23",  # tunnels and experiments
        "2001:db8::/32",
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    )
)
_TRANSLATED = IPv6Network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """
    Whether an IP address is one of the public Internet.

    Private, loopback, link-local, carrier-grade NAT, multicast and reserved ones are not, nor are the metadata services
    of clouds. An IPv4 address inside an IPv6 one (mapped, 6to4, NAT64) is judged by itself. What is no address is not
    public.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address):
        inner = _inner(parsed)
        if inner is None:
            return parsed.is_global and not any(parsed in house for house in _HOUSES_V6)
        parsed = inner
    return parsed.is_global and not any(parsed in house for house in _HOUSES_V4)


def _inner(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 one leads to, where it does."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    return IPv4Address(int(address) & 0xFFFFFFFF) if address in _TRANSLATED else None
