"""The evaluation's figures, each a function from content to a figure, or None where nothing is to show."""
