"""`melanoma-evaluate` and `evaluate_run`: a run's checkpoint evaluated on one split. Light.

The command is a Hydra app; the function takes the same keys as arguments.
"""

import logging
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from omegaconf import DictConfig, OmegaConf

from melanoma_pl.config.app import OK, end_process, heavy_imports, run_command, run_hydra_with_argv, wants_help
from melanoma_pl.config.composition import conf_dir, quoted_condition, split_arguments
from melanoma_pl.config.schema import EvaluateSettings
from melanoma_pl.errors import UserError
from melanoma_pl.report.request import make_request
from melanoma_pl.specs import validated

if TYPE_CHECKING:
    from melanoma_pl.report.pipeline import Report

logger = logging.getLogger(__name__)

CONFIG = "evaluate"
HELP = """\
melanoma-evaluate evaluates a run's checkpoint on one split of its images, or on other images, and writes a page,
figures, numbers with intervals, the prediction of each image, and a model card.
Research software, not a medical device.

Usage: melanoma-evaluate run=<run folder> [split=test|validation] [key=value] …

Examples:
  melanoma-evaluate run=outputs/baseline/<run>                     on the run's test images
  melanoma-evaluate run=latest                                     of the newest finished run below outputs/
  melanoma-evaluate run=outputs/baseline/<run> split=validation
  melanoma-evaluate run=outputs/baseline/<run> data.root=other     on the test images of another folder
  melanoma-evaluate run=outputs/baseline/<run> 'external=[<folder>,<folder>]' source=hospital=A   how far it carries
  melanoma-evaluate run=outputs/baseline/<run> prevalence=0.02 'subgroups=[age,sex,site]' robustness=true
  melanoma-evaluate run=outputs/baseline/<run> tta=dihedral        with the mean logit of eight flips and turns
  melanoma-evaluate 'run=[<run>,<run>,<run>]' combine=rank         an ensemble of several networks
  melanoma-evaluate run=outputs/baseline/<run> checkpoint=last

Every key with its allowed values: {conf}/evaluate.yaml
"""


def main() -> None:
    """Run the command."""
    end_process(run_command(command))


def command(arguments: list[str]) -> int:
    """Evaluate one run, or an ensemble of several, on one split.

    Raises:
        UserError: If an argument is not of the form key=value, or asks for a sweep.
    """
    if wants_help(arguments):
        print(HELP.format(conf=conf_dir()))
        return OK
    arguments = list(map(quoted_condition, arguments))
    for argument in arguments:
        if argument in ("-m", "--multirun"):
            raise UserError(
                "melanoma-evaluate has no sweeps (-m)", "name several runs for an ensemble, run=[<run>,<run>], or loop"
            )
        if argument.startswith("--run"):
            raise UserError(f"{argument} is not of the form key=value", "write run=<run folder>")
    for override in split_arguments(arguments)[0]:
        if "=" not in override and not override.startswith("~"):
            raise UserError(f"{override} is not of the form key=value", "write run=<run folder>")
    run_hydra_with_argv(CONFIG, job, arguments)
    return OK


def job(config: DictConfig) -> None:
    """Evaluate what the configuration describes; Hydra calls this function."""
    values: dict[str, Any] = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)  # type: ignore[assignment]
    began = time.perf_counter()
    report = _evaluate(validated(EvaluateSettings, values), shlex.join(["melanoma-evaluate", *sys.argv[1:]]))
    seconds = time.perf_counter() - began
    logger.info("%s\n\nreport  %s  (%.1f s)", report.text, report.folder / "report.html", seconds)


def evaluate_run(
    run: str | Path | Sequence[str | Path], split: Literal["validation", "test"] = "test", **options: Any
) -> "Report":
    """Evaluate a run as `melanoma-evaluate` does, and write its report.

    Args:
        run: A run's folder, or `latest`, or several for an ensemble.
        split: `validation` or `test`.
        options: Further keys of `conf/evaluate.yaml`: `robustness=True`, `tta="dihedral"`, `data={"root": "other"}`, ….

    Returns:
        The figures by their tags (`test/auroc`), the text that the command prints, and the report's folder.

    Raises:
        UserError: If an option is wrong, or something that the evaluation needs is missing.
    """
    arguments = [f"{run!r}", f"{split!r}", *(f"{key}={value!r}" for key, value in options.items())]
    return _evaluate(evaluation_settings(run, split, **options), f"evaluate_run({', '.join(arguments)})")


def evaluation_settings(
    run: str | Path | Sequence[str | Path], split: Literal["validation", "test"] = "test", **options: Any
) -> EvaluateSettings:
    """Return the settings of `evaluate_run` with the same arguments.

    Raises:
        UserError: If an option is unknown or out of its range.
    """
    defaults: Any = OmegaConf.to_container(OmegaConf.load(conf_dir() / f"{CONFIG}.yaml"))
    values = {key: value for key, value in defaults.items() if key not in ("defaults", "hydra")}
    for key, value in {"run": run, "split": split, **options}.items():
        values[key] = {**values.get(key, {}), **value} if isinstance(value, Mapping) else value
    return validated(EvaluateSettings, values)


def _evaluate(settings: EvaluateSettings, command: str) -> "Report":
    request = make_request(settings, command)
    # PyTorch takes seconds to import: only once all else is right
    first = request.runs[0]
    with heavy_imports(first.own, first.evaluated.data == first.own.data and request.split == "test"):
        from melanoma_pl.inference.hardware import choose_accelerator, keep_freed_memory
        from melanoma_pl.report.pipeline import evaluate

    keep_freed_memory()
    return evaluate(request, choose_accelerator(settings.device, "device=cpu"))


if __name__ == "__main__":
    main()
