"""`model.onnx` and `model.pt2`: an exported network as a graph, with its metadata, compared with PyTorch."""

import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from melanoma_pl.errors import UserError
from melanoma_pl.export.exported_network import ExportedNetwork

OPSET = 18
TOLERANCE = 1e-4  # largest difference of a logit between PyTorch and ONNX Runtime
BATCHES = (1, 2, 7)  # an export that fixes the batch size, or turns it into a constant, fails on one of them
IR_VERSION = 10  # of ONNX 1.16: newer ones are refused by runtimes that are a year old
OTHER_NETWORK = "melanoma-predict runs it; for ONNX train a network of other layers"

Outputs = dict[str, NDArray[np.float32]]


def export_program(network: ExportedNetwork) -> torch.export.ExportedProgram:
    """Trace a network for batches of any size.

    Raises:
        UserError: If its code depends on the values of the images, so that it has no graph.
    """
    examples = tuple(example_pixels(network, 2))  # of one image, the batch size would become a constant
    any_batch = {"pixels": tuple({0: torch.export.Dim("batch", min=1)} for _ in examples)}
    try:
        with quiet(), torch.no_grad():
            return torch.export.export(network, examples, dynamic_shapes=any_batch, strict=False)
    except Exception as error:  # each layer has its own way to refuse
        raise UserError(f"the network cannot be exported ({reason_of(error)})", OTHER_NETWORK) from error


def write_onnx(program: torch.export.ExportedProgram, network: ExportedNetwork, path: Path) -> None:
    """Write a traced network as one ONNX file, with its weights.

    Raises:
        UserError: If ONNX lacks one of its operators.
    """
    import onnx

    try:
        with quiet():
            exported = torch.onnx.export(
                program,
                input_names=list(network.input_names),
                output_names=list(network.output_names),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
            assert exported is not None
            exported.save(str(path), external_data=False)
        model = onnx.load(path)
        model.ir_version = min(model.ir_version, IR_VERSION)
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, path)
    except OSError:  # a full disk
        raise
    except Exception as error:  # the exporter's own errors, and those of its passes
        raise UserError(f"ONNX lacks an operator of this network ({reason_of(error)})", OTHER_NETWORK) from error


def write_metadata(path: Path, metadata: Mapping[str, Any]) -> None:
    """Store metadata in an ONNX file: texts as they are, other values as JSON; the file's opset is added."""
    import onnx

    model = onnx.load(path)
    opsets = {each.domain or "ai.onnx": each.version for each in model.opset_import}
    values = {**metadata, "opset": opsets}
    texts = {
        key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for key, value in values.items()
    }
    onnx.helper.set_model_props(model, texts)
    model.doc_string = texts.get("disclaimer", "")
    onnx.save(model, path)


def open_session(path: Path) -> Any:
    """Return a session of ONNX Runtime on the CPU, with as many threads as PyTorch uses."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def run_session(session: Any, pixels: Sequence[Tensor]) -> Outputs:
    """Predict a batch, uint8 `(N, 3, S, S)` for each input; each output is float32 `(N,)`, by its name."""
    names = [each.name for each in session.get_inputs()]
    arrays = {name: np.ascontiguousarray(each.numpy()) for name, each in zip(names, pixels, strict=True)}
    return dict(zip((each.name for each in session.get_outputs()), session.run(None, arrays), strict=True))


def run_network(network: ExportedNetwork, pixels: Sequence[Tensor]) -> Outputs:
    """Predict a batch with PyTorch, as `run_session`."""
    with torch.inference_mode():
        return {name: each.numpy() for name, each in zip(network.output_names, network(*pixels), strict=True)}


def check_onnx(path: Path, network: ExportedNetwork) -> None:
    """Refuse an ONNX file whose logits differ from those of PyTorch, for batches of different sizes.

    Raises:
        UserError: Naming the difference.
    """
    session = open_session(path)
    for count in BATCHES:
        pixels = example_pixels(network, count)
        try:
            found, expected = run_session(session, pixels), run_network(network, pixels)
        except Exception as error:  # onnxruntime has no public base class of errors
            raise UserError(f"ONNX Runtime cannot run the network ({reason_of(error)})", OTHER_NETWORK) from error
        difference = float(np.abs(found["logit"] - expected["logit"]).max())
        if not difference <= TOLERANCE * max(1.0, float(np.abs(expected["logit"]).max())):
            raise UserError(
                f"a batch of {count} images: logits of ONNX differ from those of PyTorch by {difference:.1g}",
                OTHER_NETWORK,
            )


def example_pixels(network: ExportedNetwork, count: int) -> list[Tensor]:
    """Return images of random pixels and of random brightness, uint8 `(count, 3, S, S)` for each input."""
    generator = torch.Generator().manual_seed(count)
    images = []
    for kind in network.inputs:
        size = kind["image_size"]
        brightness = torch.rand(count, 3, 1, 1, generator=generator)
        images.append((256 * brightness * torch.rand(count, 3, size, size, generator=generator)).to(torch.uint8))
    return images


def reason_of(error: BaseException) -> str:
    """Return the reason of a failed export in a line: the first line of the first error, which names the operator."""
    chain: list[BaseException] = [error]
    while (before := chain[-1].__cause__ or chain[-1].__context__) is not None and before not in chain:
        chain.append(before)
    texts = [str(each).strip().splitlines()[0].strip() for each in chain if str(each).strip()]
    named = [text for text in texts if "No ONNX function" in text or "No decompositions" in text]
    return (named or texts[-1:] or [type(error).__name__])[0][:300]


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the warnings and the log of the exporter, which speak of its own code."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
