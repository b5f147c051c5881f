"""Mistakes of the user, as one line with the way out, the stop by a signal, and errors of threads."""

import difflib
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from melanoma_pl.messages import readable

# signals that stop a command; a batch system sends SIGUSR1, which Windows lacks, some time before it ends a job
STOPPING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name))
NAMED = 3  # names in an error: enough to find the others


class UserError(Exception):
    """A mistake that the user can correct; the commands print it as one line and exit with code 2.

    Names in it are made readable, because names of files can hold a terminal's commands.

    Args:
        message: The mistake, with the value and what is allowed; empty if another process of a training tells it.
        way_out: The command or action that corrects it.
        details: Further lines, such as a name each.
    """

    def __init__(self, message: str, way_out: str = "", details: Sequence[str] = ()) -> None:
        lines = [f"{message}: {way_out}" if way_out else message, *details]
        super().__init__("\n".join(map(readable, lines)))


class RunStopped(BaseException):
    """A signal stopped the command; not an `Exception`, so that nothing swallows it.

    Args:
        number: The signal.

    Attributes:
        exit_code: 128 and the signal's number: 130 for SIGINT, 143 for SIGTERM, 138 for SIGUSR1.
        is_told: Whether the log already says that the command was stopped.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number
        self.is_told = False


def find_stop(error: BaseException | None) -> RunStopped | None:
    """Return the stop by a signal that an error is, or that it hides.

    Code that a signal interrupts can fail while it cleans up, and then raises its own error instead.
    """
    seen: set[int] = set()  # an error that is raised twice can lead back to itself
    while error is not None and id(error) not in seen:
        if isinstance(error, RunStopped):
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """Return "did you mean 'x'? available are a, b, c"; if no word is close, only the second half."""
    names = sorted(allowed)
    close = difflib.get_close_matches(word, names, n=1)
    available = f"available are {', '.join(names)}"
    return f"did you mean '{close[0]}'? {available}" if close else available


def first_of(names: Sequence[str]) -> str:
    """Return the first few names of a list that can be long, as "a, b, c, …"."""
    return ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")


@contextmanager
def quiet_threads(is_told: Callable[[BaseException | None], bool]) -> Iterator[None]:
    """Let a thread whose error the main thread tells anyway, such as TensorBoard's writer, end without a traceback.

    Args:
        is_told: Whether an error of a thread is one of these.
    """

    def report(failed: threading.ExceptHookArgs) -> None:
        if not is_told(failed.exc_value):
            before(failed)

    before, threading.excepthook = threading.excepthook, report
    try:
        yield
    finally:
        threading.excepthook = before
