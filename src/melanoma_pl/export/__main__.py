"""Export a trained network, or an ensemble, as a folder that predicts without PyTorch.

The folder holds model.onnx with preprocessing and calibration inside, model.pt2 and model.safetensors for PyTorch, the
model card, and predict.py, which needs numpy, Pillow and onnxruntime only. Research software, not a medical device: it
makes no diagnosis.

Examples:
  melanoma-export latest exported                                       the newest finished run
  melanoma-export outputs/baseline/<A> outputs/baseline/<B> exported    an ensemble: the mean logit of several runs
  melanoma-export outputs/baseline/<run> exported --int8                with 8-bit integers, if the AUROC allows it
  python exported/predict.py image.jpg
"""

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

from melanoma_pl.config.app import OK, run_command
from melanoma_pl.errors import UserError
from melanoma_pl.files import check_folder_target
from melanoma_pl.messages import readable
from melanoma_pl.report.request import EvaluatedRun, own_run

DESCRIPTION, EXAMPLES = (__doc__ or "").split("\n\nExamples", 1)
NEEDED = ("onnx", "onnxscript", "onnxruntime", "safetensors")  # packages of the extra `export`


def main() -> None:
    """Run the command."""
    sys.exit(run_command(command))


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parsing = argparse.ArgumentParser(
        "melanoma-export",
        description=DESCRIPTION,
        epilog=f"Examples{EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parsing.add_argument
    add("runs", nargs="+", metavar="RUN", help="a run's folder, or latest; several are an ensemble")
    add("target", type=Path, metavar="TARGET", help="the folder to write, which must not exist")
    add("--tta", action="store_true", help="average the logits of each image's eight flips and turns in the graph")
    add("--int8", action="store_true", help="also write model.int8.onnx, calibrated on training images")
    add(
        "--int8-tolerance",
        type=float,
        default=0.005,
        metavar="X",
        help="largest loss of AUROC, at the upper end of its 95 %% interval on validation images; default: %(default)s",
    )
    add("--report", type=Path, metavar="FOLDER", help="the evaluation whose figures the card takes; default: the run's")
    add("--license", metavar="TEXT", help="licence of the weights, such as cc-by-nc-4.0, for card and metadata")
    add("--trust", action="append", default=[], metavar="MODULE", help="a module whose network a checkpoint may name")
    return parsing


def command(arguments: list[str]) -> int:
    """Export the named runs.

    Raises:
        UserError: If a run is not finished, the target cannot be made, a package is missing, or the network cannot be
            exported. Nothing is written then.
    """
    chosen = parser().parse_args(arguments)
    check_target(chosen.target)
    if not 0 <= chosen.int8_tolerance < 1:
        raise UserError(f"--int8-tolerance {chosen.int8_tolerance} is not in [0, 1)", "0.005 for instance")
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise UserError(f"melanoma-export needs {', '.join(missing)}", "pip install 'melanoma-pl[export]'")
    found = [finished_run(folder) for folder in chosen.runs]
    if len({each.run.folder.resolve() for each in found}) < len(found):
        raise UserError(f"{', '.join(chosen.runs)}: a run is named twice", "name each run once")
    # PyTorch takes seconds to import: only once all else is right
    from melanoma_pl.export.exporting import ExportRequest, export_runs

    request = ExportRequest(
        tuple(found),
        chosen.target,
        "dihedral" if chosen.tta else "none",
        chosen.int8_tolerance if chosen.int8 else None,
        chosen.report,
        chosen.license,
        tuple(chosen.trust),
    )
    for line in export_runs(request):
        print(readable(line))
    return OK


def check_target(target: Path) -> None:
    """Refuse a target that exists or cannot be made.

    Raises:
        UserError: In both cases.
    """
    if target.exists() or target.is_symlink():
        raise UserError(f"{target} exists already", "name a folder that does not exist, or remove it first")
    check_folder_target(target, str(target))


def finished_run(folder: str) -> EvaluatedRun:
    """Return a run whose training has ended.

    Raises:
        UserError: If it has not, or there is no such run or checkpoint.
    """
    found = own_run(folder)
    if not found.run.read()["finished"]:
        way_out = f"let it train on with melanoma-train resume={found.run.folder}"
        raise UserError(f"the training in {found.run.folder} has not finished", way_out)
    return found


if __name__ == "__main__":
    main()
