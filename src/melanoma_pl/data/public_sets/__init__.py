"""Public sets of mole images: from what each one's own download looks like to one layout and one table."""

from melanoma_pl.data.public_sets.preparing import Prepared, prepare_dataset

__all__ = ["Prepared", "prepare_dataset"]
