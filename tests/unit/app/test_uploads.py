"""Uploads stay in memory and within limits, whatever the client does."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.app.serving import files, png, serving

from starlette.requests import ClientDisconnect, Request  # isort: skip

from melanoma_pl.app.uploads import Limits, RefusedUploadError, Uploads
from melanoma_pl.inference.ensemble import Member

HEAD = b'--x\r\nContent-Disposition: form-data; name="images"; filename="a.png"\r\n\r\n'
FOREVER = object()


def read(uploads: Uploads, parts: Iterable[bytes | object]) -> Any:
    """Read a form whose body arrives in these parts; after the last one, the connection is dropped."""

    async def messages() -> AsyncIterator[dict[str, Any]]:
        for part in parts:
            if part is FOREVER:
                await asyncio.sleep(3600)
            yield {"type": "http.request", "body": part, "more_body": True}
        yield {"type": "http.disconnect"}

    stream = messages()

    async def receive() -> Any:
        return await anext(stream)

    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", b"multipart/form-data; boundary=x")]}

    async def received() -> Any:
        async with uploads.received(Request(scope, receive)) as form:
            return form

    return asyncio.run(received())


def test_twenty_megabytes_never_touch_the_disk(
    members: list[Member], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    made: list[object] = []
    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", lambda file: made.append(file))
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda *_, **__: pytest.fail("a temporary file was made"))
    content = png() + bytes(20_000_000)  # what follows the image is ignored
    with serving(members[0].classifier) as client:
        (found,) = client.post("/api/predict", files=files(content)).json()["predictions"]
    assert found["error"] is None and not made and not list(tmp_path.iterdir())


def test_a_dropped_connection_ends_the_reading_and_frees_its_bytes() -> None:
    uploads = Uploads(Limits())
    with pytest.raises(ClientDisconnect):
        read(uploads, [HEAD, bytes(1000)])
    assert uploads.held == 0


def test_a_body_that_pauses_or_never_ends_is_refused() -> None:
    with pytest.raises(RefusedUploadError) as paused:
        read(Uploads(Limits(pause=0.05)), [HEAD, FOREVER])
    assert (paused.value.status, paused.value.phrase) == (408, "too_slow")
    uploads = Uploads(Limits(body=10_000, drain=0.05))
    with pytest.raises(RefusedUploadError) as endless:
        read(uploads, [HEAD, *[bytes(1000)] * 20, FOREVER])
    assert (endless.value.status, uploads.held) == (413, 0)


def test_all_requests_together_hold_a_bounded_number_of_bytes() -> None:
    uploads = Uploads(Limits(held=5000, drain=0.05))
    uploads.held = 4500
    with pytest.raises(RefusedUploadError) as refused:
        read(uploads, [HEAD, bytes(1000), FOREVER])
    assert (refused.value.status, refused.value.phrase, uploads.held) == (503, "busy", 4500)
