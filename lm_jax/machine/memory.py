"""Memory that is held between computations, in large pages: what XLA on a CPU asks for and gives back at every call.

The C library returns large blocks to the system as soon as they are free, and the system hands them out again a page
of 4 KiB at a time, each at the price of an interruption; a training step of a medium model asks for 40,000 of them.
"""

import ctypes
import platform
import sys


# The numbers of mallopt's settings in glibc's malloc.h, and of the advice in Linux's mman.h.
TRIM_THRESHOLD, TOP_PAD, MMAP_MAX, ARENA_MAX = -1, -2, -4, -8
HUGE_PAGES, PAGE = 14, 2 * 2**20
LARGEST = 2**31 - 1


def reuse_memory() -> bool:
    """Sets the allocator: from now on freed memory stays with the process,
    and the first 2 GiB are asked for in pages of 2 MiB.

    For the first lines of a script that computes on a CPU: threads that were started before keep their own memory.
    True where it was done: on Linux with glibc. The command line does it itself. What a process has once used, it
    keeps until it ends.
    """
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    settings = {TRIM_THRESHOLD: LARGEST, TOP_PAD: LARGEST, MMAP_MAX: 0, ARENA_MAX: 1}
    done = all([libc.mallopt(name, value) for name, value in settings.items()])
    libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = (
        ctypes.c_void_p,
        [ctypes.c_size_t],
        [ctypes.c_void_p],
    )
    libc.free(libc.malloc(4 * PAGE))  # so that the heap grows by what TOP_PAD says
    start, end = _heap()
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    libc.madvise(start, max(0, end - start), HUGE_PAGES)  # where refused, small pages do
    return done


def _heap():
    """Returns the addresses of the heap, the first at the start of a large page."""
    with open("/proc/self/maps") as maps:
        ranges = [line.split()[0] for line in maps if line.rstrip().endswith("[heap]")]
    if not ranges:
        return 0, 0
    start, end = (int(address, 16) for address in ranges[-1].split("-"))
    return -(-start // PAGE) * PAGE, end
