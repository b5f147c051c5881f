from dataclasses import replace

import numpy as np
import pytest
from matplotlib.text import Text
from tests.unit.report.evaluation_examples import bare_content, consequences, full_content, labels, named_content

from melanoma_pl.evaluation import Counts, in_people
from melanoma_pl.report.content import Content
from melanoma_pl.report.figures import consequences as figures


def test_a_thousand_dots_are_drawn_each_in_a_place_of_its_own(content: Content) -> None:
    figure = figures.in_people(content)
    assert figure is not None
    lines = figure.axes[0].lines
    places = {tuple(place) for line in lines for place in line.get_xydata().tolist()}
    assert len(places) == 1000 == sum(len(line.get_xdata()) for line in lines)
    assert labels(figure) == [
        "18 malignant: found",
        "2 malignant: missed",
        "309 benign: false alarms",
        "671 benign: no alarm",
    ]
    assert [len(line.get_xdata()) for line in lines] == [18, 2, 309, 671]
    styles = {(line.get_marker(), line.get_markersize()) for line in lines}
    assert len(styles) == len({line.get_color() for line in lines}) == 4  # told apart without their colours too


@pytest.mark.parametrize("prevalence", [0.0, 0.0004, 0.003, 0.02, 0.0235, 0.999, 1.0])
def test_dots_always_add_up(prevalence: float) -> None:
    found = figures.dots(in_people(Counts(171, 65, 153, 11), prevalence))
    assert found is not None and sum(found) == 1000 and min(found) >= 0


def test_a_dot_stands_for_several_images_where_a_class_is_rare() -> None:
    people = in_people(Counts(171, 65, 153, 11), 0.004)  # 40 of 10,000: 38 found, 2 missed, 2,970 false alarms
    assert people.images == 10_000 and figures.dots(people) == (4, 0, 297, 699)


def test_without_counts_there_are_no_dots() -> None:
    assert figures.in_people(bare_content()) is None and figures.net_benefit(bare_content()) is None
    nothing = replace(full_content(), consequences=None)
    for draw in (figures.in_people, figures.net_benefit, figures.risk_coverage):
        assert draw(nothing) is None


def test_a_decision_curve_has_both_default_rules_and_both_prevalences(content: Content) -> None:
    figure = figures.net_benefit(content)
    assert figure is not None and content.consequences is not None
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles == ["2 % malignant", "35 % malignant, as these images"]
    names = ["no image called malignant", "every image called malignant"]
    names += ["decisions at the network's own threshold", "network, decided at each threshold probability"]
    assert labels(figure) == names
    for ax, curve in zip(figure.axes, content.consequences.decision_curves, strict=True):
        drawn = dict(zip(names, ax.lines, strict=True))
        assert drawn[names[1]].get_ydata().tolist() == list(curve.everything)
        assert drawn[names[3]].get_ydata().tolist() == list(curve.network)
        low, high = ax.get_ylim()
        assert low < 0 and high > curve.prevalence


def test_the_ticks_say_what_a_found_image_is_worth(content: Content) -> None:
    figure = figures.net_benefit(content)
    assert figure is not None
    figure.canvas.draw()
    ticks = [tick.get_text() for tick in figure.axes[0].get_xticklabels()]
    assert "5 %\n19" in ticks and "" in ticks  # at 0 it is worth any number


def test_the_risk_at_full_coverage_is_that_of_all_decisions(content: Content) -> None:
    figure = figures.risk_coverage(content)
    assert figure is not None
    random, network, best = figure.axes[0].lines
    wrong = 1 - (content.decisions[0].accuracy.value or 0)
    assert (
        random.get_ydata()[0] == pytest.approx(wrong) == network.get_ydata()[0] == pytest.approx(best.get_ydata()[-1])
    )
    assert np.all(np.interp(network.get_xdata(), best.get_xdata(), best.get_ydata()) <= network.get_ydata() + 1e-9)


def test_one_image_and_perfect_decisions_are_drawn(content: Content) -> None:
    for probabilities, targets in (([0.7], [1]), ([0.1, 0.9] * 20, [0, 1] * 20)):
        own = replace(content, consequences=consequences(np.array(probabilities), np.array(targets), 0.5))
        figure = figures.risk_coverage(own)
        assert figure is not None and figure.axes[0].get_ylim()[1] > 0


def test_figures_name_the_classes() -> None:
    named = named_content("nevus", "$melanoma$")
    for draw in (figures.in_people, figures.net_benefit, figures.risk_coverage):
        figure = draw(named)
        assert figure is not None
        words = {text.get_text() for text in figure.findobj(Text)}
        words |= set(labels(figure))
        assert not any(name in text for text in words for name in ("malignant", "benign"))
