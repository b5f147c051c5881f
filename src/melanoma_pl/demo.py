"""`make demo`: a training on synthetic images, and the commands to type next."""

import sys

from melanoma_pl.config.app import OK, run_command
from melanoma_pl.messages import format_table
from melanoma_pl.runs import OUTPUTS, all_runs
from melanoma_pl.train import command

EXPERIMENT = "experiment=demo"


def main() -> None:
    """Train the demo and print the commands to type next."""
    sys.exit(run_command(demo))


def demo(arguments: list[str]) -> int:
    """Run the experiment; the arguments are further overrides."""
    code = command([EXPERIMENT, *arguments])
    if code == OK:
        print(next_steps())
    return code


def next_steps() -> str:
    """Return the folder of the newest demo run, its AUROC, and the commands to type next."""
    run = next(all_runs(OUTPUTS / "demo"))
    figures = run.read()["figures"]
    image = min(OUTPUTS.glob("synthetic/*/test/malignant/*"))
    commands = [
        ("  read its report", f"{run.folder}/report/report.html"),
        ("  watch its curves", "tensorboard --logdir outputs"),
        ("  predict an image", f"melanoma-predict --run {run.folder} {image}"),
        ("  train on your own", "melanoma-train experiment=baseline data=folder data.root=<with train/ and test/>"),
    ]
    lines = [
        "",
        f"The run is in {run.folder}",
        f"It reached an AUROC of {figures['test/auroc']:.3f} on {figures['test/n']} synthetic test images "
        "(0.5 is chance level, 1 is perfect).",
        "",
        "Next (in this environment: source .venv/bin/activate):",
    ]
    return "\n".join([*lines, *format_table(commands, "<")])


if __name__ == "__main__":
    main()
