import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from tests.conftest import draw_photo, write_photo_folder
from tests.unit.reporting.audit_examples import FOREIGN, MARKUP, NO_UTF8, empty_audit, listing_of

from melanoma_pl.data.listing import Listing, list_source
from melanoma_pl.data.metadata import read_table
from melanoma_pl.errors import UserError
from melanoma_pl.reporting.audit_json import audit_to_dict, write_json
from melanoma_pl.reporting.data_card import data_card, is_of, read_audit, write_card
from melanoma_pl.reporting.data_card_columns import ages_of, known, read_columns, role_of, telling_values
from melanoma_pl.reporting.data_card_markdown import code, text

SECTIONS = [
    *("What it is", "Where it comes from", "What is known of each photo", "Lesions and patients"),
    *("How it was labelled", "What an audit found", "Known limits", "Use", "Licence", "Whom to cite", "Upkeep"),
]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Listing:
    """Six photos: four in train, two in test."""
    root = tmp_path_factory.mktemp("data") / "my_photos"
    for seed, path in enumerate(PATHS):
        draw_photo(root / path, "malignant" in path, seed)
    return list_source(root)


PATHS = [f"train/{label}/{n}.png" for label in ("benign", "malignant") for n in (1, 2)]
PATHS += ["test/benign/5.png", "test/malignant/6.png"]
COLUMNS = {
    "age": ["40", "50.0", "unknown", "70", "", "60"],
    "sex": ["male", "female", "", "male", "NA", "female"],
    "dx": ["nv", "nv", "mel", "mel", "nv", ""],
    "lesion_id": ["a", "a", "b", "c", "d", "b"],
    "licence": ["CC0", "CC0", "CC BY 4.0", "", "CC0", "CC0"],
    "source": ["clinic", "clinic", "archive", "archive", "clinic", "archive"],
    "camera": ["x|1", "<y>", "x|1", "<y>", "x|1", "<y>"],
    "empty": [""] * 6,
    "label": ["nevus", "benign", "melanoma", "malignant", "mole", "malignant"],
}


def rows(**columns: list[str]) -> dict[str, dict[str, str]]:
    return {
        path: {"image": path, **{name: values[place] for name, values in columns.items()}}
        for place, path in enumerate(PATHS)
    }


def headings(card: str) -> list[str]:
    return re.findall(r"^## (.*)$", card, re.MULTILINE)


def test_card_without_metadata_says_what_is_not_known(photos: Listing) -> None:
    card = data_card(photos)
    assert headings(card) == SECTIONS
    assert card.startswith("# Data card: my_photos\n\n**Research software: no medical device, no diagnosis.**")
    assert "6 photos of moles, each labelled with one of 2 classes, in 2 splits." in card
    assert "| benign | 2 | 1 | 3 |" in card and "| total | 4 | 2 | 6 |" in card
    assert "PNG 6" in card and "32×32 6" in card
    assert "Nothing but its label: there is no metadata table." in card
    assert "## Licence\n\nNot stated: ask the source.\n" in card
    assert "## Whom to cite\n\nNot stated: ask the source.\n" in card
    assert "These photos were not audited" in card
    assert "Skin types are not known" in card and "Nothing is known of age and sex and site." in card
    assert not re.search(r"TODO|TBD|FIXME|placeholder|\[.*needed\]|<[a-z ]+>", card, re.IGNORECASE)


def test_card_tells_what_the_metadata_tells(photos: Listing) -> None:
    card = data_card(photos, rows(**COLUMNS))
    assert "| `age` | 4 (66.7 %) | 4 |" in card and "| `empty` | 0 (0.0 %) | 0 |" in card
    assert "| benign | 2 | 45 | 40 | 50 |" in card and "| malignant | 2 | 65 | 60 | 70 |" in card
    assert "| all | 4 | 55 | 40 | 70 |" in card
    assert "## Sex: `sex`" in card and "| not known | 1 | 1 | 2 |" in card
    assert "| nv | 3 | 0 | 3 |" in card and "| mel | 0 | 2 | 2 |" in card
    assert "`lesion_id`: 4 different in 6 photos, 2 of them with several photos, **1 in more than one split**" in card
    assert "- CC BY 4.0: 1 photo\n- CC0: 4 photos\n- no licence stated: 1 photo; ask the source" in card
    assert r"| x\|1 | 2 | 1 | 3 |" in card and "| &lt;y&gt; | 1 | 2 | 3 |" in card
    assert "Of 1 of 3 malignant photos the diagnosis is not known." in card
    assert "Patients are not known" in card and "`label`" not in card and "`image`" not in card
    assert set(SECTIONS) < set(headings(card))


def test_card_of_the_layout_and_its_own_table(photo_folder: Path) -> None:
    card = data_card(list_source(photo_folder), read_table(photo_folder / "metadata.csv", "image"))
    assert "52 photos of moles" in card and "## Age: `age`" in card and "`group`: 26 different" in card


def test_card_tells_what_the_audit_of_these_photos_found(photos: Listing) -> None:
    found = audit_of(photos)
    card = data_card(photos, None, found)
    assert "Leaks or conflicts were found. Fingerprint `0123456789abcdef`." in card
    assert "1 test photo with a partner in another split" in card
    assert "Figures on all test photos are too good: 1 photo leaked." in card
    assert "1.2 MB; PNG 8, JPEG 1" in card  # the audit's own inventory: nothing is read again
    assert "(fingerprint of the audit: `0123456789abcdef`)" in card


def test_card_names_how_well_giveaways_tell(photos: Listing) -> None:
    found = audit_of(photos) | {
        "giveaways": [
            {"name": "file facts", "auroc": 0.9, "interval": [0.85, 0.95], "sentence": "It gives the label away."},
            {"name": "picture size", "auroc": None, "interval": None, "sentence": "All are of *one* size."},
        ]
    }
    card = data_card(photos, None, found)
    assert "- label told by file facts: AUROC 0.900 [0.850–0.950]. It gives the label away.\n" in card
    assert r"- label told by picture size: AUROC not computable. All are of \*one\* size." in card


def test_audit_of_other_photos_is_not_used(photos: Listing) -> None:
    found = audit_of(photos)
    other = list_source(photos.root).without(PATHS[:1])
    card = data_card(other, None, found)
    assert "The audit that is there is of other photos. These photos were not audited" in card
    assert "0123456789abcdef" not in card and "5 photos of moles" in card
    assert is_of(found, photos) and not is_of(found, other)
    assert is_of(found | {"excluded": 1, "inventory": found["inventory"] | {"photos": 5}}, photos)


def audit_of(photos: Listing) -> dict[str, object]:
    counts = {"train": {"benign": 2, "malignant": 2}, "test": {"benign": 1, "malignant": 1}}
    audit = empty_audit(photos.root, leaking_test_photos=(PATHS[4],), shared_groups={"a": (PATHS[0], PATHS[4])})
    return audit_to_dict(replace(audit, inventory=audit.inventory | {"photos": 6, "per_split": counts}))


def test_audit_is_read_back(tmp_path: Path) -> None:
    audit = empty_audit(tmp_path)
    assert read_audit(write_json(audit, tmp_path)) == audit_to_dict(audit)
    assert read_audit(tmp_path / "none.json") is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"inventory": {}}', json.dumps({"inventory": []})])
def test_file_that_is_no_audit_is_refused_in_one_line(content: str, tmp_path: Path) -> None:
    (tmp_path / "audit.json").write_text(content)
    with pytest.raises(UserError, match=r"audit\.json is no audit of photos: remove it") as refusal:
        read_audit(tmp_path / "audit.json")
    assert "\n" not in str(refusal.value)


def test_shortcuts_are_named_but_not_those_by_right(tmp_path: Path) -> None:
    paths = [f"{label}/{n}.png" for label in ("benign", "malignant") for n in range(20)]
    listing = Listing(tmp_path, tuple(paths), ("benign",) * 20 + ("malignant",) * 20, ("",) * 40)
    table = {path: {"clinic": path[0], "diagnosis": path[0], "room": str(n % 2)} for n, path in enumerate(paths)}
    card = data_card(listing, table)
    assert "`clinic` tells the class: b only with benign, m only with malignant." in card
    assert "`room` tells" not in card and "`diagnosis` tells" not in card
    assert "There is no test split" in card and "without a split into training and test" in card
    assert "not readable 40" in card


def test_few_photos_of_one_class_are_no_shortcut(photos: Listing) -> None:
    columns = read_columns(photos, rows(camera=["x", "x", "y", "y", "x", "y"]))
    assert telling_values(columns[0], photos.labels) == {}


def test_one_class_is_said_to_teach_nothing(tmp_path: Path) -> None:
    card = data_card(Listing(tmp_path, ("nevi/1.png",), ("nevi",), ("",)))
    assert "All photos are of one class, nevi" in card


def test_names_that_look_like_markup_are_shown_as_they_are(tmp_path: Path) -> None:
    listing = listing_of(tmp_path, (MARKUP, FOREIGN, NO_UTF8))
    table = {path: {"a|`b`": "*x*\n## New section", "sex": "\x1b[31m"} for path in listing.paths}
    card = data_card(listing, table)
    card.encode("utf-8")
    assert "New section" not in headings(card)
    assert r"| a\|\`b\` |" in card and "\x1b" not in card
    for block in re.findall(r"(?:^\|.*\n)+", card, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


def test_values_of_each_photo_are_not_listed(tmp_path: Path) -> None:
    listing = Listing(tmp_path, tuple(f"{n:02}" for n in range(60)), ("benign",) * 60, ("",) * 60)
    table = {path: {"source": f"photo {path}", "site": f"site {int(path) // 2}"} for path in listing.paths}
    card = data_card(listing, table)
    assert "60 different values in 60 photos: the metadata lists them." in card
    assert "| 5 rarer values | 10 | 10 |" in card


def test_rows_and_photos_need_not_match(photos: Listing) -> None:
    table = {PATHS[0]: {"image": PATHS[0], "age": "33"}, "elsewhere.png": {"image": "elsewhere.png", "age": "99"}}
    card = data_card(photos, table)
    assert "| `age` | 1 (16.7 %) | 1 |" in card and "99" not in card


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["40", "60", "x", "", "nan", "inf"], (2, 50, 40, 60)),
        (["45.5"], (1, 45.5, 45.5, 45.5)),
        (["85+", "-"], (0, None, None, None)),
    ],
)
def test_ages(values: list[str], expected: tuple[float | None, ...]) -> None:
    ages = ages_of(values)
    assert (ages.known, ages.median, ages.lowest, ages.highest) == expected


def test_cells_that_say_nothing() -> None:
    assert [known(cell) for cell in (" NaN ", "Unknown", None, "", " trunk ")] == ["", "", "", "", "trunk"]


def test_columns_are_known_by_their_names() -> None:
    names = {"Age_approx": "age", "fitspatrick": "skin type", "copyright_license": "licence", "dx": "diagnosis"}
    assert {name: role_of(name) for name in names} == names and role_of("camera") == ""


def test_markdown_is_escaped() -> None:
    assert text("a_b *c* <d> [e](f) |g| _h_") == r"a_b \*c\* &lt;d&gt; \[e\](f) \|g\| \_h\_"
    assert code("a_b") == "`a_b`" and code("a`b") == r"a\`b"


def test_card_is_written_whole_into_a_new_folder(tmp_path: Path) -> None:
    written = write_card("# Données\n", tmp_path / "a" / "b" / "DATA_CARD.md")
    assert written.read_text(encoding="utf-8") == "# Données\n"
    assert [file.name for file in written.parent.iterdir()] == ["DATA_CARD.md"]


def test_card_does_not_name_where_the_photos_lie(tmp_path: Path) -> None:
    root = write_photo_folder(tmp_path / "a_secret_place" / "moles", train=8, test=4)
    assert "a_secret_place" not in data_card(list_source(root))
