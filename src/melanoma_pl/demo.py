"""`make demo`: the main job on synthetic images, and what to type next."""

import sys

from melanoma_pl.config.app import OK, run_command
from melanoma_pl.runs import OUTPUTS, all_runs
from melanoma_pl.train import command

EXPERIMENT = "experiment=demo"


def main() -> None:
    """Train the demo and print the next three things to type."""
    sys.exit(run_command(demo))


def demo(arguments: list[str]) -> int:
    """Run the experiment; further arguments are overrides."""
    code = command([EXPERIMENT, *arguments])
    if code == OK:
        print(next_steps())
    return code


def next_steps() -> str:
    """Return where the newest demo run is, what it reached, and what to type next."""
    run = next(all_runs(OUTPUTS / "demo"))
    record = run.read()
    figures = record["figures"]
    image = next(iter(sorted(OUTPUTS.glob("synthetic/*/test/malignant/*"))))
    commands = {
        "read what it is worth": f"{run.folder}/report/report.html",
        "watch its curves": "tensorboard --logdir outputs",
        "predict an image": f"melanoma-predict --run {run.folder} {image}",
        "your own images": "melanoma-train experiment=baseline data=folder data.root=<folder with train/ and test/>",
    }
    width = max(len(title) for title in commands)
    return "\n".join(
        [
            "",
            f"The run is in {run.folder}",
            f"It reached an AUROC of {figures['test/auroc']:.3f} on {figures['test/n']} synthetic test images "
            "(0.5 is guessing, 1 is perfect).",
            "",
            "Next (in this environment: source .venv/bin/activate):",
            *(f"  {title:<{width}}  {command}" for title, command in commands.items()),
        ]
    )


if __name__ == "__main__":
    main()
