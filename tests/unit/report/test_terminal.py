from dataclasses import replace

import pytest
from tests.unit.report.evaluation_examples import bare_content, decisions, full_content, named_content

from melanoma_pl.evaluation.intervals import Estimate
from melanoma_pl.evaluation.metrics import Counts
from melanoma_pl.report.content import Caveat, Content, SetFigures
from melanoma_pl.report.terminal import format_closing, format_report
from melanoma_pl.report.verdict import verdict
from melanoma_pl.report.wording import told


@pytest.fixture(scope="module")
def content() -> Content:
    return full_content()


def test_all_is_said_in_few_lines(content: Content) -> None:
    text = format_report(content)
    own = content.sets[0].ranking.auroc
    assert own.interval is not None
    for words in (
        *(f"Warning: {warning}" for warning in content.warnings),
        *("400", "140", f"{own.value:.3f}", f"[{own.interval[0]:.3f}-{own.interval[1]:.3f}]", "unseen"),
        "chosen on validation (threshold 0.31): sensitivity 0.907, specificity 0.685, balanced accuracy 0.796",
        "threshold 0.5: sensitivity 0.779",
        "always benign: sensitivity 0.000, specificity 1.000, balanced accuracy 0.500, accuracy 0.650",
        "calibration, temperature 1.73: ECE 0.095 → 0.031 [0.011–0.061]\n"
        "  perfectly calibrated networks of this size: ECE 0.02 to 0.06\n"
        "  Brier score 0.112 → 0.112, log loss 0.346 → 0.346\n",
        "! centre erased: AUROC 0.782 [0.730–0.830]. Much of the result needs no lesion",
        "file facts: AUROC not computable: all files are alike",
        content.disclaimer,
    ):
        assert words in text, words
    assert text.endswith(content.disclaimer)
    assert "source=<a> (200 images, 70 positive; unseen lesions): AUROC 0.810 [0.760–0.860], sensitivity" in text
    assert len(text.splitlines()) < 45 and max(map(len, text.splitlines())) <= 120


def test_nothing_obeys_the_terminal(content: Content) -> None:
    shady = replace(content, warnings=("a\x1b[31m\u202e warning",), notes=("x" * 300,), sets=content.sets[:1])
    text = format_report(shady)
    assert r"a\x1b[31m\u202e warning" in text and "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 120


def test_what_cannot_be_computed_is_said() -> None:
    text = format_report(bare_content())
    assert "fixed (threshold 0.5): sensitivity not computable (no positive images), specificity 0.800" in text
    assert (
        "calibration, temperature 1, not fitted: ECE not computable: no positive images\n"
        "  Brier score 0.222, log loss 0.700\n" in text
    )
    assert "all images, not computable: AUROC, sensitivity (no positive images)\n" in text
    assert "Warning" not in text and "None" not in text and "nan" not in text.split()


def test_gaps_have_their_reasons(content: Content) -> None:
    lone = Estimate(1.0, None, "only one image of a class")
    ranking = replace(content.sets[0].ranking, auroc=lone)
    shortcuts = (replace(content.shortcuts[1], auroc=lone),)
    own = replace(content, sets=(replace(content.sets[0], ranking=ranking),), shortcuts=shortcuts)
    text = format_report(own)
    assert "all images, no interval: AUROC (only one image of a class)\n" in text
    assert "border erased: AUROC 1.000 (no interval: only one image of a class)" in text
    assert "no interval" not in format_report(content)


def test_predictive_values_at_a_prevalence(content: Content) -> None:
    expected = (
        "chosen on validation (threshold 0.31), at a prevalence of 2 %: positive predictive value 0.071 [0.050–0.100], "
        "negative predictive value 0.997 [0.990–0.999]"
    )
    assert expected in " ".join(format_report(content).split())
    assert "prevalence" not in format_report(replace(content, prevalence=None))


def test_classes_have_their_own_names() -> None:
    text = format_report(named_content("nevus", "melanoma"))
    assert "always nevus: sensitivity 0.000, specificity 1.000" in text
    assert "malignant" not in text and "benign" not in text


def test_each_member_says_what_it_adds() -> None:
    content = full_content()
    text = format_report(content)
    for member in content.members:
        assert f"{member.name}: AUROC {member.auroc.value:.3f}" in text
    assert text.count(" alone, contribution ") == len(content.members) > 1


TABLE = """
                n  positives          AUROC     average       accuracy    sensitivity    specificity  threshold
                                  [95 % CI]   precision      [95 % CI]      [95 % CI]      [95 % CI]
------------  ---  ---------  -------------  ----------  -------------  -------------  -------------  ---------
validation    200         30          0.812       0.500          0.735          0.967          0.694      0.123
                              [0.700-0.900]              [0.670-0.791]  [0.833-0.994]  [0.621-0.758]
test, unseen    5          0            not         not          0.800            not          0.800        0.5
lesions                          computable  computable  [0.376-0.964]     computable  [0.376-0.964]
"""


def test_table_of_the_main_figures(content: Content) -> None:
    counts = Counts(true_positives=29, false_positives=52, true_negatives=118, false_negatives=1)
    ranking = replace(
        content.sets[0].ranking, auroc=Estimate(0.8123, (0.7, 0.9)), average_precision=Estimate(0.5, (0.4, 0.6))
    )
    first = SetFigures("validation", ranking, decisions("validation", 0.1234, counts))
    second = replace(bare_content().sets[0], title="test, unseen lesions")
    text = format_report(replace(content, sets=(first, second)))
    assert text.startswith(TABLE.strip("\n") + "\n\n")


def test_table_is_narrow_and_says_what_is_missing(content: Content) -> None:
    lone = Estimate(0.5, None, "only one image of a class")
    first = content.sets[0]
    rows = (
        replace(first, title="test, unseen lesions " * 3, ranking=replace(first.ranking, auroc=lone)),
        replace(first, decisions=replace(first.decisions, threshold=1e-9)),
        *bare_content().sets,
    )
    table = format_report(replace(content, sets=rows)).split("\n\n")[0]
    assert max(map(len, table.split("\n"))) <= 120
    assert table.isascii() and " nan" not in table and "None" not in table
    assert "not" in table and "computable" in table and "[not computable]" in table and "1e-09" in table


def closing(content: Content) -> dict[str, str]:
    """Return the closing lines of a training: label → text."""
    commands = {"report": "report.html", "predict": "melanoma-predict --run 'my run' a.jpg", "curves": "tensorboard"}
    heading, *lines = format_closing(content, commands)
    assert heading == f"Result on the {content.split} split. {content.disclaimer}"
    assert len(lines) == 6
    width = lines[3].index("report.html")
    return {line[:width].strip(): line[width:] for line in lines}


def test_a_training_ends_with_six_lines(content: Content) -> None:
    lines = closing(content)
    assert list(lines) == ["AUROC", "at 0.310", "! problem", "report", "predict", "curves"]
    main, unseen = (figures.ranking.auroc for figures in content.sets)
    assert lines["AUROC"] == f"{told(main)}; on unseen lesions {told(unseen)} (400 test images, 140 malignant)"
    chosen = content.decisions[0]
    assert lines["at 0.310"] == f"sensitivity {told(chosen.sensitivity)}, specificity {told(chosen.specificity)}"
    assert lines["! problem"] == verdict(content).sentence
    assert lines["predict"] == "melanoma-predict --run 'my run' a.jpg"


def test_lesions_that_are_all_unseen_are_called_so(content: Content) -> None:
    clean = replace(content, sets=content.sets[:1], warnings=(), lesions=90)
    assert closing(clean)["AUROC"].endswith("(400 test images, 140 malignant, all of unseen lesions)")
    leak = Caveat("leak", "12 of 400 test images show a lesion that is also in train.")
    for other in (
        replace(clean, lesions=None),
        replace(clean, warnings=(leak,)),
        replace(clean, split="validation"),
    ):
        assert closing(other)["AUROC"].endswith("images, 140 malignant)")


def test_no_name_obeys_the_terminal_at_the_end(content: Content) -> None:
    shady = replace(content, class_names=("benign", "m\x1b[31mel"), warnings=(Caveat("seen", "a\u202eb"),))
    assert all(line.isprintable() for line in format_closing(shady, {}))


def test_of_rare_malignant_images_the_partial_auroc_comes_first(content: Content) -> None:
    area = content.sets[0].ranking.partial_auroc
    rare = replace(content, n=100_000)
    assert f"partial AUROC {told(area)}" in format_report(rare).splitlines()[0]
    assert format_closing(rare, {})[1].startswith("pAUC")
    assert not content.is_rare
    assert "partial AUROC" not in format_report(content)
    assert not any(line.startswith("pAUC") for line in format_closing(content, {}))
