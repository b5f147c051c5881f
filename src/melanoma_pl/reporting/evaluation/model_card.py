"""A model card in Markdown: what a network is, what it is worth and for whom, and what it must not be used for.

Its sections are those of M. Mitchell et al., *Model Cards for Model Reporting*, FAT* 2019.
"""

from collections.abc import Mapping

from melanoma_pl.reporting.evaluation import card_figures
from melanoma_pl.reporting.evaluation.content import Content
from melanoma_pl.reporting.evaluation.limits import limits
from melanoma_pl.reporting.evaluation.naming import with_class_names
from melanoma_pl.reporting.evaluation.statements import counted
from melanoma_pl.reporting.markdown import bullets, code, section, text

FILE_NAME = "MODEL_CARD.md"
NOT_STATED = "Not stated."
REPRODUCE = ("command", "trained with", "evaluated with", "commit", "versions", "seed")
"""The facts that somebody needs to get the same figures."""
IN_CODE = ("command", "trained with", "evaluated with", "commit", "checkpoint", "run")


def model_card(content: Content, data_facts: Mapping[str, str]) -> str:
    """Return the card.

    Args:
        content: What the evaluation found.
        data_facts: What is to be said of the training photos, by its label: `photos`, `split`, `audit`, counts and
            the like, as plain text.
    """
    content = with_class_names(content)
    parts = [
        f"# Model card: {text(content.title)}",
        f"**{text(content.disclaimer)}**",
        *(f"**{text(warning)}**" for warning in content.warnings),
        _details(content),
        _use(content),
        section("Training data", _facts(data_facts)),
        _evaluation_data(content),
        *card_figures.sections(content),
        _ethics(),
        section("Caveats and recommendations", bullets(map(text, (*limits(content), *content.notes)))),
        _reproduction(content),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _details(content: Content) -> str:
    negative, positive = map(text, content.class_names)
    known = {label: fact for label, fact in content.facts.items() if label not in REPRODUCE}
    members = [f"member: {code(member.name)}" for member in content.members]
    return section(
        "Model details",
        f"Tells {positive} from {negative} on photos of single moles: it gives a probability of {positive} and "
        "decides by a threshold; both were fitted on validation photos unless the facts below say otherwise.",
        _facts(known),
        bullets(members),
    )


def _use(content: Content) -> str:
    return section(
        "Intended use",
        "Research on and teaching of methods that tell photos of moles apart, by people who can judge its figures.",
        "Not intended:",
        bullets(
            (
                "diagnosis, triage or advice on anyone's skin; it is no medical device and was not reviewed as one",
                "reassurance: a photo that is called "
                f"{text(content.class_names[0])} may well be {text(content.class_names[1])}",
                "photos unlike those it was trained on: other cameras, clinics or skin types; photos by a phone "
                "without a dermatoscope where it was trained on dermatoscopy, and the other way round",
                "photos of anything but one mole: it will give a probability all the same",
            )
        ),
    )


def _evaluation_data(content: Content) -> str:
    missing = "" if content.subgroups else "Of which people these photos are is not known here."
    columns = ", ".join(code(table.column) for table in content.subgroups)
    return section(
        "Evaluation data",
        f"The {text(content.split)} photos of {text(content.photos)}: {text(counted(content))}.",
        f"Figures by {columns} are below." if columns else missing,
    )


def _ethics() -> str:
    return section(
        "Ethical considerations",
        "A missed melanoma can cost a life, a false alarm costs fear and a scar: the threshold weighs one against the "
        "other, and no figure here says how to. Photos of skin are of people: whether they agreed to this use, and who "
        "is missing among them, is for the photos' source to say.",
    )


def _reproduction(content: Content) -> str:
    return section(
        "How to reproduce", _facts({label: content.facts[label] for label in REPRODUCE if label in content.facts})
    )


def _facts(facts: Mapping[str, str]) -> str:
    shown = (f"{text(label)}: {code(fact) if label in IN_CODE else text(fact)}" for label, fact in facts.items())
    return bullets(shown) or NOT_STATED
