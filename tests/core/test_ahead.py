"""Drawing ahead: the same numbers, in another thread."""

import threading

import pytest

from wasserscore.core.ahead import Ahead


def test_looking_ahead_changes_threads_and_nothing_else():
    threads = []

    def draw(k):
        threads.append(threading.current_thread())
        if k == 5:
            raise ValueError("five")
        return k * k

    with Ahead(draw, 5, active=True) as drawn:
        assert [drawn(k) for k in range(5)] == [0, 1, 4, 9, 16]
    assert threads[0] is threading.current_thread()
    assert len(threads) == 5
    assert threading.current_thread() not in threads[1:]
    with Ahead(draw, 9, active=True) as drawn, pytest.raises(ValueError, match="five"):
        drawn(4), drawn(5)
    threads.clear()
    with Ahead(draw, 9, active=False) as drawn:
        assert [drawn(2), drawn(3)] == [4, 9]
    assert set(threads) == {threading.current_thread()}
