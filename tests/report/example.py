"""A made-up run, in the shape of results.json, for the page's own tests."""

import torch


def estimate(value, stderr=None, n=100):
    return {"value": value, "stderr": stderr, "n": n, "status": "ok", "units": "data units"}


def metrics(w2, copies, likelihood=None):
    return {
        "w2": estimate(w2, 0.03),
        "sliced_w2": estimate(w2 / 8, 0.004),
        "mmd": estimate(0.0012, 0.0003),
        "frechet": estimate(1.25, 0.1),
        "log_likelihood": None if likelihood is None else estimate(likelihood, 0.8),
        "coverage": estimate(0.912, 0.01),
        "copy_rate": None if copies is None else estimate(copies),
    }


def certificate(upper):
    return {
        "upper": {"value": upper, "stderr": None, "n": 256},
        "lower": {"value": upper / 3, "stderr": 0.1, "n": 256},
        "rungs": [
            {
                "name": "synchronous coupling",
                "value": upper * 0.97,
                "upper": upper * 1.1,
                "meaning": "a <b>",
                "valid": True,
                "vacuous": False,
            },
            {
                "name": "coupled transport",
                "value": upper * 0.9,
                "upper": upper,
                "meaning": "b",
                "valid": True,
                "vacuous": False,
            },
        ],
        "terms": [
            {"name": name, "value": upper * share, "stderr": 0.01, "meaning": "c"}
            for name, share in (("start", 0.1), ("steps", 0.2), ("score", 0.8))
        ],
        "assumptions": [
            {"name": "no unseen rare jumps", "status": "assumed", "detail": "n = 256"},
            {"name": "finite moments", "status": "checked", "detail": ""},
        ],
        "reference": "training rows smoothed by 0.15",
        "reading": f"With 95 % confidence the law is within {upper} of the reference.",
        "solver": "heun",
        "steps": 18,
        "n": 256,
        "level": 0.95,
        "vacuous": upper > 4,
    }


def pairs(shape, n=12):
    generator = torch.Generator().manual_seed(0)
    rows = torch.rand(n, *shape, generator=generator) * 2 - 1
    return {
        "samples": rows.tolist(),
        "nearest": (rows * 0.9).tolist(),
        "distances": [0.1 * i for i in range(n)],
    }


def results(kind="image", shape=(8, 8)):
    models = [
        ("empirical", "Empirical score", "memorized", 2.77, 0.998, 4.4),
        ("proximal", "Wasserstein-proximal", "no sign of copying", 3.0, 0.0, 2.1),
        ("network", "Network", "no sign of copying", 2.74, 0.0, 2.66),
    ]
    return {
        "schema_version": 1,
        "verdict": ["The proximal model and the network copy nobody; the empirical score copies."],
        "data": {
            "name": "digits",
            "n_train": 898,
            "n_holdout": 898,
            "n_measured": 898,
            "d": 64,
            "shape": list(shape),
            "kind": kind,
            "columns": ["<script>alert(1)</script>", "b"],
            "constant_columns": ["<script>alert(1)</script>"],
            "units": "data units",
            "notes": ["column <a> looks like numbers"],
            "low": [-1.0],
            "high": [1.0],
            "sha256": "ab" * 32,
            "lattice": None,
        },
        "floor": {
            "w2": estimate(2.63, 0.03),
            "sliced_w2": estimate(0.2, 0.01),
            "mmd": estimate(0.0001, 1e-4),
            "frechet": estimate(0.4, 0.02),
        },
        "baselines": [
            {
                "name": "bootstrap",
                "title": "Bootstrap of train",
                "kind": "baseline",
                "metrics": metrics(2.76, 1.0),
            },
            {
                "name": "gaussian",
                "title": "Fitted Gaussian",
                "kind": "baseline",
                "metrics": metrics(3.85, 0.0, -30.2),
            },
        ],
        "models": [
            {
                "name": name,
                "title": title,
                "kind": "model",
                "metrics": metrics(w2, copies, 14.2),
                "audit": {"verdict": verdict},
                "certificate": certificate(upper),
                "neighbours": pairs(shape),
                "description": "what <it> is",
                "verdict": "A sentence that says what this means for you.",
            }
            for name, title, verdict, w2, copies, upper in models
        ],
        "steps": {
            "curve": [
                {
                    "steps": k,
                    "evaluations": 2 * k - 1,
                    "w2": estimate(2.6 + 8 / k, 0.03),
                    "predicted": 2.6,
                }
                for k in (3, 5, 9, 18, 40)
            ],
            "planned": 14,
            "target_w2": 0.1,
            "sentence": "The planner asks for 14 steps.",
            "options": [
                {
                    "process": "EDM",
                    "solver": "heun",
                    "grid": "karras",
                    "steps": 14,
                    "predicted": 0.09,
                }
            ],
        },
        "provenance": {
            "seed": 0,
            "command": "wasserscore run digits --out runs/<x>",
            "versions": {"torch": "2.13.0"},
        },
        "timings": {"total": 100.0},
    }


def samples(d):
    generator = torch.Generator().manual_seed(1)
    titles = ("training rows", "Empirical score", "Wasserstein-proximal", "Network")
    return {title: torch.randn(200, d, generator=generator) for title in titles}
