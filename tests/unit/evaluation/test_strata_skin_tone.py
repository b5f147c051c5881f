import math
import time

import numpy as np
import pytest

from melanoma_pl.evaluation.strata import lab, tone_of, typology_angle

LIGHT, DARK = (214, 176, 148), (94, 60, 44)  # two colours of skin


def images(colour, n=1, size=64, mole=(60, 30, 20)):
    pixels = np.full((n, size, size, 3), colour, dtype=np.uint8)
    pixels[:, size // 4 : -size // 4, size // 4 : -size // 4] = mole
    return pixels


def angle_of(colour):
    lightness, _, yellow = lab(np.array(colour, dtype=np.uint8))
    return math.degrees(math.atan((lightness - 50) / yellow))


@pytest.mark.parametrize(
    ("rgb", "expected"),
    [
        ((255, 255, 255), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 255, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
        ((128, 128, 128), (53.59, 0, 0)),
    ],
)
def test_lab_of_known_colours(rgb, expected):
    found = lab(np.array(rgb, dtype=np.uint8))
    assert found == pytest.approx(expected, abs=0.01) and found.dtype == np.float64


def test_lab_keeps_the_shape():
    assert lab(np.zeros((2, 5, 4, 3), dtype=np.uint8)).shape == (2, 5, 4, 3)


@pytest.mark.parametrize("colour", [LIGHT, DARK])
def test_the_angle_is_that_of_the_skin_around_the_mole(colour):
    assert typology_angle(images(colour, n=2)) == pytest.approx([angle_of(colour)] * 2)


def test_light_skin_is_above_dark_skin():
    light, dark = typology_angle(images(LIGHT))[0], typology_angle(images(DARK))[0]
    assert light > 41 and dark < -30
    assert (tone_of(light), tone_of(dark)) == ("light", "dark")


def test_dark_corners_rims_and_some_hair_do_not_count():
    pixels = images(LIGHT)
    pixels[:, :6], pixels[:, -3:], pixels[:, :, :4] = 0, 12, 20
    pixels[:, :, 60:62] = (70, 50, 40)  # a hair
    assert typology_angle(pixels) == pytest.approx([angle_of(LIGHT)])


def test_where_nothing_is_lit_or_nothing_is_skin_there_is_no_angle():
    dark, grey, blue = images((5, 5, 5)), images((128, 128, 128)), images((60, 60, 160))
    almost = images((0, 0, 0))
    almost[:, 0, :10] = LIGHT
    assert np.isnan(typology_angle(np.concatenate([dark, grey, blue, almost]))).all()


def test_large_images_give_the_angle_of_small_ones():
    assert typology_angle(images(LIGHT, size=448)) == pytest.approx([angle_of(LIGHT)])


def test_no_images_have_no_angles_and_wrong_shapes_are_refused():
    assert typology_angle(np.empty((0, 16, 16, 3), dtype=np.uint8)).shape == (0,)
    assert typology_angle(images(LIGHT)[:, :1, :1]).shape == (1,)
    with pytest.raises(ValueError, match="shape"):
        typology_angle(np.zeros((2, 3, 16, 16), dtype=np.uint8))


@pytest.mark.parametrize(
    ("angle", "tone"),
    [
        *((70, "very light"), (55.1, "very light"), (55, "light"), (41, "intermediate"), (28, "tan"), (10, "brown")),
        *((-29.9, "brown"), (-30, "dark"), (-80, "dark"), (math.nan, "unknown")),
    ],
)
def test_tones(angle, tone):
    assert tone_of(angle) == tone


def test_four_hundred_images_take_half_a_second_at_most():
    pixels = np.random.default_rng(0).integers(0, 256, (100, 224, 224, 3), dtype=np.uint8)
    fastest = math.inf
    for _ in range(3):
        began = time.process_time()
        typology_angle(pixels)
        fastest = min(fastest, time.process_time() - began)
    assert fastest < 0.5 / 4
