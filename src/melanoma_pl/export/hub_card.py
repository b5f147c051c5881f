"""`README.md` of an export: the model card in the format of model hubs, and how to use the files."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from melanoma_pl.evaluation.decision import Decision
from melanoma_pl.export.exported_network import ExportedNetwork
from melanoma_pl.messages import amount, brackets

NAMES = {
    "auroc": ("roc_auc", "AUROC"),
    "accuracy": ("accuracy", "Accuracy"),
    "sensitivity": ("recall", "Sensitivity"),
    "specificity": ("specificity", "Specificity"),
}
"""Figure of `metrics.json` → its type on model hubs, and its name."""
LICENSES = re.compile(r"[a-z0-9][a-z0-9.+-]*")  # an identifier of a hub, such as cc-by-nc-4.0
FOLDERS = re.compile(r"(?<![\w.:/])(?:/(?:[\w.~+-]+/)+|[A-Za-z]:\\(?:[\w .~+-]+\\)+)")  # of an absolute path
TAGS = ["melanoma", "dermoscopy", "skin-lesion", "onnx", "research", "not-a-medical-device"]


@dataclass(frozen=True)
class Figures:
    """The figures of an evaluation, for the card.

    Attributes:
        split: `test` or `validation`.
        images: Name of the evaluated dataset.
        rows: Title → figures with `intervals`, number of images `n` and of malignant ones `positives`.
        decision: The decision that they were computed with.
        card: The evaluation's model card in Markdown; empty if it has none.
    """

    split: str
    images: str
    rows: Mapping[str, Mapping[str, Any]]
    decision: Decision
    card: str = ""


def hub_card(network: ExportedNetwork, metadata: Mapping[str, Any], figures: Figures | None, int8: str = "") -> str:
    """Return the text of `README.md`.

    Args:
        network: The exported network.
        metadata: Its metadata, as in the ONNX file.
        figures: Its figures; None if it was not evaluated.
        int8: Comparison of the network in 8-bit integers with the original, in words; empty if there is none.
    """
    front = yaml.safe_dump(front_matter(metadata, figures), sort_keys=False, allow_unicode=True, width=1000)
    notice = "\n\n".join(f"**{line}**" for line in metadata["notice"].splitlines())
    warnings, sections = card_parts(figures.card) if figures and figures.card else ("", own_sections(metadata))
    parts = [
        f"---\n{front}---",
        f"# {metadata['title']}",
        notice,
        warnings,
        use(network, metadata, int8),
        figures_table(figures),
        without_folders(sections),
        f"## Licence\n\nOf the weights: {metadata['license']}. Of the code: MIT.",
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def front_matter(metadata: Mapping[str, Any], figures: Figures | None) -> dict[str, Any]:
    """Return the YAML header, with the figures as `model-index`."""
    license_name = metadata["license"]
    is_known = LICENSES.fullmatch(license_name)
    return {
        "license": license_name if is_known else "other",
        **({} if is_known else {"license_name": "see-below"}),
        "library_name": "onnx",
        "pipeline_tag": "image-classification",
        "tags": TAGS,
        **({"model-index": [model_index(metadata["title"], figures)]} if figures else {}),
    }


def model_index(title: str, figures: Figures) -> dict[str, Any]:
    """Return the figures in the form of model hubs; their intervals are in the names and, as numbers, in `args`."""
    results = []
    for name, row in figures.rows.items():
        metrics = []
        for key, (kind, shown) in NAMES.items():
            if row.get(key) is None:
                continue
            interval = row["intervals"].get(key)
            arguments = {"args": {"confidence": 0.95, "interval": interval}} if interval else {}
            metrics.append({"type": kind, "name": f"{shown}{ends(row, key)}", "value": row[key], **arguments})
        dataset = {"type": figures.images, "name": f"{figures.images} ({name})", "split": figures.split}
        task = {"type": "image-classification", "name": "Malignant or benign mole"}
        results.append({"task": task, "dataset": dataset, "metrics": metrics})
    return {"name": title, "results": results}


def ends(row: Mapping[str, Any], key: str) -> str:
    """Return the interval of a figure as " [0.793–0.871]"; empty if it has none."""
    interval = row["intervals"].get(key)
    return f" {brackets(interval)}" if interval else ""


def use(network: ExportedNetwork, metadata: Mapping[str, Any], int8: str) -> str:
    """Return the sections on the files and their use."""
    negative, positive = network.class_names
    inputs = "; ".join(
        f"`{each['name']}`, uint8 `(N, 3, {each['image_size']}, {each['image_size']})` in RGB, resized with Pillow's "
        f"{each['interpolation']} filter without keeping the aspect ratio"
        + (", corrected by shades of gray" if each["colour_constancy"] != "none" else "")
        for each in network.inputs
    )
    distance = (
        f"and `ood_distance`, above {network.ood_threshold:.4g} of which an image is out of distribution"
        if network.ood_threshold is not None
        else "but no score that tells whether an image is out of distribution: this network has none"
    )
    views = "The logit is the mean of the eight flips and quarter turns of each image. " * (network.views != "none")
    is_single = len(network.networks) == 1
    mean = "" if is_single else f"The logit is the mean of {len(network.networks)} networks. "
    of_int8 = f"- `model.int8.onnx`: the same in 8-bit integers, without `ood_distance` ({int8})\n" if int8 else ""
    return f"""## Files

- `model.onnx`: the network with preprocessing and calibration, for ONNX Runtime
{of_int8}- `predict.py`: predicts images, which it reads as the training did; it refuses HEIC and more than 8 bits per
  channel, which `melanoma-predict` reads
- `model.pt2`: the same graph for `torch.export.load`
- `model.safetensors`, `config.json`: weights and settings for `melanoma_pl`

## Use

```bash
pip install numpy pillow onnxruntime
python predict.py image.jpg
```

In: {inputs}. Resizing stays outside the graph, because that of ONNX differs from Pillow's. Out: float32 `(N,)` each,
`logit` before calibration, `probability` of {positive}, {distance}. {mean}{views}The decision is {positive} from a
probability of {network.decision.threshold:.6f} on, else {negative}; it was fitted on: {metadata["decision_fitted_on"]}.

```python
from melanoma_pl.export.exported_network import load_exported  # pip install 'melanoma-pl[export]'

network = load_exported(".")  # a torch.nn.Module with the same inputs and outputs
```"""


def figures_table(figures: Figures | None) -> str:
    """Return a table of the figures with their intervals; empty without figures."""
    if figures is None:
        return "## Figures\n\nThis export was not evaluated on test images."
    shown = [key for key in NAMES if any(row.get(key) is not None for row in figures.rows.values())]
    lines = [
        f"## Figures on {figures.images}\n",
        "| images | " + " | ".join(NAMES[key][1] for key in shown) + " |",
        "| --- |" + " ---: |" * len(shown),
    ]
    for name, row in figures.rows.items():
        cells = ["–" if row.get(key) is None else f"{row[key]:.3f}{ends(row, key)}" for key in shown]
        lines.append(f"| {name}: {amount(row['n'], 'image')}, {row['positives']:,} malignant | {' | '.join(cells)} |")
    return "\n".join([*lines, "\nBrackets contain 95 % confidence intervals."])


def card_parts(card: str) -> tuple[str, str]:
    """Return the warnings at the start of a model card, and its sections; its title and disclaimer are left out."""
    before, _, sections = card.partition("\n## ")
    warnings = [line for line in before.splitlines() if line.startswith("**")][1:]  # the first is the disclaimer
    return "\n\n".join(warnings), f"## {sections}".rstrip()


def without_folders(text: str) -> str:
    """Return a text whose absolute paths keep only their last part: a published card need not tell where files lay."""
    return FOLDERS.sub("…/", text)


def own_sections(metadata: Mapping[str, Any]) -> str:
    """Return the sections of a card that no evaluation has written."""
    networks = ", ".join(metadata["networks"])
    return f"""## Model details

- networks: {networks}, {metadata["parameters"]:,} parameters
- training images: {metadata["training_images"]}
- runs: {", ".join(metadata["runs"])}

## Intended use

Research on the classification of mole images, and teaching, by people who can assess its figures. Not diagnosis,
triage, reassurance or medical advice; not images from other sources than the training images."""
