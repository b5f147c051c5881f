import re
from dataclasses import replace

import pytest
from tests.unit.report.evaluation_examples import bare_content, full_content, named_content

from melanoma_pl.report.content import Content
from melanoma_pl.report.page import model_card
from melanoma_pl.report.verdict import verdict
from melanoma_pl.report.wording import told

TRAINING = {"images": "ham10000 <b>drawn</b>", "split": "0.2 | by lesion_id", "audit": "no leak & no conflict"}
SECTIONS = ["Model details", "Intended use", "Training data", "Evaluation data", "Metrics", "Decisions"]
SECTIONS += ["In people", "Calibration"]
SECTIONS_OF_ALL = [
    *SECTIONS[:-1],
    "How far it carries",
    SECTIONS[-1],
    "Subgroups",
    "Shortcuts",
    "Robustness",
    "Members",
]
LAST = ["Ethical considerations", "Caveats and recommendations", "How to reproduce"]


@pytest.fixture(scope="module")
def content() -> Content:
    return full_content()


@pytest.fixture(scope="module")
def card(content: Content) -> str:
    return model_card(content, TRAINING)


def headings(card: str) -> list[str]:
    return re.findall("^## (.+)$", card, flags=re.MULTILINE)


def test_every_section_is_there(card: str) -> None:
    assert card.startswith("# Model card: baseline &lt;b&gt;run&lt;/b&gt;") and card.endswith("\n")
    assert headings(card) == [*SECTIONS_OF_ALL, *LAST]
    assert headings(model_card(bare_content(), {})) == [*SECTIONS, *LAST]


def test_the_card_names_the_network_and_its_training(content: Content) -> None:
    one = replace(content, experiments=content.experiments[:1])
    details = model_card(one, TRAINING, "report/test/figures/learning_curves.svg").split("## ")[1]
    for fact in ("network: ThreeConvNet &lt;wide&gt;", "parameters: 355,269", "optimizer: AdamW", "seed: 0"):
        assert f"- {fact}\n" in details
    assert "[learning curves](report/test/figures/learning_curves.svg)" in details
    several = model_card(content, TRAINING).split("## ")[1]
    assert "- member: `<run 2>`: seed 2\n" in several and several.count("355,269") == 1
    assert "learning curves" not in several


def test_the_card_opens_with_the_verdict(card: str, content: Content) -> None:
    opening = card.split("## ")[0]
    assert opening.count(content.warnings[0].text) == 1 and content.warnings[1].text in opening
    assert f"**{verdict(content).sentence}**" in opening


def test_names_cannot_be_markup(card: str) -> None:
    assert "images: ham10000 &lt;b&gt;drawn&lt;/b&gt;" in card and r"split: 0.2 \| by lesion_id" in card
    assert not re.search("<(?!wbr)[a-z]", re.sub("`[^`]*`", "", card))
    assert "\x1b" not in card and "\udcff" not in card


def test_tables_have_as_many_cells_as_columns(card: str) -> None:
    for block in re.findall(r"(?:^\|.*\n)+", card, flags=re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


def test_figures_have_intervals_or_reasons(card: str, content: Content) -> None:
    plain = card.replace("\\", "")
    estimates = [content.sets[0].ranking.auroc, content.decisions[0].sensitivity, content.calibration[1].slope]
    estimates += [content.shortcuts[0].auroc, content.shortcuts[3].auroc, content.members[0].contribution]
    for estimate in [*estimates, content.robustness[0].lost]:
        assert told(estimate) in plain
    for words in (
        "not computable: images are grey",
        "too small: 3 positive images",
        "0.143 (no interval: too few lesions",
    ):
        assert words in plain
    assert "| malignant | 127 | 13 |" in card and "| benign | 82 | 178 |" in card


def test_sentences_of_shortcuts_do_not_run_into_each_other(content: Content) -> None:
    cut = replace(content.shortcuts[0], meaning="Painted over (§ 3)", verdict="84 % of it is left")
    card = model_card(replace(content, shortcuts=(cut,)), {})
    assert r"\[0.730–0.830\]. Painted over (§ 3). 84 % of it is left." in card


def test_what_it_must_not_be_used_for_is_said(card: str, content: Content) -> None:
    assert f"**{content.disclaimer}**" in card and "**Drawn &lt;images&gt;: they say nothing.**" in card
    for words in (
        "diagnosis, triage or medical advice",
        "not a medical device",
        "without a dermatoscope",
        "estimated from the images, not recorded",
    ):
        assert words in card


def test_how_to_get_the_same_is_said(card: str, content: Content) -> None:
    reproduction = card.split("## How to reproduce")[1]
    assert content.facts["commit"] in reproduction and "melanoma-evaluate run=" in reproduction
    assert "checkpoint" not in reproduction and "checkpoint" in card


def test_nothing_computable_is_no_figure() -> None:
    card = model_card(bare_content(), {})
    assert "not computable: no positive images" in card and "nan" not in card.lower().split()
    assert "Not stated." in card.split("## Training data")[1].split("##")[0]


def test_what_follows_by_definition_has_no_bracket(card: str) -> None:
    (line,) = (line for line in card.splitlines() if line.startswith("| Balanced accuracy"))
    assert line.rstrip(" |").endswith("| 0.500 (by definition)")


def test_classes_have_their_own_names() -> None:
    card = model_card(named_content("nevus", "melanoma"), {})
    assert "| always nevus |" in card and "called melanoma" in card
    assert "| images | melanoma | AUROC |" in card
    assert not re.search("malignant|benign", card)
