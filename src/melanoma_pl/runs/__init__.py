"""Runs: their folders. Light: nothing heavy is imported."""

from melanoma_pl.runs.run_folder import (
    IMAGES,
    OUTPUTS,
    RECORD,
    REPORT,
    Run,
    all_runs,
    describe,
    is_main_process,
    newest_unfinished,
    now,
    open_run,
    started_in,
)

__all__ = [
    "IMAGES",
    "OUTPUTS",
    "RECORD",
    "REPORT",
    "Run",
    "all_runs",
    "describe",
    "is_main_process",
    "newest_unfinished",
    "now",
    "open_run",
    "started_in",
]
