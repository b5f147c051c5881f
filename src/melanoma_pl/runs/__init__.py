"""Runs: their folders, records and lists of images; which is best on validation; whether two differ. Light."""

from melanoma_pl.runs.run_folder import IMAGES, OUTPUTS, RECORD, REPORT, Run, all_runs, now, open_run

__all__ = ["IMAGES", "OUTPUTS", "RECORD", "REPORT", "Run", "all_runs", "now", "open_run"]
