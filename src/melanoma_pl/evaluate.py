"""`melanoma-evaluate`: what a run's checkpoint is worth, as a Hydra app."""

import logging
import shlex
import sys
import time
from typing import Any

from omegaconf import DictConfig, OmegaConf

from melanoma_pl.config.app import OK, conf_dir, run_command, run_hydra, wants_help
from melanoma_pl.config.schema import EvaluateSettings, check_image_paths, check_settings
from melanoma_pl.errors import UserError
from melanoma_pl.report.request import check_output, make_request, refuse_twice

logger = logging.getLogger(__name__)

HELP = """\
melanoma-evaluate says what a run's checkpoint is worth on one split of its images, or on other images: a page, figures,
numbers with intervals, each image's prediction, a model card. Research software, not a medical device.

Usage: melanoma-evaluate run=<run folder> [split=test|validation] [key=value] …

Examples:
  melanoma-evaluate run=outputs/baseline/<run>                     on the run's test images
  melanoma-evaluate run=outputs/baseline/<run> split=validation
  melanoma-evaluate run=outputs/baseline/<run> data.root=other     on another set's test images
  melanoma-evaluate run=outputs/baseline/<run> prevalence=0.02 'subgroups=[age,sex,site]' robustness=true
  melanoma-evaluate run=outputs/baseline/<run> tta=dihedral        as the mean of each image's eight flips and turns
  melanoma-evaluate 'run=[<run>,<run>,<run>]' combine=rank         several networks that judge together
  melanoma-evaluate run=outputs/baseline/<run> checkpoint=last

Every key with its allowed values: {conf}/evaluate.yaml
"""


def main() -> None:
    """Run the command."""
    sys.exit(run_command(command))


def command(arguments: list[str]) -> int:
    """Evaluate one run, or several that judge together, on one split."""
    if wants_help(arguments):
        print(HELP.format(conf=conf_dir()))
        return OK
    check_arguments(arguments)
    run_hydra("evaluate", job, arguments)
    return OK


def check_arguments(arguments: list[str]) -> None:
    """Refuse what looks like another command's options.

    Raises:
        UserError: If something is no `key=value`, or a sweep is asked for.
    """
    for argument in arguments:
        if argument in ("-m", "--multirun"):
            raise UserError(
                "melanoma-evaluate has no sweeps (-m)",
                "name several runs to judge together, run=[<run>,<run>], or loop",
            )
        if argument.startswith("--run") or not (argument.startswith("-") or "=" in argument or argument == "job"):
            raise UserError(f"{argument} is no key=value", "write run=<run folder>")


def job(config: DictConfig) -> None:
    """Evaluate; Hydra calls it."""
    values: dict[str, Any] = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)  # type: ignore[assignment]
    settings: EvaluateSettings = check_settings(EvaluateSettings, values)
    requests = [make_request(folder, settings) for folder in settings.run]
    refuse_twice(requests)
    for request in requests:
        check_image_paths(request.evaluated.data, ["test" if settings.split == "test" else "train"])
    check_output(settings.output)
    from melanoma_pl.report.pipeline import evaluate  # PyTorch takes seconds: only once all else is right

    began = time.perf_counter()
    report = evaluate(requests, settings, shlex.join(["melanoma-evaluate", *sys.argv[1:]]))
    seconds = time.perf_counter() - began
    logger.info("%s\n\nreport  %s  (%.1f s after start-up)", report.text, report.folder / "report.html", seconds)


if __name__ == "__main__":
    main()
