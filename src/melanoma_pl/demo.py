"""`make demo`: a training on synthetic images, and the commands to type next."""

import sys

from melanoma_pl.config.app import OK, run_command
from melanoma_pl.train import command

EXPERIMENT = "experiment=demo"
LABEL_WIDTH = len("! caution")  # the lines continue those of a training on synthetic images


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
    """Return what a newcomer types next, beyond what the training itself proposes."""
    commands = [
        ("your own", "melanoma-train experiment=baseline data=folder data.root=<with train/ and test/>"),
        ("first", "source .venv/bin/activate  # all commands above need it"),
    ]
    return "\n".join(f"{label:{LABEL_WIDTH}}  {command}" for label, command in commands)


if __name__ == "__main__":
    main()
