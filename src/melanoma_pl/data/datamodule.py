"""The LightningDataModule: the images of a folder or a table as training, validation and test batches."""

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from melanoma_pl.data.augmentation import Augmentation, NoAugmentation
from melanoma_pl.data.cache.memory_cache import LoadedImages, load_images
from melanoma_pl.data.labelled_images import LabelledImages, list_split, not_read
from melanoma_pl.data.loader import Batch, ImageBatches, ResidentBatches, ResumableLoader, ignore_interrupts
from melanoma_pl.data.metadata import find_metadata, read_groups
from melanoma_pl.data.options import SPLIT_FILE, DataOptions, check_image_paths, takes_options
from melanoma_pl.data.order import EpochBatches, balanced_count, balanced_order, weighted_order
from melanoma_pl.data.splits import Indices, balancing_weights, cut_fold, cut_validation, keep_where, leave_out
from melanoma_pl.errors import UserError
from melanoma_pl.machine_limits import usable_cores
from melanoma_pl.preprocessing import Preprocessing
from melanoma_pl.specs import validated

logger = logging.getLogger(__name__)

EVALUATION_BATCH = 64  # images: enough to keep two cores busy, small enough for any memory
MOST_DRAWN = 100_000  # images whose augmentation is drawn once an epoch; of more, an epoch may take a small part


class MoleDataModule(pl.LightningDataModule):
    """Images of a folder or a table, decoded once and served as uint8 batches.

    Args:
        root: The image folder, laid out as `{train,test}/{benign,malignant}`; not needed with the option `table`.
        preprocessing: What makes the pixels; by default 224×224, scaled by 1/255.
        augmentation: Random changes of the training images; none by default.
        seed: Seed of the order and of the augmentation.
        every_class: Whether each class needs an image; other images that are only evaluated may be of one class.
        whole: Whether `test` is all images of the folder, with or without folders for splits, as for another image set.
        processes: Number of processes on this machine that each load the images, as with several GPUs.
        **options: The fields of `melanoma_pl.data.options.DataOptions`, such as `batch_size`.

    Attributes:
        options: The validated options.
        source: The image folder or the table.
        root: The folder that the paths of images are relative to.

    Raises:
        UserError: If an option is unknown or out of its range.
    """

    @takes_options
    def __init__(
        self,
        root: str | Path | None = None,
        *,
        preprocessing: Preprocessing | None = None,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        every_class: bool = True,
        whole: bool = False,
        processes: int = 1,
        **options: Any,
    ) -> None:
        """Validate the options; no image is listed yet."""
        super().__init__()
        self.options = validated(DataOptions, options, "data.")
        if root is None and self.options.table is None:
            raise ValueError("give a root or a table")
        self.source = self.options.table or Path(str(root))
        self.root = self.source if self.options.table is None else self.source.parent
        self.preprocessing = preprocessing or Preprocessing()
        self.augmentation = augmentation or NoAugmentation()
        self.seed = seed
        self.every_class = every_class
        self.whole = whole
        self.processes = processes
        self._listed: dict[str, LabelledImages] = {}
        self._loaded: dict[str, LoadedImages] = {}
        self._drawn: tuple[int, torch.Tensor] | None = None  # an epoch and the parameters of its augmentation
        self._change = self.augmentation.apply

    # Images

    def list_split(self, folder: str) -> LabelledImages:
        """List `train` without excluded images, or `test`, with lesions where they are known; no image is opened.

        `train` includes the images of the dataset's validation split, unless the options validate on the test images.
        """
        if folder not in self._listed:
            check_image_paths(self.root, self.options, [] if self.whole else [folder])
            with_validation = folder == "train" and self.options.validate_on == "validation"
            images = list_split(
                self.source,
                folder,
                self.options,
                with_validation=with_validation,
                every_class=self.every_class,
                whole=self.whole,
            )
            if note := not_read(images.others):
                logger.warning("left out    %s", note)
            if count := images.splits.count("validation"):
                self._check_validation_split(count)
            if self.options.exclude is not None and folder == "train":
                images = leave_out(images, self.options.exclude, self._test_paths)
            if self.options.where is not None and folder == "train":
                images = keep_where(images, self.options.where, self._need_metadata("where"), self.options.image_column)
            self._listed[folder] = self._with_groups(images)
        return self._listed[folder]

    def _check_validation_split(self, count: int) -> None:
        """Refuse a validation split of the dataset's own beside an option that decides otherwise what validates."""
        fold, taken = self.options.fold, ""
        if fold is not None:
            option, taken = f"data.fold={fold}", "takes validation images from train"
        elif self.options.trains_on_all:
            option, taken = "data.validation_fraction=0", "validates on no image"
        if taken:
            raise UserError(
                f"{option} {taken}, and {self.source} has a validation split of {count} images",
                f"leave {option.partition('=')[0]} out, or make them images of train",
            )

    def _test_paths(self) -> tuple[str, ...]:
        try:
            return list_split(self.source, "test", self.options, every_class=False).paths
        except UserError:  # a dataset need not have test images
            return ()

    def find_metadata(self) -> Path | None:
        """Return the metadata table, or None where there is none.

        Raises:
            UserError: If the option `metadata` names a file that does not exist.
        """
        return find_metadata(self.source, self.options.metadata, "data.metadata")

    def _need_metadata(self, option: str) -> Path:
        return self.need_metadata(f"data.{option}", getattr(self.options, option))

    def need_metadata(self, key: str, value: object) -> Path:
        """Return the metadata table that a setting `key=value` needs.

        Raises:
            UserError: If there is none.
        """
        table = self.find_metadata()
        if table is None:
            raise UserError(
                f"{key}={value} needs a metadata table, and {self.root} has no metadata.csv",
                f"name the table with data.metadata=<file>, or leave {key} out",
            )
        return table

    def _with_groups(self, images: LabelledImages) -> LabelledImages:
        options = self.options
        if options.group_column is None:
            return images
        table = self._need_metadata("group_column")
        columns = options.image_column, options.group_column
        return replace(images, groups=read_groups(images.paths, table, *columns, options.without_row))

    def check_listed(self) -> None:
        """Refuse what the list of the training images shows, before any of them is decoded.

        Raises:
            UserError: If images, lesions or a fold are missing, or `batch_size` exceeds the number of training images.
        """
        self._check_batch_size(self._epoch_length(torch.from_numpy(self.list_trained_on().targets)))

    def list_trained_on(self) -> LabelledImages:
        """List the images of the split `train`; no image is opened, so unreadable ones are among them."""
        images = self.list_split("train")
        return images.take(self._limited(self._cut_listed(images)[0]))

    def _limited(self, training: Indices) -> Indices:
        """Return as many of the indices of the training images as the option `limit` allows."""
        limit = self.options.limit
        if limit is None or limit >= len(training):
            return training
        return training[np.linspace(0, len(training) - 1, limit).astype(np.int64)]

    def load(self, folder: str) -> LoadedImages:
        """Return all images of `train` or `test`, decoded at the first call."""
        if folder not in self._loaded:
            images, title, options = self.list_split(folder), f"{folder} images", self.options
            cache = options.cache_fraction, title, options.cache_folder, self.processes
            self._loaded[folder] = load_images(images, self.preprocessing, options.on_broken, *cache)
        return self._loaded[folder]

    def loaded(self, folder: str) -> LoadedImages | None:
        """Return the decoded images of `train` or `test` if `load` was called; None otherwise."""
        return self._loaded.get(folder)

    def split(self, name: str) -> ImageBatches:
        """Return the split `train`, `validation` or `test`."""
        if name == "test" or (name == "validation" and self.options.validate_on == "test"):
            loaded = self.load("test")
            return ImageBatches(loaded, torch.arange(len(loaded.images)))
        loaded, (training, validation) = self.load("train"), self._cut
        if name == "validation":
            return ImageBatches(loaded, torch.from_numpy(validation))
        return ImageBatches(loaded, torch.from_numpy(self._limited(training)))

    @property
    def has_validation_split(self) -> bool:
        """True if the dataset has a validation split of its own that is validated on."""
        return "validation" in self.list_split("train").splits

    @cached_property
    def _cut(self) -> tuple[Indices, Indices]:
        """The indices of the training and of the validation images."""
        return self._cut_listed(self.load("train").images)

    def _cut_listed(self, images: LabelledImages) -> tuple[Indices, Indices]:
        options = self.options
        if options.validate_on == "test" or options.trains_on_all:
            return np.arange(len(images)), np.empty(0, dtype=np.int64)
        if self.has_validation_split:
            is_held_out = np.array([split == "validation" for split in images.splits])
            if self.every_class and len(np.unique(images.targets[is_held_out])) < 2:
                problem = f"of the validation split of {self.source} no images of one class are left"
                raise UserError(problem, "replace broken images, or name fewer in data.exclude")
            return np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)
        if options.fold is None:
            return cut_validation(images, options.validation_fraction, options.split_seed)
        if options.table is not None:
            return cut_fold(images, options.table, options.fold, options.image_column, options.group_column)
        return cut_fold(images, self.root / SPLIT_FILE, options.fold, group_column=options.group_column)

    def shared_with_train(self, images: LabelledImages) -> NDArray[np.bool_]:
        """Tell which of the test images show a lesion that is also in the train split.

        Returns:
            bool `(N,)`; all False where the images' lesions are unknown.
        """
        if images.groups is None:
            return np.zeros(len(images), dtype=bool)
        return np.isin(images.groups, self.list_split("train").groups or ())

    # Hooks of Lightning

    def setup(self, stage: str) -> None:
        """Read and check all images that the stage needs."""
        if stage == "fit":
            is_first = "train" not in self._loaded
            self.check_listed()
            training = self.split("train")
            if is_first:
                self._tell_validation_split()
                self._tell_sampler(training.targets)
            self.split("validation")
            self._check_batch_size(self.epoch_length)
        elif stage == "validate":
            self.split("validation")
        else:
            self.load("test")

    def _check_batch_size(self, count: int) -> None:
        if self.options.batch_size > count:
            images = "training images" if self.options.sampler == "natural" else "images of an epoch, balanced"
            raise UserError(
                f"data.batch_size={self.options.batch_size} is larger than the {count} {images}",
                f"take {count} or fewer",
            )

    def _tell_sampler(self, targets: torch.Tensor) -> None:
        """Log what an epoch of the balanced sampler consists of."""
        if self.options.sampler == "balanced":
            drawn, malignant = self._epoch_length(targets), int((targets == 1).sum())
            logger.info(
                "sampler     an epoch has %d of %d training images: all %d malignant and %d benign ones, drawn anew",
                drawn, len(targets), malignant, drawn - malignant,
            )  # fmt: skip

    @property
    def epoch_length(self) -> int:
        """Number of images in an epoch of the training, over all processes."""
        return self._epoch_length(self.split("train").targets)

    def _epoch_length(self, targets: torch.Tensor) -> int:
        """Return the number of images in an epoch from the targets of the training images."""
        if self.options.sampler == "natural":
            return len(targets)
        return balanced_count(targets, self.options.benign_per_malignant)

    def _tell_validation_split(self) -> None:
        """Log how many images of a validation split of the dataset's own validate, and how many share lesions."""
        if self.options.validate_on == "test":
            every = list_split(self.source, "train", self.options, with_validation=True, every_class=False)
            if count := every.splits.count("validation"):
                logger.warning("validation  %d images of the validation split are not used: test validates", count)
        elif self.has_validation_split:
            images, (training, validation) = self.load("train").images, self._cut
            count = len(validation)
            logger.info("validation  the dataset has a validation split of %d images: train is not cut", count)
            groups = np.array(images.groups or images.paths)
            if shared := int(np.isin(groups[validation], groups[training]).sum()):
                logger.warning("validation  %d of them share a lesion with train, so its figures are too good", shared)

    def train_dataloader(self) -> ResumableLoader:
        """Return the training batches, in the order that (seed, epoch) decides."""
        dataset, size, drop_last = self._near(self.split("train")), self.options.batch_size, self.options.drop_last
        rank, world = (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)
        targets = dataset.targets.cpu()
        batches = EpochBatches(
            self._epoch_length(targets), size, self.seed, drop_last=drop_last, rank=rank, world_size=world,
            device=dataset.device, draw=self._draw(dataset, targets),
        )  # fmt: skip
        return ResumableLoader(dataset, batches, self._workers(dataset), *self._progress())

    def _draw(self, dataset: ImageBatches, targets: torch.Tensor) -> Callable[[int, int], torch.Tensor] | None:
        """Return the function that draws the images of an epoch; None if each comes once."""
        options = self.options
        if options.sampler == "balanced":
            return partial(balanced_order, targets, options.benign_per_malignant)
        if options.balance is None:
            return None
        table = self._need_metadata("balance")
        weights = balancing_weights(dataset.images, options.balance, table, options.image_column)
        return partial(weighted_order, torch.from_numpy(weights))

    @property
    def oversampling(self) -> float:
        """Odds of malignant in an epoch, divided by those among the training images; 1 for the natural sampler."""
        if self.options.sampler == "natural":
            return 1.0
        targets = self.split("train").targets
        drawn, malignant = self._epoch_length(targets), int((targets == 1).sum())
        return (len(targets) - malignant) / (drawn - malignant)

    def val_dataloader(self) -> DataLoader[Batch] | list[DataLoader[Batch]]:
        """Return the validation batches, in the order of the images; an empty list if no image is held out."""
        return [] if self.options.trains_on_all else self._evaluation_loader("validation")

    def test_dataloader(self) -> DataLoader[Batch]:
        """Return the test batches, in the order of the images."""
        return self._evaluation_loader("test")

    def predict_dataloader(self) -> DataLoader[Batch]:
        """Return the test batches, in the order of the images."""
        return self._evaluation_loader("test")

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Send a batch to the device; the epoch stays on the CPU, where the augmentation reads its value.

        A plain tensor, such as the sample of `to_onnx`, is sent as it is.
        """
        if not isinstance(batch, Batch):
            return super().transfer_batch_to_device(batch, device, dataloader_idx)
        pixels, targets, positions = (part.to(device, non_blocking=device.type != "cpu") for part in batch[:-1])
        return Batch(pixels, targets, positions, batch.epoch)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Augment training batches on the device that they are on."""
        is_training = self.trainer is not None and self.trainer.training
        return self.augment(batch) if is_training and isinstance(batch, Batch) else batch

    def augment(self, batch: Batch) -> Batch:
        """Return the batch as training sees it."""
        return batch._replace(pixels=self._change(batch.pixels, self._parameters(int(batch.epoch), batch.positions)))

    def _parameters(self, epoch: int, positions: torch.Tensor) -> torch.Tensor:
        """Return the parameters of the augmentation, one row an image; those of an epoch are drawn together."""
        count, device = len(self.load("train").images), positions.device
        if count > MOST_DRAWN:
            return self.augmentation.draw(self.seed, epoch, positions)
        if self._drawn is None or self._drawn[0] != epoch or self._drawn[1].device != device:
            self._drawn = epoch, self.augmentation.draw(self.seed, epoch, torch.arange(count, device=device))
        return self._drawn[1][positions]

    def compile_augmentation(self, mode: str) -> None:
        """Compile the arithmetic of the augmentation with `torch.compile`, which changes pixels by rounding.

        Args:
            mode: Mode of `torch.compile`.
        """
        self._change = torch.compile(self.augmentation.apply, mode=mode)

    def _evaluation_loader(self, name: str) -> DataLoader[Batch]:
        dataset = self._near(self.split(name))
        batches = EpochBatches(len(dataset), EVALUATION_BATCH, seed=0, shuffle=False, device=dataset.device)
        workers = self._workers(dataset)
        return DataLoader(
            dataset, sampler=batches, batch_size=None, num_workers=workers, worker_init_fn=ignore_interrupts
        )

    def _near(self, dataset: ImageBatches) -> ImageBatches:
        """Return the images on the training device if they are to lie there."""
        if self.trainer is None:
            return dataset
        device = self.trainer.strategy.root_device
        return ResidentBatches(dataset, device) if dataset.is_resident(device, self.options.resident) else dataset

    def _workers(self, dataset: ImageBatches) -> int:
        if isinstance(dataset, ResidentBatches):
            return 0
        if self.options.num_workers != "auto":
            return self.options.num_workers
        return 0 if dataset.loaded.cache is not None else usable_cores()

    def _progress(self) -> tuple[int, int]:
        """Return the epoch to train in, and how many of its batches were trained on before an interruption."""
        if self.trainer is None:
            return 0, 0
        fit_loop: Any = self.trainer.fit_loop  # restored from the checkpoint before Lightning asks for the loader
        return fit_loop.epoch_progress.current.processed, fit_loop.epoch_loop.batch_progress.current.ready
