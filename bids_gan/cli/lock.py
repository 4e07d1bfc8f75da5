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
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bids_gan.errors import UsageError

if TYPE_CHECKING:
    from bids_gan.bids.plan import Session
    from bids_gan.settings import Settings

#: holds the locks of its folder
NAME = ".lock"
_HELD = (errno.EACCES, errno.EAGAIN)
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL)
#: people named in a message
_SHOWN = 5
#: of the lock that all runs share; nobody has this label
_EVERYBODY = ""


@contextmanager
def hold(
    folder: Path,
    labels: Iterable[str],
    what: str,
    when_alone: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    """Keep other runs away from some people of a folder.

    Parameters
    ----------
    folder
        It holds the file of the locks, :data:`NAME`.
    labels
        Of the people and sessions.
    what
        The folder in the words of the command line, as in ``--work-dir``.
    when_alone
        Done first when no other run is at work in the folder, on whomever; others wait meanwhile.

    Raises
    ------
    UsageError
        Another run is at work on some of them.
    """
    descriptor = os.open(folder / NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        held, alone = _take(descriptor, labels)
        if held:
            more = f" and {len(held) - _SHOWN} more" if len(held) > _SHOWN else ""
            raise UsageError(
                f"another run of bids-gan is at work on {', '.join(held[:_SHOWN])}{more} in "
                f"{what} ({folder}). Wait for its end, or name other people "
                f"(--participant-label) or another {what}."
            )
        if alone:
            when_alone()
            _lock(descriptor, fcntl.LOCK_SH, _EVERYBODY)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def hold_output(settings: Settings, sessions: Sequence[Session] = ()) -> Iterator[None]:
    """Be the only run that writes about some sessions, and remove what a killed one left of them.

    Parameters
    ----------
    settings
        Of them ``output_dir`` and its folder of logs count; folders are made.
    sessions
        None to write only what is about everybody.

    Raises
    ------
    UsageError
        Another run is at work on some of them.
    """
    from bids_gan.bids.outputs import remove_parts, remove_shared_parts

    output_dir, logs = settings.output_dir, settings.log_dir.parent
    logs.mkdir(parents=True, exist_ok=True)
    labels = [session.label for session in sessions]
    with hold(logs, labels, "OUTPUT_DIR", when_alone=lambda: remove_shared_parts(output_dir)):
        remove_parts(output_dir, sessions)
        yield


def _take(descriptor: int, labels: Iterable[str]) -> tuple[list[str], bool]:
    """Take the locks of all labels: those that another process has, and whether there is none.

    Without locks nothing is known of others: no label counts as theirs, and they may be there.
    """
    try:
        _lock(descriptor, fcntl.LOCK_SH, _EVERYBODY)
        now = fcntl.LOCK_EX | fcntl.LOCK_NB
        held = [label for label in labels if not _lock(descriptor, now, label)]
        return held, not held and _lock(descriptor, now, _EVERYBODY)
    except OSError as err:
        if err.errno not in _NO_LOCKS:
            raise
        print(
            f"warning: this file system has no locks ({err.strerror}); start no second run on the "
            "same people",
            file=sys.stderr,
        )
        return [], False


def _lock(descriptor: int, operation: int, label: str) -> bool:
    """Lock the place of a label; false where another process has it."""
    try:
        fcntl.lockf(descriptor, operation, 1, _place(label))
    except OSError as err:
        if err.errno in _HELD:
            return False
        raise
    return True


def _place(label: str) -> int:
    """Place of a label in the file: of 2^62, so that no two people share one."""
    return int.from_bytes(hashlib.blake2b(os.fsencode(label), digest_size=8).digest(), "big") >> 2
