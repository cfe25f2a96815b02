"""The logs of a training as curves."""

import sys

import pytest
import torch

from wasserscore.core.errors import InputError
from wasserscore.network import MLP
from wasserscore.process import EDM
from wasserscore.training import TensorBoard, train_score

DATA = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))


class Writer:
    """What the callback asks of TensorBoard's."""

    made: list["Writer"]

    def __init__(self, folder, purge_step):
        self.folder, self.purge_step, self.points, self.flushed = folder, purge_step, [], 0
        self.closed = False
        Writer.made.append(self)

    def add_scalar(self, name, value, step):
        self.points.append((name, value, step))

    def flush(self):
        self.flushed = len(self.points)

    def close(self):
        self.closed = True


@pytest.fixture
def written(monkeypatch):
    Writer.made = []
    module = type(sys)("torch.utils.tensorboard")
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return Writer.made


def test_every_number_is_a_point_of_a_curve(written, tmp_path):
    train_score(MLP(3, 8, 1), DATA, EDM(), steps=7, batch_size=8, holdout=DATA[:9],
                measure_every=3, callbacks=[TensorBoard(tmp_path / "logs", every=2)])  # fmt: skip
    (writer,) = written
    assert (writer.folder, writer.purge_step) == (str(tmp_path / "logs"), 1)
    assert [step for name, _, step in writer.points if name == "loss"] == [2, 3, 4, 6, 7]
    measured = [step for name, _, step in writer.points if name == "holdout_loss"]
    assert measured == [3, 6, 7]
    assert all(" " not in name and value == value for name, value, _ in writer.points)
    assert writer.flushed == len(writer.points)


def test_a_run_that_goes_on_drops_the_steps_it_repeats(written, tmp_path):
    callback = TensorBoard(tmp_path)
    for step in (6, 7, 8, 7, 8, 9):  # the same callback in both calls
        callback(step, {"loss": 1.0})
    assert [writer.purge_step for writer in written] == [6, 7]
    assert [[step for _, _, step in writer.points] for writer in written] == [[6, 7, 8], [7, 8, 9]]
    assert [writer.closed for writer in written] == [True, False]


def test_without_the_library_it_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(InputError, match=r"pip install 'wasserscore\[tensorboard\]'"):
        TensorBoard(tmp_path)


def test_the_librarys_own_reader_finds_the_curve(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    callback = TensorBoard(tmp_path)
    for step in (1, 2, 3):
        callback(step, {"loss": 1.0 / step})
    again = TensorBoard(tmp_path)
    for step, loss in ((2, 5.0), (3, 6.0), (2, 7.0)):
        again(step, {"loss": loss})
    events = EventAccumulator(str(tmp_path)).Reload().Scalars("loss")
    assert [(event.step, event.value) for event in events] == [(1, 1.0), (2, 7.0)]
