"""Reports on a dataset: its audit and its data card."""
