"""A request to evaluate runs, checked before anything heavy is imported. Light."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from melanoma_pl import runs
from melanoma_pl.config.resume import paths_at_start
from melanoma_pl.config.schema import EvaluateSettings, TrainSettings
from melanoma_pl.data.options import check_image_paths, split_of
from melanoma_pl.errors import UserError
from melanoma_pl.files import check_folder_target
from melanoma_pl.runs.run_folder import report_name
from melanoma_pl.specs import TARGET, validated

OVERRIDABLE = ("metadata", "group_column", "image_column", "without_row", "on_broken")  # keys of `data`
# keys passed on as they are
Split = Literal["validation", "test"]
SHARED = {"split", "source", "combine", "prevalence", "subgroups", "robustness", "mistakes", "published", "trust"}
# keys of `data` that other images have no use for
OTHER_IMAGES = dict.fromkeys(("synthetic", "table", "exclude", "fold", "limit"))
ENSEMBLES = Path("outputs/ensembles")
LESION_ROLES = ("group", "lesion")  # columns of an external set that name the lesion, by their roles


@dataclass(frozen=True)
class EvaluatedRun:
    """A run whose network is evaluated.

    Attributes:
        run: The run.
        checkpoint: The checkpoint that is loaded.
        own: The settings of its training, with paths that are valid here.
        evaluated: The same settings with the images that are evaluated.
    """

    run: runs.Run
    checkpoint: Path
    own: TrainSettings
    evaluated: TrainSettings

    @property
    def name(self) -> str:
        """The last two folders of the run's path."""
        return "/".join(self.run.folder.resolve().parts[-2:])


@dataclass(frozen=True)
class ExternalSet:
    """Further images to evaluate: all images of a folder.

    Attributes:
        name: The folder's name, with those above it where several sets have it.
        root: The folder.
        evaluated: For each run, the settings of its training with these images.
    """

    name: str
    root: Path
    evaluated: tuple[TrainSettings, ...]


@dataclass(frozen=True)
class EvaluationRequest:
    """Runs to evaluate on one split, and the report to write.

    Attributes:
        runs: One run, or several whose networks form an ensemble.
        split: `validation` or `test`.
        folder: The report's folder.
        command: The command that asked for it, for the report.
        external: Further image sets, to be evaluated with the same decision.
        source: Condition `column=value` of the metadata that the test images of one source fulfil; None takes the most
            frequent source where the metadata name sources.
        own_images: Whether the images are those of the runs, not those of another folder.
        views: `none`, or `dihedral` for the mean logit of the eight flips and quarter turns of each image.
        combine: `logit` or `rank`: what an ensemble averages.
        prevalence: Fraction of malignant images for the predictive values, or None.
        subgroups: Columns of the metadata; None takes age, sex, site and skin type where the metadata has them.
        robustness: Whether perturbed images are evaluated too.
        mistakes: Largest number of false negatives, and of false positives, to show.
        images_in_report: Whether the page embeds images of the dataset.
        published: Whether the ROC curve shows operating points that were published for other images.
        trust: Modules that may be imported for the class of a network.
        depth: `numbers` omits what is slow and only the page shows: pages, subgroups, shortcuts and mistakes.
    """

    runs: tuple[EvaluatedRun, ...]
    split: Split
    folder: Path
    command: str
    external: tuple[ExternalSet, ...] = ()
    source: str | None = None
    own_images: bool = True
    views: Literal["none", "dihedral"] = "none"
    combine: Literal["logit", "rank"] = "logit"
    prevalence: float | None = None
    subgroups: Sequence[str] | None = None
    robustness: bool = False
    mistakes: int = 6
    images_in_report: bool = True
    published: bool = False
    trust: Sequence[str] = ()
    depth: Literal["page", "numbers"] = "page"

    @property
    def is_main_report(self) -> bool:
        """True for a run's own report on the split, which also gives the run its page and its model card."""
        return self.folder == self.runs[0].run.folder / runs.REPORT / self.split


def make_request(settings: EvaluateSettings, command: str) -> EvaluationRequest:
    """Return the request that the settings describe.

    Raises:
        UserError: If a run, its checkpoint or its images are missing, if a run is named twice, or if the folder of the
            report cannot be used.
    """
    evaluated = tuple(_evaluated_run(folder, settings) for folder in settings.run)
    folders = [each.run.folder for each in evaluated]
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise UserError(f"run={[str(folder) for folder in folders]} names a run twice", "name each run once")
    for each in evaluated:
        if settings.split == "validation" and each.own.data.trains_on_all:
            problem = f"{each.run.folder} was trained on all images and has no validation images"
            raise UserError(problem, "take split=test, or data.root=<other images>")
        check_image_paths(
            each.evaluated.data.root, each.evaluated.data, ["test" if settings.split == "test" else "train"]
        )
    return EvaluationRequest(
        evaluated,
        folder=_report_folder(settings, evaluated[0]) if settings.output is None else _output_folder(settings.output),
        command=command,
        external=_external_sets(settings, evaluated) if settings.external else (),
        own_images=settings.data.root is None,
        views=settings.tta,
        images_in_report=(
            all(each.own.images_in_report for each in evaluated)
            if settings.images_in_report is None
            else settings.images_in_report
        ),
        **settings.model_dump(include=SHARED),
    )


def own_run(folder: str | Path) -> EvaluatedRun:
    """Return a run with its own images and the checkpoint that it evaluates.

    Raises:
        UserError: If the folder holds no run, its record cannot be read, or it has no such checkpoint.
    """
    run = runs.open_run(folder)
    own = _train_settings(run.read(), {})
    return EvaluatedRun(run, run.checkpoint(own.checkpoint.evaluate), own, own)


def _evaluated_run(folder: str, settings: EvaluateSettings) -> EvaluatedRun:
    run = runs.open_run(folder)
    record = run.read()
    own = _train_settings(record, {})
    evaluated = _train_settings(record, _other_images(settings, record["config"]["data"]))
    return EvaluatedRun(run, run.checkpoint(settings.checkpoint or own.checkpoint.evaluate), own, evaluated)


def _train_settings(record: Mapping[str, Any], changes: Mapping[str, Any]) -> TrainSettings:
    data = record["config"]["data"]
    paths = paths_at_start(record, data)
    # only training augments, and the class may be one that only its author has
    unaugmented = {"augmentation": {TARGET: "melanoma_pl.data.augmentation.NoAugmentation"}}
    return validated(TrainSettings, {**record["config"], **unaugmented, "data": {**data, **paths, **changes}})


def _other_images(settings: EvaluateSettings, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the changes to a run's group `data` that select the images to evaluate."""
    chosen = settings.data.model_dump()
    changes = {key: chosen[key] for key in OVERRIDABLE if chosen[key] is not None}
    changes["folder_names"] = {**data["folder_names"], **settings.data.folder_names}
    root = settings.data.root
    if root is None:
        return changes
    if settings.split == "validation":
        raise UserError(f"data.root={root} has no validation split of this run", "evaluate it with split=test")
    # the lesions of other images are their own: the run's metadata do not name them
    other = {**OTHER_IMAGES, "root": root}
    other |= {"metadata": settings.data.metadata or "auto", "group_column": settings.data.group_column}
    return {**changes, **other}


def _external_sets(settings: EvaluateSettings, evaluated: Sequence[EvaluatedRun]) -> tuple[ExternalSet, ...]:
    """Return the external sets, each of which has been listed once.

    Raises:
        UserError: If one does not exist, is named twice, holds images that a run was trained on, has no images, or has
            a class folder of an unknown name.
    """
    from melanoma_pl.data.labelled_images import list_split

    roots = [Path(folder) for folder in settings.external]
    for root in roots:
        if not root.is_dir():
            problem = "is a file" if root.exists() else "does not exist"
            raise UserError(f"external={root} {problem}", "give a folder of images, with a folder for each class")
        for each in evaluated:
            _refuse_own_images(root, each.own)
    places = [root.resolve() for root in roots]
    if twice := [str(root) for root, place in zip(roots, places, strict=True) if places.count(place) > 1]:
        raise UserError(f"external={twice} names a folder twice", "name each folder once")
    found = []
    for root, name in zip(roots, _distinct_names(places), strict=True):
        each_run = tuple(_with_external_images(settings, each.own, root) for each in evaluated)
        for own in each_run:
            list_split(root, "test", own.data, every_class=False, whole=True)
        found.append(ExternalSet(name, root, each_run))
    return tuple(found)


def _refuse_own_images(root: Path, own: TrainSettings) -> None:
    """Refuse a folder that holds a run's images or one of its splits."""
    place, source = root.resolve(), own.data.root or (own.data.table and own.data.table.parent)
    if source is None or not place.is_relative_to(source.resolve()):
        return
    inner = place.relative_to(source.resolve()).parts
    if not inner or split_of(inner[0]):
        raise UserError(f"external={root} holds the images of the run itself", "give images of another source")


def _distinct_names(places: Sequence[Path]) -> list[str]:
    """Return the shortest ends of the paths, of equally many parts, that differ from each other."""
    for depth in range(1, max(len(place.parts) for place in places)):
        names = ["/".join(place.parts[-depth:]) for place in places]
        if len(set(names)) == len(names):
            return names
    return [place.as_posix().strip("/") for place in places]


def _with_external_images(settings: EvaluateSettings, own: TrainSettings, root: Path) -> TrainSettings:
    """Return a run's settings with the images of an external set, and its column of lesions if it has one."""
    from melanoma_pl.data.columns import role_of
    from melanoma_pl.data.metadata import METADATA_FILE, open_table

    column, image_column = None, settings.data.image_column or own.data.image_column
    if (root / METADATA_FILE).is_file():
        with open_table(root / METADATA_FILE, image_column) as reader:
            names = list(reader.fieldnames or ())
        by_role = [name for role in LESION_ROLES for name in names if role_of(name) == role]
        wanted = (settings.data.group_column, own.data.group_column, *by_role)
        column = next((name for name in wanted if name in names and image_column in names), None)
    changes: dict[str, Any] = {
        **OTHER_IMAGES, "root": root, "metadata": "auto", "image_column": image_column, "group_column": column,
        "without_row": settings.data.without_row or "own_group",
        "on_broken": settings.data.on_broken or own.data.on_broken,
        "folder_names": {**own.data.folder_names, **settings.data.folder_names},
    }  # fmt: skip
    return own.model_copy(update={"data": own.data.model_copy(update=changes)})


def _output_folder(output: str) -> Path:
    """Return the folder that the user named for the report.

    Raises:
        UserError: If the name is empty, or the folder cannot be written or lies in a run's folder.
    """
    check_folder_target(output, f"output={output}")
    folder = Path(output).resolve()
    for parent in (folder, *folder.parents):
        if (parent / runs.RECORD).is_file():
            raise UserError(f"output={output} lies in the run {parent}", "name another folder, or leave output out")
    return Path(output)


def _report_folder(settings: EvaluateSettings, first: EvaluatedRun) -> Path:
    """Return the report's default folder; other images, another checkpoint or other views have one of their own."""
    other = first.checkpoint.stem
    name = report_name(settings.split, settings.tta, "" if other == first.own.checkpoint.evaluate else other)
    if len(settings.run) > 1:
        return ENSEMBLES / f"{datetime.now(UTC).astimezone():%Y-%m-%d_%H-%M-%S-%f}" / name
    reports = first.run.folder / runs.REPORT
    return (reports if settings.data.root is None else _images_folder(reports, settings.data.root, name)) / name


def _images_folder(reports: Path, root: str, name: str) -> Path:
    """Return the folder below a run's reports for another image folder: its name, with a hash if that is taken.

    Args:
        reports: The run's `report/`.
        root: The other image folder.
        name: Name of the report's own folder, such as `test`.
    """
    images = Path(root).resolve()
    metrics = reports / images.name / name / "metrics.json"
    is_taken = metrics.is_file() and json.loads(metrics.read_text(encoding="utf-8")).get("images") != str(images)
    if not is_taken and not images.name.startswith(("test", "validation")):  # the run's own reports have these names
        return reports / images.name
    sha256 = hashlib.sha256(str(images).encode("utf-8", "surrogateescape")).hexdigest()
    return reports / f"{images.name}-{sha256[:6]}"
