"""A new folder of images: linked where that is possible, all under different names, complete or absent."""

import os
import resource
from pathlib import Path

import pytest

from melanoma_pl.data.partition.target_folder import check_target, free_paths, link_or_copy, staged_folder
from melanoma_pl.errors import UserError


def refuse_links(*arguments: object, **options: object) -> None:
    raise OSError(18, "Invalid cross-device link")


def test_a_link_is_the_same_file_and_a_copy_is_another(tmp_path: Path) -> None:
    image = tmp_path / "a.jpg"
    image.write_bytes(b"image")
    assert link_or_copy(image, tmp_path / "new/linked.jpg", copy=False)
    assert not link_or_copy(image, tmp_path / "new/copied.jpg", copy=True)
    assert (tmp_path / "new/linked.jpg").samefile(image)
    assert not (tmp_path / "new/copied.jpg").samefile(image)
    assert (tmp_path / "new/copied.jpg").read_bytes() == b"image"


def test_another_file_system_gets_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.jpg").write_bytes(b"image")
    monkeypatch.setattr(os, "link", refuse_links)
    assert not link_or_copy(tmp_path / "a.jpg", tmp_path / "b.jpg", copy=False)
    assert (tmp_path / "b.jpg").read_bytes() == b"image"


def test_a_link_to_an_image_is_followed(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"image")
    (tmp_path / "pointer.jpg").symlink_to("a.jpg")
    link_or_copy(tmp_path / "pointer.jpg", tmp_path / "new/b.jpg", copy=False)
    assert not (tmp_path / "new/b.jpg").is_symlink()
    assert (tmp_path / "new/b.jpg").read_bytes() == b"image"


@pytest.mark.parametrize(
    ("folders", "sources", "expected"),
    [
        (["t", "t"], ["a/1.jpg", "b/2.jpg"], ["t/1.jpg", "t/2.jpg"]),
        (["t", "u"], ["a/1.jpg", "b/1.jpg"], ["t/1.jpg", "u/1.jpg"]),
        (["t", "t"], ["a/1.jpg", "b/1.jpg"], ["t/a_1.jpg", "t/b_1.jpg"]),
        (["t", "t"], ["a/IMG.jpg", "b/img.jpg"], ["t/a_IMG.jpg", "t/b_img.jpg"]),
        (["t", "t"], ["../x/1.jpg", "/y/1.jpg"], ["t/x_1.jpg", "t/y_1.jpg"]),
        (["t", "t", "t"], ["a/1.jpg", "b/1.jpg", "a_1.jpg"], None),
        (["t", "t"], [f"{'ä' * 120}/{letter * 200}/1.jpg" for letter in "ab"], None),
        (["t", "t"], ["a_b/1.jpg", "a/b_1.jpg"], ["t/1.jpg", "t/b_1.jpg"]),
        (["t", "t", "t", "t"], ["a_b/1.jpg", "a/b/1.jpg", "c/1.jpg", "a/b_1.jpg"], None),
    ],
)
def test_new_names_are_all_different(folders: list[str], sources: list[str], expected: list[str] | None) -> None:
    paths = free_paths(folders, sources)
    assert len({path.casefold() for path in paths}) == len(sources)
    assert [Path(path).suffix for path in paths] == [".jpg"] * len(sources)
    assert all(len(os.fsencode(Path(path).name)) <= 255 for path in paths)
    assert paths == expected or expected is None
    assert free_paths(folders[::-1], sources[::-1]) == paths[::-1], "the order plays no part"


def test_the_folder_appears_when_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "new/folder"
    with staged_folder(target) as staged:
        (staged / "a.txt").write_text("a")
        assert not target.exists()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["folder"]
    assert (target / "a.txt").read_text() == "a"
    assert (target.stat().st_mode & 0o777) == (target.parent.stat().st_mode & 0o777), "others may read it, as usual"


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, UserError])
def test_an_interrupted_folder_leaves_nothing(error: type[BaseException], tmp_path: Path) -> None:
    with pytest.raises(error), staged_folder(tmp_path / "new/folder") as staged:
        (staged / "a.txt").write_text("a")
        raise error("stop")
    assert not list(tmp_path.iterdir())


def test_an_empty_target_is_taken_and_a_filled_one_is_not(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    with staged_folder(tmp_path / "target") as staged:
        (staged / "a.txt").write_text("a")
    assert (tmp_path / "target/a.txt").is_file()
    with pytest.raises(UserError, match="another process made .* meanwhile"), staged_folder(tmp_path / "target"):
        pass
    assert [path.name for path in tmp_path.rglob("*")] == ["target", "a.txt"]


def test_a_target_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "target").symlink_to("disk")
    with staged_folder(tmp_path / "target") as staged:
        (staged / "a.txt").write_text("a")
    assert (tmp_path / "target").is_symlink()
    assert (tmp_path / "disk/a.txt").is_file()


def test_refused_targets(tmp_path: Path) -> None:
    source = tmp_path / "images"
    (source / "train").mkdir(parents=True)
    (tmp_path / "file").write_text("")
    (tmp_path / "inside").symlink_to("images/train")
    for target, expected in [
        (source, "lies inside it"),
        (source / "new", "lies inside it"),
        (source / "train/../../images/new", "lies inside it"),
        (tmp_path / "inside/new", "lies inside it"),
        (tmp_path / "file", "is a file"),
        (tmp_path, "is not empty"),
        (Path("/proc/a/b"), "cannot be written"),
    ]:
        with pytest.raises(UserError, match=expected):
            check_target(target, source)
    check_target(tmp_path / "images2", source)


def test_a_target_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be made"), staged_folder(tmp_path / "file/folder/target"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_is_not_blamed_on_the_image_that_was_copied(tmp_path: Path) -> None:
    (image := tmp_path / "image.png").write_bytes(bytes(100_000))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with pytest.raises(UserError) as error, staged_folder(tmp_path / "new") as staged:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
        try:
            link_or_copy(image, staged / "train/image.png", copy=True)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(error.value).startswith(f"no space is left to write {tmp_path / 'new'}: ")
    assert list(tmp_path.iterdir()) == [image]
