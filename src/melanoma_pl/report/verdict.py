"""The verdict on an evaluation: the one sentence that a reviewer would write, and its gravity."""

from dataclasses import dataclass

from melanoma_pl.evaluation import Estimate
from melanoma_pl.messages import amount
from melanoma_pl.report.content import CHANCE, Caveat, Content, Kind, Level, SetFigures, Shortcut
from melanoma_pl.report.wording import MEANS, NOT_COMPUTABLE, figure, sentence, told


@dataclass(frozen=True)
class Verdict:
    """The verdict on an evaluation.

    Attributes:
        level: `problem` if the figures do not mean what they seem to, `caution` if they mean little, else `neutral`.
        sentence: One sentence, with its full stop.
        comparison: Labels and AUROCs to show side by side: the network and a shortcut that is as good; or nothing.
        kind: Kind of the warning that the sentence tells, which need not be repeated beside it; None if there is none.
    """

    level: Level
    sentence: str
    comparison: tuple[tuple[str, Estimate], ...] = ()
    kind: Kind | None = None


def verdict(content: Content) -> Verdict:
    """Return the verdict: the gravest finding, or else whether the network is better than chance on unseen lesions."""
    if seen := warning_of(content, "seen"):
        return Verdict("problem", sentence(seen), kind="seen")
    if (leak := warning_of(content, "leak")) and len(content.sets) == 1:  # there is no row of unseen lesions
        return Verdict("problem", sentence(leak), kind="leak")
    if warning_of(content, "synthetic"):
        return Verdict("caution", "Synthetic images: these figures say nothing about patients.", kind="synthetic")
    if rivals := [own for own in content.shortcuts if own.is_as_good]:
        return _reached_by(max(rivals, key=lambda own: own.auroc.value or 0), content)
    figures = content.sets[-1]  # the unseen lesions, if some are seen
    auroc = figures.ranking.auroc
    if auroc.value is None:
        return Verdict("caution", sentence(f"The AUROC cannot be computed: {auroc.reason or NOT_COMPUTABLE}"))
    if warning_of(content, "few") or auroc.interval is None:
        counts = figures.decisions.counts
        negative, positive = content.class_names
        few = f"Too few images for a conclusion: {counts.positives:,} {positive} and {counts.negatives:,} {negative}"
        return Verdict("caution", sentence(few), kind="few")
    return _beside_chance(content, auroc, figures)


def further_warnings(content: Content) -> list[Caveat]:
    """Return the warnings that the verdict does not tell."""
    own = verdict(content).kind
    if own in ("synthetic", "few"):
        return [warning for warning in content.warnings if warning.kind != own]
    first = next((warning for warning in content.warnings if warning.kind == own), None)  # its very words
    return [warning for warning in content.warnings if warning != first]


def warning_of(content: Content, kind: Kind) -> str:
    """Return the first warning of a kind; empty if there is none."""
    return next((warning.text for warning in content.warnings if warning.kind == kind), "")


def _reached_by(rival: Shortcut, content: Content) -> Verdict:
    auroc = content.sets[0].ranking.auroc
    is_colour = rival.name == "mean colour"  # which sees the lesion, but neither its shape nor its structure
    without = "from the mean colour alone" if is_colour else "without looking at the lesion"
    own = "the ensemble" if content.members else "the network"
    compared = f"{figure(rival.auroc)} ({rival.name}) against {figure(auroc)} ({own})"
    comparison = (own, auroc), (rival.name, rival.auroc)
    return Verdict("problem", f"This AUROC can be reached {without}: {compared}.", comparison)


def _beside_chance(content: Content, auroc: Estimate, figures: SetFigures) -> Verdict:
    assert auroc.interval is not None
    what = "lesions" if content.lesions is not None else "images"
    has_chosen = bool(warning_of(content, "chosen"))
    where = f"on the validation {what}, which chose epoch or threshold" if has_chosen else f"on unseen {what}"
    level: Level = "caution" if has_chosen else "neutral"
    low, high = auroc.interval
    if low <= CHANCE:
        compared = "Worse than chance" if high < CHANCE else "Not better than chance"
        return Verdict(level, f"{compared} {where}: AUROC {told(auroc)}.")
    limits = "; ".join(_limits(content, figures))
    return Verdict(level, f"Better than chance {where} (AUROC {told(auroc)}); limits: {limits}.")


def _limits(content: Content, figures: SetFigures) -> list[str]:
    """Return what limits a good result, the gravest first; never empty."""
    problems = [own for own in content.shortcuts if own.is_problem and own.auroc.value is not None]
    best = max(problems, key=lambda own: own.auroc.value or 0, default=None)
    found = [f"{figure(best.auroc)} is reached {MEANS.get(best.name, f'from {best.name} alone')}"] if best else []
    if not content.shortcuts:
        found.append("shortcuts were not examined")
    after = content.calibration[1]
    if after.ece.value is not None and after.ece_if_calibrated and after.ece.value > after.ece_if_calibrated[1]:
        found.append("its probabilities are not calibrated")
    positives = amount(figures.decisions.counts.positives, f"{content.class_names[1]} image")
    return [*found, f"{positives} of one dataset"]
