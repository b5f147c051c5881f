"""The processes of a training on several devices, started by Lightning, torchrun or SLURM. Light."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from tempfile import TemporaryDirectory

from melanoma_pl.errors import UserError
from melanoma_pl.messages import literal

RUN_FOLDER = "hydra.run.dir="
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
    if is_main_process():
        yield list(arguments)
    elif any(argument.startswith(RUN_FOLDER) for argument in arguments):
        yield [*arguments, *QUIET]
    else:
        with TemporaryDirectory() as folder:
            yield [*arguments, *QUIET, f"{RUN_FOLDER}{literal(folder)}"]
