"""Figures that move: a series of frames as an animation, and as a control with a slider where a kernel runs."""

import base64
import importlib
import importlib.util
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from PIL import Image

SHADES = 256  # colours of all frames together: as many as one byte a pixel can name


def as_frame(figure: Figure) -> Image.Image:
    """Return a figure as an image in RGB, at twice the resolution that it is shown at."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=2 * figure.dpi)
    return Image.open(file).convert("RGB")


def in_few_colours(frames: Sequence[Image.Image]) -> list[Image.Image]:
    """Return frames of one size with one palette of `SHADES` colours."""
    width, height = frames[0].size
    together = Image.new("RGB", (width, height * len(frames)))
    for number, frame in enumerate(frames):
        together.paste(frame, (0, number * height))
    reduced = together.quantize(SHADES, dither=Image.Dither.NONE)
    return [reduced.crop((0, top, width, top + height)) for top in range(0, together.height, height)]


def as_animation(frames: Sequence[Image.Image], milliseconds: int) -> bytes:
    """Return frames as an animated PNG, which every browser shows wherever it shows a PNG.

    Args:
        frames: Images of one size.
        milliseconds: Time of each frame; the last one stays three times as long. The animation repeats for ever.
    """
    file = io.BytesIO()
    times = [milliseconds] * (len(frames) - 1) + [3 * milliseconds]
    options: dict[str, Any] = {"save_all": True, "append_images": frames[1:], "duration": times, "loop": 0}
    frames[0].save(file, format="png", optimize=True, **options)
    return file.getvalue()


class MovingFigure:
    """A figure of one variable: a slider where a kernel and ipywidgets answer, elsewhere an animation of all values.

    A notebook that displays it stores both. A page that knows no widgets, such as GitHub, shows the animation, and so
    does JupyterLab once the stored notebook has lost the widget.

    Args:
        draw: Draws the figure of one value; all figures have one size.
        values: Values to choose from, in the order of the slider.
        name: Name of the variable, beside the slider.
        milliseconds: Time of each value in the animation.
        start: Index of the value that the slider shows first.
    """

    def __init__(
        self,
        draw: Callable[[Any], Figure],
        values: Sequence[Any],
        name: str,
        milliseconds: int = 700,
        start: int = 0,
    ) -> None:
        self.labels = [value if isinstance(value, str) else f"{value:g}" for value in values]
        self.name, self.milliseconds, self.start = name, milliseconds, start
        self.frames = in_few_colours([as_frame(draw(value)) for value in values])

    def control(self) -> Any:
        """Return the slider with a play button above the figure, an `ipywidgets.VBox`."""
        widgets = importlib.import_module("ipywidgets")
        pictures = [_as_png(frame) for frame in self.frames]
        last = len(pictures) - 1
        figure = widgets.Image(value=pictures[self.start], format="png", width=self.frames[0].width // 2)
        slider = widgets.SelectionSlider(
            options=list(zip(self.labels, range(len(pictures)), strict=True)),
            value=self.start,
            description=self.name,
            layout=widgets.Layout(width="420px"),
            style={"description_width": "initial"},
        )
        play = widgets.Play(value=self.start, min=0, max=last, interval=self.milliseconds, show_repeat=False)
        play.observe(lambda change: setattr(slider, "value", change["new"]), "value")

        def show(change: Mapping[str, Any]) -> None:
            figure.value, play.value = pictures[change["new"]], change["new"]

        slider.observe(show, "value")
        return widgets.VBox([widgets.HBox([play, slider]), figure])

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        animation = base64.b64encode(as_animation(self.frames, self.milliseconds)).decode()
        bundle = {"image/png": animation, "text/plain": f"{self.name}: {', '.join(self.labels)}"}
        if importlib.util.find_spec("ipywidgets"):
            shown = self.control()._repr_mimebundle_()
            bundle |= {kind: value for kind, value in shown.items() if kind not in bundle}
        width, height = self.frames[0].size
        return bundle, {"image/png": {"width": width // 2, "height": height // 2}}


def _as_png(frame: Image.Image) -> bytes:
    file = io.BytesIO()
    frame.save(file, format="png")
    return file.getvalue()
