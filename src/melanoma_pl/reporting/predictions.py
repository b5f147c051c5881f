"""Predictions one by one: a line or a JSON object each on screen, a row each in a table. Light."""

import csv
import json
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from melanoma_pl.files import write_atomically

if TYPE_CHECKING:
    from melanoma_pl.inference import Prediction  # brings PyTorch

COLUMNS = ("path", "probability", "decision", "unlike_training", "heat_map", "error")
UNLIKE = "(unlike the training photos: do not rely on this number)"


def as_row(prediction: "Prediction", names: tuple[str, str], heat_map: Path | None = None) -> dict[str, Any]:
    """Return a prediction as a row of the table."""
    readable = prediction.probability is not None
    return {
        "path": prediction.path.as_posix(),
        "probability": prediction.probability,
        "decision": names[prediction.is_malignant] if readable else None,
        "unlike_training": prediction.is_unlike,
        "heat_map": None if heat_map is None else heat_map.as_posix(),
        "error": prediction.reason or None,
    }


def write_rows(rows: Iterator[dict[str, Any]], as_json: bool, table: Path | None) -> tuple[int, int]:
    """Print each row as it comes, and write the table if one is wanted.

    Returns:
        How many photos could not be read, and how many are unlike the training photos.
    """
    broken = unlike = 0
    with write_atomically(table) if table else nullcontext() as file:
        writer = csv.DictWriter(file, COLUMNS) if file else None
        if writer:
            writer.writeheader()
        for row in rows:
            _print(row, as_json)
            broken += bool(row["error"])
            unlike += bool(row["unlike_training"])
            if writer:
                writer.writerow({key: int(cell) if isinstance(cell, bool) else cell for key, cell in row.items()})
    return broken, unlike


def _print(row: dict[str, Any], as_json: bool) -> None:
    """Print one row above the progress bar."""
    from tqdm import tqdm

    if as_json:
        text = json.dumps(row, ensure_ascii=False)
    elif row["error"]:
        text = f"{'–':>11}  {'unreadable':<10}  {row['path']}: {row['error']}"
    else:
        text = f"{row['probability']:11.6f}  {row['decision']:<10}  {row['path']}"
        text += f"  {UNLIKE}" if row["unlike_training"] else ""
    tqdm.write(text, file=sys.stdout)
