"""The four measures of the ABCD rule on shapes with known answers, on drawn moles and on images of one's own."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import spearmanr

from melanoma_pl.data.synthetic.mole_drawing import draw_image
from melanoma_pl.data.synthetic.synthetic_images import draw_mole
from melanoma_pl.errors import UserError
from melanoma_pl.foundations import abcd_rule

SIZE = 128


def disc(radius: float, size: int = SIZE) -> NDArray[np.bool_]:
    rows, columns = np.indices((size, size)) - (size - 1) / 2
    return np.asarray(np.hypot(rows, columns) <= radius)


def painted(mole: NDArray[np.bool_], colour: tuple[int, int, int] = (90, 40, 30)) -> NDArray[np.uint8]:
    image = np.full((*mole.shape, 3), (230, 180, 160), dtype=np.uint8)
    image[mole] = colour
    return image


def drawn(figure: Figure) -> bool:
    figure.draw_without_rendering()
    return all(ax.has_data() for ax in figure.axes)


def test_the_outline_of_a_disc_is_found() -> None:
    mole = disc(30)
    found = abcd_rule.outline_mole(painted(mole))
    assert (found ^ mole).sum() < 0.1 * mole.sum()


def test_a_rim_and_a_hair_are_not_the_mole() -> None:
    mole = disc(20)
    image = painted(mole)
    image[~disc(SIZE / 2 * 0.95)] = 5
    image[:, 30] = 20
    found = abcd_rule.outline_mole(image)
    assert (found ^ mole).sum() < 0.2 * mole.sum()


def test_an_image_without_a_mole() -> None:
    image = np.full((SIZE, SIZE, 3), 200, dtype=np.uint8)
    assert abcd_rule.measure(image, np.zeros((SIZE, SIZE), dtype=bool)) == (0, 0, 0, 0)
    assert abcd_rule.outline_mole(image).dtype == bool


def test_measures_of_a_disc() -> None:
    mole = disc(32)
    found = abcd_rule.measure(painted(mole), mole, millimetres=12.8)
    assert found.asymmetry < 0.02
    assert found.border == pytest.approx(1, abs=0.05)
    assert found.colours == pytest.approx(0, abs=1e-6)
    assert found.diameter == pytest.approx(6.4, rel=0.01)


def test_a_square_and_a_half_have_known_measures() -> None:
    square = np.zeros((SIZE, SIZE), dtype=bool)
    square[32:96, 32:96] = True
    assert abcd_rule.measure(painted(square), square).border == pytest.approx(2 / np.sqrt(np.pi), rel=0.05)
    lopsided = disc(30)
    lopsided[SIZE // 2 :, SIZE // 2 :] = False  # three quarters of a disc: symmetric at one of its axes only
    by_axis = [(lopsided & ~mirrored).sum() / lopsided.sum() for mirrored in abcd_rule.mirror_images(lopsided)]
    assert min(by_axis) < 0.03 and max(by_axis) > 0.15
    assert abcd_rule.measure(painted(lopsided), lopsided).asymmetry == pytest.approx(np.mean(by_axis))


def test_two_colours_spread_by_half_of_their_distance() -> None:
    mole = disc(30)
    image = painted(mole)
    image[:, SIZE // 2 :][mole[:, SIZE // 2 :]] = (200, 200, 210)
    both = abcd_rule.lab(np.array([[90, 40, 30], [200, 200, 210]]))
    expected = np.linalg.norm(both[0] - both[1]) / 2
    assert abcd_rule.measure(image, mole).colours == pytest.approx(expected, rel=0.01)


def test_otsu_separates_two_groups() -> None:
    values = np.concatenate([np.random.default_rng(0).normal(20, 2, 300), np.random.default_rng(1).normal(70, 2, 700)])
    assert (values < abcd_rule.otsu_threshold(values)).tolist() == 300 * [True] + 700 * [False]


@pytest.mark.parametrize("trait", ["asymmetry", "border", "colours", "diameter"])
def test_a_measure_follows_the_trait_that_was_drawn(trait: str) -> None:
    moles = [draw_mole(index % 2 == 1, 3, index) for index in range(60)]
    images = [draw_image(mole, 3, index, 96) for index, mole in enumerate(moles)]
    measures = abcd_rule.measure_all(images)[:, abcd_rule.Measures._fields.index(trait)]
    assert spearmanr([getattr(mole, trait) for mole in moles], measures).statistic > 0.2


def test_the_standard_score_adds_deviations() -> None:
    reference = np.array([[0.0, 0, 0, 0], [2.0, 2, 2, 2]])
    assert abcd_rule.standard_score(np.array([[1.0, 1, 1, 1], [3.0, 1, 1, 1]]), reference).tolist() == [0, 2]


def test_examples_alternate() -> None:
    images, targets = abcd_rule.draw_examples(4, 32, seed=0)
    assert images.shape == (4, 32, 32, 3) and targets.tolist() == [0, 1, 0, 1]


def test_own_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(abcd_rule.FOLDER_VARIABLE, raising=False)
    assert abcd_rule.own_images(2, 32) == {}
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (60, 40), (10, 20, 30)).save(tmp_path / name / "1.png")
    monkeypatch.setenv(abcd_rule.FOLDER_VARIABLE, str(tmp_path))
    found = abcd_rule.own_images(2, 32)
    assert list(found) == ["a/1.png", "c/1.png"]
    assert all(image.shape == (32, 32, 3) and (image == (10, 20, 30)).all() for image in found.values())
    monkeypatch.setenv(abcd_rule.FOLDER_VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"MELANOMA_IMAGES=.*nowhere"):
        abcd_rule.own_images(2, 32)


def test_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    figure = abcd_rule.traits_figure(size=32)
    titles = [ax.get_title() for ax in figure.axes]
    assert titles[0] == "asymmetry 0" and titles[-1] == "diameter 9 mm"
    assert drawn(figure)
    figure = abcd_rule.measures_figure({"one": painted(disc(30)), "two": painted(disc(20))})
    text: Any = figure.axes[0].get_xlabel()
    assert "B 1.0" in text and drawn(figure)
    measures, targets = np.random.default_rng(0).random((40, 4)), np.arange(40) % 2
    figure = abcd_rule.groups_figure(measures, targets, [0.5, 0.6, 0.7, 0.8])
    assert "AUROC 0.80" in figure.axes[-1].get_title() and drawn(figure)
