import re
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from tests.unit.report.evaluation_examples import MARKUP, bare_content, full_content, named_content
from tests.unit.report.page_reading import Page

from melanoma_pl.evaluation.intervals import Estimate
from melanoma_pl.evaluation.metrics import Counts
from melanoma_pl.report import page as page_module
from melanoma_pl.report import wording
from melanoma_pl.report.checklist import CHECKLIST
from melanoma_pl.report.content import LEVELS, Caveat, Content, Mistake
from melanoma_pl.report.page import FIGURES, drawing, model_card, write_page
from melanoma_pl.report.verdict import verdict

TEMPLATES = Path(page_module.__file__).parent / "templates"
SVG = '<svg viewBox="0 0 309.6 200.5"><!-- <script>alert(1)</script> --></svg>'
DRAWN = dict.fromkeys(FIGURES, SVG)


@pytest.fixture(scope="module")
def content() -> Content:
    return full_content()


@pytest.fixture(scope="module")
def page(content: Content, tmp_path_factory: pytest.TempPathFactory) -> Page:
    written = write_page(content, DRAWN, tmp_path_factory.mktemp("report") / "new" / "folder")
    assert [file.name for file in written.parent.iterdir()] == ["report.html"]
    return Page(written.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Page:
    written = write_page(bare_content(), {"probabilities": SVG}, tmp_path_factory.mktemp("bare"))
    return Page(written.read_text(encoding="utf-8"))


def said(page: Page) -> str:
    return " ".join(page.text.split())


def test_names_are_shown_and_never_obeyed(page: Page) -> None:
    assert not page.all("script") and not page.all("i") and "{{ 7 * 7 }}" in page.text
    assert all(not name.startswith("on") for _, attributes in page.elements for name in attributes)
    for name in (MARKUP, "<run 0>", "anatom_site_<i>general</i>", "$x^{2$ 痣 \\udcff", "ham10000 <small>"):
        assert name in said(page), name
    assert r"two\nlines\x1b[31m\u202egnp.png" in page.text
    assert not {"\x1b", "\u202e", "\udcff"} & set(page.text)


def test_page_needs_nothing_but_itself(page: Page) -> None:
    (policy,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv")]
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert all(str(link["href"]).startswith("data:") for link in page.all("link"))
    assert all(str(image["src"]).startswith("data:image/") for image in page.all("img"))
    assert not [tag for tag, attributes in page.elements if "srcset" in attributes or tag in ("iframe", "object")]
    assert "http" not in page.text and "url(http" not in page.text


def test_page_can_be_read_by_everyone(page: Page) -> None:
    assert page.all("html") == [{"lang": "en"}]
    headings = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == 1 and headings.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(headings))
    assert all(image["alt"] and image["width"] and image["height"] for image in page.all("img"))
    assert all(header["scope"] in ("col", "row") for header in page.all("th"))
    assert all(box["tabindex"] == "0" and box["aria-label"] for box in page.all("div") if box.get("class") == "scroll")


def test_links_and_labels_lead_somewhere(page: Page, bare: Page) -> None:
    for one in (page, bare):
        names = Counter(attributes["id"] for _, attributes in one.elements if "id" in attributes)
        assert set(names.values()) == {1}
        wanted = {str(link["href"]).removeprefix("#") for link in one.all("a")}
        assert CHECKLIST in wanted, "the only file beside the page that it links to"
        wanted.remove(CHECKLIST)
        wanted |= {str(found["aria-labelledby"]) for _, found in one.elements if "aria-labelledby" in found}
        assert wanted <= set(names)


def test_every_section_is_there(page: Page, bare: Page) -> None:
    sections = [section.get("id") for section in page.all("section")]
    always = ["ranking", "decisions", "consequences", "calibration", "mistakes", "made", "limits"]
    assert sections == [
        None,
        "experiment",
        *always[:3],
        "sets",
        "calibration",
        "subgroups",
        "shortcuts",
        "robustness",
        "mistakes",
        "members",
        *always[5:],
    ]
    assert [section.get("id") for section in bare.all("section")] == [None, *always]


def test_the_page_opens_with_the_verdict_and_names_the_run(page: Page, content: Content) -> None:
    text = said(page)
    assert f"{content.title} {content.stamp}" in text
    opening = text.index(verdict(content).sentence)
    assert opening < text.index(wording.told(content.sets[1].ranking.auroc))
    assert text[: text.index("The experiments")].count(content.warnings[0].text) == 1, "the verdict is told once"


def test_a_shortcut_is_shown_beside_the_network(content: Content, tmp_path: Path) -> None:
    rival = replace(content.shortcuts[0], lost=Estimate(-0.01, (-0.03, 0.02)), auroc=Estimate(0.75, (0.7, 0.8)))
    own = replace(content, warnings=(), shortcuts=(rival,))
    page = Page(write_page(own, {}, tmp_path).read_text(encoding="utf-8"))
    (widths,) = [[bar["width"] for bar in page.all("rect") if bar.get("class") == "value"]]
    assert widths[1] == "50.00%" and "the ensemble" in said(page), "0.75 is half way from chance level to 1"
    assert [line["x1"] for line in page.all("line") if line.get("class") == "whisker"][1] == "40.00%"


def test_a_leak_is_red_beside_the_figures_on_unseen_lesions(page: Page, content: Content) -> None:
    kinds = [item["class"] for item in page.all("li") if item.get("class") in LEVELS.values()]
    assert kinds[:2] == ["problem", "caution"], "the leak, then the synthetic images"
    assert f"on unseen lesions: {wording.told(content.sets[1].ranking.auroc)}" in said(page)


def test_experiments_show_common_facts_once(page: Page, content: Content, tmp_path: Path) -> None:
    text = said(page)
    assert text.count("ThreeConvNet <wide>") == text.count("355,269") == 1
    assert "network seed <run 0> 0 <run 1> 1 <run 2> 2" in text
    one = Page(write_page(replace(content, experiments=content.experiments[:1]), {}, tmp_path).read_text("utf-8"))
    assert "seed 0" in said(one) and "Learning curves are not shown" in said(one)


def test_colours_have_contrast() -> None:
    css = "".join((TEMPLATES / name).read_text(encoding="utf-8") for name in ("page.css", "evaluation.css"))
    colours = re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", css)
    found: dict[str, list[str]] = {}
    for name, colour in colours:
        found.setdefault(name, []).append(colour)
    for name in ("ink", "quiet", "problem", "caution"):
        grounds = ["ground", "card", *(["problem-ground"] if name != "caution" else ["caution-ground"])]
        for ground in grounds:
            for text, behind in zip(found[name], found[ground], strict=True):  # light, dark
                assert contrast(text, behind) >= 4.5, (name, ground)


def contrast(*colours: str) -> float:
    """Return the contrast of two colours as WCAG 2 defines it."""
    lights = []
    for colour in colours:
        channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        lights.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    dark, light = sorted(lights)
    return (light + 0.05) / (dark + 0.05)


def test_every_estimate_is_there_with_its_interval(page: Page, content: Content) -> None:
    ranking, calibrated = content.sets[1].ranking, content.calibration
    estimates = [ranking.auroc, ranking.auroc_by_lesion, ranking.average_precision, *ranking.specificity_at.values()]
    for own in content.decisions:
        estimates += [own.sensitivity, own.specificity, own.balanced_accuracy, own.accuracy]
        estimates += [own.positive_predictive_value, own.negative_predictive_value, own.positive_predictive_value_at]
    for own in calibrated:
        estimates += [own.ece, own.brier, own.log_loss, own.intercept, own.slope]
    for row in (row for table in content.subgroups for row in table.reported):
        estimates += [row.auroc, row.sensitivity, row.specificity]
    estimates += [figure for step in content.robustness for figure in (step.auroc, step.lost, step.flipped)]
    estimates += [figure for member in content.members for figure in (member.auroc, member.contribution)]
    for estimate in filter(None, estimates):
        assert f"{wording.figure(estimate)} {wording.beside(estimate)}" in said(page)
    for shortcut in content.shortcuts:
        assert wording.told(shortcut.auroc) in said(page) and shortcut.verdict in said(page)


def test_every_word_of_the_content_is_there(page: Page, content: Content) -> None:
    text = said(page)
    for words_of in (
        map(str, content.warnings),
        content.notes,
        content.facts.values(),
        (content.disclaimer, "The heat maps are those of <run 0> alone."),
    ):
        assert all(sentence in text for sentence in words_of)
    for sentence in (
        "In 89 of 100 pairs of a malignant and a benign image, the malignant image receives the higher probability",
        "400 images, 140 of them malignant (35 %)",
        "at a prevalence of 2 %",
        "ECE 0.031; perfectly calibrated networks of this size: 0.02 to 0.06. The probabilities are consistent with",
        "Estimated from the images, not recorded for the patients.",
        "3 subgroups with fewer than 10 images of a class",
        "sex: unknown, 9 images, 3 malignant; specificity 0.667 [0.300–0.903]",
        "AUROC not computable: all files are alike",
        "no interval: too few lesions for a bootstrap",
        "127 correct 13 wrong",
        "82 wrong 178 correct",
        "False negatives: 13 of 140 malignant images. False positives: 82 of 260 benign images.",
        "largest errors, 2 of 13",
        "similarity to control 0.12 (independent)",
        "no heat map",
        "Green to yellow: increasing support for the decision",
        "The AUROC is 0.782 without the lesion: see Shortcuts.",
        "Shortcuts 1 problem",
        "Errors 95",
    ):
        assert sentence in text, sentence


def test_what_cannot_be_computed_says_why(bare: Page) -> None:
    text = said(bare)
    assert "The AUROC cannot be computed: no positive images" in text
    assert "The ROC curve is not drawn because it requires images of both classes." in text
    assert "AUROC 0.5 at chance level, 1 at best not computable no positive images" in text
    assert "0.222 no interval" in text and "The reliability diagram is not drawn" in text
    assert "not computable no positive decisions" in text
    assert "Errors 1" in text and "No details were recorded." in text
    assert [image["alt"] for image in bare.all("img")] == [
        "Histograms of the probabilities of both classes with the threshold"
    ]
    assert "Open diamond" not in text and "nan" not in text.lower().split()


def test_the_verdict_has_the_colour_of_its_gravity(content: Content, tmp_path: Path) -> None:
    def colour(own: Content) -> str | None:
        page = Page(write_page(own, {}, tmp_path).read_text(encoding="utf-8"))
        return page.all("section")[0]["class"]

    clean = replace(content, warnings=(), shortcuts=content.shortcuts[1:])
    assert colour(clean) == "verdict neutral" and colour(content) == "verdict problem"
    assert colour(replace(clean, warnings=(Caveat("synthetic", "Drawn."),))) == "verdict caution"


def test_one_column_where_no_temperature_was_fitted(bare: Page, page: Page) -> None:
    assert "temperature 1 not fitted ECE" in said(bare) and "no temperature was fitted here" in said(bare)
    assert "before temperature" not in said(bare) and "not fitted" not in said(page)


def test_a_gain_is_no_negative_loss(content: Content, tmp_path: Path) -> None:
    gain = Estimate(-0.008, (-0.03, 0.014))
    steps = (replace(content.robustness[0], lost=gain),)
    won = replace(content, shortcuts=(replace(content.shortcuts[0], lost=gain),), robustness=steps)
    text = said(Page(write_page(won, {}, tmp_path).read_text(encoding="utf-8")))
    assert "AUROC gain relative to whole images: 0.008 [−0.014 to 0.030]." in text
    assert "0.008 gain [−0.014 to 0.030]" in text
    assert r"0.008 \[−0.014 to 0.030\] gain" in model_card(won, {})


def test_long_reasons_stand_below_the_columns(content: Content, tmp_path: Path) -> None:
    why = "the probabilities separate the classes perfectly"
    apart = tuple(replace(own, slope=Estimate(None, None, why)) for own in content.calibration)
    page = Page(write_page(replace(content, calibration=apart), {}, tmp_path).read_text(encoding="utf-8"))
    assert f"probabilities too extreme not computable not computable {why}" in said(page)


def test_page_says_where_its_files_lie(page: Page) -> None:
    assert "beside this page or in report/<split>/: metrics.json" in said(page)


def test_what_follows_by_definition_has_no_bracket(page: Page) -> None:
    text = said(page)
    for name, value in (
        ("images called malignant", "0.000"),
        ("images called benign", "1.000"),
        ("0.5 at chance level", "0.500"),
        ("prevalence of 2 %", "0.980"),
    ):
        assert re.search(rf"{name}.{{1,90}}{value} by definition", text), name
    assert text.count("by definition") == 4 and "no interval: by definition" not in text


@pytest.mark.parametrize("names", [("nevus", "melanoma"), ("{braces}", "<b> & \\1")])
def test_classes_have_their_own_names(names: tuple[str, str], tmp_path: Path) -> None:
    negative, positive = names
    page = Page(write_page(named_content(*names), DRAWN, tmp_path).read_text(encoding="utf-8"))
    text = said(page)
    for sentence in (
        f"always {negative}",
        f"depends on the proportion of {positive} images",
        f"proportion of {positive} images called {positive}",
        f"proportion of {negative} images called {negative}",
        f"The positive class is {positive}.",
        "no positive decisions",
        f"sex: unknown, 9 images, 3 {positive}; specificity 0.667",
        f"False negatives: {positive}, called {negative}",
        f"False positives: {negative}, called {positive}",
        f"{positive}, probability of {positive} 0.000",
        f"fewer {negative} images {positive}",
    ):
        assert sentence in text, sentence
    told = text + " ".join(str(image["alt"]) for image in page.all("img"))
    assert not re.search("malignant|benign", told, re.IGNORECASE)


def limitation(content: Content, lesions: int) -> str:
    """Return the third limitation of a model card."""
    card = model_card(replace(content, lesions=lesions), {})
    return card.split("## Caveats and recommendations")[1].split("\n- ")[3]


def test_limits_tell_which_intervals_allow_for_lesions(content: Content, page: Page) -> None:
    assert "if any do, all intervals are too narrow" in said(page)
    assert limitation(content, 400).startswith("Each image shows a different lesion. No interval")
    few, many = limitation(content, 390), limitation(content, 200)
    assert few.startswith("These 400 images show 390 different lesions, most of them once.")
    assert "as independent, which hardly matters here." in few and "too narrow" not in few
    assert "show 200 different lesions, and images of one lesion resemble each other." in many
    assert "All others (AUROC, sensitivity, specificity" in many and "as independent and are too narrow." in many


def test_maps_that_cannot_be_compared_say_why(content: Content, tmp_path: Path) -> None:
    def text_of(*mistakes: Mistake, **changed: object) -> str:
        own = replace(content, false_negatives=mistakes, **changed)
        return said(Page(write_page(own, {}, tmp_path).read_text(encoding="utf-8")))

    own = replace(content.false_negatives[0], similarity=None)
    text = text_of(
        replace(own, similarity=-0.126), replace(own, map_is_empty=True), replace(own, control_is_empty=True)
    )
    assert "similarity to control −0.13 (independent)" in text
    assert "no region supports this decision: no similarity" in text
    assert "the control is empty: no similarity" in text
    assert "one of the maps is constant: no similarity" in text_of(own)
    assert "The heat maps are those of" not in text_of(own, members=())


def test_same_content_makes_the_same_page(content: Content, tmp_path: Path) -> None:
    first, second = (write_page(content, DRAWN, tmp_path / name).read_bytes() for name in ("one", "two"))
    assert first == second


def test_figures_keep_their_size() -> None:
    embedded = drawing(SVG)
    assert (embedded.width, embedded.height) == (413, 267)
    with pytest.raises(ValueError, match="no viewBox"):
        drawing("<svg/>")


def test_one_image_is_one_image(content: Content, tmp_path: Path) -> None:
    one = replace(content.subgroups[3].rows[1], value="unknown", n=1, positives=1)
    table = replace(content.subgroups[3], rows=(one,))
    text = said(Page(write_page(replace(content, subgroups=(table,)), {}, tmp_path).read_text(encoding="utf-8")))
    assert "1 subgroup with fewer" in text and "skin tone: unknown, 1 image, 1 malignant" in text
    assert "By the border. Unknown: the border of the image was too dark, grey or blue for an estimate." in text
    assert "too dark" not in wording.note_of(replace(table, is_estimated=False))
    wrong = Counts(true_positives=1, false_positives=1, true_negatives=1, false_negatives=0)
    expected = "False negatives: 0 of 1 malignant image. False positives: 1 of 2 benign images."
    own = replace(content, decisions=(replace(content.decisions[0], counts=wrong),))
    assert expected in said(Page(write_page(own, {}, tmp_path).read_text(encoding="utf-8")))


def test_a_threshold_is_named_once(content: Content, page: Page) -> None:
    assert [wording.named(own) for own in content.decisions] == [
        ("chosen on validation", "threshold 0.31"),
        ("threshold 0.5", ""),
        ("always benign", ""),
    ]
    assert "threshold 0.31 threshold 0.5 always benign Sensitivity" in said(page)


def test_of_rare_malignant_images_the_partial_auroc_comes_first(content: Content, tmp_path: Path) -> None:
    area = wording.figure(content.sets[0].ranking.partial_auroc)
    for own in (content, replace(content, n=100_000)):
        text = write_page(own, DRAWN, tmp_path).read_text(encoding="utf-8")
        tiles = re.findall(r'<span class="figure">([^<]*)</span>\s*<span>([^<]*)<', text)
        assert (tiles[0] == (area, "partial AUROC, 0.2 at best")) == own.is_rare
        names = re.findall(r"Partial AUROC|AUROC, by lesion", text)
        assert names.count("Partial AUROC") == 1
        assert (names[0] == "Partial AUROC") == own.is_rare
