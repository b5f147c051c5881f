"""The report of a trained network: predictions, analysis, content, and the files it is written to."""
