"""How the C library hands out the memory of tensors."""

from __future__ import annotations

import ctypes
import sys

# parameters of mallopt, from malloc.h
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


def keep_freed_memory() -> None:
    """Let this process reuse the memory of freed tensors instead of returning it to the system.

    Every training step asks for the same large tensors. glibc maps each anew, and the system
    clears its pages (``benchmarks/allocator.py`` tells what that costs). Other C libraries are
    left as they are.
    """
    if is_glibc():
        library = ctypes.CDLL(None)
        library.mallopt(_MMAP_MAX, 0)
        library.mallopt(_TRIM_THRESHOLD, -1)


def is_glibc() -> bool:
    """Whether this process runs on the GNU C library."""
    return sys.platform == "linux" and hasattr(ctypes.CDLL(None), "gnu_get_libc_version")
