"""Uploads: the images of a request, read into memory within limits and never written to disk."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

IMAGES, HEAT_MAP = "images", "heat_map"  # fields of the form
OFF = ("", "0", "false", "off", "no")
FEW_FIELDS = 20  # other than images; the form has one


@dataclass(frozen=True)
class Limits:
    """Limits of the requests.

    Attributes:
        body: Bytes of a request.
        images: Images of a request.
        held: Bytes of all requests that are being read or predicted at one time.
        pause: Seconds that a client may let pass between two parts of a body.
        duration: Seconds that the whole body may take.
        drain: Seconds for which the rest of a refused body is read; a browser shows the answer only after it.
    """

    body: int = 100_000_000
    images: int = 50
    held: int = 1_000_000_000
    pause: float = 20.0
    duration: float = 300.0
    drain: float = 30.0


class RefusedUploadError(Exception):
    """A request that is not answered with predictions.

    Args:
        status: HTTP status.
        phrase: Key of the sentence in `languages.PHRASES`.
    """

    def __init__(self, status: int, phrase: str) -> None:
        super().__init__(phrase)
        self.status, self.phrase = status, phrase


@dataclass(frozen=True)
class Upload:
    """One uploaded file."""

    name: str
    content: bytes = field(repr=False)


@dataclass(frozen=True)
class Form:
    """The fields of a request."""

    uploads: tuple[Upload, ...]
    wants_heat_maps: bool


@dataclass
class _Body:
    """The part of a body that was received."""

    size: int = 0
    is_complete: bool = False


class Uploads:
    """Reads the forms of all requests, and counts the bytes that they hold in memory.

    Args:
        limits: Limits of the requests.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.held = 0

    @asynccontextmanager
    async def received(self, request: Request) -> AsyncIterator[Form]:
        """Read a request's form; its bytes count as held within the context.

        Raises:
            RefusedUploadError: If the form is not one, too large, too slow, without images, or has too many.
            ClientDisconnect: If the connection is dropped.
        """
        body = _Body()
        try:
            try:
                form = await self._parse(request, body)
            except RefusedUploadError as refusal:
                if refusal.status != 408 and not body.is_complete:
                    await self._drain(request)
                raise
            yield form
        finally:
            self.held -= body.size

    async def _parse(self, request: Request, body: _Body) -> Form:
        if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
            raise RefusedUploadError(415, "no_form")
        if int(request.headers.get("content-length", 0)) > self.limits.body:
            raise RefusedUploadError(413, "too_large")
        parser = MultiPartParser(
            request.headers, self._chunks(request, body), max_files=self.limits.images, max_fields=FEW_FIELDS
        )
        parser.spool_max_size = self.limits.body + 1  # bytes; a larger file would be written to disk
        try:
            form = await parser.parse()
        except MultiPartException as error:
            is_many = error.message.startswith("Too many files")
            raise RefusedUploadError(413 if is_many else 400, "too_many" if is_many else "no_form") from error
        uploads = []
        for file in form.getlist(IMAGES):
            if isinstance(file, UploadFile):
                content = await file.read()
                if content or file.filename:  # a browser sends a nameless, empty file if none was chosen
                    uploads.append(Upload(file.filename or "", content))
        await form.close()
        if not uploads:
            raise RefusedUploadError(400, "no_images")
        return Form(tuple(uploads), str(form.get(HEAT_MAP, "")).lower() not in OFF)

    async def _chunks(self, request: Request, body: _Body) -> AsyncGenerator[bytes, None]:
        now = asyncio.get_running_loop().time
        end = now() + self.limits.duration
        while not body.is_complete:
            try:
                async with asyncio.timeout(min(self.limits.pause, end - now())):
                    message = await request.receive()
            except TimeoutError as error:
                raise RefusedUploadError(408, "too_slow") from error
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            chunk = message.get("body", b"")
            body.is_complete = not message.get("more_body", False)
            body.size += len(chunk)
            self.held += len(chunk)
            if body.size > self.limits.body:
                raise RefusedUploadError(413, "too_large")
            if self.held > self.limits.held:
                raise RefusedUploadError(503, "busy")
            yield chunk

    async def _drain(self, request: Request) -> None:
        """Read the rest of a refused body and forget it."""
        if "expect" in request.headers:  # the client waits for the answer before it sends the body
            return
        rest = 10 * self.limits.body
        with suppress(TimeoutError):
            async with asyncio.timeout(self.limits.drain):
                while rest > 0:
                    message = await request.receive()
                    if message["type"] == "http.disconnect":
                        raise ClientDisconnect
                    if not message.get("more_body", False):
                        return
                    rest -= len(message.get("body", b""))
