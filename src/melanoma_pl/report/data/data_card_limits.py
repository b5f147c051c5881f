"""What a result on some images cannot say, as far as the images and their metadata show it."""

from collections import Counter

from melanoma_pl.data.columns import Column, telling_values
from melanoma_pl.data.image_set import meaning
from melanoma_pl.data.layout import CLASS_NAMES
from melanoma_pl.messages import amount, percentage, split_names
from melanoma_pl.report.data.data_card_sections import DataCardFacts
from melanoma_pl.report.markup import bullets, code, section, text

COMMON = 0.1  # share of malignant images that no practice sees among the moles it looks at
NAMED = 5  # values of a column that a sentence names


def limits(facts: DataCardFacts) -> str:
    """Return the section of known limits."""
    found = [*_splits(facts), *_classes(facts), *_shortcuts(facts), *_patients(facts), *_diagnoses(facts)]
    return section("Known limits", bullets(found))


def _splits(facts: DataCardFacts) -> list[str]:
    if set(facts.listing.splits) <= {"", "train"}:
        return ["There is no test split: whoever makes one must keep each lesion's images on one side."]
    told = [_crossing(column, facts) for column in facts.about("lesion", "patient", "group")]
    crossing = [sentence for sentence in told if sentence]
    if facts.audit is None:
        return crossing or [_not_audited(facts)]
    leaking = facts.audit["summary"]["leaking_test_images"]
    leaked = [f"Figures on all test images are too good: {amount(leaking, 'image')} leaked."] if leaking else []
    return [*leaked, *crossing]


def _crossing(column: Column, facts: DataCardFacts) -> str:
    """Say which split's figures are too good by the metadata; nothing where the audit counted that very column."""
    crossing = column.crossing(facts.listing.splits)
    if not crossing or (facts.audit and facts.audit["group_column"] == column.name):
        return ""
    last = split_names({name: {} for names in crossing.values() for name in names})[-1]
    are = "is" if len(crossing) == 1 else "are"
    return (
        f"Figures on all {last} images are too good: by {code(column.name)}, {amount(len(crossing), column.role)} "
        f"{are} in more than one split."
    )


def _not_audited(facts: DataCardFacts) -> str:
    together = facts.about("lesion", "patient", "group")
    complete = [column.role for column in together if column.filled == len(facts.listing)]
    if not complete:
        return "Whether images of one lesion are in several splits is not known: no audit of these images was made."
    return f"By the metadata no {complete[0]} is in two splits; near-duplicates were not looked for: no audit was made."


def _classes(facts: DataCardFacts) -> list[str]:
    counts = Counter(facts.listing.labels)
    if len(counts) < 2:
        return [f"All images are of one class, {text(facts.listing.labels[0])}: nothing can learn to tell two apart."]
    positive, total = sorted(label for label in counts if meaning(label) == CLASS_NAMES[1]), counts.total()
    malignant = sum(counts[label] for label in positive)
    if malignant / total <= COMMON:
        return []
    return [
        f"{percentage(malignant, total)} of the images are {text(' or '.join(positive))}, far more than among the "
        "moles that a practice sees: predictive values do not carry over."
    ]


def _shortcuts(facts: DataCardFacts) -> list[str]:
    """Name columns some of whose values go with one class: what they stand for may be learnt in place of medicine."""
    found = []
    for column in facts.columns:
        told = telling_values(column, facts.listing.labels)
        values = [f"{text(value)} only with {text(label)}" for value, label in list(told.items())[:NAMED]]
        more = [f"and {len(told) - NAMED} more values"] if len(told) > NAMED else []
        if told:
            listed = ", ".join([*values, *more])
            found.append(f"{code(column.name)} tells the class: {listed}. A network may learn what it stands for.")
    return found


def _patients(facts: DataCardFacts) -> list[str]:
    found = []
    if not facts.about("skin type"):
        found.append(
            "Skin types are not known; sets of such images show light skin above all (D. Wen et al., The Lancet "
            "Digital Health 4:e64, 2022). For whom a result holds cannot be said."
        )
    unknown = [role for role in ("age", "sex", "site") if not facts.about(role)]
    if unknown:
        found.append(f"Nothing is known of {' and '.join(unknown)}.")
    partly = [column for column in facts.about("age", "sex", "site", "skin type") if column.filled < len(facts.listing)]
    if partly:
        shares = [f"{column.role} ({percentage(column.filled, len(facts.listing))})" for column in partly]
        found.append(f"Known of some images only: {', '.join(shares)}. The others may differ.")
    if not facts.about("lesion", "patient", "group"):
        found.append("Which images show one lesion or one patient is not known: intervals come out too narrow.")
    elif not facts.about("patient"):
        found.append("Patients are not known: images of two lesions of one patient may be in different splits.")
    return found


def _diagnoses(facts: DataCardFacts) -> list[str]:
    columns = facts.about("diagnosis")
    if not columns:
        is_wide = CLASS_NAMES[1] in facts.listing.labels
        return [f"No diagnosis is given beyond the label{': malignant need not mean melanoma' if is_wide else ''}."]
    malignant = [
        value for value, label in zip(columns[0].values, facts.listing.labels, strict=True) if label == CLASS_NAMES[1]
    ]
    unknown = sum(not value for value in malignant)
    several = len(set(malignant) - {""}) > 1
    return [
        *(["Malignant stands for several diagnoses here."] if several else []),
        *([f"Of {unknown:,} of {len(malignant):,} malignant images the diagnosis is not known."] if unknown else []),
    ]
