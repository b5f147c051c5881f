"""Kill trainings, fill their disk and cut their power at random moments, and compare them with an undisturbed one.

python -m benchmarks.endurance --kills 40
python -m benchmarks.endurance --kinds full,power --kills 100 --seed 3
python -m benchmarks.endurance --kinds grid,search --kills 20
python -m benchmarks.endurance --kinds kill,term trainer.precision=bf16-mixed    # overrides of every training

Each try is a whole `melanoma-train` on 48 drawn images, struck at a random moment, resumed, perhaps struck again, until
it has finished. It survives if every strike ended as it should, and if weights, optimizer, decision, figures of every
epoch except times, and predictions are those of the undisturbed training, bit by bit. A sweep, a grid of four jobs or a
search by Optuna with four trials and pruning, is killed likewise, and continued by the same command or by `resume=`. It
survives if its summary, on the terminal and in `summary.csv`, is that of the undisturbed sweep. The trainings are
forked from a process that has already imported PyTorch, so that each takes a second. For Linux.
"""

import argparse
import csv
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from threading import RLock, Timer
from typing import Any

import torch
from tqdm import tqdm

from benchmarks.machine import describe
from benchmarks.power_cut import FlushNotes, cut_power
from melanoma_pl import train
from melanoma_pl.config import app
from melanoma_pl.runs.run_folder import BEST, LAST, METRICS, RECORD

# kind of strike → its name, its signal, and the exit code that follows
KINDS = {
    "kill": ("SIGKILL", signal.SIGKILL, -signal.SIGKILL),
    "term": ("SIGTERM", signal.SIGTERM, 143),
    "int": ("SIGINT", signal.SIGINT, 130),
    "full": ("full disk", None, app.MISUSED),
    "power": ("power cut", signal.SIGKILL, -signal.SIGKILL),
    "grid": ("SIGKILL of a grid", signal.SIGKILL, -signal.SIGKILL),
    "search": ("SIGKILL of a search", signal.SIGKILL, -signal.SIGKILL),
}
TRAINING = [
    "data.image_size=32", "data.batch_size=8", "data.synthetic.train=40", "data.synthetic.test=8",
    "model.channels=[4,4,4]", "model.hidden=8", "augmentation=dermoscopy", "scheduler=one_cycle", "optimizer.lr=0.003",
    "trainer.accelerator=cpu", "trainer.max_epochs=4", "checkpoint.every_n_steps=2", "report=numbers",
    "callbacks.training_images=null", "callbacks.worst_mistakes=null", "callbacks.curves=null", "callbacks.graph=null",
]  # fmt: skip
SWEEPS = {  # kind of strike → the sweep that SIGKILL hits
    "grid": ["optimizer.lr=0.001,0.003", "seed=1,2", "trainer.max_epochs=1"],
    "search": [
        "sweep=optuna", "hydra.sweeper.n_trials=4", "trainer.max_epochs=2",
        "hydra.sweeper.pruner=median", "hydra.sweeper.startup_trials=1", "hydra.sweeper.warmup_epochs=0",
    ],
}  # fmt: skip
TABLE = "\nval/auroc: mean"  # begins the summary on the terminal
TIMES = {"train/seconds", "train/images_per_second"}
LARGEST = (0, 1000, 10_000, 40_000)  # bytes to which files can grow on a full disk; a checkpoint has 60,000
AGAIN, SWEEP_AGAIN = 0.4, 0.8  # probabilities that a resumed training, or a continued sweep, is struck again
LONGEST = 120  # seconds after which a training is taken to hang
CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(
    ["melanoma_pl.training.fit", "melanoma_pl.report.pipeline", "lightning.pytorch.loggers", "optuna"]
)


class NotSurvivedError(Exception):
    """What a strike broke."""


class Training:
    """A `melanoma-train` in a process of its own.

    Args:
        run: Its run folder; the folder above is its working folder.
        words: Its arguments.
        notes: Folder for the notes of what was flushed, or None.
    """

    def __init__(self, run: Path, words: Sequence[str], notes: Path | None = None) -> None:
        self._output, output = CONTEXT.Pipe(duplex=False)
        self.process = CONTEXT.Process(target=_train, args=(run, words, output, notes))
        self.process.start()
        output.close()
        os.read(self._output.fileno(), 1)  # from now on signals are handled

    def strike(self, kind: str, generator: random.Random) -> None:
        """Send the signal, or let no file grow any further."""
        process, number = self.process.pid or 0, KINDS[kind][1]
        with suppress(ProcessLookupError):  # it has already ended
            if number is not None:
                os.kill(process, number)
            else:
                import resource  # Windows lacks it

                resource.prlimit(process, resource.RLIMIT_FSIZE, (generator.choice(LARGEST), resource.RLIM_INFINITY))

    def end(self) -> tuple[int | None, str]:
        """Wait for the end; return exit code and output."""
        watch = Timer(LONGEST, self.process.kill)
        watch.start()
        with open(self._output.fileno(), encoding="utf-8", closefd=False) as file:
            output = file.read()
        self.process.join()
        watch.cancel()
        return self.process.exitcode, output


def _train(run: Path, words: Sequence[str], output: Connection, notes: Path | None) -> None:
    os.chdir(run.parent)
    for stream in (1, 2):
        os.dup2(output.fileno(), stream)
    output.close()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job in the background ignores it
    tqdm.set_lock(RLock())  # a killed process could not remove tqdm's own, which is for several processes
    if notes is not None:
        FlushNotes(notes).install(run)

    def command(arguments: list[str]) -> int:
        os.write(1, b"\n")
        return train.command(arguments)

    sys.argv = ["melanoma-train", *words]
    code = app.run_command(command)
    sys.stdout.flush()
    os._exit(code)


def inspect(kind: str, run: Path, code: int | None, output: str) -> None:
    """Check how a strike ended, and what it left.

    Raises:
        NotSurvivedError: If exit code or output are wrong, a checkpoint cannot be read, or an unfinished file stays.
    """
    if code != KINDS[kind][2]:
        raise NotSurvivedError(f"exit code {code} instead of {KINDS[kind][2]}:\n{output}")
    errors = [line for line in output.splitlines() if line.startswith("error: ")]
    if "Traceback" in output or len(errors) != (kind == "full"):
        raise NotSurvivedError(f"more than a line of error:\n{output}")
    for checkpoint in run.glob("checkpoints/*.ckpt"):
        torch.load(checkpoint, weights_only=True)
    if kind not in ("kill", "power") and any(run.rglob("*.part")):
        raise NotSurvivedError(f"an unfinished file stayed:\n{output}")


def results(run: Path) -> dict[str, Any]:
    """Return what must not differ in the last bit: weights, optimizer, decision, figures except times, predictions."""
    found: dict[str, Any] = {"figures": json.loads((run / RECORD).read_text(encoding="utf-8"))["figures"]}
    for name in (BEST, LAST):
        checkpoint = torch.load(run / "checkpoints" / name, weights_only=True)
        parts = ("state_dict", "optimizer_states", "lr_schedulers", "melanoma_pl", "global_step")
        found[name] = bits_of([checkpoint[part] for part in parts])
    with (run / METRICS).open(encoding="utf-8") as file:
        found["epochs"] = [{key: row[key] for key in row if key not in TIMES} for row in csv.DictReader(file)]
    for split in ("validation", "test"):
        metrics = json.loads((run / "report" / split / "metrics.json").read_text(encoding="utf-8"))
        predictions = (run / "report" / split / "predictions.csv").read_text(encoding="utf-8")
        found[split] = [metrics["rows"], metrics["threshold"], metrics["temperature"], predictions]
    return found


def bits_of(value: Any) -> Any:
    """Return a nested value with each tensor as its bytes."""
    if isinstance(value, torch.Tensor):
        return str(value.dtype), tuple(value.shape), value.numpy(force=True).tobytes()
    if isinstance(value, dict):
        return {key: bits_of(each) for key, each in value.items()}
    return [bits_of(each) for each in value] if isinstance(value, list | tuple) else value


def endure(
    kind: str, run: Path, words: Sequence[str], whole: dict[str, Any], seconds: float, generator: random.Random
) -> int:
    """Strike and resume one training until it has finished, and compare it with the undisturbed one.

    Returns:
        The number of strikes that hit; 0 if it finished before.

    Raises:
        NotSurvivedError: If one of them broke something.
    """
    strikes = 0
    while True:
        has_record = (run / RECORD).is_file()
        if has_record and json.loads((run / RECORD).read_text(encoding="utf-8"))["finished"]:
            break
        notes = Path(tempfile.mkdtemp(dir=run.parent)) if kind == "power" else None
        training = Training(run, [f"resume={run}"] if has_record else [*words, f"hydra.run.dir={run}"], notes)
        is_struck = strikes == 0 or generator.random() < AGAIN
        if is_struck:
            time.sleep(generator.uniform(0, seconds))
            training.strike(kind, generator)
        code, output = training.end()
        if code != 0 and not is_struck:
            raise NotSurvivedError(f"resumed, it ended with exit code {code}:\n{output}")
        if is_struck and notes is not None:
            cut_power(run, notes, generator)
        if code != 0:
            inspect(kind, run, code, output)
        strikes += code != 0 or (is_struck and notes is not None)
    if changed := [name for name, value in results(run).items() if value != whole[name]]:
        raise NotSurvivedError(f"{', '.join(changed)} differ")
    return strikes


def sweep_results(folder: Path, output: str) -> dict[str, str]:
    """Return the summary of a sweep that has finished: its file, and what its command printed."""
    return {"summary.csv": (folder / "summary.csv").read_text(encoding="utf-8"), "table": output.partition(TABLE)[2]}


def endure_sweep(
    kind: str, folder: Path, words: Sequence[str], whole: dict[str, str], seconds: float, generator: random.Random
) -> int:
    """Kill and continue one sweep until it has finished, and compare it with the undisturbed one; as `endure`."""
    strikes = 0
    while True:
        is_noted = (folder / "sweep.json").is_file()
        is_continued = is_noted and generator.random() < 0.5
        training = Training(folder, ["-m", f"resume={folder.name}"] if is_continued else words)
        if strikes == 0 or generator.random() < SWEEP_AGAIN:
            time.sleep(generator.uniform(0, seconds))
            training.strike(kind, generator)
        code, output = training.end()
        if code == 0:
            break
        inspect(kind, folder, code, output)
        strikes += 1
    if changed := [name for name, value in sweep_results(folder, output).items() if value != whole[name]]:
        raise NotSurvivedError(f"{', '.join(changed)} differ:\n{output}")
    return strikes


def undisturbed(folder: Path, words: Sequence[str]) -> tuple[str, float]:
    """Return the output of an undisturbed command, and its duration in seconds."""
    folder.parent.mkdir()
    began = time.monotonic()
    code, output = Training(folder, words).end()
    if code != 0:
        sys.exit(f"the undisturbed command ended with exit code {code}:\n{output}")
    return output, time.monotonic() - began


def main(arguments: Sequence[str] | None = None) -> int:
    """Strike as often as asked for, print how many strikes of each kind were survived, and return the exit code."""
    parsing = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parsing.add_argument("--kills", type=int, default=20, help="strikes of each kind (default: %(default)s)")
    parsing.add_argument("--seed", type=int, default=0, help="seed of the moments (default: %(default)s)")
    usual = ",".join(kind for kind in KINDS if kind not in SWEEPS)
    parsing.add_argument("--kinds", default=usual, help=f"also {', '.join(SWEEPS)} (default: %(default)s)")
    parsing.add_argument("overrides", nargs="*", metavar="key=value", help="overrides of every training")
    chosen = parsing.parse_args(arguments)
    if unknown := set(chosen.kinds.split(",")) - set(KINDS):
        parsing.error(f"there is no kind {min(unknown)}: available are {', '.join(KINDS)}")
    work = Path(tempfile.mkdtemp(prefix="endurance-"))
    training = [*TRAINING, *chosen.overrides, f"data.synthetic.folder={work / 'images'}"]
    undisturbed(
        work / "drawing/run", [*training, f"hydra.run.dir={work / 'drawing/run'}"]
    )  # later ones find the images
    _, seconds = undisturbed(work / "whole/run", [*training, f"hydra.run.dir={work / 'whole/run'}"])
    whole: dict[str, Any] = results(work / "whole/run")
    print(f"{describe()}; an undisturbed training takes {seconds:.1f} s\n\n{'':<20} survived/tried")
    failed = False
    for kind in chosen.kinds.split(","):
        generator = random.Random(f"{chosen.seed} {kind}")
        words, survive = training, endure
        if kind in SWEEPS:
            words, survive = ["-m", *training, *SWEEPS[kind], "hydra.sweep.dir=run"], endure_sweep
            output, seconds = undisturbed(work / f"whole-{kind}/run", words)
            whole = sweep_results(work / f"whole-{kind}/run", output)
        tried = survived = 0
        while tried < chosen.kills:
            folder = Path(tempfile.mkdtemp(dir=work, prefix=f"{kind}-"))
            try:
                strikes = survive(kind, folder / "run", words, whole, seconds, generator)
                tried, survived = tried + strikes, survived + strikes
                shutil.rmtree(folder)
            except Exception as error:  # whatever it is, the strike was not survived
                tried, failed = tried + 1, True
                print(f"{folder}: {str(error) or repr(error)}", file=sys.stderr)
        print(f"{KINDS[kind][0]:<20} {survived}/{tried}", flush=True)
    if not failed:
        shutil.rmtree(work)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
