"""Public sets of mole photos: from what each one's own download looks like to one layout and one table."""

from melanoma_pl.data.public_sets.preparing import Prepared, prepare_set

__all__ = ["Prepared", "prepare_set"]
