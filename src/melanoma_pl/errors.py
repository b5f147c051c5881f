"""What a user can get wrong, as one line with the way out."""

import difflib
from collections.abc import Iterable, Sequence

NAMED = 3  # images that an error names: enough to find the rest


class UserError(Exception):
    """A mistake that the person at the keyboard can mend; commands print it as one line and exit with 2.

    Args:
        message: What is wrong, with the value, and what is allowed.
        way_out: What to type or do instead.
    """

    def __init__(self, message: str, way_out: str = "") -> None:
        super().__init__(f"{message}: {way_out}" if way_out else message)


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """Return "did you mean 'x'? available are a, b, c", without the first half where nothing is close."""
    names = sorted(allowed)
    close = difflib.get_close_matches(word, names, n=1)
    available = f"available are {', '.join(names)}"
    return f"did you mean '{close[0]}'? {available}" if close else available


def first_of(names: Sequence[str]) -> str:
    """Return "a, b, c, …": the first few names of a list that can be long."""
    return ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")
