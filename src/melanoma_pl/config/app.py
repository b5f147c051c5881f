"""The frame of every command: signals, log lines, Hydra, and mistakes as one line with an exit code. Light."""

import atexit
import errno
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from hydra import main
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from tqdm import tqdm

from melanoma_pl import __version__
from melanoma_pl.config.composition import as_user_error, conf_dir, split_arguments
from melanoma_pl.config.processes import is_main_process, meeting
from melanoma_pl.config.search import PLUGIN, Search
from melanoma_pl.config.sweep_folder import begin_sweep, running_folders
from melanoma_pl.errors import STOPPING, RunStopped, UserError, find_stop, quiet_threads
from melanoma_pl.files import NO_SPACE
from melanoma_pl.machine_limits import limit_threads
from melanoma_pl.messages import DESTINATION, Progress, readable, timed

if TYPE_CHECKING:
    from melanoma_pl.config.schema import TrainSettings

OK, FAILED, MISUSED = 0, 1, 2  # exit codes
WRONG_PATH = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR, errno.ENOTDIR, errno.EEXIST),
    *(errno.ENOENT, errno.ENAMETOOLONG, errno.ELOOP),
)
FULL_ERROR = "HYDRA_FULL_ERROR"


class ReadableFormatter(logging.Formatter):
    """A log formatter that escapes a terminal's commands, which names of files can hold."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one record as text."""
        return readable(super().format(record), keep="\n\t")


@contextmanager
def job_of_sweep(title: str, *, is_alone: bool) -> Iterator[None]:
    """Keep the lines of a job off the screen, where its sweep has one line for it.

    Args:
        title: What the lines that are shown begin with, such as `job 2/4`.
        is_alone: Whether no other job runs at the same time, so that a progress bar has the terminal to itself.
    """
    Console.is_in_sweep, Progress.job, Progress.has_bars = True, f"{title}  ", is_alone
    try:
        yield
    finally:
        Console.is_in_sweep, Progress.job, Progress.has_bars = False, "", True


class LogFile(logging.FileHandler):
    """A log file that goes without its lines on a full disk; the next file that matters reports the error."""

    def flush(self) -> None:
        """Write what is buffered, if the disk has space."""
        with suppress(OSError):
            super().flush()

    def close(self) -> None:
        """Close the file."""
        with suppress(OSError):
            super().close()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Report a mistake in a line of the log."""
        if not isinstance(sys.exception(), OSError):
            super().handleError(record)


class Console(logging.Handler):
    """A log handler that writes above any progress bar.

    Lines with `extra=IN_FILE` go to the log file only. Of a sweep's jobs, lines with `extra=ON_SCREEN` alone are shown.
    """

    is_in_sweep = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record to standard output."""
        destination = getattr(record, DESTINATION, None)
        if destination == "file" or (destination != "screen" and self.is_in_sweep):
            return
        tqdm.write(f"{Progress.job}{self.format(record)}", file=sys.stdout)
        sys.stdout.flush()


def wants_help(arguments: Iterable[str]) -> bool:
    """Tell whether the arguments ask for help; Hydra's own takes seconds to list its groups."""
    return not {"--help", "-h"}.isdisjoint(arguments)


@contextmanager
def heavy_imports(settings: "TrainSettings | None" = None, with_test: bool = True) -> Iterator[None]:
    """Import PyTorch and Lightning without collecting garbage; later collections leave their million objects out.

    Args:
        settings: Those of a training, whose images are decoded meanwhile if it is already known how.
        with_test: Whether its test images will be needed, too.
    """
    with timed("imports"):
        if "torch" in sys.modules:
            yield
            return
        if settings is not None:
            _read_early(settings, with_test)
        gc.disable()
        try:
            yield
        finally:
            gc.freeze()
            atexit.register(gc.unfreeze)  # some libraries complain of objects that are left at the end
            gc.enable()


def _read_early(settings: "TrainSettings", with_test: bool) -> None:
    data = settings.data
    source = data.root if data.table is None else data.table
    is_known = data.normalisation != "backbone" and data.colour_constancy == "none"
    if source is not None and data.synthetic is None and is_known and settings.trainer.processes == 1:
        from melanoma_pl.data.cache.early_images import begin_early  # not for commands that read no dataset

        begin_early(source, data, data.image_size, ("train", "test") if with_test else ("train",))


def end_process(code: int) -> NoReturn:
    """Exit; the process of a command does not free each object of PyTorch first, which takes a second.

    What waits for the end of the process, such as a logger that sends its last lines, is called as usual.
    """
    program = sys.modules["__main__"]
    name = getattr(program.__spec__, "name", "") or Path(getattr(program, "__file__", "")).name
    if "torch" in sys.modules and name.startswith(("melanoma_pl.", "melanoma-")):
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
    sys.exit(code)


@contextmanager
def raising_signals() -> Iterator[None]:
    """Let signals raise `RunStopped`, so that files are cleaned up and the exit code tells the reason.

    Without it, a SIGTERM while Lightning sets up a training would end it with exit code 0. A signal that is ignored, as
    under nohup, stays so. An error that hides the stop, raised by code that was interrupted, is replaced by it.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        raise RunStopped(number)

    is_main = threading.current_thread() is threading.main_thread()
    numbers = [each for each in STOPPING if is_main and signal.getsignal(each) != signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    except Exception as error:
        if found := find_stop(error):
            raise found from None
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def is_out_of_space(error: BaseException | None) -> bool:
    """Tell whether an error is that of a full disk, which the next write in the main thread meets as well."""
    return isinstance(error, OSError) and error.errno in NO_SPACE


@contextmanager
def leaving_the_others() -> Iterator[None]:
    """Tell further processes of a training that this one is stopped or crashes, before they wait for it."""
    try:
        yield
    except (UserError, OSError):
        raise  # `run_command` tells them
    except BaseException as error:
        meeting.leave("stopped" if isinstance(error, RunStopped) else f"failed with {type(error).__name__}")
        raise


def run_command(command: Callable[[list[str]], int], arguments: list[str] | None = None) -> int:
    """Run a command's body; a user's mistake becomes one line and exit code 2, without a traceback unless asked for.

    Every command answers `--version`, and computes with as many threads as a container gives it cores.

    Args:
        command: Takes the arguments and returns the exit code.
        arguments: What follows the command's name; None: those of `sys.argv`.
    """
    traceback_wanted = os.environ.get(FULL_ERROR) == "1"
    arguments = sys.argv[1:] if arguments is None else arguments
    if "--version" in arguments:
        print(f"melanoma-pl {__version__}")
        return OK
    limit_threads()
    try:
        with raising_signals(), quiet_threads(is_out_of_space), leaving_the_others():
            return command(arguments)
    except RunStopped as stop:
        if not stop.is_told and is_main_process():
            print("stopped", file=sys.stderr)
        return stop.exit_code
    except KeyboardInterrupt:  # outside the main thread there are no handlers
        print("stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of the output, `head` for instance, has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except UserError as error:
        message = str(error)
        if not message:  # another process of a training on several devices tells it
            return MISUSED
        if traceback_wanted:
            raise
    except OSError as error:
        if traceback_wanted or error.errno not in (*NO_SPACE, *WRONG_PATH):
            raise
        is_full = error.errno in NO_SPACE
        # a copy names its source first and its target second
        file = readable((error.filename2 if is_full else None) or error.filename or "a file")
        message = f"no space is left to write {file}: make some, then go on" if is_full else f"{file}: {error.strerror}"
    if not meeting.tell(message):
        print(f"error: {message}", file=sys.stderr)
    return MISUSED


class QuietReturn(JobReturn):
    """A job's outcome, whose error Hydra raises again without a line of its own: the job has told it."""

    def _value(self) -> Any:
        if self.status == JobStatus.FAILED:
            raise self._return_value
        return self._return_value

    return_value = property(_value, JobReturn.return_value.fset)  # type: ignore[attr-defined]


class SweepFolder(Callback):
    """Tells the caller of `run_hydra_with_argv` the folder of a grid, for its summary, and silences the sweeper.

    Hydra calls nothing of ours at the end of a sweep whose jobs fail.
    """

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Note the folder, and in it what the sweep was started with, before the first job."""
        if config.hydra.sweeper._target_ != PLUGIN:  # a search first looks whose folder it is
            begin_sweep(config)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Let the sweeper raise the error of a job in silence."""
        job_return.__class__ = QuietReturn


def run_hydra_with_argv(
    config_name: str,
    job: Callable[[DictConfig], Any],
    arguments: Iterable[str],
    sweep_folders: list[Path] | None = None,
) -> None:
    """Run a Hydra app with these arguments in `sys.argv`, where Hydra and the processes of DDP read them.

    `sys.argv` and the environment are restored afterwards. Hydra alone would refuse flags between overrides.

    Args:
        config_name: `train` or `evaluate`.
        job: Takes the composed configuration; a sweep calls it once for each job.
        arguments: Overrides and Hydra's flags.
        sweep_folders: Receives the folder of a sweep as soon as it is known.

    Raises:
        UserError: If the job raised it, or if Hydra or OmegaConf refuse an argument.
    """
    overrides, flags = split_arguments(arguments)
    raised: list[Exception] = []
    has_begun = False

    @wraps(job)
    def task(config: DictConfig) -> Any:
        nonlocal has_begun
        has_begun = True
        try:
            return job(config)
        except Exception as error:
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                raise  # the sweeper must know
            # Hydra would print a line of its own first
            raised.append(as_user_error(error, config_name) if isinstance(error, OmegaConfBaseException) else error)

    argv, full_error = sys.argv, os.environ.get(FULL_ERROR)
    token = running_folders.set([] if sweep_folders is None else sweep_folders)
    sys.argv = [*argv[:1], *overrides, *flags]
    Plugins.instance().class_name_to_class[PLUGIN] = Search
    os.environ[FULL_ERROR] = "1"  # or Hydra would print an exception and exit instead of raising it
    try:
        main(version_base="1.3", config_path=str(conf_dir()), config_name=config_name)(task)()
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        if has_begun and isinstance(error, ValueError):
            raise  # the job's own
        raise as_user_error(error, config_name) from error
    finally:
        running_folders.reset(token)
        sys.argv = argv
        del os.environ[FULL_ERROR]
        if full_error is not None:
            os.environ[FULL_ERROR] = full_error
    if raised:
        raise raised[0]
