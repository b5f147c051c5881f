"""The data module: the same batches for any cache and any workers, and broken images reported before training."""

import base64
import os
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from PIL import Image
from tests.conftest import HEIC, SIZE, draw_image

from melanoma_pl.data import MoleDataModule
from melanoma_pl.data.augmentation import Dermoscopy
from melanoma_pl.data.labelled_images import list_images
from melanoma_pl.data.loader import Batch
from melanoma_pl.data.options import is_readable
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


@pytest.mark.parametrize("most", [10, 100_000])
def test_each_image_has_the_change_of_its_own_in_each_epoch(most: int, image_folder: Path) -> None:
    data = module(image_folder, augmentation=Dermoscopy())
    data.setup("fit")
    with patch("melanoma_pl.data.datamodule.MOST_DRAWN", most):
        for epoch in (1, 2, 1):  # the parameters of all images are drawn once an epoch
            loader = data.train_dataloader()
            loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
            for batch in loader:
                parameters = data.augmentation.draw(data.seed, epoch, batch.positions)
                assert torch.equal(data.augment(batch).pixels, data.augmentation.apply(batch.pixels, parameters))


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


def test_all_images_are_trained_on(image_folder: Path) -> None:
    data = module(image_folder, validation_fraction=0, group_column="group")
    data.setup("fit")
    assert (len(data.split("train")), len(data.split("validation"))) == (40, 0)
    assert data.list_trained_on().paths == data.split("train").images.paths == data.list_split("train").paths
    assert data.val_dataloader() == [], "Lightning skips a validation without loaders"
    limited = module(image_folder, validation_fraction=0, limit=10)
    assert limited.list_trained_on().paths == limited.split("train").images.paths


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


def test_images_of_a_validation_split_are_not_used_if_test_validates(
    own_image_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plain = module(own_image_folder, validate_on="test")
    plain.setup("fit")
    assert not caplog.records
    draw_validation(own_image_folder / "val")
    data = module(own_image_folder, validate_on="test")
    data.setup("fit")
    data.setup("fit")
    (record,) = caplog.records
    assert "4 images of the validation split are not used" in record.message
    for name in ("train", "validation"):
        assert torch.equal(data.split(name).positions, plain.split(name).positions)
    assert data.load("train").fingerprint() == plain.load("train").fingerprint()
    assert {*list_images(own_image_folder).splits} == {"train", "validation", "test"}


def draw_validation(folder: Path) -> list[str]:
    names = [f"{folder.name}/{label}/{index}.png" for label in ("benign", "malignant") for index in range(2)]
    for seed, name in enumerate(names):
        draw_image(folder.parent / name, "malignant" in name, seed=seed)
    return names


def paths_of(data: MoleDataModule, split: str) -> list[str]:
    chosen = data.split(split)
    return [chosen.loaded.images.paths[position] for position in chosen.positions.tolist()]


@pytest.mark.parametrize("name", ["val", "valid", "Validation"])
@pytest.mark.parametrize("as_table", [False, True])
def test_a_validation_split_validates(
    name: str, as_table: bool, own_image_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    drawn = draw_validation(own_image_folder / name)
    train = list(list_images(own_image_folder).paths)
    train = [path for path in train if path.startswith("train")]
    options: dict[str, object] = {"limit": 10, "validation_fraction": 0.5}
    if as_table:
        options["table"] = own_image_folder / "images.csv"
        cells = [(path, *path.split("/")[1::-1]) for path in (*train, *drawn, "test/benign/000.png")]
        lines = ["image,label,split", *map(",".join, cells)]
        (own_image_folder / "images.csv").write_text("\n".join(lines))
    with caplog.at_level("INFO"):
        data = module(own_image_folder, **options)
        data.setup("fit")
    assert paths_of(data, "validation") == drawn
    assert len(data.split("train")) == 10
    assert set(paths_of(data, "train")) <= set(train)
    assert data.has_validation_split
    assert [text for text in caplog.messages if "validation split of 4 images" in text]
    (own_image_folder / "split.csv").touch()
    with pytest.raises(UserError, match=r"data\.fold=0 .* validation split of 4 images"):
        module(own_image_folder, **options, fold=0).list_split("train")
    with pytest.raises(UserError, match=r"data\.validation_fraction=0 .* validation split of 4 images"):
        module(own_image_folder, **options | {"validation_fraction": 0}).list_split("train")


def test_a_validation_split_shares_lesions_with_train(own_image_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    drawn = draw_validation(own_image_folder / "val")
    with (own_image_folder / "metadata.csv").open("a") as table:
        table.writelines(
            f"{path},{group},\n" for path, group in zip(drawn, ("trainFalse0", "a", "b", "c"), strict=True)
        )
    module(own_image_folder, group_column="group").setup("fit")
    assert [text for text in caplog.messages if "1 of them share a lesion with train" in text]


def test_a_validation_split_needs_both_classes(own_image_folder: Path) -> None:
    draw_image(own_image_folder / "val/benign/1.png", malignant=False, seed=1)
    with pytest.raises(UserError, match="val has no image of the class 'malignant'"):
        module(own_image_folder).setup("fit")


def test_files_that_are_not_read_are_counted_and_named(
    own_image_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("train/benign/a.heic", "train/benign/notes.txt", "train/malignant/Thumbs.db"):
        (own_image_folder / name).write_bytes(b"")
    is_readable.cache_clear()
    with patch("melanoma_pl.data.options.find_spec", return_value=None):
        data = module(own_image_folder)
        assert len(data.list_split("train")) == 40
        data.list_split("train")
    is_readable.cache_clear()
    (text,) = caplog.messages
    assert "2 files are not read as images: .heic 1, .txt 1 (train/benign/a.heic, train/benign/notes.txt)" in text
    assert "melanoma-pl[heic]" in text


@pytest.mark.parametrize("ending", ["jfif", "jpe", "gif", "jp2", "mpo", "avif"])
def test_other_endings_are_trained_on(ending: str, own_image_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    if not is_readable(f".{ending}"):
        pytest.skip(f"this machine does not read {ending}")
    plain = module(own_image_folder).load("train")
    for path in plain.images.paths[:4]:
        image = Image.open(own_image_folder / path).convert("RGB")
        kind = {"jfif": "JPEG", "jpe": "JPEG", "jp2": "JPEG2000"}.get(ending, ending.upper())
        image.save((own_image_folder / path).with_suffix(f".{ending}"), kind)
        (own_image_folder / path).unlink()
    loaded = module(own_image_folder).load("train")
    assert [Path(path).stem for path in loaded.images.paths] == [Path(path).stem for path in plain.images.paths]
    positions = torch.arange(40)
    assert (loaded.pixels(positions).float() - plain.pixels(positions).float()).abs().mean() < 8
    assert not caplog.records


@pytest.mark.skipif(not is_readable(".heic"), reason="the extra heic is not installed")
def test_heic_is_trained_on(own_image_folder: Path) -> None:
    (own_image_folder / "train/benign/a.heic").write_bytes(base64.b64decode(HEIC))
    loaded = module(own_image_folder).load("train")
    position = loaded.images.paths.index("train/benign/a.heic")
    pixels = loaded.pixels(torch.tensor([position])).float()
    assert pixels.mean(dim=(0, 2, 3)).tolist() == pytest.approx((200, 120, 100), abs=3)


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_names_that_are_not_utf_8(own_image_folder: Path) -> None:
    folder = os.fsencode(own_image_folder / "train/benign")
    os.rename(folder + b"/000.png", folder + b"/\xff\xe9.png")  # noqa: PTH104 # a path of bytes
    loaded = module(own_image_folder).load("train")
    assert loaded.fingerprint() == module(own_image_folder).load("train").fingerprint()
    assert "train/benign/\udcff\udce9.png" in loaded.images.paths
