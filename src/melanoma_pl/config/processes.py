"""The processes of a training on several devices, started by Lightning, torchrun or SLURM. Light."""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from tempfile import TemporaryDirectory
from typing import Any

from melanoma_pl.errors import RunStopped, UserError
from melanoma_pl.messages import literal

RUN_FOLDER = "hydra.run.dir="
LONGEST = 300.0  # seconds in which the processes must come together
LONGEST_READING = 1800.0  # seconds by which one may read its images faster than another
CPP_LOG = "TORCH_CPP_LOG_LEVEL"  # PyTorch writes many lines about each attempt to connect
QUIET = ["hydra.output_subdir=null", "hydra/job_logging=screen", "hydra.job_logging.root.level=ERROR"]


def is_torchrun() -> bool:
    """Tell whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def is_srun() -> bool:
    """Tell whether SLURM's srun started this process, as one of its tasks.

    A shell in an allocation knows the number of tasks, too, but not its own rank, or SLURM calls the job interactive.
    """
    is_interactive = os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive")
    return not is_torchrun() and not is_interactive and {"SLURM_PROCID", "SLURM_NTASKS"} <= os.environ.keys()


def is_one_of_several() -> bool:
    """Tell whether torchrun or srun started further processes of this training, possibly on other machines."""
    if is_torchrun():
        return int(os.environ["WORLD_SIZE"]) > 1
    # a batch script sees its number of tasks, too, but is no step of the job
    return is_srun() and "SLURM_STEP_ID" in os.environ and int(os.environ["SLURM_NTASKS"]) > 1


def is_main_process() -> bool:
    """Tell whether this process writes the run's files; with several devices the others only compute."""
    if "RANK" in os.environ:
        return int(os.environ["RANK"]) == 0
    if "LOCAL_RANK" not in os.environ and is_srun():
        return int(os.environ["SLURM_PROCID"]) == 0
    return all(int(os.environ.get(name, "0")) == 0 for name in ("LOCAL_RANK", "NODE_RANK"))


def check_processes(devices: int, nodes: int = 1) -> None:
    """Refuse another number of processes than the trainer expects: it would wait for them, or train several times.

    Args:
        devices: `trainer.devices`.
        nodes: `trainer.num_nodes`.

    Raises:
        UserError: If torchrun or srun started another number, or nothing starts the processes of other machines.
    """
    if is_torchrun():
        program, started = "torchrun", int(os.environ["WORLD_SIZE"])
    elif is_srun():
        program, started = "srun", int(os.environ["SLURM_NTASKS"])
        if devices * nodes == 1 and is_main_process() and "SLURM_STEP_ID" not in os.environ:
            return  # a batch script that starts one process without srun
    else:
        if nodes > 1 and "MASTER_ADDR" not in os.environ:
            raise UserError(
                f"trainer.num_nodes={nodes} would wait for machines that nobody starts",
                "start it with torchrun or srun, or set MASTER_ADDR, MASTER_PORT and NODE_RANK on each machine",
            )
        return
    if started != devices * nodes:
        wanted = f"trainer.devices={devices}" + (f" and trainer.num_nodes={nodes}" if nodes > 1 else "")
        raise UserError(
            f"{program} started {started} processes, but {wanted} needs {devices * nodes}",
            f"on one machine take trainer.devices={started} +trainer.strategy=ddp; on several, trainer.devices is the "
            "number of processes of each, and +trainer.num_nodes that of the machines",
        )


@contextmanager
def rank_arguments(arguments: Sequence[str]) -> Iterator[list[str]]:
    """Give the arguments of Hydra for this process.

    The main process alone makes the run's folder, which has the time in its name. The others, if they do not know it,
    work in a temporary folder, to which they write nothing that lasts, and show nothing but errors.
    """
    if is_one_of_several():
        os.environ.setdefault(CPP_LOG, "ERROR")
    if is_main_process():
        yield list(arguments)
    elif any(argument.startswith(RUN_FOLDER) for argument in arguments):
        yield [*arguments, *QUIET]
    else:
        with TemporaryDirectory() as folder:
            yield [*arguments, *QUIET, f"{RUN_FOLDER}{literal(folder)}"]


class Meeting:
    """Texts that the processes of torchrun or srun tell each other before the training begins.

    A mistake at one of them ends all of them, and the first one tells it: otherwise the others would wait for the
    missing one, or each would tell the same. Nothing is exchanged once the training has begun, or where one process
    starts the others.

    Args:
        seconds: How long to wait for the others.
    """

    def __init__(self, seconds: float = LONGEST) -> None:
        self.seconds = seconds
        self.is_open = True
        self._start = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")  # torchrun's store outlives a restart
        self._round = 0
        self._store: Any = None

    def compare(self, what: str, values: Mapping[str, Any], way_out: str) -> None:
        """Compare values that must be the same at all processes.

        Args:
            what: What they are, such as `settings`.
            values: Plain values by name.
            way_out: What to do if they differ.

        Raises:
            UserError: If they differ, or another process has met a mistake, or does not come. Its message is empty at
                all processes but the first one.
        """
        if not (self.is_open and is_one_of_several()):
            return
        texts = self._exchange({"values": dict(values)})
        for rank, told in enumerate(texts):
            if "mistake" in told:
                self._end(f"process {rank}: {told['mistake']}")
        first = texts[0]["values"]
        for rank, told in enumerate(texts):
            own = told["values"]
            for name in {**first, **own}:
                if first.get(name) != own.get(name):
                    values_of = f"{name}={first.get(name)} at process 0, {own.get(name)} at process {rank}"
                    self._end(f"the processes have different {what}: {values_of}: {way_out}")

    def tell(self, mistake: str) -> bool:
        """Tell a mistake of this process, once; return False if this process should print it as a single one does."""
        if not (self.is_open and is_one_of_several()):
            return False
        if is_main_process():
            print(f"error: {mistake}", file=sys.stderr, flush=True)
        with suppress(UserError):
            texts = self._exchange({"mistake": mistake})
            first = next((rank, told["mistake"]) for rank, told in enumerate(texts) if "mistake" in told)
            self._end(f"process {first[0]}: {first[1]}", is_printed=True)
        return True

    def leave(self, reason: str) -> None:
        """Tell the others, who need not answer, that this process ends: they would wait for it."""
        if not self.is_open or self._store is None:
            return
        self.close()
        rank, _, _ = ranks()
        with suppress(RuntimeError, ValueError, OSError):
            self._store.set(self._key(*(("told", 0) if rank == 0 else ("knows", rank))), "")
            self._store.set(self._key(self._round + 1, rank), json.dumps({"mistake": reason}))

    def close(self) -> None:
        """Exchange nothing more: the training begins."""
        self.is_open = False

    def _exchange(self, own: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return what each process tells, by rank."""
        rank, world, _ = ranks()
        self._round += 1
        try:
            store = self._join()
            store.set(self._key(self._round, rank), json.dumps(own))
            return [json.loads(store.get(self._key(self._round, other))) for other in range(world)]
        except (RuntimeError, ValueError, OSError) as error:  # of PyTorch's store
            self.close()
            if not is_main_process() or "mistake" in own:
                raise UserError("") from error
            where = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
            raise UserError(
                f"not all {world} processes have come together at {where} within {self.seconds:.0f} s",
                "MASTER_ADDR and MASTER_PORT must lead every process to the machine of the first one",
            ) from error

    def _key(self, subject: str | int, rank: int) -> str:
        return f"melanoma/{self._start}/{subject}/{rank}"

    def _join(self) -> Any:
        if self._store is None:
            os.environ.setdefault(CPP_LOG, "ERROR")
            from torch.distributed.rendezvous import rendezvous  # PyTorch takes seconds

            rank, world, address = ranks()
            for name, value in zip(("MASTER_ADDR", "MASTER_PORT"), address, strict=True):
                os.environ.setdefault(name, value)
            longest = timedelta(seconds=self.seconds)
            store, _, _ = next(iter(rendezvous("env://", rank, world, timeout=longest)))
            store.set_timeout(timedelta(seconds=LONGEST_READING))
            self._store = store
        return self._store

    def _end(self, mistake: str, *, is_printed: bool = False) -> None:
        """Print a mistake at the first process, wait until all know that, and raise an error without a message.

        A process that ended at once would let torchrun end the first one before it has printed anything.
        """
        self.close()
        rank, world, _ = ranks()
        with suppress(RunStopped, RuntimeError):
            if rank == 0:
                if not is_printed:
                    print(f"error: {mistake}", file=sys.stderr, flush=True)
                self._store.set(self._key("told", 0), "")
                for other in range(1, world):
                    self._store.get(self._key("knows", other))
            else:
                self._store.get(self._key("told", 0))
                self._store.set(self._key("knows", rank), "")
        raise UserError("")


meeting = Meeting()
"""The meeting of this process with the others."""


def ranks() -> tuple[int, int, tuple[str, str]]:
    """Return the rank of this process, the number of processes, and where the first one can be reached: host, port."""
    variables = os.environ
    if is_torchrun():
        address = variables["MASTER_ADDR"], variables["MASTER_PORT"]
        return int(variables["RANK"]), int(variables["WORLD_SIZE"]), address
    from lightning.fabric.plugins.environments.slurm import SLURMEnvironment  # whose rules these are

    nodes = variables.get("SLURM_NODELIST", "127.0.0.1")
    host = variables.get("MASTER_ADDR") or SLURMEnvironment.resolve_root_node_address(nodes)
    port = str(int(variables["SLURM_JOB_ID"][-4:]) + 15000) if "SLURM_JOB_ID" in variables else "12910"
    rank, world = int(variables["SLURM_PROCID"]), int(variables["SLURM_NTASKS"])
    return rank, world, (host, variables.get("MASTER_PORT", port))
