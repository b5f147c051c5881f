"""`melanoma-app`: what it refuses, the numbers of `melanoma-predict`, and a server that outlives bad clients."""

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from melanoma_pl import predict, train
from melanoma_pl.app import __main__ as app
from tests.conftest import TINY, Command, Result, only_run

HEAVY = ("torch", "lightning", "matplotlib", "fastapi", "uvicorn", "starlette")
HAS_EXTRA = all(find_spec(name) for name in app.PACKAGES)
needs_extra = pytest.mark.skipif(not HAS_EXTRA, reason="needs the extra app")


@contextmanager
def served(*arguments: str) -> Iterator[str]:
    """Serve a page in a process of its own; its address."""
    words = [sys.executable, "-m", "melanoma_pl.app", "--port", "0", *arguments]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stderr
        address = process.stdout.readline().partition("  ")[0].rstrip("/")
        try:
            assert address.startswith("http://127.0.0.1:"), process.stderr.read()
            with urllib.request.urlopen(f"{address}/healthz", timeout=60) as answer:  # it waits for the start
                assert answer.status == 200
            yield address
        finally:
            process.terminate()
            process.wait(30)
            said = process.stdout.read() + process.stderr.read()
        assert "Traceback" not in said and "image" not in said.replace("images", ""), said


def post(address: str, *paths: Path) -> dict[str, object]:
    parts = [
        b'--x\r\nContent-Disposition: form-data; name="images"; filename="%s"\r\n\r\n%s\r\n'
        % (path.name.encode(), path.read_bytes())
        for path in paths
    ]
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    request = urllib.request.Request(f"{address}/api/predict", b"".join(parts) + b"--x--\r\n", headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return dict(json.load(answer))


def train_tiny(run_command: Command, image_folder: Path) -> Path:
    assert run_command(train.command, *TINY, "data=folder", f"data.root={image_folder}").code == 0
    return only_run(Path())


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom melanoma_pl.app import __main__ as app\ntry: app.command(['--help'])\n"
        f"except SystemExit: print('heavy:', [name for name in {HEAVY} if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "heavy: []" in shown.stdout and "--port" in shown.stdout


def test_a_missing_extra_is_named(run_command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "PACKAGES", ("a_package_that_is_missing",))
    result = run_command(app.command, "--run", "latest")
    assert_refused(result, "a_package_that_is_missing", "pip install 'melanoma-pl[app]'")


def assert_refused(result: Result, *words: str) -> None:
    assert result.code == 2 and result.error.count("\n") == 1, result.error
    assert all(word in result.error for word in words), result.error


@needs_extra
def test_mistakes_are_refused_in_one_line(run_command: Command, image_folder: Path) -> None:
    assert_refused(run_command(app.command, "--run", "nowhere"), "nowhere")
    run = str(train_tiny(run_command, image_folder))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert_refused(run_command(app.command, "--run", run, "--port", port), f"port {port} is in use", "--port 0")
    assert_refused(run_command(app.command, "--run", run, "--port", "70000"), "--port 70000")
    assert_refused(run_command(app.command, "--run", run, "--host", "no.such.host.invalid"), "--host")
    (Path(run) / "checkpoints/best.ckpt").unlink()
    assert_refused(run_command(app.command, "--run", run), "best.ckpt", "melanoma-train resume=")


@needs_extra
@pytest.mark.slow
def test_a_server_has_the_numbers_of_predict_and_outlives_bad_clients(run_command: Command, image_folder: Path) -> None:
    run = train_tiny(run_command, image_folder)
    images = sorted((image_folder / "test").rglob("*.png"))
    result = run_command(predict.command, "--run", str(run), *map(str, images), "--json")
    expected = [json.loads(line) for line in result.output.splitlines()]
    with served("--run", str(run)) as address:
        host, port = address.removeprefix("http://").split(":")
        head = f"POST /api/predict HTTP/1.1\r\nHost: {host}\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        for end in ("Content-Length: 1000\r\n\r\n--x", "Transfer-Encoding: chunked\r\n\r\n", ""):
            with socket.create_connection((host, int(port)), timeout=30) as dropped:
                dropped.sendall(f"{head}{end}".encode())
        with socket.create_connection((host, int(port)), timeout=30) as too_large:
            too_large.sendall(f"{head}Expect: 100-continue\r\nContent-Length: 200000000\r\n\r\n".encode())
            assert b" 413 " in too_large.recv(1000)
        time.sleep(0.2)
        found = post(address, *images)["predictions"]
    assert isinstance(found, list) and len(found) == len(expected)
    for each, row in zip(found, expected, strict=True):
        assert each["path"] == Path(row["path"]).name
        assert each["probability"] == pytest.approx(row["probability"], abs=1e-6)
        assert {key: each[key] for key in ("decision", "threshold", "out_of_distribution", "error")} == {
            key: row[key] for key in ("decision", "threshold", "out_of_distribution", "error")
        }
