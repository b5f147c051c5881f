"""Stop trainings of two processes, and jobs of SLURM, at random moments, and compare them with undisturbed ones.

python -m benchmarks.endurance_cluster ddp --kills 10
python -m benchmarks.endurance_cluster slurm --kills 10

`ddp` trains with `trainer=ddp trainer.devices=2`. Half of the strikes are a SIGTERM to one of both processes, which has
to end both of them; the others are a SIGKILL to both. The run is resumed until it has finished. `slurm` starts
munged, slurmctld and slurmd on this machine, which needs root, and submits scripts/train.sbatch; the job is preempted
by another one, warned by SIGUSR1, or queued again by `scontrol requeue`, and SLURM itself starts it again. A strike is
survived if weights, optimizer, figures of every epoch except times, and predictions are those of the undisturbed
training, bit by bit. For Linux.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

from tests.integration.slurm_server import Slurm, cluster

from benchmarks.endurance import TRAINING, NotSurvivedError, results
from benchmarks.machine import describe
from melanoma_pl.runs.run_folder import RECORD

WORDS = [*TRAINING, "trainer.max_epochs=60"]
TWO = ["trainer=ddp", "trainer.devices=2", "data.batch_size=4"]
LONGEST = 120  # seconds after which a training is taken to hang
MOST_STRIKES = 3  # of one training
ENDED = ("COMPLETED", "FAILED")
SCRIPT = Path(__file__).parents[1] / "scripts/train.sbatch"


def is_finished(run: Path) -> bool:
    return (run / RECORD).is_file() and bool(json.loads((run / RECORD).read_text(encoding="utf-8"))["finished"])


def compare(run: Path, whole: Path) -> None:
    """Compare two finished runs.

    Raises:
        NotSurvivedError: If anything differs.
    """
    expected = results(whole)
    if changed := [name for name, value in results(run).items() if value != expected[name]]:
        raise NotSurvivedError(f"{run}: {', '.join(changed)} differ")


def start(run: Path, words: list[str]) -> "subprocess.Popen[str]":
    """Start a training of two processes, or go on with it."""
    arguments = [f"resume={run}"] if (run / RECORD).is_file() else [*words, *TWO, f"hydra.run.dir={run}"]
    return subprocess.Popen(
        [sys.executable, "-m", "melanoma_pl.train", *arguments], start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def end(process: "subprocess.Popen[str]") -> str:
    """Wait for both processes, and return what they printed.

    Raises:
        NotSurvivedError: If they hang.
    """
    try:
        return process.communicate(timeout=LONGEST)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise NotSurvivedError(f"it hangs:\n{process.communicate()[0]}") from None


def ranks(process: int) -> list[int]:
    """Return the numbers of a training's processes: the first one and those that it has started."""
    started = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii").split()
    return [process, *map(int, started)]


def strike(process: "subprocess.Popen[str]", generator: random.Random) -> None:
    if process.poll() is not None:
        return
    if generator.random() < 0.5:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        os.kill(generator.choice(ranks(process.pid)), signal.SIGTERM)


def count_survived(kills: int, struck: Callable[[int, int], Iterator[None]]) -> tuple[int, int]:
    """Strike one training after another until there were enough strikes.

    Args:
        kills: Number of strikes.
        struck: Makes a training from its number and the number of strikes that are left, and yields at each strike that
            has hit it; raises `NotSurvivedError` if it did not survive them.

    Returns:
        How many strikes were survived, and how many there were: a training that breaks without one counts as one.
    """
    tried = survived = 0
    for number in count():
        if tried >= kills:
            break
        strikes = 0
        try:
            for _ in struck(number, kills - tried):
                strikes += 1
            survived += strikes
        except NotSurvivedError as error:
            print(error, file=sys.stderr)
            strikes = max(strikes, 1)
        tried += strikes
    return survived, tried


def endure_ddp(work: Path, words: list[str], kills: int, generator: random.Random) -> tuple[int, int]:
    """Return how many strikes were survived, and how many there were."""
    whole = work / "whole"
    began = time.monotonic()
    end(start(whole, words))
    seconds = time.monotonic() - began
    print(f"an undisturbed training of two processes takes {seconds:.0f} s", flush=True)

    def struck(number: int, left: int) -> Iterator[None]:
        run, strikes = work / f"{number}", 0
        while not is_finished(run):
            process, may_strike = start(run, words), strikes < min(MOST_STRIKES, left)
            if may_strike:
                time.sleep(generator.uniform(0.2, 1) * seconds)
                strike(process, generator)
            told = end(process)
            if process.returncode != 0:
                if not may_strike:
                    raise NotSurvivedError(told)
                strikes += 1
                yield
        compare(run, whole)

    return count_survived(kills, struck)


def endure_slurm(work: Path, words: list[str], kills: int, generator: random.Random) -> tuple[int, int]:
    """Return how many strikes were survived, and how many there were."""
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder, cluster(Path(folder)) as slurm:

        def submit(name: str) -> str:
            options = ["--parsable", f"--chdir={work}", "--cpus-per-task=2"]
            return slurm.ask("sbatch", *options, str(SCRIPT), name, *words)

        began = time.monotonic()
        slurm.wait_for(submit("whole"))
        seconds = time.monotonic() - began
        print(f"an undisturbed job takes {seconds:.0f} s", flush=True)

        def struck(number: int, left: int) -> Iterator[None]:
            job = submit(f"hit{number}")
            for _ in range(min(MOST_STRIKES, left)):
                if strike_job(slurm, job, seconds, generator):
                    yield
            if (state := slurm.wait_for(job)["JobState"]) != "COMPLETED":
                raise NotSurvivedError(f"{state}: {(work / f'melanoma-{job}.out').read_text(encoding='utf-8')}")
            compare(work / f"outputs/hit{number}", work / "outputs/whole")

        return count_survived(kills, struck)


def strike_job(slurm: Slurm, job: str, seconds: float, generator: random.Random) -> bool:
    """Stop a job at a random moment of its next run; return whether SLURM has queued it again."""

    def state(key: str) -> str:
        return slurm.state(job)[key]

    restarts = state("Restarts")
    slurm.wait("a job that starts", lambda: state("JobState") != "PENDING")
    time.sleep(generator.uniform(0, 1) * seconds)
    if state("JobState") != "RUNNING":
        return False
    kind = generator.choice(("preempt", "warn", "requeue"))
    if kind == "preempt":
        slurm.ask("sbatch", "--partition=high", "--cpus-per-task=4", "--wrap=sleep 1")
    elif kind == "warn":
        slurm.ask("scancel", "--signal=USR1", job)
    else:
        slurm.ask("scontrol", "requeue", job)
    slurm.wait("a job that has answered", lambda: state("Restarts") != restarts or state("JobState") in ENDED)
    return state("Restarts") != restarts


def main() -> int:
    parsing = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parsing.add_argument("kind", choices=("ddp", "slurm"))
    parsing.add_argument("--kills", type=int, default=10)
    parsing.add_argument("--seed", type=int, default=0)
    chosen = parsing.parse_args()
    work = Path(tempfile.mkdtemp(prefix="endurance-"))
    words = [*WORDS, f"data.synthetic.folder={work / 'images'}"]
    generator = random.Random(f"{chosen.seed} {chosen.kind}")
    print(describe(), flush=True)
    survived, tried = {"ddp": endure_ddp, "slurm": endure_slurm}[chosen.kind](work, words, chosen.kills, generator)
    print(f"{chosen.kind}: {survived}/{tried} survived")
    return int(survived < tried)


if __name__ == "__main__":
    sys.exit(main())
