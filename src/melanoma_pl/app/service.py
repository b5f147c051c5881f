"""The web application: its routes, headers that keep a page from asking elsewhere, and answers to bad requests."""

import asyncio
import secrets
import sys
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI
from pydantic import BaseModel, Field
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from melanoma_pl import __version__
from melanoma_pl.app.answers import Answer, answer, row
from melanoma_pl.app.batching import BatchedPredictor
from melanoma_pl.app.languages import Language, choose_language
from melanoma_pl.app.pages import Subject, render_answers, render_interface, render_page
from melanoma_pl.app.uploads import RefusedUploadError, Uploads
from melanoma_pl.errors import UserError
from melanoma_pl.messages import DISCLAIMER, readable

NOTHING = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'"
HEADERS = {
    "Content-Security-Policy": NOTHING,
    "Cache-Control": "no-store",  # pages hold images
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
# FastAPI would send traces to a collector that the environment names
NO_TELEMETRY: Any = {"auto_configure": False, "tracing": False, "metrics": False, "logs": False}
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
CLOSED = 499  # the client has dropped the connection and reads no answer


class FileAnswer(BaseModel):
    """The prediction for one file, with the keys and numbers of `melanoma-predict --json`."""

    path: str = Field(description="Name of the file as it was sent.")
    probability: float | None = Field(description="Calibrated probability; null if the image cannot be read.")
    decision: str | None = Field(description="Name of the predicted class; null if the image cannot be read.")
    threshold: float = Field(description="Probability from which on the decision is the second class.")
    out_of_distribution: bool | None = Field(
        description="True: do not rely on the probability. Null: unknown, or the image cannot be read."
    )
    heat_map: str | None = Field(description="The image with its heat map as a data URI, if it was asked for.")
    error: str | None = Field(description="Reason why the image cannot be read; otherwise null.")


class AllAnswers(BaseModel):
    """The predictions for all files of a request, in their order."""

    predictions: list[FileAnswer] = Field(description="One object a file.")
    class_names: list[str] = Field(description="The two classes; the probability is that of the second.")
    disclaimer: str = Field(description="Show it beside every number.")


class Refusal(BaseModel):
    """The answer to a request that holds no images, or too many or too large ones."""

    error: str = Field(description="A sentence in English or French, by Accept-Language.")


class Health(BaseModel):
    """The state of the program."""

    status: str = Field(description="ok, or stopped if it cannot predict.")
    version: str = Field(description="Version of melanoma_pl.")
    run: str = Field(description="Name of the run whose checkpoint predicts.")


REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Refusal, "description": "No image, or no complete form."},
    408: {"model": Refusal, "description": "The body did not arrive in time."},
    413: {"model": Refusal, "description": "Too many images, or too many bytes."},
    415: {"model": Refusal, "description": "Not multipart/form-data."},
    500: {"model": Refusal, "description": "The prediction failed."},
    503: {"model": Refusal, "description": "Too many images are being answered at once."},
}
REQUEST = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["images"],
                    "properties": {
                        "images": {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                            "description": "One or more image files.",
                        },
                        "heat_map": {"type": "boolean", "description": "Whether to return heat maps (default: false)."},
                    },
                }
            }
        },
    }
}


class Guard:
    """Middleware: refuses other websites and foreign host names, adds `HEADERS` to every answer, and tells errors.

    A page of the internet whose name is made to lead to this computer (DNS rebinding) could otherwise read answers.

    Args:
        app: The application.
        hosts: Names that the page may be opened by; None: any.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str] | None) -> None:
        self.app, self.hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        has_begun = False

        async def send_with_headers(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                headers = MutableHeaders(raw=message["headers"])
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        headers = Headers(scope=scope)
        is_foreign = scope["method"] != "GET" and headers.get("sec-fetch-site", "none") in ("cross-site", "same-site")
        is_unknown = self.hosts is not None and _host(headers.get("host", "")) not in self.hosts
        language = choose_language(headers.get("accept-language", ""))
        if is_foreign or is_unknown:
            sentence = language.say("unknown_host" if is_unknown else "foreign")
            await PlainTextResponse(sentence, 421 if is_unknown else 403)(scope, receive, send_with_headers)
            return
        try:
            await self.app(scope, receive, send_with_headers)
        except Exception as error:  # the server's own log of it would show more than its kind
            _report(error)
            if not has_begun:
                await PlainTextResponse(language.say("failed"), 500)(scope, receive, send_with_headers)


def _host(text: str) -> str | None:
    try:
        return urlsplit(f"//{text}").hostname
    except ValueError:
        return None


class Service:
    """The routes, which share a predictor and the limits of uploads.

    Args:
        subject: What the pages tell about.
        predictor: It is started and closed with the application.
    """

    def __init__(self, subject: Subject, predictor: BatchedPredictor) -> None:
        self.subject, self.predictor = subject, predictor
        self.uploads = Uploads(subject.limits)

    async def show(self, request: Request) -> Response:
        """Return the empty page."""
        return _page(partial(render_page, self.subject, _language(request)))

    async def submit(self, request: Request) -> Response:
        """Return the page with the answers; it needs no script."""

        def respond(language: Language, status: int = 200, **content: Any) -> Response:
            return _page(partial(render_page, self.subject, language, **content), status)

        return await self._respond(request, respond)

    async def insert(self, request: Request) -> Response:
        """Return the answers alone, for the page's script."""

        def respond(language: Language, status: int = 200, **content: Any) -> Response:
            return HTMLResponse(render_answers(self.subject, language, **content), status)

        return await self._respond(request, respond)

    async def _respond(self, request: Request, respond: Callable[..., Response]) -> Response:
        """Return the answers, or the sentence of a refused request, as `respond` shows them."""
        language = _language(request)
        try:
            answers = await self._answers(request, with_image=True)
        except RefusedUploadError as refused:
            return respond(language, refused.status, refusal=self.subject.refusal(refused.phrase, language))
        except ClientDisconnect:
            return Response(status_code=CLOSED)
        return await asyncio.to_thread(respond, language, answers=answers)

    async def predict(self, request: Request) -> Response:
        """Predict one or more images, with the numbers of `melanoma-predict`; a broken one does not stop the others."""
        try:
            answers = await self._answers(request, with_image=False)
        except RefusedUploadError as refused:
            return JSONResponse({"error": self.subject.refusal(refused.phrase, _language(request))}, refused.status)
        except ClientDisconnect:
            return Response(status_code=CLOSED)
        names = list(self.subject.classifier.class_names)
        return JSONResponse(
            {"predictions": [row(each) for each in answers], "class_names": names, "disclaimer": DISCLAIMER}
        )

    async def tell_health(self) -> Response:
        """Tell whether the program can predict."""
        is_well = self.predictor.is_running
        state = {"status": "ok" if is_well else "stopped", "version": __version__, "run": readable(self.subject.run)}
        return JSONResponse(state, 200 if is_well else 503)

    async def show_interface(self, request: Request) -> Response:
        """Return the page that lists the interface."""
        document = request.app.openapi()
        return _page(partial(render_interface, self.subject, _language(request), document=document))

    async def show_missing(self, request: Request, error: Exception) -> Response:
        """Answer a request for a page that does not exist."""
        status, language = getattr(error, "status_code", 404), _language(request)
        if request.url.path.startswith("/api/"):
            return JSONResponse({"error": language.say("missing")}, status)
        return _page(partial(render_page, self.subject, language, refusal=language.say("missing")), status)

    async def _answers(self, request: Request, *, with_image: bool) -> list[Answer]:
        """Return the answers to a request's images.

        Raises:
            RefusedUploadError: If the request is refused, or the prediction fails.
            ClientDisconnect: If the connection is dropped.
        """
        async with self.uploads.received(request) as form:
            try:
                contents = [upload.content for upload in form.uploads]
                predicted = await self.predictor.predict(contents, form.wants_heat_maps)
                return await asyncio.to_thread(
                    lambda: [
                        answer(upload.name, each, self.subject.recorded, with_image=with_image)
                        for upload, each in zip(form.uploads, predicted, strict=True)
                    ]
                )
            except Exception as error:
                _report(error)
                raise RefusedUploadError(500, "failed") from error


def _report(error: Exception) -> None:
    """Print an error without its text, which could name a patient's file; one of the user's own has none of it."""
    last = traceback.extract_tb(error.__traceback__)[-1:]
    where = "".join(f" ({frame.filename}, line {frame.lineno})" for frame in last)
    told = str(error) if isinstance(error, UserError) else f"{type(error).__name__}{where}"
    print(readable(f"error: a request failed: {told}"), file=sys.stderr, flush=True)


def _language(request: Request) -> Language:
    return choose_language(request.headers.get("accept-language", ""))


def _page(render: Callable[..., str], status: int = 200) -> HTMLResponse:
    """Return a page that may run its own style and script alone, and ask this server alone."""
    nonce = secrets.token_urlsafe(16)
    policy = (
        f"{NOTHING}; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; img-src data: blob:; connect-src 'self'; "
        "form-action 'self'"
    )
    return HTMLResponse(render(nonce=nonce), status, {"Content-Security-Policy": policy, "Vary": "Accept-Language"})


def build_app(subject: Subject, predictor: BatchedPredictor) -> FastAPI:
    """Return the application.

    Args:
        subject: What the pages tell about.
        predictor: It is started and closed with the application.
    """
    service = Service(subject, predictor)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        predictor.start()
        yield
        predictor.close()

    app = FastAPI(
        title="melanoma_pl",
        version=__version__,
        description=DISCLAIMER,
        lifespan=lifespan,
        docs_url=None,  # its page is loaded from elsewhere
        redoc_url=None,
        telemetry=NO_TELEMETRY,
    )
    add = app.add_api_route
    add("/", service.show, include_in_schema=False)
    add("/", service.submit, methods=["POST"], include_in_schema=False)
    add("/answers", service.insert, methods=["POST"], include_in_schema=False)
    add("/docs", service.show_interface, include_in_schema=False)
    predict: Any = {"response_model": AllAnswers, "responses": REFUSALS, "openapi_extra": REQUEST}
    add("/api/predict", service.predict, methods=["POST"], **predict)
    add("/healthz", service.tell_health, response_model=Health)
    app.add_exception_handler(HTTPException, service.show_missing)
    app.add_middleware(Guard, hosts=LOCAL_NAMES if subject.is_local else None)
    return app
