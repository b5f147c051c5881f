"""Limits of containers and jobs on memory and CPU cores."""

import os
from pathlib import Path

import pytest

from melanoma_pl import machine_limits
from melanoma_pl.machine_limits import core_limits, limit_threads, memory_limits, usable_cores, usable_memory

GROUPS = [
    ("0::/user/job", [500, 2_000], [1.5, 8.0]),
    ("0::/", [2_000], [8.0]),
    ("0::/of/the/host", [2_000], [8.0]),
    ("7:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc", [4_000, 9_000], [0.5]),
    ("7:cpu,memory:/gone", [9_000], []),
    ("1:name=systemd:/\n3:pids:/", [], []),
]


def limit(folder: Path, name: str, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"{text}\n")


@pytest.mark.parametrize(
    ("groups", "memory", "cores"),
    GROUPS,
    ids=["v2", "v2 container", "v2 path of the host", "v1", "v1 path of the host", "none"],
)
def test_limits_of_containers(groups: str, memory: list[int], cores: list[float], tmp_path: Path) -> None:
    mount = tmp_path / "cgroup"
    limit(mount, "memory.max", "2000")
    limit(mount, "cpu.max", "800000 100000")
    limit(mount / "user", "memory.max", "max")
    limit(mount / "user", "cpu.max", "max 100000")
    limit(mount / "user/job", "memory.max", "500")
    limit(mount / "user/job", "cpu.max", "150000 100000")
    limit(mount / "memory", "memory.limit_in_bytes", "9000")
    limit(mount / "memory/docker/abc", "memory.limit_in_bytes", "4000")
    limit(mount / "cpu", "cpu.cfs_quota_us", "-1")
    limit(mount / "cpu", "cpu.cfs_period_us", "100000")
    limit(mount / "cpu/docker/abc", "cpu.cfs_quota_us", "50000")
    limit(mount / "cpu/docker/abc", "cpu.cfs_period_us", "100000")
    (tmp_path / "groups").write_text(f"{groups}\n")
    assert memory_limits(tmp_path / "groups", mount) == memory
    assert core_limits(tmp_path / "groups", mount) == cores
    assert memory_limits(tmp_path / "missing", mount) == core_limits(tmp_path / "missing", mount) == []


def test_the_smallest_limit_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_limits, "memory_limits", lambda: [2**62, 12_345])
    monkeypatch.setattr(machine_limits, "core_limits", lambda: [4096.0, 0.5])
    assert usable_memory() == 12_345
    assert usable_cores() == 1
    monkeypatch.setattr(machine_limits, "core_limits", lambda: [4096.0])
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("cores", "chosen", "threads"), [([1.5], None, "2"), ([1.5], "7", "7"), ([], None, None)], ids=str
)
def test_as_many_threads_as_the_container_has_cores(
    cores: list[float], chosen: str | None, threads: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(64)), raising=False)
    monkeypatch.setattr(machine_limits, "core_limits", lambda: cores)
    monkeypatch.setenv("OMP_NUM_THREADS", chosen or "")
    if chosen is None:
        monkeypatch.delenv("OMP_NUM_THREADS")
    limit_threads()
    assert os.environ.get("OMP_NUM_THREADS") == threads
