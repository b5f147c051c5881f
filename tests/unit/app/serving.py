"""The page of a tiny untrained network, asked without a network connection."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from PIL import Image

for package in ("fastapi", "uvicorn", "python_multipart"):
    pytest.importorskip(package, reason="needs the extra app")

from starlette.testclient import TestClient  # noqa: E402

from melanoma_pl.app.answers import RecordedImages  # noqa: E402
from melanoma_pl.app.batching import BatchedPredictor  # noqa: E402
from melanoma_pl.app.pages import Subject  # noqa: E402
from melanoma_pl.app.service import build_app  # noqa: E402
from melanoma_pl.app.uploads import Limits  # noqa: E402
from melanoma_pl.evaluation.out_of_distribution import OutOfDistributionDetector  # noqa: E402
from melanoma_pl.models.classifier import MelanomaClassifier  # noqa: E402

ADDRESS = "http://127.0.0.1:8000"
RECORDED = RecordedImages("test", np.linspace(0, 1, 200), (np.arange(200) % 2).astype(np.int64))


@contextmanager
def serving(
    classifier: MelanomaClassifier,
    *,
    recorded: RecordedImages | None = RECORDED,
    limits: Limits | None = None,
    is_local: bool = True,
) -> Iterator[TestClient]:
    predictor = BatchedPredictor(classifier)
    subject = Subject(
        "a run", classifier, recorded, limits or Limits(), is_local, predictor.has_heat_maps, address=ADDRESS
    )
    with TestClient(build_app(subject, predictor), base_url=ADDRESS) as client:
        yield client


def png(value: int = 120, size: tuple[int, int] = (40, 30)) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", size, (value, 80, 60)).save(content, "PNG")
    return content.getvalue()


def files(*contents: bytes) -> list[tuple[str, Any]]:
    return [("images", (f"image{index}.png", content)) for index, content in enumerate(contents)]


def let_all_be_out_of_distribution(classifier: MelanomaClassifier, features: int = 8) -> None:
    """Give the tiny network, whose dense layer has 8 neurons, a detector that warns of every image."""
    classifier.ood_detector = OutOfDistributionDetector(
        np.full(features, 1e3), np.ones(features), np.eye(features), threshold=0.1
    )
