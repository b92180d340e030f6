"""Names to addresses, and which addresses are nobody's business but this machine's."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING, Final

from maxwell.outbound.refused import EACCES, EHOSTUNREACH, Refused

if TYPE_CHECKING:
    from maxwell.outbound.message import Target

_LOCAL_V6: Final = tuple(
    ipaddress.IPv6Network(network)
    for network in ("::/96", "::ffff:0:0:0/96", "64:ff9b:1::/48", "fec0::/10")
)
"""IPv4-compatible, IPv4-translated, local-use NAT64 (RFC 8215) and site-local addresses."""
_LOCAL_V4: Final = (
    ipaddress.IPv4Network("192.0.0.0/24"),
    ipaddress.IPv4Network("168.63.129.16/32"),
)
"""Protocol assignments (RFC 6890), and the address at which a cloud's host answers its guests."""
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
"""RFC 6052: the last 32 bits are the IPv4 address that is reached."""


def resolve(target: Target, *, local: bool) -> list[str]:
    """Returns the addresses of a host that may be connected to, all checked.

    The caller connects to these and not to the name, so that a name which answers differently the
    second time (DNS rebinding) gains nothing.

    Args:
        target: where to.
        local: whether this machine and its private networks are allowed.

    Raises:
        Refused: EHOSTUNREACH when the name has no address, EACCES when one of them is local.
    """
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Refused(EHOSTUNREACH, f"no address for {target.host}: {error}") from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not local:
        for address in addresses:
            if _is_local(address):
                raise Refused(EACCES, f"{target.host} is {address}, a local address")
    return addresses


def _is_local(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if any(address in network for network in _LOCAL_V6):
            return True
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is not None:
            return _is_local(str(inner))
    elif any(address in network for network in _LOCAL_V4):
        return True
    return not address.is_global or address.is_multicast or _is_own(str(address))


def _is_own(address: str) -> bool:
    """Whether this machine itself has the address: only then can a socket be bound to it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True
