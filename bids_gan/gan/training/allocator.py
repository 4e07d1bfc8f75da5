"""How the C library hands out the memory of tensors."""

from __future__ import annotations

import ctypes
import sys

# parameters of mallopt, from malloc.h
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


def keep_freed_memory() -> None:
    """Let this process reuse the memory of freed tensors instead of returning it to the system.

    Every training step asks for the same large tensors. glibc maps each anew, and the system
    clears its pages, which takes up to a quarter of the processor's time. Other C libraries are
    left as they are.
    """
    if sys.platform != "linux":
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):
        library.mallopt(_MMAP_MAX, 0)
        library.mallopt(_TRIM_THRESHOLD, -1)
