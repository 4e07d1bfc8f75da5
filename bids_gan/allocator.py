"""How the C library hands out memory and takes it back; only glibc is told anything."""

from __future__ import annotations

import ctypes
import gc
import sys

# parameters of mallopt, from malloc.h
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


def keep_freed_memory() -> None:
    """Let this process reuse the memory of freed tensors instead of returning it to the system.

    Every training step asks for the same large tensors. glibc maps each anew, and the system
    clears its pages (``benchmarks/allocator.py`` tells what that costs).
    """
    if is_glibc():
        library = ctypes.CDLL(None)
        library.mallopt(_MMAP_MAX, 0)
        library.mallopt(_TRIM_THRESHOLD, -1)


def return_freed_memory() -> None:
    """Give the system back what this process has freed.

    What lies between blocks in use stays with the process otherwise, and one that works on person
    after person grows with each.
    """
    gc.collect()
    if is_glibc():
        ctypes.CDLL(None).malloc_trim(0)


def is_glibc() -> bool:
    """Whether this process runs on the GNU C library."""
    return sys.platform == "linux" and hasattr(ctypes.CDLL(None), "gnu_get_libc_version")
