"""The data module: the same batches for any cache and any workers, and broken images reported before training."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.conftest import SIZE, draw_image

from melanoma_pl.data import MoleDataModule
from melanoma_pl.data.augmentation import Dermoscopy
from melanoma_pl.data.labelled_images import list_images
from melanoma_pl.data.loader import Batch
from melanoma_pl.errors import UserError
from melanoma_pl.preprocessing import Preprocessing

SMALL = Preprocessing(SIZE)


def module(root: Path, **options: object) -> MoleDataModule:
    return MoleDataModule(root, preprocessing=SMALL, batch_size=8, **options)  # type: ignore[arg-type]


def batches(data: MoleDataModule, epoch: int = 1) -> list[Batch]:
    data.setup("fit")
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
    return [data.augment(batch) for batch in loader]


@pytest.mark.parametrize(
    "options", [{"num_workers": 2}, {"cache_fraction": 0.0, "num_workers": 0}, {"cache_fraction": 0.0}]
)
def test_batches_do_not_depend_on_cache_or_workers(options: dict[str, object], image_folder: Path) -> None:
    plain = batches(module(image_folder, augmentation=Dermoscopy()))
    other = batches(module(image_folder, augmentation=Dermoscopy(), cache_folder=None, **options))
    assert len(plain) == len(other) == 4
    for one, two in zip(plain, other, strict=True):
        assert all(torch.equal(part, twin) for part, twin in zip(one, two, strict=True))


def test_epochs_differ_in_order_and_augmentation(image_folder: Path) -> None:
    data = module(image_folder, augmentation=Dermoscopy())
    first, second = batches(data, 1), batches(data, 2)
    assert first[0].positions.tolist() != second[0].positions.tolist()
    position = int(first[0].positions[0])
    again = next(batch for batch in second if position in batch.positions.tolist())
    index = again.positions.tolist().index(position)
    assert not torch.equal(first[0].pixels[0], again.pixels[index])


def test_train_and_validation_do_not_overlap(image_folder: Path) -> None:
    data = module(image_folder, group_column="group")
    data.setup("fit")
    training, validation = data.split("train"), data.split("validation")
    assert not set(training.positions.tolist()) & set(validation.positions.tolist())
    groups = data.load("train").images.groups
    assert groups is not None
    sides = [{groups[position] for position in split.positions} for split in (training, validation)]
    assert not sides[0] & sides[1]


def test_validating_on_test_trains_on_everything(image_folder: Path) -> None:
    data = module(image_folder, validate_on="test")
    data.setup("fit")
    assert len(data.split("train")) == 40
    assert len(data.split("validation")) == 12


def test_limit_takes_both_classes(image_folder: Path) -> None:
    data = module(image_folder, limit=10)
    data.setup("fit")
    assert len(data.split("train")) == 10
    assert data.split("train").targets.sum() == 5


def test_whole_batches_only(image_folder: Path) -> None:
    sizes = [len(batch.targets) for batch in batches(module(image_folder, drop_last=True, validate_on="test"))]
    assert sizes == [8] * 5
    data = MoleDataModule(image_folder, preprocessing=SMALL, batch_size=12, drop_last=True)
    assert [len(batch.targets) for batch in batches(data)] == [12, 12]


def test_broken_images_stop_before_training(own_image_folder: Path) -> None:
    for name in ("000.png", "002.png"):
        (own_image_folder / "train/benign" / name).write_bytes(b"broken")
    with pytest.raises(UserError) as error:
        module(own_image_folder).setup("fit")
    assert "2 of 40 images cannot be read" in str(error.value)
    assert "000.png" in str(error.value)
    assert "data.on_broken=skip" in str(error.value)


def test_broken_images_are_skipped_and_counted(own_image_folder: Path) -> None:
    (own_image_folder / "train/benign/000.png").write_bytes(b"broken")
    data = module(own_image_folder, on_broken="skip")
    data.setup("fit")
    loaded = data.load("train")
    assert list(loaded.broken) == ["train/benign/000.png"]
    assert len(loaded.images) == 39
    assert loaded.cache is not None
    whole = module(own_image_folder.parent / "images", on_broken="skip")
    torch.testing.assert_close(loaded.pixels(torch.arange(39)), whole.load("train").pixels(torch.arange(39)))


def test_a_batch_larger_than_the_data(image_folder: Path) -> None:
    data = MoleDataModule(image_folder, preprocessing=SMALL, batch_size=64)
    with pytest.raises(UserError, match="larger than the 32 training images"):
        data.setup("fit")


def test_groups_without_a_table(own_image_folder: Path) -> None:
    (own_image_folder / "metadata.csv").unlink()
    with pytest.raises(UserError, match="needs a metadata table"):
        module(own_image_folder, group_column="group").setup("fit")


def test_fingerprint_follows_content(own_image_folder: Path) -> None:
    before = module(own_image_folder).load("train").fingerprint()
    assert before == module(own_image_folder).load("train").fingerprint()
    image = own_image_folder / "train/benign/000.png"
    image.write_bytes((own_image_folder / "train/benign/002.png").read_bytes())
    assert module(own_image_folder).load("train").fingerprint() != before


def test_lesions_shared_between_test_and_train(own_image_folder: Path) -> None:
    table = own_image_folder / "metadata.csv"
    table.write_text(table.read_text().replace("testFalse0", "trainFalse0"))
    data = module(own_image_folder, group_column="group")
    data.setup("test")
    images = data.load("test").images
    assert images.groups is not None
    shared = data.shared_with_train(images)
    assert shared.tolist() == [group == "trainFalse0" for group in images.groups] and shared.sum() == 2
    assert not module(own_image_folder).shared_with_train(replace(images, groups=None)).any()


def test_images_in_a_validation_folder_are_reported_once(
    own_image_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plain = module(own_image_folder)
    plain.setup("fit")
    assert not caplog.records
    for index in range(3):
        draw_image(own_image_folder / f"val/benign/{index}.png", malignant=False, seed=index)
    data = module(own_image_folder)
    data.setup("fit")
    data.setup("fit")
    (record,) = caplog.records
    assert f"3 images in {own_image_folder / 'val'} are not used" in record.message
    for name in ("train", "validation"):
        assert torch.equal(data.split(name).positions, plain.split(name).positions)
    assert data.load("train").fingerprint() == plain.load("train").fingerprint()
    assert {*list_images(own_image_folder).splits} == {"train", "validation", "test"}
