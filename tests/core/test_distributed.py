import sys

import pytest
import torch
from safetensors.torch import load_file
from tests.torchrun import kept_alike, torchrun

from wasserscore.core import distributed
from wasserscore.core.tensors import cuts


def test_one_process_shares_with_nobody_and_starts_nothing():
    assert (distributed.world(), distributed.rank()) == (1, 0)
    x = torch.tensor([2.0, -1.0])
    assert distributed.total(x) is x
    assert distributed.largest(x) is x
    assert distributed.publish({"x": x})["x"] is x
    done = []
    assert distributed.shared([lambda: done.append(1) or x, lambda: x]) == [x, x]
    distributed.on_first(lambda: done.append(2))
    assert done == [1, 2]
    assert not torch.distributed.is_initialized()


def test_a_launch_of_one_process_is_no_launch(monkeypatch):
    launched = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    for name, value in launched.items():
        monkeypatch.setenv(name, value)
    assert distributed.world() == 1
    assert not torch.distributed.is_initialized()


@pytest.mark.parametrize(("n", "parts", "unit"), [(10, 3, 1), (10, 3, 4), (3, 5, 1), (256, 2, 64)])
def test_cuts_cover_everything_once_in_whole_units(n, parts, unit):
    found = cuts(n, parts, unit)
    assert len(found) == parts
    assert [i for part in found for i in range(n)[part]] == list(range(n))
    assert all(part.start % unit == 0 for part in found if part.start < n)
    sizes = [-(-(part.stop - part.start) // unit) for part in found]
    assert max(sizes) - min(sizes) <= 1


SCRIPT = """
    from wasserscore.core.distributed import largest, of_first, on_first, publish, shared, total
    from wasserscore.core.errors import InputError
    me = rank()
    mine = torch.tensor([[1.0, -3.0], [0.5, 7.0]], dtype=torch.float64) * (me + 1)
    turned = mine.T  # not contiguous
    own = {"a": torch.full((2, 3), 5.0 + me), "b": torch.arange(3) + me, "flat": torch.tensor(me)}
    told = publish(own, source=1)
    jobs = [lambda j=j: torch.full((j + 1, 2), float(10 * j + me)) for j in range(5)]
    rows = torch.cat(shared(jobs))
    order = []
    on_first(lambda: order.append(world()))
    assert of_first({"b": 0.1 + me, "a": me}) == {"b": 0.1, "a": 0}
    with alone():
        assert (world(), rank()) == (1, 0)
        assert of_first({"a": me}) == {"a": me}
        assert total(mine) is mine
    assert world() == 2

    def failing(kind):
        def job():
            raise kind("not this one")
        return job

    for kind, seen in ((InputError, "not this one"), (OSError, "rank 1: OSError: not this one")):
        try:
            shared([lambda: mine, failing(kind)])
        except kind as error:
            assert str(error) == "not this one"
        except RuntimeError as error:
            assert me == 0 and kind is OSError and str(error) == seen, error
        else:
            raise AssertionError("a failing job fails on every rank")
    keep(total=total(turned), largest=largest(mine), rows=rows, mine=mine,
         acted=torch.tensor(order), **{f"told_{k}": v for k, v in told.items()})
"""


def test_two_ranks_add_compare_tell_share_and_fail_together(tmp_path):
    torchrun(SCRIPT, tmp_path)
    zero, one = (load_file(tmp_path / f"{r}.safetensors") for r in (0, 1))
    mine = zero["mine"]
    for found in (zero, one):
        assert torch.equal(found["total"], 3 * mine.T)
        assert torch.equal(found["largest"], torch.maximum(mine, 2 * mine))
        expected = [torch.full((j + 1, 2), 10.0 * j + j % 2) for j in range(5)]
        assert torch.equal(found["rows"], torch.cat(expected))
        assert torch.equal(found["told_a"], torch.full((2, 3), 6.0))
        assert torch.equal(found["told_b"], torch.arange(3) + 1)
        assert torch.equal(found["told_flat"], torch.tensor(1))
    assert zero["acted"].tolist() == [1]
    assert one["acted"].tolist() == []


ENDING = """
    import atexit, time
    from wasserscore.core.distributed import publish
    publish({"x": torch.ones(3)})
    threads = lambda: [(task / "comm").read_text() for task in Path("/proc/self/task").iterdir()]
    before = threads()
    assert torch.__version__ < "2.9" or any("gloo" in name for name in before), before
    atexit._run_exitfuncs()  # what an interpreter does first when it ends
    time.sleep(0.1)  # the system lists a joined thread a moment longer
    assert not any("gloo" in name for name in threads()), threads()
    assert len(threads()) < len(before)  # PyTorch before 2.9 gives them no name
"""


@pytest.mark.slow
def test_accelerate_starts_ranks_as_torchrun_does(tmp_path):
    pytest.importorskip("accelerate")
    script = """
        from wasserscore.core.distributed import total
        keep(sum=total(torch.tensor(1.0 + rank())))
    """
    torchrun(script, tmp_path, by=(
        "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines",
        "1", "--main_process_port", "0", "--mixed_precision", "no", "--dynamo_backend", "no",
    ))  # fmt: skip
    assert float(kept_alike(tmp_path)["sum"]) == 3.0


@pytest.mark.skipif(sys.platform != "linux", reason="threads are listed in /proc")
def test_no_thread_outlives_the_interpreter(tmp_path):
    # One that still holds a tensor would abort the process at the end of a good run.
    torchrun(ENDING, tmp_path)
