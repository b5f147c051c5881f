"""The fastest way to compute a training step on this CPU, by a short measurement that is kept in a file.

Which one it is depends on the processor: without AVX-512, matrix products are twice as fast as oneDNN's gradient, and
with it half as fast; bf16 doubles the speed of wide convolutions and halves that of depthwise ones.
"""

import json
import logging
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from melanoma_pl.config.instantiate import unfetched_network
from melanoma_pl.config.schema import TrainSettings
from melanoma_pl.files import write_atomically
from melanoma_pl.inference.hardware import Accelerator, choose_precision
from melanoma_pl.models.three_conv import CONVOLUTIONS, SPACE_TO_DEPTH

logger = logging.getLogger(__name__)

FILE = "fastest.json"  # in the folder of the cache
IMAGES, ROUNDS = 8, 3  # of a measured step
WORTH_IT = 1_500_000  # pixels of a batch (30 images of 224×224) from which on a measurement saves more than it takes
CLEARLY = 1.05  # another way must be so many times as fast as the usual one, or runs would differ by chance
BF16, FULL = "bf16-mixed", "32-true"


class Way(NamedTuple):
    """A way to compute a training step.

    Attributes:
        precision: As `lightning.pytorch.Trainer` takes it.
        convolutions: Those of `ThreeConvNet`; `layers` for any other network.
    """

    precision: str
    convolutions: str


def choose_way(settings: TrainSettings, accelerator: Accelerator, recorded: Mapping[str, Any]) -> Way:
    """Return how the training steps of a run are computed.

    Args:
        settings: All choices of the run.
        accelerator: Where it trains.
        recorded: What `run.json` holds under `arithmetic` if the run is resumed: it goes on in the same way, for the
            same bits, unless the settings or this processor exclude that.

    Raises:
        UserError: If the device lacks the wanted arithmetic.
    """
    chosen = settings.trainer
    precision = choose_precision(chosen.precision, accelerator)
    on_cpu = accelerator == "cpu"
    precisions = [FULL, BF16] if on_cpu and (chosen.precision, precision) == ("auto", BF16) else [precision]
    has_choice = on_cpu and chosen.compile == "none"
    with torch.device("meta"):
        network = unfetched_network(settings)
    convolutions = chosen.convolutions if has_choice or chosen.convolutions == SPACE_TO_DEPTH else "layers"
    ways = open_ways(precisions, convolutions, network)
    before = Way(str(recorded.get("precision")), str(recorded.get("convolutions")))
    if before in ways:
        return before
    batch, side = settings.data.batch_size, settings.data.image_size
    if len(ways) == 1 or chosen.processes > 1 or batch * side**2 < WORTH_IT:  # several processes must choose alike
        return usual_way(ways, network)
    with torch.random.fork_rng(devices=[]):
        network = unfetched_network(settings)
    if chosen.channels_last:
        network = network.to(memory_format=torch.channels_last)
    return fastest_way(ways, network, min(batch, IMAGES), side, settings.data.cache_folder)


def usual_way(ways: Sequence[Way], network: nn.Module) -> Way:
    """Return the way that is taken without a measurement; it depends on the network and the processor alone.

    Args:
        ways: Those that the settings leave open.
        network: The network, which may be on the meta device.
    """
    has_avx512 = torch.backends.cpu.get_cpu_capability().startswith("AVX512")
    precisions = (FULL, BF16) if _is_depthwise(network) else (BF16, FULL)
    fused = ("fused", "products") if has_avx512 else ("products", "fused")
    convolutions = (*fused, "layers", SPACE_TO_DEPTH)
    return min(ways, key=lambda way: (precisions.index(way.precision), convolutions.index(way.convolutions)))


def fastest_way(ways: Sequence[Way], network: nn.Module, count: int, side: int, folder: Path | None) -> Way:
    """Return the way in which a training step takes the least time, forward and backward.

    Args:
        ways: Those that the settings leave open.
        network: With any weights, on the CPU.
        count: Images of a measured step.
        side: Pixels of their side.
        folder: Receives the file of measurements, of which none is made twice; None measures each time.
    """
    usual = usual_way(ways, network)
    key = "; ".join([*_machine(), _describe(network), f"{count} images of {side}", *map(" ".join, ways)])
    known = _read(folder)
    if key not in known:
        begun = time.monotonic()
        known[key] = {" ".join(way): round(rate, 1) for way, rate in measure(ways, network, count, side)}
        logger.info(
            "computing   %s images/s, measured in %.1f s",
            ", ".join(f"{name} {rate:.0f}" for name, rate in known[key].items()),
            time.monotonic() - begun,
        )
        _write(folder, known)
    rates = {way: known[key][" ".join(way)] for way in ways}
    best = max(ways, key=rates.__getitem__)
    return best if rates[best] > CLEARLY * rates[usual] else usual


def measure(ways: Sequence[Way], network: nn.Module, count: int, side: int) -> Iterator[tuple[Way, float]]:
    """Yield each way with its images/s: the best of several steps, which the ways take in turn."""
    seconds: dict[Way, list[float]] = {way: [] for way in ways}
    with torch.random.fork_rng(devices=[]), _computing(network):
        images = torch.rand(count, 3, side, side).contiguous(memory_format=torch.channels_last)
        for _ in range(1 + ROUNDS):
            for way in ways:
                seconds[way].append(_step(network, images, way))
    for way, each in seconds.items():
        yield way, count / min(each[1:])  # the first prepares kernels and memory


def _step(network: nn.Module, images: Tensor, way: Way) -> float:
    if hasattr(network, "convolutions"):
        network.convolutions = way.convolutions  # type: ignore[assignment]
    network.zero_grad()
    begun = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=way.precision == BF16):
        answers = network(images)
    answers.float().sum().backward()
    return time.perf_counter() - begun


@contextmanager
def _computing(network: nn.Module) -> Iterator[None]:
    """Leave the network's way of computing as it was."""
    before = getattr(network, "convolutions", None)
    network.train()
    try:
        yield
    finally:
        network.zero_grad()
        if before is not None:
            network.convolutions = before


def open_ways(precisions: Sequence[str], convolutions: str, network: nn.Module) -> list[Way]:
    """Return the ways that the settings leave open to a network on a CPU.

    Args:
        precisions: Those that may be taken.
        convolutions: `trainer.convolutions`.
        network: The network.
    """
    spec: Mapping[str, Any] = getattr(network, "spec", {})
    if not hasattr(network, "convolutions") or spec.get("batch_norm"):
        return [Way(precision, "layers") for precision in precisions]
    names = CONVOLUTIONS if convolutions == "auto" else (convolutions,)
    ways = [Way(precision, name) for precision in precisions for name in names]
    # in bf16 `products` are the same as `fused`
    return [way for way in ways if way != (BF16, "products") or len(names) == 1]


def _is_depthwise(network: nn.Module) -> bool:
    """Tell whether the network has depthwise convolutions, which CPUs compute more slowly in bf16 than in 32 bits."""
    convolutions = (layer for layer in network.modules() if isinstance(layer, nn.Conv2d))
    return any(1 < layer.groups == layer.in_channels for layer in convolutions)


def _machine() -> tuple[str, ...]:
    model = ""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    capability = torch.backends.cpu.get_cpu_capability()
    threads = f"{torch.get_num_threads()} threads"
    return model or platform.processor(), capability, threads, f"PyTorch {torch.__version__}"


def _describe(network: nn.Module) -> str:
    """Return what tells networks of different speed apart."""
    return f"{type(network).__name__} of {sum(each.numel() for each in network.parameters())} parameters"


def _read(folder: Path | None) -> dict[str, dict[str, float]]:
    """Return earlier measurements; a file that cannot be read counts as none."""
    with suppress(OSError, ValueError, TypeError, AttributeError):
        if folder is not None:
            found = json.loads((folder / FILE).read_text(encoding="utf-8"))
            return {key: {way: float(rate) for way, rate in rates.items()} for key, rates in found.items()}
    return {}


def _write(folder: Path | None, known: Mapping[str, Any]) -> None:
    """Keep the measurements; where that is impossible, they are made again."""
    with suppress(OSError):
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            with write_atomically(folder / FILE) as file:
                json.dump(known, file, indent=2)
