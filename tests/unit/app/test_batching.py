"""Images of concurrent requests are predicted in common batches, with the numbers of each alone."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from tests.unit.app.serving import png

from melanoma_pl.app import batching  # isort: skip
from melanoma_pl.app.batching import BatchedPredictor
from melanoma_pl.data.decoding import Decoded
from melanoma_pl.inference.ensemble import Member
from melanoma_pl.inference.prediction import Prediction, predict_decoded


@pytest.fixture
def predictor(members: list[Member]) -> Iterator[BatchedPredictor]:
    found = BatchedPredictor(members[0].classifier)
    found.start()
    yield found
    found.close()


def test_what_waits_becomes_one_batch(predictor: BatchedPredictor, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, begun, go_on = [], threading.Event(), threading.Event()

    def slowly(classifier: Any, batch: Sequence[Decoded]) -> Iterator[Prediction]:
        sizes.append(len(batch))
        begun.set()
        assert go_on.wait(10)
        return predict_decoded(classifier, batch)

    monkeypatch.setattr(batching, "predict_decoded", slowly)

    async def ask() -> list[float]:
        first = asyncio.create_task(predictor.predict([png(10)]))
        await asyncio.to_thread(begun.wait, 10)
        others = [asyncio.create_task(predictor.predict([png(20 * index)])) for index in range(1, 9)]
        while predictor._waiting.qsize() < len(others):
            await asyncio.sleep(0.01)
        go_on.set()
        answers = await asyncio.gather(first, *others)
        return [answer[0].prediction.probability or 0.0 for answer in answers]

    together = asyncio.run(ask())
    assert sizes == [1, 8]
    alone = [asyncio.run(predictor.predict([png(value)]))[0].prediction for value in (10, *range(20, 180, 20))]
    assert together == pytest.approx([each.probability for each in alone], abs=1e-6)


def test_a_request_that_gave_up_does_not_stop_the_others(predictor: BatchedPredictor) -> None:
    async def ask() -> Any:
        given_up = asyncio.create_task(predictor.predict([png()] * 3, wants_heat_maps=True))
        await asyncio.sleep(0)
        given_up.cancel()
        return await predictor.predict([png()], wants_heat_maps=True)

    (answer,) = asyncio.run(ask())
    assert answer.heat is not None and answer.heat.shape == (32, 32)
