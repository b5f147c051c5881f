import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from PIL import Image
from sklearn.metrics import average_precision_score, precision_recall_curve
from tests.unit.report.evaluation_examples import (
    bare_content,
    experiment,
    group,
    labels,
    named_content,
    small,
)

from melanoma_pl.evaluation.intervals import Estimate
from melanoma_pl.report import page
from melanoma_pl.report.content import Content, SubgroupTable
from melanoma_pl.report.figures.canvas import whiskers
from melanoma_pl.report.figures.curves import (
    DERMATOLOGISTS,
    GRID,
    precision_recall,
    precision_recall_points,
    probabilities,
    reliability,
    roc,
    thinned,
)
from melanoma_pl.report.figures.epochs import learning_curves, stacked_learning_curves
from melanoma_pl.report.figures.forest import EstimateRow, forest, robustness, shortcuts, subgroups
from melanoma_pl.report.page import FIGURES, STYLE, FigureWriter, write_figures
from melanoma_pl.report.wording import told

SVG = "{http://www.w3.org/2000/svg}"


def drawn_texts(figure: Figure) -> Iterator[tuple[str, Bbox]]:
    """Yield each text that is drawn, with its box in pixels; labels of ticks beyond the axes are not drawn."""
    drawing = FigureCanvasAgg(figure)
    drawing.draw()
    beyond = set()
    for axis in (axis for ax in figure.axes for axis in (ax.xaxis, ax.yaxis)):
        shown = axis._update_ticks() if axis.axes.axison else []  # type: ignore[attr-defined]
        beyond |= {label for tick in axis.majorTicks if tick not in shown for label in (tick.label1, tick.label2)}
    for text in figure.findobj(lambda artist: isinstance(artist, Text) and artist not in beyond):
        assert isinstance(text, Text)
        is_shown = text.get_visible() and (text.axes is None or text.axes.axison)
        if is_shown and text.get_text().strip():
            yield text.get_text(), text.get_window_extent(drawing.get_renderer())


def check_texts(draw: Callable[[Content], Figure | None], content: Content) -> None:
    """Check that no text of a figure overlaps another one or leaves the figure."""
    with matplotlib.rc_context(STYLE):
        figure = draw(content)
        assert figure is not None
        texts = list(drawn_texts(figure))
    (width, height), slack = figure.bbox.size, 1
    for text, box in texts:
        is_inside = min(box.x0, box.y0) > -slack and box.x1 < width + slack and box.y1 < height + slack
        assert is_inside, f"{text!r} leaves the figure"
    for (text, box), (other, second) in combinations(texts, 2):
        common = Bbox.intersection(box, second)
        assert common is None or min(common.size) < slack, f"{text!r} overlaps {other!r}"


@pytest.mark.filterwarnings("ignore:Glyph .* missing from")
@pytest.mark.parametrize("name", FIGURES)
def test_texts_neither_overlap_nor_leave_the_figure(content: Content, name: str) -> None:
    check_texts(FIGURES[name], replace(content, shows_published=True))
    long = ("seborrheic keratosis or nevus", "melanoma_of_any_type_and_stage")
    check_texts(FIGURES[name], replace(content, class_names=long))


@pytest.mark.parametrize("threshold", [0.0002, 0.59, 0.61, 0.9951])
def test_the_threshold_has_space_wherever_it_lies(content: Content, threshold: float) -> None:
    chosen = replace(content.decisions[0], threshold=threshold)
    for draw in (roc, probabilities):
        check_texts(draw, replace(content, decisions=(chosen, *content.decisions[1:])))


def test_figures_tell_the_number_of_images(content: Content) -> None:
    for draw in (roc, precision_recall):
        figure = draw(content)
        assert figure is not None
        assert figure.axes[0].get_title("left") == f"400 images, {content.positives} malignant"
    bins = content.calibration[1].bins
    sizes = [own.n for own in bins]
    whole, alike = reliability(content), tuple(replace(own, n=40) for own in bins)
    assert whole is not None
    assert whole.axes[0].get_title("left") == f"{min(sizes)}–{max(sizes)} images a point"
    equal = reliability(
        replace(content, calibration=(content.calibration[0], replace(content.calibration[1], bins=alike)))
    )
    assert equal is not None and equal.axes[0].get_title("left") == "40 images a point"
    groups, files = subgroups(content), shortcuts(content)
    assert groups is not None and files is not None
    counts = [text.get_text() for text in groups.axes[-1].texts if text.get_text() != "–"]
    assert counts == ["images", *(f"{row.n}" for table in content.subgroups for row in table.reported)]
    assert files.axes[0].get_title() == "AUROC, 400 images"


def test_figures_are_written_whole_and_alike_each_time(content: Content, tmp_path: Path) -> None:
    first, second = write_figures(content, tmp_path / "new" / "one"), write_figures(content, tmp_path / "two")
    assert first == second and list(first) == list(FIGURES)
    names = {f"{name}.{kind}" for name in FIGURES for kind in ("png", "svg")}
    assert {file.name for file in (tmp_path / "two").iterdir()} == names
    for name in names:
        assert (tmp_path / "new" / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_files_are_what_their_names_say(content: Content, tmp_path: Path) -> None:
    for name, text in write_figures(replace(content, robustness=()), tmp_path).items():
        assert ElementTree.fromstring(text).tag == f"{SVG}svg"
        assert (tmp_path / f"{name}.svg").read_text(encoding="utf-8") == text
        with Image.open(tmp_path / f"{name}.png") as image:
            assert image.width == pytest.approx((3 * 3.7 if name == "learning_curves" else 4.3) * 150, abs=2)
    assert not (tmp_path / "robustness.png").exists()


def test_learning_curves_mark_the_chosen_epoch(content: Content) -> None:
    own = replace(content, experiments=(experiment(chosen=3),))
    for figure in (learning_curves(own), stacked_learning_curves(own)):
        assert figure is not None
        assert [ax.get_title("left") for ax in figure.axes] == ["loss", "accuracy", "AUROC"]
        train, validation, chosen = figure.axes[0].lines
        assert train.get_xydata()[:, 0].tolist() == [1, 2, 3, 4] and validation.get_xydata()[:, 0].tolist() == [2, 3, 4]
        assert chosen.get_xdata() == [3, 3]
        names = [text.get_text() for text in figure.legends[0].get_texts()]
        assert names == ["train", "validation", "chosen epoch: 3"]


def test_learning_curves_of_one_epoch_are_dots_with_room(content: Content) -> None:
    one = learning_curves(replace(content, experiments=(experiment(epochs=1, chosen=None),)))
    assert one is not None
    assert [ax.get_title("left") for ax in one.axes] == ["loss", "accuracy"]  # an epoch without validation
    (dot,) = one.axes[0].lines
    assert dot.get_marker() == "o" and one.axes[0].get_xlim() == (0.5, 1.5)
    assert [tick for tick in one.axes[0].get_xticks() if 0.5 <= tick <= 1.5] == [1], "there is no half epoch"
    assert learning_curves(replace(content, experiments=(replace(experiment(), curves=None),))) is None
    assert learning_curves(replace(content, experiments=())) is None


def test_learning_curves_of_an_ensemble_lie_in_one_figure(content: Content) -> None:
    figure = learning_curves(replace(content, experiments=(experiment(chosen=3), experiment(1, 30, 28))))
    assert figure is not None and len(figure.axes[0].lines) == 6
    assert figure.legends[0].get_texts()[-1].get_text() == "chosen epochs"
    assert figure.axes[0].lines[3].get_marker() == ""  # dots of many epochs would hide the line


def test_one_class_has_no_curve(tmp_path: Path) -> None:
    assert list(write_figures(bare_content(), tmp_path)) == ["probabilities", "risk_coverage"]
    empty = replace(bare_content(), curves=replace(bare_content().curves, probabilities=(), targets=()))
    assert probabilities(empty) is None


def test_roc_names_its_points(content: Content) -> None:
    expected = ["chosen on validation: threshold 0.31", "threshold 0.5"]
    assert labels(roc(content)) == ["chance level", f"AUROC {told(content.sets[0].ranking.auroc)}", *expected]
    fixed = replace(content, decisions=(replace(content.decisions[0], threshold=0.5), *content.decisions[1:]))
    assert labels(roc(fixed))[2:] == ["chosen on validation: threshold 0.5"]


def test_published_points_are_drawn_only_on_request_and_the_figure_says_that_the_images_differ(
    content: Content,
) -> None:
    requested = roc(replace(content, shows_published=True))
    assert "eight dermatologists on other images: not comparable" in labels(requested)
    assert requested is not None
    drawn = [text.get_text() for text in requested.legends[0].get_texts()]
    assert any("other images: not comparable" in text for text in drawn)
    assert not any("dermatologists" in label for label in labels(roc(content)))


def test_roc_points_lie_where_decisions_are(content: Content) -> None:
    figure = roc(replace(content, shows_published=True))
    assert figure is not None
    points = [tuple(line.get_xydata()[0]) for line in figure.axes[0].lines if line.get_marker() in ("o", "s", "D")]
    assert (1 - DERMATOLOGISTS.specificity, DERMATOLOGISTS.sensitivity) in points
    for decisions in content.decisions[:2]:
        assert (1 - (decisions.specificity.value or 0), decisions.sensitivity.value) in points


@pytest.mark.parametrize(
    ("targets", "probabilities", "first"),
    [
        ((0, 1, 0, 1, 1, 0), (0.9, 0.8, 0.7, 0.6, 0.3, 0.2), (1 / 3, 1 / 2)),  # begins with a false positive
        ((1, 0, 1, 0), (0.5, 0.5, 0.5, 0.1), (1, 2 / 3)),  # tied
        ((1, 0, 1, 0), (0.5, 0.5, 0.5, 0.5), (1, 1 / 2)),  # all tied
        ((0, 0, 1, 0, 0), (0.9, 0.8, 0.7, 0.6, 0.1), (1, 1 / 3)),  # one positive
        ((0, 0, 1, 1), (0.1, 0.2, 0.8, 0.9), (1 / 2, 1)),  # perfect
        ((1, 1, 0, 0), (0.1, 0.2, 0.8, 0.9), (1 / 2, 1 / 3)),  # the worst
    ],
)
def test_the_precision_recall_curve_begins_at_the_first_true_positive(
    targets: tuple[int, ...], probabilities: tuple[float, ...], first: tuple[float, float]
) -> None:
    recall, precision = precision_recall_points(np.array(targets), np.array(probabilities))
    assert recall[0] == 1 and recall[-1] == 0
    assert (recall[-2], precision[-2]) == pytest.approx(first)
    assert precision[-1] == precision[-2], "no spike at the left"
    theirs = precision_recall_curve(targets, probabilities)
    found = theirs[1] > 0
    assert recall[:-1].tolist() == theirs[1][found].tolist() and precision[:-1].tolist() == theirs[0][found].tolist()
    area = -np.sum(np.diff(recall) * precision[:-1])
    assert area == pytest.approx(average_precision_score(targets, probabilities))


def test_the_precision_recall_curve_is_drawn_from_these_points(content: Content) -> None:
    worst = replace(content, curves=replace(content.curves, probabilities=(0.9, 0.8, 0.1), targets=(0, 1, 1)))
    figure = precision_recall(worst)
    assert figure is not None
    curve = figure.axes[0].lines[1]
    assert curve.get_xydata().tolist() == [pytest.approx(each) for each in ([1, 2 / 3], [0.5, 0.5], [0, 0.5])]
    assert curve.get_drawstyle() == "steps-post"


def test_calibration_is_drawn_once_where_nothing_was_scaled(content: Content) -> None:
    assert len(labels(reliability(content))) == 3
    after = content.calibration[1]
    assert labels(reliability(replace(content, calibration=(after, after))))[1:] == ["temperature 1.73, not fitted"]


def test_both_calibrations_are_seen_where_they_are_equal(content: Content) -> None:
    before, after = content.calibration
    figure = reliability(replace(content, calibration=(replace(before, bins=after.bins), after)))
    assert figure is not None
    sizes = {line.get_marker(): line.get_markersize() for line in figure.axes[0].lines}
    assert sizes["s"] > 1.5 * sizes["o"]


def test_markers_at_the_end_of_an_axis_are_whole(content: Content) -> None:
    perfect = tuple(replace(own, auroc=Estimate(1.0)) for own in content.shortcuts)
    figure = shortcuts(replace(content, shortcuts=perfect))
    assert figure is not None
    assert figure.axes[0].get_xlim()[1] >= 1 + 0.06 * 0.5


def test_groups_that_are_too_small_are_not_drawn(content: Content) -> None:
    few = small("", 3, 1)
    tables = (SubgroupTable("sex", False, (few, group("female", 90, 30))), SubgroupTable("site", False, (few,)))
    figure = subgroups(replace(content, subgroups=tables))
    assert figure is not None
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["sex", "female"]
    assert subgroups(replace(content, subgroups=tables[1:])) is None


def test_shortcuts_that_are_problems_stand_out(content: Content) -> None:
    figure = shortcuts(content)
    assert figure is not None
    points = {round(float(line.get_xdata()[0]), 3): line.get_marker() for line in figure.axes[0].lines}
    assert points[0.782] == "D" and points[0.88] == "o"
    unknown = replace(content.shortcuts[0], auroc=Estimate(None))
    assert shortcuts(replace(content, shortcuts=(unknown,))) is None


def test_each_perturbation_has_a_panel(content: Content) -> None:
    figure = robustness(content)
    assert figure is not None
    titles = [ax.get_title() for ax in figure.axes if ax.axison]
    assert titles == ["blur", "noise", "JPEG", "brightness", "hair", "turned <90°>"]
    first = figure.axes[0].lines[1].get_xydata()[0]
    assert first.tolist() == [0, content.sets[0].ranking.auroc.value], "strength 0: the original images"
    assert robustness(replace(content, robustness=content.robustness[-3:])) is None


def test_whiskers_never_point_inwards() -> None:
    found = whiskers([Estimate(0.5, (0.4, 0.7)), Estimate(0.9, (0.91, 0.95)), Estimate(0.3), Estimate(None)])
    assert found.tolist() == [pytest.approx([0.1, 0, 0, 0]), pytest.approx([0.2, 0.05, 0, 0])]
    assert whiskers([]).shape == (2, 0)


def test_an_axis_has_a_length_also_where_all_is_one() -> None:
    perfect = [EstimateRow(name, (Estimate(1.0),)) for name in ("one", "two")]
    figure = forest(perfect, ("AUROC",), (Estimate(1.0),))
    low, high = figure.axes[0].get_xlim()
    assert low < 0.95 < 1 < high


def test_chance_level_is_on_the_axis_even_if_all_is_better(content: Content) -> None:
    good = tuple(replace(own, auroc=Estimate(0.9, (0.85, 0.95))) for own in content.shortcuts)
    for figure in (shortcuts(replace(content, shortcuts=good)), subgroups(content)):
        assert figure is not None
        low, _ = figure.axes[0].get_xlim()
        assert low < 0.5 and 0.5 in [round(float(line.get_xdata()[0]), 3) for line in figure.axes[0].lines]


def test_a_shortcut_far_below_chance_level_is_drawn_whole(content: Content) -> None:
    worse = replace(content.shortcuts[0], auroc=Estimate(0.02, (0.004, 0.09)))
    worst = replace(content.shortcuts[1], auroc=Estimate(0.0))
    figure = shortcuts(replace(content, shortcuts=(worse, worst)))
    assert figure is not None
    low, high = figure.axes[0].get_xlim()
    assert -0.1 < low < 0 and 1 < high < 1.1
    assert figure.axes[0].get_xticks().tolist() == pytest.approx([1, 0.8, 0.6, 0.4, 0.2, 0])
    assert [round(float(line.get_xdata()[0]), 3) for line in figure.axes[0].lines].count(0.5) == 1


def test_axes_name_the_class() -> None:
    named = named_content("nevus", "$melanoma$")
    for draw, words in (
        (probabilities, "probability of $melanoma$"),
        (reliability, "mean probability of $melanoma$"),
        (precision_recall, "chance level: 35 % are $melanoma$"),
    ):
        figure = draw(named)
        assert figure is not None
        found = {text.get_text() for text in figure.findobj(Text)}
        assert words in found and not any("malignant" in text or "benign" in text for text in found)


def test_curves_of_very_many_images_have_few_points_and_look_the_same() -> None:
    generator = np.random.default_rng(0)
    x, y = np.sort(generator.random(200_000)), np.sort(generator.random(200_000))
    few_x, few_y = thinned(x, y)
    assert len(few_x) <= 2 * GRID + 2
    assert (few_x[0], few_y[0], few_x[-1], few_y[-1]) == (x[0], y[0], x[-1], y[-1])
    assert np.abs(np.interp(x, few_x, few_y) - y).max() < 3 / GRID
    assert all(np.array_equal(*pair) for pair in zip(thinned(x[:1], y[:1]), (x[:1], y[:1]), strict=True))


def test_a_figure_that_a_copy_of_the_process_cannot_draw_is_drawn_here(
    content: Content, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = os.getpid()

    def draw(content: Content) -> Figure | None:
        if os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)  # as the system does to a process that takes too much memory
        return roc(content)

    monkeypatch.setattr(page, "FIGURES", {"roc": draw})
    assert list(write_figures(content, tmp_path)) == ["roc"]


def test_learning_curves_are_drawn_once_for_all_splits(content: Content, tmp_path: Path) -> None:
    first = FigureWriter(content, tmp_path / "validation")
    second = FigureWriter(replace(content, split="test"), tmp_path / "test", first)
    other = FigureWriter(replace(content, experiments=()), tmp_path / "other", first)
    drawn, again, without = first.finish(), second.finish(), other.finish()
    assert again == drawn and list(again) == list(FIGURES)
    assert (tmp_path / "test/learning_curves.png").samefile(tmp_path / "validation/learning_curves.png")
    assert not (tmp_path / "test/roc.png").samefile(tmp_path / "validation/roc.png")
    assert "learning_curves" not in without
