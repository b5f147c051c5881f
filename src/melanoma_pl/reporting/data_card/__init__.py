"""A data card in Markdown: what a set of photos is, and what it is not good for."""
