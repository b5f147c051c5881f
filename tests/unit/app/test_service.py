"""The page and the JSON interface: numbers, sentences, headers, languages, bad requests."""

import io
import re
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image
from tests.unit.app.serving import files, let_all_be_out_of_distribution, png, serving

from starlette.testclient import TestClient  # isort: skip

from melanoma_pl import predict_images
from melanoma_pl.app import service
from melanoma_pl.app.uploads import Limits
from melanoma_pl.inference.ensemble import Member
from melanoma_pl.models.classifier import MelanomaClassifier

FRENCH = {"Accept-Language": "fr-CA,fr;q=0.9,en;q=0.5"}
SCRIPT_OR_STYLE = re.compile(
    r"<(?:script|style)(?![^>]*nonce=)[^>]*>|\sstyle=|\son[a-z]+=|(?:src|href)=\"(?:https?:)?//"
)


@pytest.fixture
def classifier(members: list[Member]) -> MelanomaClassifier:
    return members[0].classifier


@pytest.fixture
def client(classifier: MelanomaClassifier) -> Iterator[TestClient]:
    with serving(classifier) as asked:
        yield asked


def enormous_png() -> bytes:
    """Return the header of a PNG with 30,000 × 30,000 pixels."""
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def test_the_json_has_the_numbers_of_predict_images(client: TestClient, classifier: MelanomaClassifier) -> None:
    contents = [png(value) for value in (30, 120, 240)]
    found = client.post("/api/predict", files=files(*contents)).json()["predictions"]
    expected = predict_images(classifier, [Image.open(io.BytesIO(content)) for content in contents])
    assert [each["path"] for each in found] == ["image0.png", "image1.png", "image2.png"]
    for each, prediction in zip(found, expected, strict=True):
        assert each["probability"] == pytest.approx(prediction.probability, abs=1e-6)
        assert (each["decision"], each["threshold"]) == (prediction.decision, prediction.threshold)
        assert each["heat_map"] is None and each["error"] is None


def test_a_broken_image_does_not_stop_the_others(client: TestClient) -> None:
    found = client.post("/api/predict", files=files(b"no image", png(), b"", enormous_png(), png()[:60])).json()
    rows = found["predictions"]
    assert rows[1]["error"] is None and 0 < rows[1]["probability"] < 1
    for index in (0, 2, 3, 4):
        assert rows[index]["probability"] is None and rows[index]["decision"] is None
    assert "not an image" in rows[0]["error"] and "millions of pixels" in rows[3]["error"]


def test_heat_maps_come_when_they_are_asked_for(client: TestClient) -> None:
    (found,) = client.post("/api/predict", files=files(png()), data={"heat_map": "true"}).json()["predictions"]
    assert found["heat_map"].startswith("data:image/png;base64,")
    with_map, without = (
        client.post("/", files=files(png()), data=data).text.count("data:image/png")
        for data in ({"heat_map": "1"}, {"heat_map": "0"})
    )
    assert (with_map, without) == (2, 1)


def test_the_page_tells_decision_meaning_and_disclaimer_without_a_script(client: TestClient) -> None:
    page = client.post("/", files=files(png())).text
    assert "The network calls this image" in page and "the threshold 0.500" in page
    assert re.search(r"Of 100 test images with a probability like this, about \d+ were malignant", page)
    assert re.search(r"of 200 test images .* 95 % confidence interval", page)
    assert "not a medical device" in page and "32 × 32 pixels" in page
    assert 'role="img" aria-label="Scale from 0 to 1: probability 0.' in page


def test_the_warning_comes_before_the_number(classifier: MelanomaClassifier) -> None:
    let_all_be_out_of_distribution(classifier)
    with serving(classifier) as client:
        page = client.post("/", files=files(png())).text
        assert client.post("/api/predict", files=files(png())).json()["predictions"][0]["out_of_distribution"] is True
    assert 0 < page.index("Out of distribution") < page.index("The probability 0.")
    assert "Of 100" not in page and "does not hold for an image out of distribution" in page


def test_a_run_without_a_report_claims_nothing(classifier: MelanomaClassifier) -> None:
    with serving(classifier, recorded=None) as client:
        page = client.post("/", files=files(png())).text
    assert "Of 100" not in page and "This run has no report" in page


def test_names_of_files_are_escaped(client: TestClient) -> None:
    name = "<img src=x onerror=alert(1)>‮.png"
    page = client.post("/", files=[("images", (name, png()))]).text
    assert "<img src=x" not in page and "&lt;img src=x" in page and "‮" not in page


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_may_ask_its_own_server_alone(client: TestClient, path: str) -> None:
    response = client.get(path)
    policy = response.headers["content-security-policy"]
    nonce = re.search(r"style-src 'nonce-([\w-]+)'", policy)
    assert nonce and f'<style nonce="{nonce[1]}">' in response.text
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy and "http" not in policy
    body = re.sub(r"<style.*?</style>|<script.*?</script>", "", response.text, flags=re.DOTALL)
    assert not SCRIPT_OR_STYLE.findall(body)
    assert client.get(path).headers["content-security-policy"] != policy
    for name, value in service.HEADERS.items():
        if name != "Content-Security-Policy":
            assert response.headers[name] == value


def test_french_is_spoken_to_french_browsers(client: TestClient) -> None:
    page = client.post("/", files=files(png(), b"no image"), headers=FRENCH).text
    assert '<html lang="fr">' in page and "Le réseau classe cette image" in page
    assert "le seuil 0,500" in page and "ce n’est pas une image" in page and "dispositif médical" in page
    assert '<html lang="en">' in client.get("/", headers={"Accept-Language": "de,en;q=0.8,fr;q=0.4"}).text


def test_other_websites_and_names_are_refused(client: TestClient, classifier: MelanomaClassifier) -> None:
    foreign = client.post("/api/predict", files=files(png()), headers={"Sec-Fetch-Site": "cross-site"})
    assert foreign.status_code == 403
    assert client.get("/", headers={"Host": "evil.example:8000"}).status_code == 421
    assert client.get("/", headers={"Host": "localhost:8000"}).status_code == 200
    with serving(classifier, is_local=False) as remote:
        page = remote.get("/", headers={"Host": "computer.local:8000"})
    assert page.status_code == 200 and "unencrypted" in page.text


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ({"files": files(*[png()] * 4)}, 413, "More than 3 images"),
        ({"files": files(bytes(2_100_000))}, 413, "More than 2 MB"),
        ({"data": {"other": "1"}, "files": [("other", ("a.png", png()))]}, 400, "No image was chosen"),
        ({"files": [("images", ("", b""))]}, 400, "No image was chosen"),
        ({"json": {"images": []}}, 415, "multipart/form-data"),
        ({"content": b"--x", "headers": {"Content-Type": "multipart/form-data"}}, 400, "multipart/form-data"),
    ],
)
def test_bad_requests_get_a_sentence(
    classifier: MelanomaClassifier, arguments: dict[str, object], status: int, words: str
) -> None:
    with serving(classifier, limits=Limits(body=2_000_000, images=3)) as client:
        for path in ("/", "/answers", "/api/predict"):
            response = client.post(path, **arguments)  # type: ignore[arg-type]
            assert response.status_code == status and words in response.text, path
        assert client.post("/api/predict", files=files(png())).status_code == 200


def test_a_failure_is_told_without_names_and_the_server_lives_on(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("Smith_1961.png")

    with monkeypatch.context() as broken:
        broken.setattr("melanoma_pl.app.batching.predict_decoded", fail)
        response = client.post("/api/predict", files=[("images", ("Smith_1961.png", png()))])
    assert response.status_code == 500 and "failed" in response.json()["error"]
    told = capsys.readouterr()
    assert "RuntimeError" in told.err and "Smith" not in told.err + told.out
    assert client.post("/api/predict", files=files(png())).status_code == 200


def test_the_interface_is_described_without_another_server(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    assert set(document["paths"]) == {"/api/predict", "/healthz"}
    body = document["paths"]["/api/predict"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert set(body["properties"]) == {"images", "heat_map"}
    columns = document["components"]["schemas"]["FileAnswer"]["properties"]
    page = client.get("/docs").text
    assert "POST /api/predict" in page and all(f"<code>{name}</code>" in page for name in columns)
    found = client.post("/api/predict", files=files(png())).json()
    assert list(found["predictions"][0]) == list(columns)


def test_health_and_missing_pages(client: TestClient) -> None:
    assert client.get("/healthz").json()["status"] == "ok"
    assert client.get("/nothing").status_code == 404 and "no such page" in client.get("/nothing").text
    assert "error" in client.get("/api/nothing").json()


def test_no_traces_are_sent(client: TestClient) -> None:
    """FastAPI would send them to a collector that the environment names."""
    app: Any = client.app
    if not hasattr(app, "_telemetry"):
        pytest.skip("this FastAPI sends none")
    assert not any(app._telemetry[key] for key in service.NO_TELEMETRY)
