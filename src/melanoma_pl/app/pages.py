"""The pages as HTML, in both languages: form and answers, refusals, and what programs can ask."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment

from melanoma_pl.app.answers import Answer, RecordedImages
from melanoma_pl.app.languages import Language
from melanoma_pl.app.uploads import Limits
from melanoma_pl.models.classifier import MelanomaClassifier
from melanoma_pl.report.markup import template_environment

EDGE = 18  # per cent of the scale from its ends within which a label does not fit centred


@dataclass(frozen=True)
class Subject:
    """The run that the pages tell about, and their limits.

    Attributes:
        run: Name of the run.
        classifier: Its classifier.
        recorded: The images of its report; None without one.
        limits: Limits of the requests.
        is_local: Whether only this computer reaches the page.
        has_heat_maps: Whether the network can have heat maps.
        address: Address of the page, such as `http://127.0.0.1:8000`.
    """

    run: str
    classifier: MelanomaClassifier
    recorded: RecordedImages | None
    limits: Limits
    is_local: bool
    has_heat_maps: bool
    address: str = ""

    def notes(self, language: Language) -> list[str]:
        """Return what limits all answers."""
        found, classifier = [], self.classifier
        if classifier.images_note:
            note = language.class_name(classifier.images_note, is_plural=True)
            found.append(language.say("synthetic", note=note))
        if classifier.ood_detector is None:
            found.append(language.say("no_detector"))
        if not classifier.is_decided:
            found.append(language.say("uncalibrated"))
        elif classifier.decided_on:
            found.append(language.say("cross_validation"))
        return found

    def refusal(self, phrase: str, language: Language) -> str:
        """Return the sentence of a refused request."""
        limits = self.limits
        return language.say(phrase, images=limits.images, megabytes=limits.body // 1_000_000)


@dataclass(frozen=True)
class Shown:
    """An answer's numbers and sentences in a language."""

    answer: Answer
    subject: Subject
    language: Language

    @property
    def decision(self) -> str:
        """The predicted class."""
        return self.language.class_name(self.answer.prediction.decision or "")

    @property
    def reason(self) -> str:
        """The reason why the image cannot be read; empty if it can."""
        return self.language.reason(self.answer.prediction.reason)

    @property
    def numbers(self) -> dict[str, str]:
        """Probability and threshold, with as many digits as tell them apart."""
        probability, threshold = self.answer.prediction.probability or 0.0, self.answer.prediction.threshold
        digits = 3 if f"{probability:.3f}" != f"{threshold:.3f}" else 6
        number = self.language.number
        return {"probability": number(probability, digits), "threshold": number(threshold, digits)}

    @property
    def compared(self) -> str:
        """The sentence that compares the two."""
        return self.language.say("reaches" if self.answer.prediction.is_malignant else "below", **self.numbers)

    @property
    def meaning(self) -> tuple[str, str]:
        """The sentences on what the probability meant for the report's images, and on how that was measured."""
        recorded, similar, say, number = (
            self.subject.recorded,
            self.answer.similar,
            self.language.say,
            self.language.number,
        )
        if recorded is None:
            return say("no_report"), ""
        split = say(recorded.split)
        if self.answer.prediction.is_ood:
            return say("not_for_ood", split=split), ""
        if similar is None or similar.proportion.value is None or similar.proportion.interval is None:
            return say("unmeasured", split=split), ""
        name = self.subject.classifier.class_names[1]
        names = {
            "malignant": self.language.class_name(name),
            "malignant_plural": self.language.class_name(name, is_plural=True),
            "split": split,
        }
        low, high = similar.proportion.interval
        return say("meaning", count=round(100 * similar.proportion.value), **names), say(
            "measured",
            n=similar.n,
            all=len(recorded.targets),
            lowest=number(similar.lowest, 2),
            highest=number(similar.highest, 2),
            positives=similar.positives,
            low=round(100 * low),
            high=round(100 * high),
            base=round(100 * recorded.targets.mean()),
            **names,
        )

    @property
    def marks(self) -> dict[str, dict[str, str]]:
        """Positions of probability and threshold on the scale, and the end of a label that lies there."""
        prediction = self.answer.prediction
        values = {"probability": prediction.probability or 0.0, "threshold": prediction.threshold}
        return {
            name: {"x": f"{100 * value:.2f}%", "rest": f"{100 - 100 * value:.2f}%", "anchor": _anchor(100 * value)}
            for name, value in values.items()
        }


def _anchor(percent: float) -> str:
    return "start" if percent < EDGE else "end" if percent > 100 - EDGE else "middle"


def render_page(
    subject: Subject, language: Language, nonce: str, answers: Sequence[Answer] = (), refusal: str = ""
) -> str:
    """Return the page: the form, and the answers or the sentence of a refused request below it."""
    return _render("page.html.j2", subject, language, answers, refusal=refusal, nonce=nonce)


def render_answers(subject: Subject, language: Language, answers: Sequence[Answer] = (), refusal: str = "") -> str:
    """Return the answers alone, which the page's script inserts."""
    return _render("answers.html.j2", subject, language, answers, refusal=refusal)


def render_interface(subject: Subject, language: Language, nonce: str, document: Mapping[str, Any]) -> str:
    """Return the page that lists what the OpenAPI document describes."""
    return _render("interface.html.j2", subject, language, (), nonce=nonce, document=document)


def _render(template: str, subject: Subject, language: Language, answers: Sequence[Answer], **context: Any) -> str:
    shown = [Shown(each, subject, language) for each in answers]
    benign, malignant = map(language.class_name, subject.classifier.class_names)
    return (
        _environment()
        .get_template(template)
        .render(
            subject=subject,
            language=language,
            say=language.say,
            shown=shown,
            benign=benign,
            malignant=malignant,
            **context,
        )
    )


@cache
def _environment() -> Environment:
    return template_environment("melanoma_pl.app")
