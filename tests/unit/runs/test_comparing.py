"""The differences between two models: sign, numbers, verdict, warnings and notes."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from tests.unit.runs.run_examples import rows_of, write_images, write_predictions, write_run

from melanoma_pl.evaluation.comparison import paired_auroc_by_lesion, paired_delong
from melanoma_pl.runs.comparing import Comparison, compare_pair, comparison_json, format_comparison, verdict
from melanoma_pl.runs.pairing import pair
from melanoma_pl.runs.predictions import find_source, read_predictions

LABELS = "mb" * 60
TARGETS = np.array([label == "m" for label in LABELS], dtype=int)


def model(noise: float, seed: int = 0) -> list[float]:
    """Return probabilities that are the worse the more noise there is."""
    generator = np.random.default_rng(seed)
    logits = 2 * TARGETS - 1 + noise * generator.normal(0, 1, TARGETS.size)
    return list(1 / (1 + np.exp(-logits)))


def comparison_of(
    folder: Path,
    first: Sequence[float],
    second: Sequence[float],
    labels: str = LABELS,
    groups: Sequence[str] | None = None,
    **data: object,
) -> Comparison:
    sides = []
    for name, probabilities in (("a", first), ("b", second)):
        run, rows = write_run(folder / name, data=data), rows_of(probabilities, labels)
        write_predictions(run / "report/test", rows, groups=groups)
        write_images(run, train=[("train/0.png", 0.0, "benign")], test=rows)
        sides.append(read_predictions(find_source(run), "test"))
    return compare_pair(pair(*sides), replicates=200)


def test_numbers(tmp_path: Path) -> None:
    first, second = model(2.0), model(1.0, seed=1)
    found = comparison_of(tmp_path, first, second)
    assert (found.n, found.positives, found.lesions, found.split) == (120, 60, None, "test")
    assert found.first.figures["auroc"].value == pytest.approx(roc_auc_score(TARGETS, first))
    assert found.second.figures["auroc"].value == pytest.approx(roc_auc_score(TARGETS, second))
    assert found.differences["auroc"] == paired_delong(second, first, TARGETS), "B − A"
    right = [(np.array(each) >= 0.5) == (TARGETS == 1) for each in (first, second)]
    for name, chosen in {"sensitivity": TARGETS == 1, "specificity": TARGETS == 0, "accuracy": TARGETS >= 0}.items():
        a, b = (each[chosen] for each in right)
        assert found.differences[name].value == pytest.approx(b.mean() - a.mean())
        counts = found.discordances[name]
        assert (counts.first_only, counts.second_only) == ((a & ~b).sum(), (b & ~a).sum())
        assert found.differences[name].p_value == counts.p_value


def test_the_order_of_the_tables_does_not_matter(tmp_path: Path) -> None:
    found = comparison_of(tmp_path, model(2.0), model(1.0, seed=1))
    sides = [read_predictions(find_source(tmp_path / name), "test") for name in "ab"]
    write_predictions(tmp_path / "b/report/test", rows_of(model(1.0, seed=1), LABELS)[::-1])
    turned = read_predictions(find_source(tmp_path / "b"), "test")
    assert compare_pair(pair(sides[0], turned)).differences == found.differences


def test_the_better_model_is_named(tmp_path: Path) -> None:
    good, bad = model(0.8), model(4.0, seed=1)
    assert verdict(comparison_of(tmp_path / "1", bad, good))[0].startswith("B ranks better: its AUROC is 0.")
    found = comparison_of(tmp_path / "2", good, bad)
    assert verdict(found)[0].startswith("A ranks better")
    assert (found.differences["auroc"].value or 0) < 0
    assert "A has the higher accuracy, by more than chance." in verdict(found)


def test_no_difference_that_could_be_shown(tmp_path: Path) -> None:
    found = comparison_of(tmp_path, model(2.0), model(2.0, seed=1))
    told = verdict(found)[0]
    assert told.startswith("No difference in ranking that these 120 images could show")
    assert f"{found.differences['auroc'].detectable:.3f} or more" in told


def test_a_model_and_its_copy(tmp_path: Path) -> None:
    found = comparison_of(tmp_path, model(2.0), model(2.0))
    assert verdict(found) == (
        "Whether one ranks better cannot be told from these 120 images: both models rank all images identically.",
    )
    assert "both models decide identically on every image" in found.discordances["accuracy"].reason
    text = format_comparison(found)
    assert "+0.000 (both models rank all images identically)" in text
    assert "Several p-values" not in text


def test_another_threshold_is_not_a_better_model(tmp_path: Path) -> None:
    logits = np.log(np.array(model(2.0)) / (1 - np.array(model(2.0))))
    lower = list(1 / (1 + np.exp(-logits - 2)))
    told = verdict(comparison_of(tmp_path, model(2.0), lower))
    assert told[1:3] == (
        "B has the higher sensitivity, by more than chance.",
        "A has the higher specificity, by more than chance.",
    )
    assert "different thresholds" in told[-1]


def test_lesions_are_resampled_as_a_whole(tmp_path: Path) -> None:
    groups = [f"L{index // 4}{index % 2}" for index in range(120)]
    found = comparison_of(tmp_path, model(2.0), model(2.0, seed=1), groups=groups)
    known = [f"lesion {group}" for group in groups]
    expected = paired_auroc_by_lesion(model(2.0, seed=1), model(2.0), TARGETS, known, replicates=200)
    assert (found.lesions, found.auroc_by_lesion) == (60, expected)
    assert found.ranking == expected
    text = format_comparison(found)
    assert "120 test images, 60 malignant, of 60 lesions" in text
    assert "AUROC, by lesion" in text
    assert "the other rows take the images to be independent" in " ".join(text.split())


def test_lesions_of_one_image_each_are_images(tmp_path: Path) -> None:
    found = comparison_of(tmp_path, model(2.0), model(1.0), groups=[str(index) for index in range(120)])
    assert (found.lesions, found.auroc_by_lesion) == (120, None)


@pytest.mark.parametrize(
    ("letter", "missing", "warning"),
    [("b", "no positive images", "no malignant images"), ("m", "no negative images", "no benign images")],
)
def test_one_class_alone(letter: str, missing: str, warning: str, tmp_path: Path) -> None:
    found = comparison_of(tmp_path, [0.2, 0.7, 0.3], [0.1, 0.2, 0.9], labels=3 * letter)
    assert missing in verdict(found)[0]
    assert any(said.startswith(warning) for said in found.warnings)
    assert missing in format_comparison(found)
    assert json.dumps(comparison_json(found), allow_nan=False)


def test_text(tmp_path: Path) -> None:
    text = format_comparison(comparison_of(tmp_path, model(2.0), model(1.0, seed=1)))
    lines = text.splitlines()
    assert lines[0] == f"A  {tmp_path / 'a'}, threshold 0.5"
    assert lines[2] == "120 test images, 60 malignant"
    assert max(map(len, lines[2:])) <= 120
    for expected in ("B − A: above 0, B is the better one", "Several p-values", "detectable: ", "no diagnosis"):
        assert expected in text
    assert "warning" not in text
    assert "Synthetic" not in text


def test_warnings_and_synthetic_images(tmp_path: Path) -> None:
    drawn = {"root": None, "synthetic": {"seed": 0}, "validate_on": "test"}
    found = comparison_of(tmp_path, model(2.0), model(1.0, seed=1), **drawn)
    text = format_comparison(found)
    assert "warning: A validated on the test images, as the original did" in text
    assert "Mind the warnings." in text
    assert "Synthetic images, drawn by a program" in text


def test_few_images_are_warned_about(tmp_path: Path) -> None:
    found = comparison_of(tmp_path, [0.9, 0.4, 0.6, 0.1], [0.8, 0.6, 0.7, 0.2], labels="mbmb")
    assert "only 2 malignant images: the estimates are imprecise" in found.warnings


def test_json(tmp_path: Path) -> None:
    found = comparison_of(tmp_path, model(2.0), model(1.0, seed=1))
    content = json.loads(json.dumps(comparison_json(found), allow_nan=False))
    assert content["differences"]["auroc"]["value"] == pytest.approx(found.differences["auroc"].value)
    assert content["first"]["path"] == str(tmp_path / "a")
    assert content["second"]["figures"]["auroc"]["value"] > content["first"]["figures"]["auroc"]["value"]
    assert content["discordances"]["accuracy"].keys() == {"first_only", "second_only", "p_value", "reason"}
    assert content["verdict"][0].startswith("B ranks better")
    assert content["notes"][0].startswith("B − A: above 0")
