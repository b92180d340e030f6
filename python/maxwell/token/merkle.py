"""The hash tree over the receipts of a batch: RFC 9162, section 2.1, with SHA-256.

One signature covers a batch; a receipt shows that it is of the batch by the hashes beside its way
to the root. A batch has n leaves: n hashes of leaves, n - 1 of nodes, a path of log2 n.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_LEAF: Final = b"\0"
_NODE: Final = b"\1"


def leaf_hash(data: bytes) -> bytes:
    """Returns the hash of a leaf."""
    return sha256(_LEAF + data).digest()


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Returns the root over hashes of leaves; of none, the hash of nothing."""
    if not leaves:
        return sha256().digest()
    level = list(leaves)
    while len(level) > 1:
        # The last node of an odd level goes up as it is: the largest power of two is on the left.
        paired = [
            sha256(_NODE + level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)
        ]
        level = paired + level[len(paired) * 2 :]
    return level[0]


def path_of(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Returns the inclusion path of a leaf: the sibling at each level, from the leaf up.

    Args:
        leaves: (n,) hashes.
        index: 0..n-1.
    """
    level, path = list(leaves), list[bytes]()
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            path.append(level[sibling])
        paired = [
            sha256(_NODE + level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)
        ]
        level = paired + level[len(paired) * 2 :]
        index //= 2
    return path


def root_from_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """Returns the root that a path leads to (RFC 9162, section 2.1.3.2); None when none.

    Args:
        leaf: its hash.
        index: its place.
        size: number of leaves of the tree.
        path: as `path_of` gives it.
    """
    if not 0 <= index < size:
        return None
    node, last, found = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return None
        if node & 1 or node == last:
            found = sha256(_NODE + sibling + found).digest()
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            found = sha256(_NODE + found + sibling).digest()
        node >>= 1
        last >>= 1
    return found if last == 0 else None
