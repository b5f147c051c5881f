"""The card of an export: its header is that of model hubs, and it tells no folder of the machine."""

from pathlib import Path

import pytest
import yaml

from melanoma_pl.evaluation.decision import Decision
from melanoma_pl.export.exported_network import ExportedMember, ExportedNetwork
from melanoma_pl.export.hub_card import Figures, hub_card, without_folders
from melanoma_pl.inference.ensemble import Member

ROW = {
    "n": 400,
    "positives": 182,
    "auroc": 0.8358,
    "sensitivity": 0.9615,
    "specificity": None,
    "intervals": {"auroc": [0.793, 0.871], "sensitivity": [0.9227, 0.9812]},
}
CARD = """# Model card: baseline

**Research software, not a medical device: it makes no diagnosis.**

**55 of 400 test images show a lesion that is also in train.**

## Model details

- trained with: `melanoma-train data.root=/home/somebody/images/isic_moles`
"""
METADATA = {
    "title": "baseline",
    "notice": "Research software, not a medical device: it makes no diagnosis.",
    "license": "cc-by-nc-4.0",
    "decision_fitted_on": "its validation images",
    "training_images": "isic_moles",
    "runs": ["baseline/one"],
    "networks": ["ThreeConvNet"],
    "parameters": 1234,
}


@pytest.fixture
def network(members: list[Member]) -> ExportedNetwork:
    return ExportedNetwork([ExportedMember.of(members[0].classifier)], Decision(0.7, 0.4), ("benign", "malignant"))


def test_the_header_holds_the_test_figures_with_their_intervals(network: ExportedNetwork, tmp_path: Path) -> None:
    text = hub_card(network, METADATA, Figures("test", "isic_moles", {"test": ROW}, Decision(0.7, 0.4), CARD))
    _, front, body = text.split("---\n", 2)
    header = yaml.safe_load(front)
    assert header["license"] == "cc-by-nc-4.0"
    (model,) = header["model-index"]
    (result,) = model["results"]
    assert result["dataset"] == {"type": "isic_moles", "name": "isic_moles (test)", "split": "test"}
    assert [metric["type"] for metric in result["metrics"]] == ["roc_auc", "recall"], "specificity is unknown"
    auroc = result["metrics"][0]
    assert (auroc["value"], auroc["name"]) == (0.8358, "AUROC [0.793–0.871]")
    assert auroc["args"] == {"confidence": 0.95, "interval": [0.793, 0.871]}
    assert "| test: 400 images, 182 malignant | 0.836 [0.793–0.871] | 0.962 [0.923–0.981] |" in body
    hub = pytest.importorskip("huggingface_hub")
    (tmp_path / "README.md").write_text(text, encoding="utf-8")
    read = hub.ModelCard.load(tmp_path / "README.md")
    assert [each.metric_value for each in read.data.eval_results] == [0.8358, 0.9615]


def test_the_card_of_the_report_follows(network: ExportedNetwork) -> None:
    text = hub_card(network, METADATA, Figures("test", "isic_moles", {"test": ROW}, Decision(0.7, 0.4), CARD))
    assert text.count("# Model card") == 0 and text.count("not a medical device: it makes") == 1
    assert text.index("55 of 400") < text.index("## Files") < text.index("## Model details")
    assert "data.root=…/isic_moles" in text and "somebody" not in text
    assert "none" in text and "probability of 0.400000 on" in text


def test_without_an_evaluation_it_says_so(network: ExportedNetwork) -> None:
    text = hub_card(network, {**METADATA, "license": "not stated; ask"}, None)
    header = yaml.safe_load(text.split("---\n", 2)[1])
    assert header["license"] == "other" and "model-index" not in header
    assert "was not evaluated" in text and "ThreeConvNet, 1,234 parameters" in text
    assert "Of the weights: not stated; ask." in text


@pytest.mark.parametrize(
    ("text", "shortened"),
    [
        ("audit /srv/data/isic_moles tells", "audit …/isic_moles tells"),
        ("`/home/a b/x`", "`…/a b/x`"),
        (r"data.root=C:\Users\somebody\images", "data.root=…/images"),
        ("https://example.org/a/b and sensitivity/specificity 3/4/5", None),
    ],
)
def test_folders_of_the_machine_are_left_out(text: str, shortened: str | None) -> None:
    assert without_folders(text) == (shortened or text)
