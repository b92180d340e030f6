"""Errnos of WASI preview 1 that an outbound request ends with, and the error that carries one."""

from __future__ import annotations

from typing import Final

EACCES: Final = 2
ECONNREFUSED: Final = 14
EFBIG: Final = 22
EHOSTUNREACH: Final = 23
EINTR: Final = 27
EINVAL: Final = 28
EPROTO: Final = 65
ETIMEDOUT: Final = 73


class Refused(Exception):
    """A request that will not leave, or did not come back: an errno for the guest, and why."""

    def __init__(self, errno: int, why: str) -> None:
        super().__init__(why)
        self.errno = errno
        self.why = why
