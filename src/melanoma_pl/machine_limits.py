"""Memory and CPU cores that this process may use: the machine's, or less in a container. Light: no PyTorch."""

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

UNKNOWN_MEMORY = 8 * 2**30  # bytes, if the system does not tell its memory
CONTROL_GROUPS, MOUNT = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")  # Linux: limits of containers and jobs
THREADS_VARIABLE = "OMP_NUM_THREADS"


def usable_memory() -> int:
    """Return the memory in bytes that this process may use."""
    try:
        physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        physical = UNKNOWN_MEMORY
    return min([physical, *memory_limits()])


def usable_cores() -> int:
    """Return the number of CPU cores that this process may use, 1 or more; a part of a core counts as one."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux
    own = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min([own, *map(math.ceil, core_limits())])


def limit_threads() -> None:
    """Let libraries that compute start as many threads as there are usable cores, unless the user chose a number.

    They count the cores of the machine: in a container that may use two of 64, 64 threads take turns on two cores. Call
    it before PyTorch is imported.
    """
    if usable_cores() < (os.cpu_count() or 1):
        os.environ.setdefault(THREADS_VARIABLE, str(usable_cores()))


def memory_limits(groups: Path = CONTROL_GROUPS, mount: Path = MOUNT) -> list[int]:
    """Return the memory limits of this process's control groups, of version 1 or 2, in bytes.

    Args:
        groups: The file that lists the groups of the process.
        mount: The folder of all groups.
    """
    limits = []
    for folder, version in _group_folders("memory", groups, mount):
        with suppress(OSError, ValueError):  # no such file, or `max`
            limits.append(int((folder / ("memory.max", "memory.limit_in_bytes")[version == 1]).read_text()))
    return limits


def core_limits(groups: Path = CONTROL_GROUPS, mount: Path = MOUNT) -> list[float]:
    """Return the limits on computing time of this process's control groups, of version 1 or 2, in cores.

    Args:
        groups: The file that lists the groups of the process.
        mount: The folder of all groups.
    """
    limits = []
    for folder, version in _group_folders("cpu", groups, mount):
        with suppress(OSError, ValueError):  # no such file, or `max`
            if version == 1:
                quota, period = (int((folder / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
            else:
                quota, period = map(int, (folder / "cpu.max").read_text().split())
            if quota > 0 and period > 0:  # version 1 writes -1 for no limit
                limits.append(quota / period)
    return limits


def _group_folders(controller: str, groups: Path, mount: Path) -> Iterator[tuple[Path, int]]:
    """Yield the folder of each of this process's control groups that can limit something, with the groups' version.

    The limits of a group's parents hold too. In a container, the path of the group can be that of the host, which does
    not exist there; then the container's own limit lies at the top.
    """
    for line in groups.read_text().splitlines() if groups.is_file() else ():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        top = mount / controller if controllers else mount
        group = top / path.lstrip("/")
        for folder in (group, *group.parents):
            yield folder, 1 if controllers else 2
            if folder == top:
                break
