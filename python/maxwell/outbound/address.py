"""Names to addresses, and which addresses are nobody's business but this machine's."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING

from maxwell.outbound.refused import EACCES, EHOSTUNREACH, Refused

if TYPE_CHECKING:
    from maxwell.outbound.message import Target


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
        inner = address.ipv4_mapped or address.sixtofour
        if inner is not None and not inner.is_global:
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
