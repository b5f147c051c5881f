"""Measure the local page under load: requests a second, latencies, and memory.

python -m benchmarks.app outputs/baseline/<run> [--seconds 10] [--requests 10000]

Clients of one further process each send one image of 600×450 pixels after another over a connection that stays open.
"""

import argparse
import asyncio
import io
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.machine import describe

CLIENTS = (1, 8, 64)
WIDTH, HEIGHT = 600, 450  # pixels of HAM10000
HEADERS = "Host: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=x\r\n"


def request() -> bytes:
    """Return a request with one synthetic JPEG, as bytes of HTTP/1.1."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    noise = np.random.default_rng(0).normal(0, 8, (HEIGHT, WIDTH, 3))
    mole = ((rows - HEIGHT / 2) ** 2 + (columns - WIDTH / 2) ** 2 < 110**2)[..., None]
    pixels = np.where(mole, (110, 70, 60), (215, 170, 150)) + noise
    image = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(image, "JPEG", quality=90)
    part = b'--x\r\nContent-Disposition: form-data; name="images"; filename="a.jpg"\r\n\r\n'
    body = part + image.getvalue() + b"\r\n--x--\r\n"
    return f"POST /api/predict HTTP/1.1\r\n{HEADERS}Content-Length: {len(body)}\r\n\r\n".encode() + body


@contextmanager
def served(run: str) -> Iterator[tuple[int, int]]:
    """Serve a run in a process of its own; its port and its process."""
    words = [sys.executable, "-m", "melanoma_pl.app", "--run", run, "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout
        port = int(process.stdout.readline().partition("  ")[0].rstrip("/").rpartition(":")[2])
        urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=120).close()
        yield port, process.pid
        process.terminate()


async def client(port: int, sent: bytes, more: Iterator[bool]) -> list[float]:
    """Send requests while there are more, and return their seconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    seconds = []
    while next(more):
        began = time.perf_counter()
        writer.write(sent)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        body = await reader.readexactly(int(head.partition("content-length: ")[2].partition("\r\n")[0]))
        assert " 200 " in head and json.loads(body)["predictions"][0]["error"] is None
        seconds.append(time.perf_counter() - began)
    writer.close()
    return seconds


def load(port: int, clients: int, more: Iterator[bool]) -> tuple[float, np.ndarray]:
    """Return the requests a second and all latencies in seconds."""
    sent = request()

    async def all_clients() -> list[list[float]]:
        return await asyncio.gather(*(client(port, sent, more) for _ in range(clients)))

    began = time.perf_counter()
    latencies = np.concatenate(asyncio.run(all_clients()))
    return len(latencies) / (time.perf_counter() - began), latencies


def until(end: float) -> Iterator[bool]:
    while True:
        yield time.perf_counter() < end


def times(count: int) -> Iterator[bool]:
    yield from (True for _ in range(count))
    while True:
        yield False


def memory(process: int) -> float:
    """Return the resident memory of a process in MiB (Linux)."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="the folder of a run")
    parser.add_argument("--seconds", type=float, default=10, help="of each number of clients (default: %(default)s)")
    parser.add_argument("--requests", type=int, default=10_000, help="for the memory (default: %(default)s)")
    chosen = parser.parse_args()
    print(f"{describe()}; one image of {WIDTH}×{HEIGHT} a request")
    with served(chosen.run) as (port, process):
        load(port, 8, until(time.perf_counter() + 2))  # warm-up
        for clients in CLIENTS:
            rate, latencies = load(port, clients, until(time.perf_counter() + chosen.seconds))
            median, slow = (1000 * np.quantile(latencies, level) for level in (0.5, 0.99))
            print(
                f"{clients:3} clients  {rate:6.1f} requests/s  median {median:5.0f} ms  p99 {slow:5.0f} ms", flush=True
            )
        if Path("/proc/self/status").exists():
            parts = [memory(process)]
            for _ in range(4):
                load(port, 8, times(chosen.requests // 4))
                parts.append(memory(process))
            print(f"memory over {chosen.requests} requests: {' → '.join(f'{part:.0f}' for part in parts)} MiB")


if __name__ == "__main__":
    main()
