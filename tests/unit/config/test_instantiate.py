"""Objects from settings."""

import pytest
from omegaconf import OmegaConf

from melanoma_pl.config.composition import compose_config
from melanoma_pl.config.instantiate import make_preprocessing
from melanoma_pl.config.schema import TrainSettings
from melanoma_pl.specs import validated


def settings(*overrides: str) -> TrainSettings:
    config = OmegaConf.to_container(compose_config("train", ["logger=none", *overrides]), resolve=True)
    return validated(TrainSettings, config)  # type: ignore[arg-type]


@pytest.mark.parametrize("normalisation", ["none", "imagenet"])
def test_colour_constancy_goes_with_every_normalisation(normalisation: str) -> None:
    chosen = settings(f"data.normalisation={normalisation}", "data.colour_constancy=shades_of_gray")
    assert make_preprocessing(chosen).colour_constancy == "shades_of_gray"
