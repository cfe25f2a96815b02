import pytest
import torch

from wasserscore.distance import w2, with_floor
from wasserscore.experiment import verdict

FLOOR = {"value": 2.63, "stderr": 0.03}


def model(word, w2=2.77, copies=0.0, fresh=0.01, title="M", likelihood=None):
    return {
        "title": title,
        "metrics": {
            "w2": {"value": w2, "stderr": 0.03},
            "copy_rate": {"value": copies},
            "log_likelihood": likelihood and {"value": likelihood},
        },
        "audit": {
            "verdict": word,
            "reason": "why",
            "copy_rate": {"value": copies + 0.002},
            "copy_rate_holdout": {"value": fresh},
        },
    }


def test_the_three_models_of_the_demo_are_told_apart():
    empirical = verdict.model_sentence(model("memorized", 2.77, 1.0), FLOOR, 2.76)
    assert empirical.startswith("Memorized: 100 % of its samples")
    assert "2.76" in empirical
    proximal = verdict.model_sentence(model("no sign of copying", 3.0), FLOOR, 2.76)
    assert "14 % above" in proximal
    assert "0 % of its samples are training rows, 0.2 % are that or nearly so" in proximal
    assert "(fresh data: 1 %)" in proximal
    network = verdict.model_sentence(model("no sign of copying", 2.65, 0.004), FLOOR, 2.76)
    assert "cannot be told" in network
    assert "0.4 %" in network
    assert len({empirical, proximal, network}) == 3
    assert all("\n" not in s for s in (empirical, proximal, network))


def test_narrow_samples_are_below_the_floor_and_told_so():
    # in many columns a law shrunk to .6 of its spread is nearer to finite clouds than the law
    generator = torch.Generator().manual_seed(0)
    train, holdout, own = torch.randn(3, 150, 64, generator=generator, dtype=torch.float64)
    found = {s: with_floor(w2, generated=s * own, train=train, holdout=holdout) for s in (0.6, 1)}
    words = lambda f: verdict.distance_words(f.value.to_dict(), f.floor.to_dict())
    told = {s: words(f) for s, f in found.items()}
    assert "cannot be told" in told[1]
    assert float(found[0.6].value) < 0.9 * float(found[0.6].floor)
    assert "% below that of real rows" in told[0.6]
    assert "recall" in told[0.6]


@pytest.mark.parametrize("side", [-1, 1])
@pytest.mark.parametrize(("errors", "told"), [(1.9, "cannot be told"), (2.1, "real rows (")])
def test_two_standard_errors_tell_a_distance_from_the_floor(side, errors, told):
    w2 = {"value": 5 + side * errors * 0.05, "stderr": 0.03}
    words = verdict.distance_words(w2, {"value": 5.0, "stderr": 0.04})
    assert told in words
    assert ("cannot be told" in words) == (errors < 2)


def test_a_copier_that_is_far_from_the_data_is_not_said_to_look_good():
    far = verdict.model_sentence(model("memorized", 8.0, 1.0), FLOOR, 2.76)
    assert "looks good" not in far
    assert "204 % above" in far
    assert far.endswith("Do not release these samples.")


def test_suspicious_and_not_judged_say_so():
    assert verdict.model_sentence(model("suspicious", copies=0.05), FLOOR, 2.7).startswith("Susp")
    unjudged = verdict.model_sentence(model("not judged: no hold-out"), FLOOR, 2.7)
    assert "not judged: no hold-out" in unjudged


def test_overall_recommends_the_closest_clean_model_only():
    lines = verdict.overall(
        [model("memorized", 2.5, 1.0, title="E"), model("no sign of copying", 3.0, title="P",
         likelihood=14.0), model("no sign of copying", 2.7, title="N")], FLOOR, ())  # fmt: skip
    text = " ".join(lines)
    assert "2.63 ± 0.03" in text
    assert "E memorized" in text
    assert "Closest without a sign of copying: N, W2 2.7" in text
    assert "P, 14.0 nats" in text


def baseline(w2, copies=0.0, title="Fitted Gaussian"):
    return {"title": title, "metrics": {"w2": {"value": w2, "stderr": 0.03},
                                        "copy_rate": {"value": copies}}}  # fmt: skip


def test_a_baseline_that_is_nearer_than_the_model_is_named():
    best = [model("no sign of copying", 3.0, title="P"), model("memorized", 2.5, 1.0, title="E")]
    told = lambda *others: " ".join(verdict.overall(best, FLOOR, others))
    assert told(baseline(2.9), baseline(2.8, title="K"), baseline(2.6, 1.0, "B")).endswith(
        "A simple baseline is nearer to the data than P: K, W2 2.8."
    )
    assert "baseline" not in told(baseline(2.93))  # within two standard errors
    assert "baseline" not in told(baseline(2.6, 0.06))  # it copies
    assert "baseline" not in told()


def test_overall_without_any_clean_model():
    lines = verdict.overall(
        [model("memorized", title="A"), model("memorized", title="B")], FLOOR, ()
    )
    assert "A and B memorized" in lines[1]
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0 %"), (4e-4, "0.04 %"), (0.123, "12 %"), (0.9996, ">99.9 %"), (1.0, "100 %")],
)
def test_percent(share, text):
    assert verdict.percent(share) == text
