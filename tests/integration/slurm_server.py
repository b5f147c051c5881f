"""A SLURM cluster of one machine: munged, slurmctld and slurmd, all of whose files lie in one folder."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "squeue")
MISSING = [name for name in PROGRAMS if shutil.which(name) is None]
IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0

MARKS = [
    pytest.mark.slurm,
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"needs SLURM (apt-get install slurm-wlm munge): no {', '.join(MISSING)}"),
    pytest.mark.skipif(not IS_ROOT, reason="only root can start the daemons of SLURM"),
]
"""Marks and helpers of the tests with SLURM."""

# A requeued job waits until its credential has expired, 120 s by default. Of two partitions, the jobs of one make way.
CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
AuthInfo=socket={folder}/munge.socket,cred_expire=10
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SwitchType=switch/none
MpiDefault=none
MailProg=/bin/true
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerParameters=bf_interval=1,sched_interval=1
SlurmdParameters=config_overrides
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=8192
PartitionName=low Nodes={host} Default=YES PriorityTier=1 GraceTime=60
PartitionName=high Nodes={host} PriorityTier=2
"""
COMMAND = "#!{python}\nfrom melanoma_pl.train import main\n\nif __name__ == '__main__':\n    main()\n"
REPOSITORY = Path(__file__).parents[2]


class Slurm:
    """A cluster that runs, with `melanoma-train` among the programs of its jobs.

    Args:
        folder: That of the cluster's files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        programs = folder / "bin"
        programs.mkdir()
        (programs / "melanoma-train").write_text(COMMAND.format(python=sys.executable))
        (programs / "melanoma-train").chmod(0o755)
        self.environment = os.environ | {
            "SLURM_CONF": str(folder / "slurm.conf"),
            "OMP_NUM_THREADS": "1",
            "PATH": os.pathsep.join([str(programs), os.environ.get("PATH", "")]),
            "PYTHONPATH": os.pathsep.join([str(REPOSITORY / "src"), os.environ.get("PYTHONPATH", "")]),
        }

    def run(
        self, *words: str, cwd: Path | None = None, timeout: float = 200, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of SLURM, or one that uses it."""
        return subprocess.run(
            words,
            cwd=cwd or self.folder,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def ask(self, *words: str, **environment: str) -> str:
        """Return the output of a program of SLURM, which must succeed."""
        answer = self.run(*words, **environment)
        assert answer.returncode == 0, answer.stdout + answer.stderr + self.logs()
        return answer.stdout.strip()

    def state(self, job: str) -> dict[str, str]:
        """Return what `scontrol show job` tells about a job, such as `JobState` and `Restarts`."""
        return dict(word.split("=", 1) for word in self.ask("scontrol", "show", "job", job).split() if "=" in word)

    def wait(self, what: str, is_reached: Callable[[], object], seconds: float = 200) -> None:
        """Wait until something is so."""
        end = time.monotonic() + seconds
        while not is_reached():
            assert time.monotonic() < end, f"waited in vain: {what}\n{self.run('squeue').stdout}\n{self.logs()}"
            time.sleep(0.3)

    def wait_for(self, job: str) -> dict[str, str]:
        """Return the state of a job once it has ended and will not start again."""
        ended = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED")
        self.wait(f"the end of job {job}", lambda: self.state(job)["JobState"] in ended)
        return self.state(job)

    def logs(self) -> str:
        """Return the last lines of the daemons."""
        return "\n".join("\n".join(log.read_text().splitlines()[-15:]) for log in self.folder.glob("*.log"))


def free_ports(count: int) -> list[int]:
    """Return ports that no process of this machine uses."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


@contextmanager
def daemon(folder: Path, environment: dict[str, str], *words: str) -> Iterator[None]:
    """Run a daemon in the foreground, and end it."""
    with (folder / f"{words[0]}.log").open("w") as log:
        process = subprocess.Popen(
            words, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def munge_options(folder: Path) -> Sequence[str]:
    """Write a key, and return the options that keep munged's files in a folder."""
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o600)
    files = {"key-file": key, "socket": folder / "munge.socket", "pid-file": folder / "munged.pid"}
    files |= {"log-file": folder / "munge.log", "seed-file": folder / "munge.seed"}
    return ["--foreground", "--force", *(f"--{name}={path}" for name, path in files.items())]


def end_processes(configuration: Path) -> None:
    """Kill whatever still runs with a cluster's configuration, such as the jobs of a daemon that was killed."""
    mark = f"SLURM_CONF={configuration}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (process / "environ").read_bytes().split(b"\0"):
                os.kill(int(process.name), signal.SIGKILL)


@contextmanager
def cluster(folder: Path) -> Iterator[Slurm]:
    """Start a cluster, and leave no process of it or of its jobs.

    Args:
        folder: An empty folder for its files, whose path is short enough for a socket.
    """
    configuration = folder / "slurm.conf"
    for name in ("state", "spool"):
        (folder / name).mkdir()
    configuration.write_text(
        CONFIGURATION.format(folder=folder, host=socket.gethostname().partition(".")[0], ports=free_ports(2))
    )
    slurm = Slurm(folder)
    with ExitStack() as daemons:
        daemons.callback(end_processes, configuration)
        daemons.enter_context(daemon(folder, slurm.environment, "munged", *munge_options(folder)))
        try:
            slurm.wait("munged", (folder / "munge.socket").exists, 20)
            # the node's daemon gives this path to its jobs
            for name in ("slurmctld", "slurmd"):
                daemons.enter_context(daemon(folder, slurm.environment, name, "-D", "-f", str(configuration)))
            slurm.wait("an idle node", lambda: "idle" in slurm.run("sinfo", "-h", "-o", "%T").stdout, 60)
        except AssertionError as error:  # such as in a container without the rights that they need
            pytest.skip(f"the daemons of SLURM do not start here: {error}")
        try:
            yield slurm
        finally:
            slurm.run("scancel", "--user=root")
            with suppress(AssertionError):
                slurm.wait("the end of all jobs", lambda: not slurm.run("squeue", "-h").stdout.strip(), 60)
