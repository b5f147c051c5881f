"""One thread that predicts, and batches the images of all requests that wait for it."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue

import numpy as np
import torch
from numpy.typing import NDArray

from melanoma_pl.data.decoding import Decoded, decode_content, stack
from melanoma_pl.image_files import THREADS
from melanoma_pl.inference.heat_maps import heat_maps
from melanoma_pl.inference.prediction import BATCH, Prediction, predict_decoded
from melanoma_pl.models.classifier import MelanomaClassifier
from melanoma_pl.models.features import last_convolution

DECODERS = min(THREADS, 4)  # large images take hundreds of megabytes each while they are decoded


@dataclass(frozen=True)
class Predicted:
    """A prediction and, if it was wanted and the image is not broken, its heat map, float32 `(S, S)` in [0, 1]."""

    prediction: Prediction
    heat: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class _Job:
    decoded: Decoded
    wants_heat_map: bool
    future: "Future[Predicted]" = field(default_factory=Future)


class BatchedPredictor:
    """Predicts the images of concurrent requests together.

    Images are decoded by several threads. One further thread takes all images that wait, at most 64, and predicts them
    in one batch: PyTorch uses all cores for it, and heat maps change the network while they are computed.

    Args:
        classifier: In evaluation mode.

    Attributes:
        has_heat_maps: Whether the network has a convolution to draw heat maps of.
    """

    def __init__(self, classifier: MelanomaClassifier) -> None:
        self.classifier = classifier
        self.has_heat_maps = last_convolution(classifier.network) is not None
        self._waiting: SimpleQueue[_Job | None] = SimpleQueue()
        self._decoders = ThreadPoolExecutor(DECODERS, "decoder")
        self._worker = threading.Thread(target=self._work, name="predictor", daemon=True)

    @property
    def is_running(self) -> bool:
        """True while the thread runs."""
        return self._worker.is_alive()

    def start(self) -> None:
        """Predict one empty image, so that the first request need not wait for lazy set-up, and start the thread."""
        side = self.classifier.preprocessing.image_size
        list(predict_decoded(self.classifier, [Decoded(torch.zeros(3, side, side, dtype=torch.uint8), "")]))
        self._worker.start()

    def close(self) -> None:
        """Predict what waits, and end the threads."""
        self._waiting.put(None)
        self._worker.join()
        self._decoders.shutdown()

    async def predict(self, contents: Sequence[bytes], wants_heat_maps: bool = False) -> list[Predicted]:
        """Predict images.

        Args:
            contents: Contents of their files.
            wants_heat_maps: Whether to compute heat maps, if the network can have any.

        Returns:
            One prediction an image, in their order.

        Raises:
            UserError: If the network returns non-finite logits.
        """
        loop = asyncio.get_running_loop()
        decode = partial(decode_content, preprocessing=self.classifier.preprocessing)
        decoded = await asyncio.gather(*(loop.run_in_executor(self._decoders, decode, content) for content in contents))
        jobs = [_Job(each, wants_heat_maps and self.has_heat_maps) for each in decoded]
        for job in jobs:
            self._waiting.put(job)
        return await asyncio.gather(*(asyncio.wrap_future(job.future) for job in jobs))

    def _work(self) -> None:
        while jobs := self._next_batch():
            kept = [job for job in jobs if job.future.set_running_or_notify_cancel()]
            try:
                self._answer(kept)
            except Exception as error:  # the requests report it, and the next batch is predicted
                for job in kept:
                    if not job.future.done():
                        job.future.set_exception(error)

    def _next_batch(self) -> list[_Job]:
        """Wait for an image, and return it with all others that wait; nothing at the end."""
        jobs: list[_Job] = []
        while len(jobs) < BATCH:
            try:
                job = self._waiting.get(block=not jobs)
            except Empty:
                break
            if job is None:
                if jobs:
                    self._waiting.put(None)  # for the next call
                break
            jobs.append(job)
        return jobs

    def _answer(self, jobs: Sequence[_Job]) -> None:
        predictions = list(predict_decoded(self.classifier, [job.decoded for job in jobs]))
        mapped = []
        for job, prediction in zip(jobs, predictions, strict=True):
            if job.wants_heat_map and prediction.pixels is not None:
                mapped.append((job, prediction, prediction.pixels))
            else:
                job.future.set_result(Predicted(prediction))
        if mapped:
            pixels = stack([each for _, _, each in mapped])
            heats = heat_maps(self.classifier, pixels, [prediction.is_malignant for _, prediction, _ in mapped])
            for (job, prediction, _), heat in zip(mapped, heats, strict=True):
                job.future.set_result(Predicted(prediction, heat))
