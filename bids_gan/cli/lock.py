"""One run at a time works on a person: later ones are refused, whatever became of earlier ones.

The locks are byte ranges of one file, so that thousands of people need one file descriptor. The
system takes them back when the process ends, even by ``kill -9``; nothing is left to clean up.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bids_gan.errors import UsageError

_HELD = (errno.EACCES, errno.EAGAIN)
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL)
#: people named in a message
_SHOWN = 5


@contextmanager
def hold(folder: Path, labels: Iterable[str], what: str) -> Iterator[None]:
    """Keep other runs away from some people of a folder.

    Parameters
    ----------
    folder
        It holds the file of the locks, ``.lock``.
    labels
        Of the people and sessions.
    what
        The folder in the words of the command line, as in ``--work-dir``.

    Raises
    ------
    UsageError
        Another run is at work on some of them.
    """
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        if held := _held_by_others(descriptor, labels):
            more = f" and {len(held) - _SHOWN} more" if len(held) > _SHOWN else ""
            raise UsageError(
                f"another run of bids-gan is at work on {', '.join(held[:_SHOWN])}{more} in "
                f"{what} ({folder}). Wait for its end, or name other people "
                f"(--participant-label) or another {what}."
            )
        yield
    finally:
        os.close(descriptor)


def _held_by_others(descriptor: int, labels: Iterable[str]) -> list[str]:
    """Take the locks of all labels; those that another process has. None without locks."""
    held = []
    for label in labels:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place(label))
        except OSError as err:
            if err.errno in _NO_LOCKS:
                print(
                    f"warning: this file system has no locks ({err.strerror}); start no second "
                    "run on the same people",
                    file=sys.stderr,
                )
                return []
            if err.errno not in _HELD:
                raise
            held.append(label)
    return held


def _place(label: str) -> int:
    """Place of a label in the file: of 2^62, so that no two people share one."""
    return int.from_bytes(hashlib.blake2b(os.fsencode(label), digest_size=8).digest(), "big") >> 2
