"""Who is where: public keys and addresses of other nodes, bounded, learnt from records.

A record is `public key 32 · address 16 (IPv6, or IPv4 mapped) · port u16` = 50 bytes. The node's
number follows from the key, so that a record cannot give somebody another's key. The address is
not signed: whoever holds the cluster key can misdirect packets, which are then lost and not read.
"""

from __future__ import annotations

from collections import OrderedDict
from ipaddress import IPv4Address, IPv6Address, ip_address
from struct import Struct
from typing import Final

from maxwell.heat.signing import KEYS_MAX, KeyRing, node_number

RECORD: Final = Struct("<32s16sH")
RECORD_BYTES: Final = 50
RECORDS_MAX: Final = 8
WHO: Final = Struct("<Q")

Address = tuple[str, int]


def pack_address(address: Address) -> tuple[bytes, int]:
    """Returns an address as 16 bytes and a port."""
    host = ip_address(address[0])
    if isinstance(host, IPv4Address):
        return b"\0" * 10 + b"\xff\xff" + host.packed, address[1]
    return host.packed, address[1]


def unpack_address(packed: bytes, port: int) -> Address:
    """Returns the address of 16 bytes and a port."""
    host = IPv6Address(packed)
    return str(host.ipv4_mapped or host), port


class Directory:
    """The keys and addresses that a node knows.

    Args:
        keys: verifies signatures with the same keys.
    """

    def __init__(self, keys: KeyRing) -> None:
        self.keys = keys
        self._addresses: OrderedDict[int, Address] = OrderedDict()

    def address(self, node: int) -> Address | None:
        """Returns where a node was last heard, if anywhere."""
        return self._addresses.get(node)

    def seen_at(self, node: int, address: Address) -> None:
        """Remembers where a node speaks from."""
        self._addresses[node] = address
        self._addresses.move_to_end(node)
        if len(self._addresses) > KEYS_MAX:
            self._addresses.popitem(last=False)

    def record(self, node: int) -> bytes | None:
        """Returns a node's record, if it is known."""
        key, address = self.keys.public_key(node), self._addresses.get(node)
        if key is None or address is None:
            return None
        packed, port = pack_address(address)
        return RECORD.pack(key, packed, port)

    def learn(self, payload: bytes) -> list[int] | None:
        """Takes records in and returns their nodes; None when they do not parse."""
        if not payload or len(payload) % RECORD_BYTES or len(payload) > RECORDS_MAX * RECORD_BYTES:
            return None
        nodes: list[int] = []
        for at in range(0, len(payload), RECORD_BYTES):
            key, packed, port = RECORD.unpack_from(payload, at)
            node = node_number(key)
            if node not in self.keys:
                try:
                    self.keys.add(key)
                except ValueError:
                    return None
            if node not in self._addresses and port:
                self.seen_at(node, unpack_address(packed, port))
            nodes.append(node)
        return nodes

    def known(self) -> list[int]:
        """Returns the nodes whose address is known, the latest last."""
        return list(self._addresses)
