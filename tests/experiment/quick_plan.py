"""The planner with one candidate: its own tests compare the others, these only need an answer."""

from functools import partial

from wasserscore.experiment.models import forward_process
from wasserscore.planner import plan

quick_plan = partial(plan, solver="heun", grids=("karras",))


def with_one_candidate(data, target_w2, **options):
    return quick_plan(data, target_w2, processes=[forward_process()], **{
        key: value for key, value in options.items() if key == "mode"
    })  # fmt: skip


def install(monkeypatch):
    for module in ("steps", "planning"):
        monkeypatch.setattr(f"wasserscore.experiment.{module}.plan", with_one_candidate)
