"""One sentence per model, so that a stranger knows what to do with it."""

from collections.abc import Mapping, Sequence
from typing import Any

from wasserscore.report.wording import estimate

SIGNIFICANT = 2.0
"""Standard errors by which two distances must differ to be called different."""
COPIES = 0.05
"""A baseline with more training rows than this share is near because it copies."""


def model_sentence(model: Mapping[str, Any], floor: Mapping[str, Any], bootstrap: float) -> str:
    """What the numbers of one model mean.

    Args:
        model: A model's entry of ``results.json`` (metrics and audit).
        floor: The floor of W2.
        bootstrap: W2 of the bootstrap of train.
    """
    w2, report = model["metrics"]["w2"], model["audit"]
    kind, found = report["verdict"], copies_words(model)
    place = distance_words(w2, floor)
    if kind == "memorized":
        if w2["value"] - bootstrap <= SIGNIFICANT * (w2["stderr"] or 0):
            place = (
                f"Its W2 of {w2['value']:.3g} looks good only because copies do "
                f"(the training rows themselves, resampled: {bootstrap:.3g})."
            )
        return f"Memorized: {found}. {place} Do not release these samples."
    if kind == "suspicious":
        return f"Suspicious: {report['reason']} ({found}). {place}"
    if kind == "no sign of copying":
        return f"No sign of copying: {found}. {place}"
    return f"Copying was {kind} ({found}). {place}"


def copies_words(model: Mapping[str, Any]) -> str:
    """How many samples are training rows, and how many are nearly so, beside fresh data."""
    found = f"{percent(model['metrics']['copy_rate']['value'])} of its samples are training rows"
    near, fresh = model["audit"].get("copy_rate"), model["audit"].get("copy_rate_holdout")
    if not (near and fresh):
        return found
    beside = f"(fresh data: {percent(fresh['value'])})"
    return f"{found}, {percent(near['value'])} are that or nearly so {beside}"


def distance_words(w2: Mapping[str, Any], floor: Mapping[str, Any]) -> str:
    """Where a distance lies relative to the floor."""
    excess = w2["value"] - floor["value"]
    error = ((w2["stderr"] or 0) ** 2 + (floor["stderr"] or 0) ** 2) ** 0.5
    share = excess / floor["value"] if floor["value"] else 0.0
    numbers = f"W2 {w2['value']:.3g} against a floor of {floor['value']:.3g}"
    if abs(excess) <= SIGNIFICANT * error:
        return f"Its distance to fresh data cannot be told from that of real rows ({numbers})."
    if excess < 0:
        return (f"Its distance to fresh data is {percent(-share)} below that of real rows "
                f"({numbers}), as it is of samples that vary less: look at recall.")  # fmt: skip
    return f"Its distance to fresh data is {percent(share)} above that of real rows ({numbers})."


def overall(
    models: Sequence[Mapping[str, Any]],
    floor: Mapping[str, Any],
    baselines: Sequence[Mapping[str, Any]],
) -> list[str]:
    """The first lines of the page: the floor, which models copy, the one to use, if any is.

    Args:
        models: Entries of ``results.json``.
        floor: The floor of W2.
        baselines: Their entries; one that is nearer than the best model, and no copy, is named.
    """
    sentences = [f"Two halves of the real data are {estimate(floor)} apart in W2: so "
                 "are samples of the same law, and ones that vary less are nearer."]  # fmt: skip
    copying = [m for m in models if m["audit"]["verdict"] == "memorized"]
    clean = [m for m in models if m["audit"]["verdict"] == "no sign of copying"]
    if copying:
        sentences.append(f"{_names(copying)} memorized the training rows.")
    if clean:
        best = min(clean, key=lambda m: m["metrics"]["w2"]["value"])
        sentences.append(
            f"Closest without a sign of copying: {best['title']}, "
            f"W2 {best['metrics']['w2']['value']:.3g}."
        )
        sentences += _better(best, baselines)
    likely = [m for m in clean if (m["metrics"].get("log_likelihood") or {}).get("value")]
    if likely:
        top = max(likely, key=lambda m: m["metrics"]["log_likelihood"]["value"])
        sentences.append(
            f"Best held-out log-likelihood among them: {top['title']}, "
            f"{top['metrics']['log_likelihood']['value']:.1f} nats per row."
        )
    return sentences


def _better(model: Mapping[str, Any], baselines: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence on the nearest baseline that does not copy, where it is nearer than a model."""
    honest = [b for b in baselines if b["metrics"]["copy_rate"]["value"] <= COPIES]
    if not honest:
        return []
    nearest = min(honest, key=lambda b: b["metrics"]["w2"]["value"])
    own, other = model["metrics"]["w2"], nearest["metrics"]["w2"]
    error = ((own["stderr"] or 0) ** 2 + (other["stderr"] or 0) ** 2) ** 0.5
    if own["value"] - other["value"] <= SIGNIFICANT * error:
        return []
    return [f"A simple baseline is nearer to the data than {model['title']}: {nearest['title']}, "
            f"W2 {other['value']:.3g}."]  # fmt: skip


def percent(share: float) -> str:
    """A share as people write it; small but not zero never reads as zero.

    >>> percent(0.0), percent(0.0004), percent(0.123), percent(0.9999), percent(1.0)
    ('0 %', '0.04 %', '12 %', '>99.9 %', '100 %')

    Nor does one that is nearly all read as all.

    >>> percent(0.997)
    '99.7 %'
    """
    number = 100 * share
    if 99.9 < number < 100:
        return ">99.9 %"
    if 99 <= number < 100:
        return f"{number:.1f} %"
    return f"{number:.0f} %" if number == 0 or number >= 10 else f"{number:.2g} %"


def _names(models: Sequence[Mapping[str, Any]]) -> str:
    titles: list[str] = [m["title"] for m in models]
    return titles[0] if len(titles) == 1 else ", ".join(titles[:-1]) + " and " + titles[-1]
