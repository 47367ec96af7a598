"""Limits of control groups, nested as Slurm, systemd and containers nest them: trees of files as
the systems show them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pulsar_dask.engine.memory import group_limit

GB = 10**9


def system(root: Path, cgroup: str, mounts: list[str], limits: dict[str, str]) -> str:
    """A root folder with the files that tell of control groups."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(cgroup)
    lines = ["22 1 254:0 / / rw - ext4 /dev/vda rw", *mounts]
    (root / "proc/self/mountinfo").write_text("".join(f"{line}\n" for line in lines))
    for name, text in limits.items():
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return str(root)


def v2(shown: str = "/", place: str = "/sys/fs/cgroup") -> str:
    return f"30 23 0:26 {shown} {place} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"


def v1(shown: str = "/", place: str = "/sys/fs/cgroup/memory", what: str = "memory") -> str:
    return f"35 31 0:32 {shown} {place} rw,relatime - cgroup cgroup rw,{what}"


NESTED = {
    "/sys/fs/cgroup/user.slice/memory.max": str(8 * GB),
    "/sys/fs/cgroup/user.slice/memory.high": "max",
    "/sys/fs/cgroup/user.slice/job.scope/memory.max": "max",
    "/sys/fs/cgroup/user.slice/job.scope/memory.high": "max",
    "/sys/fs/cgroup/other.slice/memory.max": str(1 * GB),
}
SLURM = {
    "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
    "/sys/fs/cgroup/memory/slurm/memory.limit_in_bytes": str(64 * GB),
    "/sys/fs/cgroup/memory/slurm/job_7/memory.limit_in_bytes": str(3 * GB),
    "/sys/fs/cgroup/memory/slurm/job_7/step_0/memory.limit_in_bytes": "9223372036854771712",
}


@pytest.mark.parametrize(
    ("cgroup", "mounts", "limits", "limit"),
    [
        # a group's own limit, that of one above it, that at which it is slowed down
        ("0::/user.slice/job.scope\n", [v2()], NESTED, 8 * GB),
        (
            "0::/user.slice/job.scope\n",
            [v2()],
            NESTED | {"/sys/fs/cgroup/user.slice/job.scope/memory.max": str(2 * GB)},
            2 * GB,
        ),
        (
            "0::/user.slice/job.scope\n",
            [v2()],
            NESTED | {"/sys/fs/cgroup/user.slice/job.scope/memory.high": str(GB)},
            GB,
        ),
        # of the first version, among others; memory with another controller
        ("5:cpu:/slurm\n4:memory:/slurm/job_7/step_0\n0::/\n", [v1(), v2()], SLURM, 3 * GB),
        (
            "4:cpuset,memory:/slurm/job_7\n",
            [v1("/", "/sys/fs/cgroup/memory", "cpuset,memory")],
            SLURM,
            3 * GB,
        ),
        # a container: its group is the root that it sees
        ("0::/\n", [v2()], {"/sys/fs/cgroup/memory.max": str(GB)}, GB),
        # one that sees only its own part of the first version's hierarchy
        (
            "4:memory:/docker/abc/inner\n",
            [v1("/docker/abc")],
            {
                "/sys/fs/cgroup/memory/memory.limit_in_bytes": str(5 * GB),
                "/sys/fs/cgroup/memory/inner/memory.limit_in_bytes": str(4 * GB),
            },
            4 * GB,
        ),
        # one whose group lies outside of what it sees
        ("0::/../../elsewhere\n", [v2()], {"/sys/fs/cgroup/memory.max": str(GB)}, GB),
        # a mount elsewhere, with a blank in its name
        (
            "0::/a\n",
            [v2("/", r"/mnt/my\040groups")],
            {"/mnt/my groups/a/memory.max": str(GB)},
            GB,
        ),
        # no limit, no group, no such system
        ("0::/a\n", [v2()], {"/sys/fs/cgroup/a/memory.max": "max"}, None),
        ("0::/a\n", [v2()], {}, None),
        ("", [], {}, None),
    ],
)
def test_the_smallest_limit_counts(tmp_path, cgroup, mounts, limits, limit):
    assert group_limit(system(tmp_path, cgroup, mounts, limits)) == limit


def test_where_there_are_no_such_files(tmp_path):
    assert group_limit(str(tmp_path)) is None


@pytest.mark.skipif(sys.platform != "linux", reason="control groups are Linux's")
def test_this_process():
    """Against the files of its own group, found by its name alone."""
    texts = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "memory":
            texts.append(Path(f"/sys/fs/cgroup/memory{path}/memory.limit_in_bytes"))
        elif not controllers:
            texts.append(Path(f"/sys/fs/cgroup{path}/memory.max"))
    known = [int(text) for p in texts if p.exists() and (text := p.read_text().strip()) != "max"]
    if not known:
        pytest.skip("this process has no limit of its own")
    found = group_limit()
    assert found is not None
    assert found <= min(known)
