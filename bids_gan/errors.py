"""Errors that a user can act on, each with the exit code that the command line returns."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Mapping
from pathlib import Path

_FULL = (errno.ENOSPC, errno.EDQUOT)
_NOT_ALLOWED = (errno.EROFS, errno.EACCES, errno.EPERM)


class BidsGanError(Exception):
    """Base of all expected failures; ``exit_code`` is what the process returns."""

    exit_code = 70


class ProcessingError(BidsGanError):
    """Processing failed for at least one person; the others are finished."""

    exit_code = 1


class TrainingError(BidsGanError):
    """Training cannot go on: a loss or a gradient is not finite."""

    exit_code = 1


class UsageError(BidsGanError):
    """The command line or the settings file asks for something that does not exist."""

    exit_code = 2


class DataError(BidsGanError):
    """The input cannot be processed: the message names file, key and remedy."""

    exit_code = 65


class ModelError(BidsGanError):
    """A generator is missing, altered or unsuited to the request."""

    exit_code = 69


class ResourceError(BidsGanError):
    """Memory, disk space or the compute device did not suffice."""

    exit_code = 75


def free_space(folders: Mapping[str, Path]) -> str:
    """Room on the disks of folders, by what the command line calls them."""
    return ", ".join(
        f"{what} {folder} ({shutil.disk_usage(folder).free / 1e6:.1f} MB free)"
        for what, folder in folders.items()
        if folder.is_dir()
    )


def explain(error: OSError, folders: Mapping[str, Path]) -> BidsGanError | None:
    """What an error of the operating system means to a user, ``None`` where nobody knows.

    Parameters
    ----------
    error
        It does not always name the file.
    folders
        That are written, by what the command line calls them.
    """
    place = error.filename or "a file"
    if error.errno in _FULL:
        place = error.filename or f"a file in {free_space(folders)}"
        return ResourceError(
            f"{place}: no space left ({error.strerror}). Make room, or give other folders "
            "(OUTPUT_DIR, --work-dir). The same command goes on from here."
        )
    if error.errno in _NOT_ALLOWED:
        return UsageError(
            f"{place}: cannot be written or read ({error.strerror}); change its permissions, or "
            "give another folder (OUTPUT_DIR, --work-dir)."
        )
    return None
