"""Photos on disk → batches of pixels."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from melanoma_pl.data.datamodule import MoleDataModule

__all__ = ["MoleDataModule"]


def __getattr__(name: str) -> Any:
    """Import the data module when it is asked for: it brings Lightning, and the commands must start without."""
    if name == "MoleDataModule":
        from melanoma_pl.data.datamodule import MoleDataModule

        return MoleDataModule
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
