"""Figures of the report; each function takes the content and returns a figure, or None if there is nothing to show."""
