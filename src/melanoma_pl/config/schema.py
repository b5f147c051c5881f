"""Types and ranges of the configuration; `conf/` holds the values and their meaning. Light: no PyTorch."""

from pathlib import PurePosixPath, PureWindowsPath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from melanoma_pl.data.options import (
    DRAWN_FILE,
    Condition,
    Count,
    DataOptions,
    FilePath,
    Fraction,
    Natural,
    Proportion,
    Seed,
    Text,
)
from melanoma_pl.errors import did_you_mean

Positive = Annotated[float, Field(gt=0)]
Spec = dict[str, Any]

LIVE_METRICS = ("loss", "accuracy", "auroc", "average_precision", "sensitivity", "specificity")
TRAIN_METRICS = ("train/loss", "train/accuracy")
NAMES_IN_DATA = ("root", "table", "metadata", "exclude", "class_names", "image_column", "group_column", "split_column")
FIXED = {  # arguments of Lightning's trainer that this project sets → what to do instead
    "callbacks": "add +callbacks.<name>._target_=<class>",
    "logger": "take logger=none, or add +logger.<name>._target_=<class>",
    "plugins": "leave it out: checkpoints are written through a plugin of the run",
    "deterministic": "take deterministic=true, without trainer.",
    "use_distributed_sampler": "leave it out: the data module gives each process its images",
    "enable_checkpointing": "leave it out: a run always saves its checkpoints",
    "default_root_dir": "take hydra.run.dir=<folder>",
    "overfit_batches": "take debug=overfit, or data.limit=<images>",
}


def check_run_name(value: Any) -> str:
    """Return the name of a run's parent folder if it leads to a folder below `outputs/`.

    Raises:
        ValueError: If it does not.
    """
    name = "" if value is None or isinstance(value, list | dict) else str(value)
    kinds = PurePosixPath(name), PureWindowsPath(name)
    if not kinds[0].parts or any(path.anchor or ".." in path.parts for path in kinds):
        raise ValueError("name a folder below outputs/; hydra.run.dir=<folder> puts a run elsewhere")
    return name


RunName = Annotated[str, BeforeValidator(check_run_name)]


class Strict(BaseModel):
    """Settings that refuse unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Open(BaseModel):
    """Settings whose further keys are passed to the class that they describe."""

    model_config = ConfigDict(extra="allow", frozen=True)


class SyntheticSettings(Strict):
    """Settings of `data.synthetic`."""

    folder: FilePath
    train: int = Field(ge=20)
    test: int = Field(ge=2)
    seed: Natural


class DataSettings(DataOptions):
    """Settings of the group `data`: the images, their preprocessing, and the options of the data module."""

    root: FilePath | None
    synthetic: SyntheticSettings | None
    image_size: int = Field(ge=22, le=2048)
    normalisation: Literal["none", "imagenet", "backbone"]
    colour_constancy: Literal["none", "shades_of_gray"] = "none"


class OptimizerSettings(Open):
    """Settings of the group `optimizer`."""

    lr: Positive


class TrainerSettings(Open):
    """Settings of the group `trainer`; further keys are those of `lightning.pytorch.Trainer`."""

    accelerator: Literal["auto", "cpu", "gpu"]
    devices: Count
    precision: Literal["32-true", "bf16-mixed", "16-mixed", "auto"]
    max_epochs: Count
    channels_last: bool
    keep_memory: bool
    convolutions: Literal["auto", "layers", "fused", "products", "space_to_depth"] = "auto"
    compile: Literal["none", "default", "reduce-overhead", "max-autotune"] = "none"

    @property
    def processes(self) -> int:
        """Number of processes on all machines, each with a device of its own."""
        return int(self.devices * (self.model_extra or {}).get("num_nodes", 1))


class LossSettings(Strict):
    """Settings of `loss`."""

    pos_weight: Literal["balanced"] | Positive
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    mixup: Annotated[float, Field(ge=0)] = 0.0
    teacher_weight: Annotated[float, Field(gt=0, le=1)] = 0.5


class ThresholdSettings(Strict):
    """Settings of the group `threshold`; `from`, which Python reserves, is the field `sweep`."""

    rule: Literal["sensitivity", "youden", "fixed"]
    sensitivity: Annotated[float, Field(gt=0, le=1)] = 0.95
    value: Proportion = 0.5
    sweep: FilePath | None = Field(None, alias="from")


class CheckpointSettings(Strict):
    """Settings of `checkpoint`."""

    monitor: str
    mode: Literal["auto", "min", "max"]
    every_n_steps: Count | None
    every_n_minutes: Positive | None
    evaluate: Literal["best", "last"]


class TrainSettings(Strict):
    """All settings of `melanoma-train`."""

    name: RunName
    seed: Seed
    deterministic: bool
    resume: None  # taken from the command line before anything else, never from a file
    trust: None = None  # the same
    retry: Literal[False] = False  # the same
    data: DataSettings
    augmentation: Spec
    model: Spec
    optimizer: OptimizerSettings
    scheduler: Spec
    threshold: ThresholdSettings
    trainer: TrainerSettings
    callbacks: dict[str, Spec | None]
    logger: dict[str, Spec | None]
    metrics: dict[str, Spec]
    loss: LossSettings
    parameter_groups: dict[str, dict[str, float]] = {}
    checkpoint: CheckpointSettings
    test: bool
    report: Literal["page", "numbers"] = "page"
    images_in_report: bool = True
    optimized_metric: str

    @property
    def monitor_mode(self) -> Literal["min", "max"]:
        """`min` or `max`: which value of `checkpoint.monitor` is best."""
        return direction(self.checkpoint.monitor) if self.checkpoint.mode == "auto" else self.checkpoint.mode

    @property
    def images_note(self) -> str:
        """`synthetic` if the images were drawn by a program, to be said beside every result; else empty."""
        drawn = self.data.root is not None and (self.data.root / DRAWN_FILE).is_file()  # by `melanoma-data synthesize`
        return "synthetic" if self.data.synthetic or drawn else ""

    @model_validator(mode="after")
    def _cross_checks(self) -> "TrainSettings":
        """Refuse settings that exclude each other."""
        self._check_images()
        self._check_backbone()
        self._check_trainer()
        self._check_validation()
        if self.data.validate_on == "test" and (self.threshold.rule, self.threshold.value) != ("fixed", 0.5):
            raise ValueError(
                "data.validate_on=test would choose the threshold on the test images: add threshold=fixed, which is 0.5"
            )
        if self.trainer.precision == "16-mixed" and self.trainer.accelerator == "cpu":
            raise ValueError("trainer.precision=16-mixed is for GPUs: on a CPU take 32-true, or auto")
        self._check_metric("checkpoint.monitor", self.checkpoint.monitor, TRAIN_METRICS)
        if self.optimized_metric.startswith("test/"):
            raise ValueError(
                f"optimized_metric={self.optimized_metric} would choose on the test images: take a val/ metric, "
                "such as val/auroc"
            )
        self._check_metric("optimized_metric", self.optimized_metric, ())
        for name, spec in self.callbacks.items():
            if spec is not None and "monitor" in spec:
                self._check_metric(f"callbacks.{name}.monitor", spec["monitor"], TRAIN_METRICS)
        return self

    def _check_images(self) -> None:
        data = self.data
        own = {"root": data.root, "table": data.table, "fold": data.fold, "exclude": data.exclude}
        for key, value in own.items():
            if data.synthetic and value is not None:
                group = "table" if key == "table" else "folder"
                raise ValueError(f"data.{key}={value} needs your own images: add data={group}")
        if data.root is not None and data.table is not None:
            raise ValueError(f"data.root={data.root} and data.table={data.table} are both set: take one of them")
        if not data.synthetic and data.root is None and data.table is None:
            raise ValueError(
                "data.root is not set: give the folder of your images, data=folder data.root=<folder>, or a table of "
                "them, data=table data.table=<file>"
            )
        self._check_sampler()
        if data.fold is not None and data.validate_on == "test":
            raise ValueError(
                f"data.fold={data.fold} and data.validate_on=test exclude each other: leave one of them out"
            )

    def _check_sampler(self) -> None:
        """Refuse what would balance the classes twice, or has no effect."""
        data = self.data
        if data.sampler == "natural":
            if data.benign_per_malignant != 1:
                raise ValueError(
                    f"data.benign_per_malignant={data.benign_per_malignant:g} has no effect with data.sampler=natural: "
                    "add data.sampler=balanced"
                )
            return
        if data.balance is not None:
            raise ValueError(
                f"data.sampler=balanced and data.balance={list(data.balance)} both decide how often an image comes: "
                "leave one of them out"
            )
        if self.loss.pos_weight == "balanced":
            raise ValueError(
                "data.sampler=balanced and loss.pos_weight=balanced would count malignant images twice: leave one out"
            )

    def _check_backbone(self) -> None:
        if self.data.normalisation == "backbone" and "backbone" not in self.model:
            raise ValueError(
                "data.normalisation=backbone needs a network with a backbone: add model=timm, or take none or imagenet"
            )
        is_random = str(self.model.get("pretrained")).lower() == "false" and not self.model.get("weights")
        if is_random and self.model.get("head_epochs"):
            raise ValueError(
                f"model.pretrained=false and model.head_epochs={self.model['head_epochs']} exclude each other, random "
                "weights must learn from the start: add model.head_epochs=0"
            )
        strategy = (self.trainer.model_extra or {}).get("strategy", "auto")
        if self.trainer.devices > 1 and self.model.get("head_epochs") and strategy in ("auto", "ddp"):
            raise ValueError(
                f"model.head_epochs={self.model['head_epochs']} leaves weights out that trainer.devices="
                f"{self.trainer.devices} wait for: add trainer.strategy=ddp_find_unused_parameters_true"
            )

    def _check_validation(self) -> None:
        """Refuse a training that never validates, and so never has a best epoch."""
        more = self.trainer.model_extra or {}
        every = more.get("check_val_every_n_epoch")
        never = {
            "data.validation_fraction=0": self.data.trains_on_all,
            "trainer.limit_val_batches=0": more.get("limit_val_batches") == 0,
            f"trainer.check_val_every_n_epoch={every}": isinstance(every, int) and every > self.trainer.max_epochs,
        }
        if self.checkpoint.evaluate == "best" and (keys := [key for key, applies in never.items() if applies]):
            raise ValueError(
                f"{keys[0]} and checkpoint.evaluate=best exclude each other, without a validation no epoch is "
                "best: add checkpoint.evaluate=last"
            )
        self._check_all_images()

    def _check_all_images(self) -> None:
        """Refuse what does not go with a training on all images, or with the source of its decision."""
        data, sweep = self.data, self.threshold.sweep
        for key, value in {"fold": data.fold, "validate_on": data.validate_on}.items():
            if data.validation_fraction == 0 and value not in (None, "validation"):
                raise ValueError(
                    f"data.validation_fraction=0 and data.{key}={value} exclude each other: leave one of them out"
                )
        if sweep is not None and not data.trains_on_all:
            raise ValueError(
                f"threshold.from={sweep} decides for a training on all images, and this one has validation images, "
                "which decide: add data.validation_fraction=0 checkpoint.evaluate=last, or leave threshold.from out"
            )
        for name, spec in self.callbacks.items():
            if data.trains_on_all and spec is not None and str(spec.get("monitor", "")).startswith("val/"):
                raise ValueError(
                    f"data.validation_fraction=0 leaves no image for callbacks.{name}.monitor={spec['monitor']}: add "
                    f"callbacks.{name}=null, and give the number of epochs, trainer.max_epochs=<epochs>"
                )

    def _check_trainer(self) -> None:
        """Refuse arguments of Lightning's trainer that the run itself sets, and a training of no step."""
        more = self.trainer.model_extra or {}
        for key in FIXED.keys() & more.keys():
            raise ValueError(f"trainer.{key}={more[key]} is not allowed: {FIXED[key]}")
        for key in ("max_steps", "limit_train_batches"):
            if more.get(key) == 0:
                raise ValueError(f"trainer.{key}=0 trains nothing: leave it out, or take 1 or more")

    def _check_metric(self, key: str, name: str, more: tuple[str, ...]) -> None:
        known = [f"val/{metric}" for metric in (*LIVE_METRICS, *(self.metrics if more else ()))] + list(more)
        if name not in known:
            raise ValueError(f"{key}={name} does not exist: {did_you_mean(name, known)}")


def one_or_more(value: Any) -> Any:
    """Return a list as it is, and one name as a tuple of one name."""
    return value if value is None or isinstance(value, list | tuple) else (value,)


Names = Annotated[tuple[Text, ...], BeforeValidator(one_or_more)]


class EvaluateDataSettings(Strict):
    """Settings of `data` in `evaluate.yaml`."""

    root: Text | None
    metadata: Text | None
    group_column: str | None
    image_column: str | None
    without_row: Literal["stop", "own_group"] | None
    on_broken: Literal["stop", "skip"] | None
    folder_names: dict[str, str]


class EvaluateSettings(Strict):
    """All settings of `melanoma-evaluate`."""

    run: Names
    split: Literal["validation", "test"]
    checkpoint: Literal["best", "last"] | None
    data: EvaluateDataSettings
    external: Names
    source: Condition | None
    prevalence: Fraction | None
    subgroups: Names | None
    robustness: bool
    mistakes: Natural
    images_in_report: bool | None
    published: bool
    tta: Literal["none", "dihedral"]
    combine: Literal["logit", "rank"]
    output: Text | None
    trust: Names
    device: Literal["auto", "cpu", "gpu"]

    @model_validator(mode="after")
    def _cross_checks(self) -> "EvaluateSettings":
        """Refuse settings that exclude each other."""
        if not self.run:
            raise ValueError("run=[] names no run: give a run's folder, or several: run=[<run>,<run>]")
        if self.combine == "rank" and len(self.run) == 1:
            raise ValueError("combine=rank is for several runs: run=[<run>,<run>], or leave it out")
        if self.external and (self.split == "validation" or self.data.root is not None):
            other = "split=validation" if self.split == "validation" else f"data.root={self.data.root}"
            raise ValueError(f"external sets stand beside the run's own test images: leave {other} out")
        return self


def with_texts(config: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration whose names are texts; Hydra reads `name=3` and `data.root=2024` as numbers."""

    def text(value: Any) -> Any:
        if isinstance(value, list):
            return [text(each) for each in value]
        return str(value) if isinstance(value, int | float) else value

    names = {key: text(value) for key, value in config.items() if key == "name"}
    data = {key: text(value) if key in NAMES_IN_DATA else value for key, value in config.get("data", {}).items()}
    return config | names | ({"data": data} if data else {})


def direction(metric: str) -> Literal["min", "max"]:
    """Tell whether the smallest or the largest value of a metric is best."""
    return "min" if metric.endswith(("loss", "brier", "ece")) else "max"
