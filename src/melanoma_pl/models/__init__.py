"""Networks, and the LightningModule that trains them."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from melanoma_pl.models.classifier import MelanomaClassifier
    from melanoma_pl.models.three_conv import ThreeConvNet

__all__ = ["MelanomaClassifier", "ThreeConvNet"]


def __getattr__(name: str) -> Any:
    """Import a class when it is asked for: they bring PyTorch and Lightning, and the commands must start without."""
    if name == "MelanomaClassifier":
        from melanoma_pl.models.classifier import MelanomaClassifier

        return MelanomaClassifier
    if name == "ThreeConvNet":
        from melanoma_pl.models.three_conv import ThreeConvNet

        return ThreeConvNet
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
