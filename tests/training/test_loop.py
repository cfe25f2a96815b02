import os
import signal
import threading

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.at_work import at_work
from tests.training.toy_task import Sum

from wasserscore.core.errors import InputError
from wasserscore.core.random import Streams
from wasserscore.training import DivergedError
from wasserscore.training.checkpoint import Checkpoints
from wasserscore.training.loop import Batches, run

DATA = torch.arange(14.0, dtype=torch.float64).reshape(7, 2)
SETTINGS = {"steps": 12, "batch_size": 3, "seed": 5}


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "c", {"x": 1}, every=4)


@pytest.fixture
def whole():
    task = Sum()
    run(task, DATA, **SETTINGS)
    return task.total


@given(n=st.integers(1, 9), size=st.integers(1, 20))
def test_every_pass_shows_every_row_once(n, size):
    batches = Batches(torch.arange(float(n))[:, None], size, Streams(3))
    seen = torch.cat([batches[k] for k in range(2 * n)]).flatten()  # 2 * size passes
    counts = seen.reshape(2 * size, n).sort(1).values
    assert torch.equal(counts, torch.arange(float(n)).expand(2 * size, n))


def test_passes_have_orders_of_their_own_and_any_step_can_be_asked_first():
    data = torch.arange(50.0)[:, None]
    forward = [Batches(data, 50, Streams(1))[k] for k in range(3)]
    assert not torch.equal(forward[0], forward[1])
    late = Batches(data, 50, Streams(1))
    assert torch.equal(late[2], forward[2])
    assert torch.equal(late[0], forward[0])
    assert not torch.equal(Batches(data, 50, Streams(2))[0], forward[0])


def test_every_step_draws_noise_of_its_own():
    seen = []

    class Keep(Sum):
        def step(self, batch, generator):
            seen.append(float(torch.rand(1, generator=generator)))
            return super().step(batch, generator)

    run(Keep(), DATA, **SETTINGS)
    assert len(set(seen)) == 12


def test_callbacks_see_every_step_and_its_logs():
    seen, again = [], []
    run(Sum(), DATA, **SETTINGS, callbacks=[lambda k, logs: seen.append((k, logs["loss"]))])
    run(Sum(), DATA, **SETTINGS, callbacks=[lambda k, logs: again.append((k, logs["loss"]))])
    assert [k for k, _ in seen] == list(range(1, 13))
    assert seen == again


@pytest.mark.parametrize("stop", range(1, 12))
def test_an_interrupted_run_continues_to_the_same_bits(stop, checkpoints, whole):
    def interrupt(step, logs):
        if step == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(Sum(), DATA, **SETTINGS, callbacks=[interrupt], checkpoints=checkpoints)
    assert checkpoints.steps()[-1] == stop
    task, steps = Sum(), []
    run(task, DATA, **SETTINGS, callbacks=[lambda k, _: steps.append(k)], checkpoints=checkpoints)
    assert steps == list(range(stop + 1, 13))
    assert torch.equal(task.total, whole)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_the_step_finish_and_is_then_obeyed(number, checkpoints, whole):
    obeyed = []
    before = signal.signal(number, lambda *_: obeyed.append(number))
    try:

        class Struck(Sum):
            def step(self, batch, generator):
                if self.count == 5:
                    os.kill(os.getpid(), number)
                return super().step(batch, generator)

        with pytest.raises(KeyboardInterrupt, match="stopped after step 6"):
            run(Struck(), DATA, **SETTINGS, checkpoints=checkpoints)
    finally:
        ours = signal.signal(number, before)
    assert obeyed == [number]
    assert ours is not before
    assert checkpoints.steps() == [4, 6]
    task = Sum()
    run(task, DATA, **SETTINGS, checkpoints=checkpoints)
    assert torch.equal(task.total, whole)


@pytest.fixture
def default_ctrl_c():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_signal_that_was_ignored_stays_ignored(checkpoints, whole, default_ctrl_c):
    class Struck(Sum):
        def step(self, batch, generator):
            signal.raise_signal(signal.SIGINT)
            return super().step(batch, generator)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    task = Struck()
    run(task, DATA, **SETTINGS, checkpoints=checkpoints)
    assert torch.equal(task.total, whole)


def test_ctrl_c_is_raised_and_a_second_one_is_obeyed_at_once(checkpoints, default_ctrl_c):
    class Struck(Sum):
        def step(self, batch, generator):
            if self.count == 5:
                signal.raise_signal(signal.SIGINT)
            return super().step(batch, generator)

    with pytest.raises(KeyboardInterrupt):
        run(Struck(), DATA, **SETTINGS, checkpoints=checkpoints)
    assert checkpoints.steps() == [4, 6]

    class StruckTwice(Sum):
        def step(self, batch, generator):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            pytest.fail("the second signal waited")

    with pytest.raises(KeyboardInterrupt):
        run(StruckTwice(), DATA, **SETTINGS, checkpoints=checkpoints)
    assert checkpoints.steps() == [4, 6]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_threads_train_without_signals(checkpoints, whole):
    task = Sum()
    thread = threading.Thread(target=lambda: run(task, DATA, **SETTINGS, checkpoints=checkpoints))
    thread.start()
    thread.join()
    assert torch.equal(task.total, whole)


def test_checkpoints_are_for_one_process_at_a_time(checkpoints, whole):
    with at_work(checkpoints.folder) as other:
        with pytest.raises(InputError, match="must be free of other processes"):
            run(Sum(), DATA, **SETTINGS, checkpoints=checkpoints)
        assert checkpoints.steps() == []
        other.kill()
    seen = []
    run(Sum(), DATA, **SETTINGS, checkpoints=checkpoints,
        callbacks=[lambda k, _: seen.append((checkpoints.folder / ".lock").exists())])  # fmt: skip
    assert all(seen)
    assert {p.name[:5] for p in checkpoints.folder.iterdir()} == {"step-"}


def test_divergence_is_named_with_its_step_and_keeps_the_last_checkpoint(checkpoints):
    with pytest.raises(DivergedError, match=r"loss is nan at step 7; lower learning_rate"):
        run(Sum(bad_step=7), DATA, **SETTINGS, checkpoints=checkpoints)
    assert checkpoints.steps() == [4]
    task = Sum()
    assert checkpoints.restore(task)[0] == 4
    assert task.count == 4


def test_a_finished_run_returns_at_once(checkpoints, whole):
    run(Sum(), DATA, **SETTINGS, checkpoints=checkpoints)
    task = Sum(bad_step=1)
    run(task, DATA, **SETTINGS, checkpoints=checkpoints)
    assert torch.equal(task.total, whole)


class Parts(Sum):
    """A task of another device: its steps are begun, and their logs fetched later."""

    device = torch.device("meta")  # anything but the CPU

    def __init__(self, bad_step=None):
        super().__init__(bad_step)
        self.told = []

    def draw(self, batch, generator):
        return batch, generator

    def start(self, drawn):
        logs = Sum.step(self, *drawn)
        self.told.append(("begun", self.count))
        return lambda: logs

    def step(self, batch, generator):
        raise AssertionError("the loop takes the parts")

    def hear(self, step, logs):
        self.told.append(("heard", step))


def test_a_device_is_waited_for_one_step_late_but_at_checkpoints(checkpoints, whole):
    task = Parts()
    run(task, DATA, **SETTINGS, callbacks=[task.hear], checkpoints=checkpoints)
    assert torch.equal(task.total, whole)
    first = [("begun", 1), ("begun", 2), ("heard", 1), ("begun", 3), ("heard", 2), ("begun", 4),
             ("heard", 3), ("heard", 4), ("begun", 5)]  # fmt: skip
    assert task.told[:9] == first
    assert [k for what, k in task.told if what == "heard"] == list(range(1, 13))
    assert task.told[-1] == ("heard", 12)


def test_a_late_step_that_is_not_finite_is_named(checkpoints):
    with pytest.raises(DivergedError, match=r"loss is nan at step 6; lower learning_rate"):
        run(Parts(bad_step=6), DATA, **SETTINGS, checkpoints=checkpoints)
    assert checkpoints.steps() == [4]


def test_an_interruption_on_a_device_hears_what_was_begun(checkpoints, whole):
    task = Parts()

    def strike(step, logs):
        task.hear(step, logs)
        if step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(task, DATA, **SETTINGS, callbacks=[strike], checkpoints=checkpoints)
    assert task.told[-1] == ("heard", 6)
    assert checkpoints.steps() == [4, 6]
    rest = Parts()
    run(rest, DATA, **SETTINGS, checkpoints=checkpoints)
    assert torch.equal(rest.total, whole)
