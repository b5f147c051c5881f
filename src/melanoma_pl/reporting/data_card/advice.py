"""What a data card says about the use of photos: origin, findings, rights, upkeep."""

from collections.abc import Mapping
from typing import Any

from melanoma_pl.data.audit.findings import Giveaway
from melanoma_pl.reporting.audit.words import figure
from melanoma_pl.reporting.data_card.facts import Facts
from melanoma_pl.reporting.markdown import bullets, code, section, text
from melanoma_pl.reporting.words import amount

NOT_STATED = "Not stated: ask the source."


def origin(facts: Facts) -> str:
    """Return where photos come from, as far as that is known."""
    sources = ", ".join(code(column.name) for column in facts.about("source"))
    known = f"The metadata names sources in {sources}, counted below." if sources else "The metadata names no source."
    beside = [name for name in ("README.md", "LICENSE") if (facts.listing.root / name).is_file()]
    more = f" {' and '.join(map(code, beside))} beside the photos may say more." if beside else ""
    return section(
        "Where it comes from",
        f"{known}{more} For what purpose and by whom the photos were taken, with which devices, how patients were "
        "chosen, and whether they agreed to this use is not known here.",
    )


def findings(facts: Facts) -> str:
    """Return what the audit found."""
    if facts.audit is None:
        other = "The audit that is there is of other photos, splits or classes. " if facts.has_other_audit else ""
        command = f"`melanoma-data audit` on {code(facts.listing.root.resolve().name)}"
        return section("What an audit found", f"{other}These photos were not audited: {command} does it.")
    summary, audit = facts.audit["summary"], facts.audit
    counts = [
        f"{amount(summary['leaking_test_photos'], 'test photo')} with a partner in another split",
        f"{amount(summary['leaks'], 'pair')} of photos in two splits, {amount(summary['conflicts'], 'pair')} with two "
        f"labels, {amount(summary['pairs'], 'pair')} in all",
        f"{amount(summary['label_conflicts'], 'label')} that the diagnosis contradicts",
        f"{amount(summary['broken'], 'photo')} cannot be read",
    ]
    told = [_giveaway(giveaway) for giveaway in audit["giveaways"]]
    verdict = "Neither leaks nor conflicts were found." if summary["is_clean"] else "Leaks or conflicts were found."
    return section("What an audit found", f"{verdict} Fingerprint `{audit['fingerprint']}`.", bullets([*counts, *told]))


def uses() -> str:
    """Return what the photos are for, and what not."""
    return section(
        "Use",
        "Meant for research on and teaching of methods that tell photos of moles apart.",
        "Not meant for diagnosis, triage or advice on anyone's skin; for claims about patients, skin types, cameras or "
        "clinics that are not in it; or for finding out who is on a photo.",
    )


def licence(facts: Facts) -> str:
    """Return under what terms photos may be used, in the metadata's own words."""
    lines = []
    for column in facts.about("licence"):
        stated = {value: len(positions) for value, positions in column.photos_of().items()}
        lines += [f"{text(value)}: {amount(count, 'photo')}" for value, count in sorted(stated.items())]
        if missing := len(facts.listing) - column.filled:
            lines.append(f"no licence stated: {amount(missing, 'photo')}; ask the source")
    return section("Licence", bullets(lines) or NOT_STATED)


def citation(facts: Facts) -> str:
    """Return whom to cite, as far as that is known."""
    if not facts.about("source"):
        return section("Whom to cite", NOT_STATED)
    return section("Whom to cite", "Not stated in so many words: ask the sources that the metadata names.")


def maintenance(facts: Facts) -> str:
    """Return how the card stays true."""
    fingerprint = f" (fingerprint of the audit: `{facts.audit['fingerprint']}`)" if facts.audit else ""
    return section(
        "Upkeep",
        f"This card is of the photos as they were when it was written{fingerprint}. After any change run "
        "`melanoma-data audit` and then `melanoma-data card` again. Who keeps the photos is not known here.",
    )


def _giveaway(found: Mapping[str, Any]) -> str:
    interval = tuple(found["interval"]) if found["interval"] else None
    told = figure(Giveaway(found["name"], found["auroc"], interval, found["sentence"]))
    return f"label told by {text(found['name'])}: AUROC {told}. {text(found['sentence'])}"
