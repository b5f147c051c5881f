"""Guides in Markdown, and the site that is built from them."""
