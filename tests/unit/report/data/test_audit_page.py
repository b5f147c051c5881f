"""The page of an audit: safe, self-contained, accessible and complete."""

import base64
import io
import re
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image
from tests.conftest import draw_image
from tests.unit.report.data.audit_examples import (
    BROKEN_LINE,
    FOREIGN,
    LONG,
    MARKUP,
    NO_UTF8,
    PLAIN,
    SCRIPT,
    SHORTCUTS,
    empty_audit,
    full_audit,
    listing_of,
    pair,
    write_images,
)
from tests.unit.report.page_reading import Page

from melanoma_pl.data.audit.findings import LabelShortcut
from melanoma_pl.data.labelled_images import LabelledImages
from melanoma_pl.report.data.audit_page import CARDS, IMAGES, OPEN, auroc_axis, histogram, make_card, write_page
from melanoma_pl.report.data.audit_summary import image_groups

STYLE = Path(__file__).parents[4] / "src" / "melanoma_pl" / "report" / "templates" / "page.css"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> LabelledImages:
    return write_images(tmp_path_factory.mktemp("<b>images & more"))


@pytest.fixture(scope="module")
def page(images: LabelledImages, tmp_path_factory: pytest.TempPathFactory) -> Page:
    written = write_page(full_audit(images.root), images, tmp_path_factory.mktemp("audits") / "new" / "folder")
    assert written.name == "audit.html" and [file.name for file in written.parent.iterdir()] == ["audit.html"]
    return Page(written.read_text(encoding="utf-8"))


def page_of(folder: Path, listing: LabelledImages, **findings: object) -> Page:
    return Page(write_page(empty_audit(listing.root, **findings), listing, folder).read_text(encoding="utf-8"))


def test_names_are_shown_and_never_obeyed(page: Page) -> None:
    assert not page.all("script") and not page.all("i")
    assert all(not name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert "{{ 7 * 7 }}" in page.text and "naïve мутный 痣" in page.text
    assert MARKUP in page.text and SCRIPT in page.text and "A note with <b>markup</b>." in page.text
    assert r"two\nlines\x1b[31m\u202egnp.png" in page.text and r"\udcff.png" in page.text
    assert not {"\x1b", "\u202e"} & set(page.text)


def test_page_needs_nothing_but_itself(page: Page) -> None:
    (policy,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv")]
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert all(str(link["href"]).startswith("data:") for link in page.all("link"))
    assert all(str(image["src"]).startswith("data:image/jpeg;base64,") for image in page.all("img"))
    assert not [tag for tag, attributes in page.elements if "srcset" in attributes or tag in ("iframe", "object")]
    assert "http" not in page.text.replace("http-equiv", "")


def test_page_can_be_read_by_everyone(page: Page) -> None:
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("title")) == 1 + 20, "the page's own, and one of each bar"
    headings = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == 1 and headings.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(headings))
    assert all(image["alt"] and image["width"] and image["height"] for image in page.all("img"))
    assert all(figure.get("aria-label") or figure.get("aria-hidden") or "y" in figure for figure in page.all("svg"))
    assert all(header["scope"] in ("col", "row") for header in page.all("th"))


def test_links_and_labels_lead_somewhere(page: Page) -> None:
    names = Counter(attributes["id"] for _, attributes in page.elements if "id" in attributes)
    assert set(names.values()) == {1}
    wanted = {str(link["href"]).removeprefix("#") for link in page.all("a")}
    wanted |= {str(attributes["aria-labelledby"]) for _, attributes in page.elements if "aria-labelledby" in attributes}
    assert wanted <= set(names)


def test_every_finding_is_on_the_page(page: Page) -> None:
    for words in (
        "Leaks and conflicts were found",
        "Research software, not a medical device: it makes no diagnosis.",
        "melanoma-data split",
        "--group-column",
        "similarity 0.987",
        "turned by 90°",
        "same group in the metadata",
        "different groups in the metadata",
        "<nevus 3>",
        'image file is truncated ("12" bytes)',
        "notes <draft>.txt",
        "0.971 [0.962–0.980]",
        "Told by <i>what</i> is around the mole.",
        "0123456789abcdef",
        "4000×3000",
        "3 images left out before the audit",
        f"shows the same as {FOREIGN}",
    ):
        assert words in " ".join(page.text.split()), words


def test_thumbnails_are_small_and_missing_images_are_named(page: Page) -> None:
    alternatives = Counter(str(image["alt"]) for image in page.all("img"))
    assert alternatives[f"train, malignant: {LONG}"] == 1, "an image is shown once, on the card of its lesion"
    assert alternatives[f"train, malignant: {PLAIN[1]}"] == 1 + 7
    for image in page.all("img"):
        content = base64.b64decode(str(image["src"]).partition(",")[2])
        with Image.open(io.BytesIO(content)) as small:
            assert small.format == "JPEG" and (str(small.width), str(small.height)) == (
                image["width"],
                image["height"],
            )


def test_an_image_that_cannot_be_read_has_a_place_on_its_card(images: LabelledImages, tmp_path: Path) -> None:
    page = page_of(tmp_path, images, pairs=(pair(NO_UTF8, PLAIN[2]),))
    assert page.text.count("no image: the file cannot be read") == 1 and len(page.all("img")) == 1


def test_clean_images_make_a_short_page(tmp_path: Path) -> None:
    page = page_of(tmp_path, listing_of(tmp_path, PLAIN))
    assert "Clean: no leak and no conflict was found" in page.text and "What to do" not in page.text
    assert not page.all("img") and not page.all("details") and not page.all("pre")


def test_only_broken_images(tmp_path: Path) -> None:
    audit = empty_audit(tmp_path, broken={NO_UTF8: "the file is empty"})
    audit = replace(
        audit, inventory=audit.inventory | {"images": 0, "per_split": {}, "sizes": {}, "formats": {}, "modes": {}}
    )
    written = write_page(audit, listing_of(tmp_path, (NO_UTF8,)), tmp_path / "audit")
    text = Page(written.read_text(encoding="utf-8")).text
    assert r"\udcff.png" in text and "the file is empty" in text


def test_findings_beyond_the_limits_of_a_page_are_counted(tmp_path: Path) -> None:
    draw_image(tmp_path / PLAIN[0], malignant=False, seed=0)
    leaks = tuple(pair(f"train/benign/{n}.png", f"test/benign/{n}.png") for n in range(CARDS + 10))
    conflicts = tuple(pair(f"train/benign/c{n}.png", f"train/malignant/c{n}.png") for n in range(CARDS + 5))
    broken = {f"broken/{n}.png": "cut short" for n in range(210)}
    listing = listing_of(tmp_path, (PLAIN[0],))
    page = page_of(tmp_path, listing, pairs=leaks + conflicts, broken=broken)
    text = " ".join(page.text.split())
    assert "The pairs of 10 more are in audit.json" in text and "The pairs of 5 more are in audit.json" in text
    assert text.count(f"{CARDS - OPEN} more ") == 2, "twelve are seen, the others are folded"
    assert "10 more are in audit.json" in text


def test_a_lesion_is_one_card_with_its_images_in_each_split(tmp_path: Path) -> None:
    paths = [f"train/benign/{n}.png" for n in range(IMAGES + 2)]
    test = ("test/benign/a.png", "test/benign/b.png")
    pairs = tuple(pair(path, test[0], similarity=0.9) for path in paths)
    pairs += (pair(paths[-1], test[1], similarity=0.95), pair(*test), pair(PLAIN[1], PLAIN[2], similarity=0.99))
    audit = empty_audit(tmp_path, pairs=pairs, shared_groups={"lesion 7": (*paths, *test)}, group_column="lesion")
    first, second = image_groups(audit)
    assert first.paths == (PLAIN[2], PLAIN[1]) and first.names == ()
    assert second.names == ("lesion 7",) and set(second.paths) == {*paths, *test} and second.kind == "leaks"
    assert len(second.pairs) == len(paths) + 1, "the pair within a split does not leak"
    listing = listing_of(tmp_path, (*paths, *test, *PLAIN))
    card = make_card(second, dict(zip(listing.paths, zip(listing.splits, listing.labels, strict=True), strict=True)))
    assert list(card.sides) == ["train", "test"] and len(card.sides["train"]) == IMAGES
    assert card.more == {"train": 2, "test": 0}
    assert card.sides["train"][0] == (paths[-1], "benign"), "the facts are those of the most similar pair"
    page = page_of(tmp_path, listing, pairs=pairs, shared_groups=audit.shared_groups, group_column="lesion")
    assert page.text.count("lesion 7") == 1 and "and 2 more in train" in page.text
    assert page.text.count(test[0]) == 1, "not once for each of its pairs"


def test_groups_are_told_apart_by_their_consequence() -> None:
    leak, conflict, duplicate = pair(PLAIN[1], PLAIN[2]), pair(PLAIN[0], LONG), pair(MARKUP, BROKEN_LINE)
    kinds = {group.paths: group.kind for group in image_groups(empty_audit(Path(), pairs=(duplicate, conflict, leak)))}
    assert kinds == {
        (PLAIN[2], PLAIN[1]): "leaks",
        (PLAIN[0], LONG): "conflicts",
        tuple(sorted((MARKUP, BROKEN_LINE))): "duplicates",
    }


@pytest.mark.slow
def test_a_hundred_pairs_make_a_page_that_can_be_sent(tmp_path: Path) -> None:
    paths = [f"{split}/benign/{n}.png" for n in range(100) for split in ("train", "test")]
    for seed, path in enumerate(paths):
        draw_image(tmp_path / path, malignant=False, seed=seed, size=224)
    pairs = tuple(pair(*paths[index : index + 2]) for index in range(0, 200, 2))
    written = write_page(empty_audit(tmp_path, pairs=pairs), listing_of(tmp_path, tuple(paths)), tmp_path / "audit")
    assert written.read_text(encoding="utf-8").count("<img") == 2 * CARDS
    assert written.stat().st_size < 3_000_000


def test_most_important_groups_come_first() -> None:
    names = [f"train/malignant/{n}.png" for n in range(4)]
    faint, strong = (pair(names[n], f"test/malignant/{n}.png", similarity=0.9 + n / 20) for n in (0, 1))
    lesion = pair(names[2], "test/malignant/2.png", kind="lesion", similarity=None)
    exact = pair(names[3], "test/malignant/3.png", kind="exact", similarity=1.0)
    conflict = pair(PLAIN[0], "test/malignant/9.png", similarity=0.8)
    found = image_groups(empty_audit(Path(), pairs=(lesion, faint, strong, exact, conflict)))
    assert [group.pairs for group in found] == [(conflict,), (exact,), (strong,), (faint,), (lesion,)]


def test_auroc_axis_begins_below_chance_level() -> None:
    position, ticks = auroc_axis(SHORTCUTS)
    assert position(0.5) == pytest.approx(100 * 0.1 / 0.6, abs=0.01)
    assert position(0.971) == pytest.approx(100 * 0.571 / 0.6, abs=0.01) and position(0.962) == 93.67
    assert ticks == {"0.4": 0, "0.5": 16.67, "0.6": 33.33, "0.7": 50, "0.8": 66.67, "0.9": 83.33, "1.0": 100}
    assert auroc_axis([])[1] == ticks


def test_auroc_axis_has_room_for_shortcuts_below_chance_level() -> None:
    position, ticks = auroc_axis([LabelShortcut("file facts", 0.2, (0.05, 0.35), "")])
    assert (position(0.05), position(0.35)) == (5.0, 35.0) and next(iter(ticks)) == "0.0"


def test_forest_shows_points_and_intervals_where_there_are_some(page: Page) -> None:
    classes = Counter(attributes.get("class") for tag, attributes in page.elements if tag in ("line", "g"))
    assert classes["interval"] == 2 and classes["problem"] == 1 and classes["fine"] == 3
    (chance,) = [line for line in page.all("line") if line.get("class") == "chance"]
    assert chance["x1"] == "16.67%"


def test_a_shortcut_tells_the_label_if_its_interval_lies_above() -> None:
    assert LabelShortcut("", 0.7, (0.6, 0.8), "").tells and not LabelShortcut("", 0.7, (0.59, 0.8), "").tells
    assert not LabelShortcut("", 0.9, None, "").tells


def test_histogram_counts_every_pair_once() -> None:
    leak, within = pair(PLAIN[1], PLAIN[2], similarity=1.0), pair(PLAIN[2], PLAIN[3], similarity=0.9)
    chart = histogram([leak, within, within, pair(PLAIN[0], PLAIN[1], similarity=0.9), replace(leak, similarity=None)])
    assert chart is not None and len(chart["bins"]) == 20 and len(chart["edges"]) == 21
    assert chart["bins"][0] == [0, 3] and chart["bins"][-1] == [1, 0]
    assert sum(map(sum, chart["bins"])) == 4 == len(chart["similarities"])


def test_histogram_is_described_in_words(page: Page) -> None:
    labels = [str(figure.get("aria-label")) for figure in page.all("svg")]
    assert "Similarity of 6 pairs, from 0.90 to 1.00" in labels


@pytest.mark.parametrize(
    ("similarity", "ticks"),
    [
        (0.66, {"0.70": 14.29, "0.80": 42.86, "0.90": 71.43, "1.00": 100}),
        (0.95, {"0.95": 0, "0.96": 20, "0.97": 40, "0.98": 60, "0.99": 80, "1.00": 100}),
        (0.8, {"0.80": 0, "0.85": 25, "0.90": 50, "0.95": 75, "1.00": 100}),
        (-1.0, {"-1.00": 0, "-0.50": 25, "0.00": 50, "0.50": 75, "1.00": 100}),
    ],
)
def test_similarity_axis_has_round_numbers(similarity: float, ticks: dict[str, float]) -> None:
    chart = histogram([pair(PLAIN[1], PLAIN[2], similarity=similarity)])
    assert chart is not None and chart["ticks"] == ticks


@pytest.mark.parametrize("similarity", [1.0, 0.95, -1.0, 0.123])
def test_histogram_of_one_pair(similarity: float) -> None:
    chart = histogram([pair(PLAIN[1], PLAIN[2], similarity=similarity)])
    assert chart is not None and sum(leaks for leaks, _ in chart["bins"]) == 1
    assert histogram([]) is None


def test_letters_stand_out_in_light_and_dark() -> None:
    light, dark = STYLE.read_text().split("@media", 1)
    for block in (light, dark.split("* { box-sizing", 1)[0]):
        colour = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block))
        for ink in ("ink", "quiet", "fine", "problem"):
            for ground in ("ground", "card", "problem-ground", "fine-ground"):
                assert contrast(colour[ink], colour[ground]) >= 4.5, (ink, ground)


def contrast(first: str, second: str) -> float:
    """The ratio of WCAG 2.2, 1 to 21."""
    darker, lighter = sorted(luminance(colour) for colour in (first, second))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
