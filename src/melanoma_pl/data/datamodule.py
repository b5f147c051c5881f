"""The LightningDataModule: an image folder as training, validation and test batches."""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from melanoma_pl.data.augmentation import Augmentation, NoAugmentation
from melanoma_pl.data.cache.memory_cache import LoadedImages, load_images
from melanoma_pl.data.image_set import LabelledImages, list_images, list_table
from melanoma_pl.data.layout import CLASS_NAMES, FOLDER_NAMES, SPLIT_FILE, check_folds, check_table
from melanoma_pl.data.loader import (
    Batch,
    ImageBatches,
    Residence,
    ResidentBatches,
    ResumableLoader,
    is_resident,
    leave_signals_alone,
)
from melanoma_pl.data.metadata import find_table, with_groups
from melanoma_pl.data.order import EpochBatches
from melanoma_pl.data.splits import cut_fold, cut_validation, leave_out, shared_lesions
from melanoma_pl.errors import UserError
from melanoma_pl.preprocessing import Preprocessing

logger = logging.getLogger(__name__)

EVALUATION_BATCH = 64  # images: enough to keep two cores busy, small enough for any memory


class MoleDataModule(pl.LightningDataModule):
    """Images of a folder or a table, decoded once and served as uint8 batches.

    Args:
        root: The image folder, `root/{train,test}/{benign,malignant}`; of a table its folder, whatever is given here.
        preprocessing: What makes the pixels; by default 224×224, scaled by 1/255.
        batch_size: Images a training step (on each device).
        drop_last: Train on whole batches only, as the original did.
        num_workers: Processes that read ahead; `auto` is none where decoded pixels are kept, in memory or on disk.
        validation_fraction: Share of the train folder to validate on, in (0, 1).
        validate_on: `validation`, or `test` as the original did, which makes the test figures worthless.
        limit: Train on so many images only, spread over both classes; None is all.
        fold: Validate on this fold of `<root>/split.csv`, or of the table's column `fold`, and train on the others;
            None cuts by `validation_fraction`.
        split_seed: Of the cut between training and validation; apart from `seed`, so that runs can be compared.
        seed: Of the order and of the augmentation.
        augmentation: What happens to training images.
        class_names: In the order of their numbers, the positive class last.
        folder_names: Other names of class folders → the class they stand for.
        table: CSV file with a row an image instead of a folder, or None.
        label_column: Of the table: column with the class.
        split_column: Of the table: column with `train` or `test`.
        exclude: CSV file whose column `image` names images to leave out of training and validation, or None.
        metadata: A table with a row an image; `auto` is `<root>/metadata.csv` if it is there, or `table`; None is none.
        image_column: Column with an image's path relative to `root`.
        group_column: Column whose equal values mean one lesion, or None.
        without_row: What an image without a row gets: `stop` (an error) or `own_group`.
        on_broken: What broken images get: `stop` (an error) or `skip`.
        cache_fraction: Largest share of the machine's memory for decoded pixels, in [0, 1].
        cache_folder: Where pixels are kept that do not fit it; None: nowhere, the files are read again each epoch.
        resident: Whether decoded pixels lie on the device that trains; `auto` on a GPU that has room for them.
        every_class: Whether each class needs an image; images that are only judged may be of one.
    """

    def __init__(
        self,
        root: str | Path | None = None,
        *,
        preprocessing: Preprocessing | None = None,
        batch_size: int = 32,
        drop_last: bool = False,
        num_workers: int | Literal["auto"] = "auto",
        validation_fraction: float = 0.2,
        validate_on: Literal["validation", "test"] = "validation",
        limit: int | None = None,
        fold: int | None = None,
        split_seed: int = 0,
        seed: int = 0,
        augmentation: Augmentation | None = None,
        class_names: Sequence[str] = CLASS_NAMES,
        folder_names: Mapping[str, str] = FOLDER_NAMES,
        table: str | Path | None = None,
        label_column: str = "label",
        split_column: str = "split",
        exclude: str | Path | None = None,
        metadata: str | Path | None = "auto",
        image_column: str = "image",
        group_column: str | None = None,
        without_row: Literal["stop", "own_group"] = "stop",
        on_broken: Literal["stop", "skip"] = "stop",
        cache_fraction: float = 0.5,
        cache_folder: str | Path | None = None,
        resident: Residence = "auto",
        every_class: bool = True,
    ) -> None:
        super().__init__()
        if root is None and table is None:
            raise ValueError("give a root or a table")
        self.table = None if table is None else Path(table)
        self.root = Path(str(root)) if self.table is None else self.table.parent
        self.preprocessing = preprocessing or Preprocessing()
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.num_workers = num_workers
        self.validation_fraction = validation_fraction
        self.validate_on = validate_on
        self.limit = limit
        self.fold = fold
        self.split_seed = split_seed
        self.seed = seed
        self.augmentation = augmentation or NoAugmentation()
        self.class_names = tuple(class_names)
        self.folder_names = dict(folder_names)
        self.label_column = label_column
        self.split_column = split_column
        self.exclude = None if exclude is None else Path(exclude)
        self.metadata = metadata
        self.image_column = image_column
        self.group_column = group_column
        self.without_row: Literal["stop", "own_group"] = without_row
        self.on_broken = on_broken
        self.cache_fraction = cache_fraction
        self.cache_folder = None if cache_folder is None else Path(cache_folder)
        self.resident: Residence = resident
        self.every_class = every_class
        self._listed: dict[str, LabelledImages] = {}
        self._loaded: dict[str, LoadedImages] = {}
        self._cut: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None

    # What there is

    def list_split(self, folder: str) -> LabelledImages:
        """List `train`, without what is to be left out, or `test`, with lesions where known; reads no image."""
        if folder not in self._listed:
            images = self._list_all(folder)
            if self.exclude is not None and folder == "train":
                images = leave_out(images, self.exclude, self._test_paths)
            self._listed[folder] = self._with_groups(images)
        return self._listed[folder]

    def _list_all(self, folder: str) -> LabelledImages:
        if self.table is None:
            return list_images(self.root, folder, self.class_names, self.folder_names, every_class=self.every_class)
        check_table(self.table)
        columns = {name: getattr(self, name) for name in ("image_column", "label_column", "split_column")}
        return list_table(
            self.table, folder, self.class_names, self.folder_names, **columns, every_class=self.every_class
        )

    def _test_paths(self) -> tuple[str, ...]:
        try:
            return self._list_all("test").paths
        except UserError:  # there need be no test images
            return ()

    def find_metadata(self) -> Path | None:
        """Return the metadata table, or None where there is none.

        Raises:
            UserError: If one is named and missing.
        """
        return (self.table if self.metadata == "auto" else None) or find_table(self.metadata, self.root)

    def _with_groups(self, images: LabelledImages) -> LabelledImages:
        if self.group_column is None:
            return images
        table = self.find_metadata()
        if table is None:
            raise UserError(
                f"data.group_column={self.group_column} needs a metadata table, and {self.root} has no metadata.csv",
                "name the table with data.metadata=<file>, or leave data.group_column out",
            )
        return with_groups(images, table, self.image_column, self.group_column, self.without_row)

    def load(self, folder: str) -> LoadedImages:
        """Return all images of the folder `train` or `test`, decoded at the first call."""
        if folder not in self._loaded:
            images, title = self.list_split(folder), f"{folder} images"
            self._loaded[folder] = load_images(
                images, self.preprocessing, self.on_broken, self.cache_fraction, title, self.cache_folder
            )
        return self._loaded[folder]

    def split(self, name: str) -> ImageBatches:
        """Return the split `train`, `validation` or `test`."""
        if name == "test" or (name == "validation" and self.validate_on == "test"):
            loaded = self.load("test")
            return ImageBatches(loaded, torch.arange(len(loaded.images)))
        loaded = self.load("train")
        training, validation = self._cut_train(loaded.images)
        if name == "validation":
            return ImageBatches(loaded, torch.from_numpy(validation))
        if self.limit is not None and self.limit < len(training):
            training = training[np.linspace(0, len(training) - 1, self.limit).astype(np.int64)]
        return ImageBatches(loaded, torch.from_numpy(training))

    def _cut_train(self, images: LabelledImages) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        if self.validate_on == "test":
            return np.arange(len(images)), np.empty(0, dtype=np.int64)
        if self._cut is None:
            self._cut = (
                cut_validation(images, self.validation_fraction, self.split_seed)
                if self.fold is None
                else self._cut_fold(images, self.fold)
            )
        return self._cut

    def _cut_fold(self, images: LabelledImages, fold: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        if self.table is not None:
            return cut_fold(images, self.table, fold, self.image_column, self.group_column)
        check_folds(self.root, fold)
        return cut_fold(images, self.root / SPLIT_FILE, fold, group_column=self.group_column)

    def shared_with_train(self, images: LabelledImages) -> NDArray[np.bool_]:
        """Tell which of the test images show a lesion that is also in the train folder: bool `(N,)`."""
        if images.groups is None:
            return shared_lesions(images, ())
        return shared_lesions(images, self.list_split("train").groups or ())

    # What Lightning calls

    def setup(self, stage: str) -> None:
        """Read and check all images that the stage needs."""
        if stage == "fit":
            training = self.split("train")
            self.split("validation")
            if self.batch_size > len(training):
                raise UserError(
                    f"data.batch_size={self.batch_size} is larger than the {len(training)} training images",
                    f"take {len(training)} or fewer",
                )
        elif stage == "validate":
            self.split("validation")
        else:
            self.load("test")

    def train_dataloader(self) -> ResumableLoader:
        """Return the training batches, in the order that (seed, epoch) decides."""
        dataset = self._near(self.split("train"))
        rank, world_size = (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)
        count, device = len(dataset), dataset.device
        batches = EpochBatches(
            count, self.batch_size, self.seed, drop_last=self.drop_last, rank=rank, world_size=world_size, device=device
        )
        return ResumableLoader(dataset, batches, self._workers(dataset), *self._progress())

    def val_dataloader(self) -> DataLoader[Batch]:
        """Return the validation batches, in the order of the images."""
        return self._evaluation_loader("validation")

    def test_dataloader(self) -> DataLoader[Batch]:
        """Return the test batches, in the order of the images."""
        return self._evaluation_loader("test")

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Send a batch to the device; the epoch stays, since the augmentation would wait to get it back."""
        moved: Batch = super().transfer_batch_to_device(batch, device, dataloader_idx)
        return moved._replace(epoch=batch.epoch)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Augment training batches, wherever they lie."""
        if self.trainer is None or not self.trainer.training:
            return batch
        return self.augment(batch)

    def augment(self, batch: Batch) -> Batch:
        """Return the batch as training sees it."""
        parameters = self.augmentation.draw(self.seed, int(batch.epoch), batch.positions)
        return batch._replace(pixels=self.augmentation.apply(batch.pixels, parameters))

    def _evaluation_loader(self, name: str) -> DataLoader[Batch]:
        dataset = self._near(self.split(name))
        batches = EpochBatches(len(dataset), EVALUATION_BATCH, seed=0, shuffle=False, device=dataset.device)
        workers = self._workers(dataset)
        return DataLoader(
            dataset, sampler=batches, batch_size=None, num_workers=workers, worker_init_fn=leave_signals_alone
        )

    def _near(self, dataset: ImageBatches) -> ImageBatches:
        """Return the images on the device that trains, if they are to lie there."""
        if self.trainer is None:
            return dataset
        device = self.trainer.strategy.root_device
        return ResidentBatches(dataset, device) if is_resident(dataset, device, self.resident) else dataset

    def _workers(self, dataset: ImageBatches) -> int:
        if isinstance(dataset, ResidentBatches):
            return 0
        if self.num_workers != "auto":
            return self.num_workers
        return 0 if dataset.loaded.cache is not None else os.cpu_count() or 1

    def _progress(self) -> tuple[int, int]:
        """Return the epoch to train in, and how many of its batches were trained on before an interruption."""
        if self.trainer is None:
            return 0, 0
        fit_loop: Any = self.trainer.fit_loop  # restored from the checkpoint before Lightning asks for the loader
        return fit_loop.epoch_progress.current.processed, fit_loop.epoch_loop.batch_progress.current.ready
