"""Lines on the screen that do not break a progress bar."""

import logging
import sys

from tqdm import tqdm


class Console(logging.Handler):
    """A log handler that writes above any progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record to standard output."""
        tqdm.write(self.format(record), file=sys.stdout)
        sys.stdout.flush()
