"""Moving figures: an animated PNG of all frames, and a slider that shows one of them."""

import base64
import io

import pytest
from matplotlib.figure import Figure
from PIL import Image

from melanoma_pl.foundations.display import canvas
from melanoma_pl.foundations.moving_figures import MovingFigure

VALUES = [0.5, 1.0, 2.0]


def draw(slope: float) -> Figure:
    figure, (ax,) = canvas(1, width=2, height=1.5)
    ax.plot([0, 1], [0, slope])
    ax.set(ylim=(0, 2), title=f"slope {slope:g}")
    return figure


@pytest.fixture(scope="module")
def moving() -> MovingFigure:
    return MovingFigure(draw, VALUES, "slope", milliseconds=300, start=1)


def test_a_page_without_a_kernel_gets_an_animation_of_all_values(moving):
    bundle, metadata = moving._repr_mimebundle_()
    animation = Image.open(io.BytesIO(base64.b64decode(bundle["image/png"])))
    assert (animation.n_frames, animation.size) == (3, (400, 300))
    assert metadata == {"image/png": {"width": 200, "height": 150}}
    for number, frame in enumerate(moving.frames):
        animation.seek(number)
        assert animation.convert("RGB").tobytes() == frame.convert("RGB").tobytes()
    assert bundle["text/plain"] == "slope: 0.5, 1, 2"


def test_the_frames_share_few_colours(moving):
    assert {frame.mode for frame in moving.frames} == {"P"}
    assert len({bytes(frame.palette.palette) for frame in moving.frames}) == 1
    assert all(frame.convert("RGB").getpixel((0, 0)) == (255, 255, 255) for frame in moving.frames)


def test_the_slider_shows_the_frame_of_its_value(moving):
    pytest.importorskip("ipywidgets")
    bundle, _ = moving._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    controls, figure = moving.control().children
    play, slider = controls.children

    def shown() -> int:
        frame = Image.open(io.BytesIO(figure.value)).convert("RGB").tobytes()
        return [each.convert("RGB").tobytes() for each in moving.frames].index(frame)

    assert (slider.label, shown()) == ("1", 1)
    slider.value = 2
    assert (shown(), play.value) == (2, 2)
    play.value = 0
    assert (slider.label, shown()) == ("0.5", 0)


def test_without_widgets_the_animation_remains(moving, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert set(moving._repr_mimebundle_()[0]) == {"image/png", "text/plain"}
