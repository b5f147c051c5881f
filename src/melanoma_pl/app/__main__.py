"""`melanoma-app`: a web page on this computer that predicts images with a run. Light."""

import argparse
import errno
import ipaddress
import socket
import sys
from importlib.util import find_spec
from pathlib import Path

from melanoma_pl import runs
from melanoma_pl.config.app import OK, run_command
from melanoma_pl.errors import UserError
from melanoma_pl.messages import DISCLAIMER, readable
from melanoma_pl.predict import ADVICE, cautions, evaluated_checkpoint, notify
from melanoma_pl.runs.run_folder import LATEST

HOST, PORT = "127.0.0.1", 8000
PACKAGES = ("fastapi", "uvicorn", "python_multipart")
GET_APP = "pip install 'melanoma-pl[app]'"
GRACE = 5  # seconds that answers in progress may take after Ctrl-C
CONNECTIONS = 500  # at one time; further ones are refused
EXAMPLES = """examples:
  melanoma-app --run latest
  melanoma-app --run outputs/baseline/<run> --port 8080
  curl -F images=@image.jpg http://127.0.0.1:8000/api/predict
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    parsing = argparse.ArgumentParser(
        "melanoma-app",
        description=f"Serve a page that predicts images, which it never stores. {DISCLAIMER}",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parsing.add_argument(
        "--run",
        required=True,
        metavar="FOLDER",
        help=f"a run's folder, or {LATEST} for the newest finished run below {runs.OUTPUTS}/: the checkpoint that it "
        "evaluates predicts",
    )
    parsing.add_argument("--port", type=int, default=PORT, help="default: %(default)s; 0 for any free one")
    parsing.add_argument(
        "--host",
        default=HOST,
        help="address to listen on (default: %(default)s, which this computer alone reaches; 0.0.0.0 for the network)",
    )
    parsing.add_argument(
        "--trust", action="append", default=[], metavar="MODULE", help="a module whose network the checkpoint may name"
    )
    parsing.add_argument("--device", choices=("auto", "cpu", "gpu"), default="cpu", help="default: %(default)s")
    return parsing


def main() -> None:
    """Run the command."""
    sys.exit(run_command(command))


def command(arguments: list[str]) -> int:
    """Serve the page until a signal stops it, and return the exit code."""
    chosen = parser().parse_args(arguments)
    check_extra()
    checkpoint = evaluated_checkpoint(chosen.run)
    with listen(chosen.host, chosen.port) as listener:
        serve(listener, checkpoint, chosen)
    return OK


def check_extra() -> None:
    """Refuse to go on without the packages of the extra `app`.

    Raises:
        UserError: If one is missing.
    """
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise UserError(f"melanoma-app needs {' and '.join(missing)}", GET_APP)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that occupies the port, before seconds are spent on imports.

    Raises:
        UserError: If the host is unknown, or the port is in use or not allowed.
    """
    if not 0 <= port <= 65535:
        raise UserError(f"--port {port} is not a port", "take one from 1024 to 65535, or 0 for any free one")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (OSError, UnicodeError) as error:
        raise UserError(f"--host {host} is not an address of this computer", f"take {HOST}") from error
    listener = socket.socket(family, socket.SOCK_STREAM)
    if sys.platform != "win32":  # where it would let two programs share the port
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(1)  # two programs may bind a port, but only one listens; uvicorn lengthens the queue
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise UserError(f"port {port} is in use", "take another one: --port 0 finds a free one") from error
        if error.errno == errno.EACCES:
            raise UserError(f"port {port} is not allowed", "take one from 1024 on") from error
        raise UserError(f"--host {host} is not an address of this computer", f"take {HOST}") from error
    return listener


def is_loopback(host: str) -> bool:
    """Tell whether only this computer reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def serve(listener: socket.socket, checkpoint: Path, chosen: argparse.Namespace) -> None:
    """Load the checkpoint and answer requests until a signal ends it."""
    import uvicorn

    from melanoma_pl.app.answers import recorded_images
    from melanoma_pl.app.batching import BatchedPredictor
    from melanoma_pl.app.pages import Subject
    from melanoma_pl.app.service import build_app
    from melanoma_pl.app.uploads import Limits
    from melanoma_pl.inference.hardware import choose_accelerator, keep_freed_memory
    from melanoma_pl.inference.prediction import load_classifier

    keep_freed_memory()  # twice as many images a second
    bound, port = listener.getsockname()[:2]
    address = f"http://{f'[{bound}]' if ':' in bound else bound}:{port}"
    classifier = load_classifier(checkpoint, choose_accelerator(chosen.device, "--device cpu"), chosen.trust)
    predictor = BatchedPredictor(classifier)
    subject = Subject(
        checkpoint.absolute().parents[1].name,
        classifier,
        recorded_images(checkpoint, classifier.threshold),
        Limits(),
        is_loopback(bound),
        predictor.has_heat_maps,
        address,
    )
    for notice in (ADVICE, *cautions(classifier, False)):
        notify(notice)
    if not subject.is_local:
        notify(
            f"warning: --host {readable(chosen.host)}: everyone on this network can send images, without a password "
            f"and without encryption; --host {HOST} is for this computer alone"
        )
    print(f"{address}/  (Ctrl-C stops it)", flush=True)
    config = uvicorn.Config(
        build_app(subject, predictor),
        access_log=False,
        log_level="warning",
        server_header=False,
        http="h11",
        loop="asyncio",
        ws="none",
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=GRACE,
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
