"""Drawing ahead: the same numbers, in other threads."""

import threading

import pytest

from wasserscore.core.ahead import THREADS, Ahead


def squares(seen, fails=None):
    def draw(k):
        seen.append((k, threading.current_thread()))
        if k == fails:
            raise ValueError("five")
        return k * k

    return draw


def test_looking_ahead_gives_every_step_once_from_other_threads():
    seen = []
    with Ahead(squares(seen), 20, active=True) as drawn:
        assert drawn(3) == 9
        for future in list(drawn._begun.values()):
            future.result()
        assert sorted(k for k, _ in seen) == list(range(3, 4 + THREADS))
        assert [drawn(k) for k in range(4, 20)] == [k * k for k in range(4, 20)]
    assert sorted(k for k, _ in seen) == list(range(3, 20))
    assert threading.current_thread() not in {thread for _, thread in seen}


def test_what_fails_in_a_thread_fails_where_it_is_asked_for():
    with Ahead(squares([], fails=5), 9, active=True) as drawn:
        assert drawn(4) == 16
        with pytest.raises(ValueError, match="five"):
            drawn(5)


def test_without_another_device_nothing_is_drawn_ahead():
    seen = []
    with Ahead(squares(seen), 9, active=False) as drawn:
        assert [drawn(2), drawn(3)] == [4, 9]
    assert seen == [(k, threading.current_thread()) for k in (2, 3)]
