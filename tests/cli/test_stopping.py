"""Signals as a question: remembered in the middle of work, raised where it waits."""

import os
import signal

import pytest

from logserver.cli.stopping import StopSignals

SIGNALS = [signal.SIGINT, signal.SIGTERM]


def send(number):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_is_remembered_and_the_second_raises(number):
    times = iter([5.0, 5.9, 6.0])
    with StopSignals(lambda: next(times)) as stop:
        stop.check()
        send(number)
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            stop.check()
        # The same one once more: to the process and to its group.
        send(number)
        with pytest.raises(KeyboardInterrupt):
            send(number)


@pytest.mark.parametrize("number", SIGNALS)
def test_it_raises_where_it_waits(number):
    with StopSignals() as stop:
        with pytest.raises(KeyboardInterrupt):
            stop.waiting(send, number)
        assert stop.asked


def test_nothing_is_waited_for_after_a_signal():
    with StopSignals() as stop:
        send(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            stop.waiting(pytest.fail)


def test_what_waiting_returns_and_raises_comes_through():
    with StopSignals() as stop:
        assert stop.waiting(max, 1, 2) == 2
        with pytest.raises(ZeroDivisionError):
            stop.waiting(divmod, 1, 0)
        send(signal.SIGINT)
        assert stop.asked


def test_handlers_are_those_from_before_afterwards_also_where_a_signal_was_ignored():
    before = {number: signal.getsignal(number) for number in SIGNALS}
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with StopSignals() as stop:
            send(signal.SIGINT)
            assert stop.asked
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before[signal.SIGINT])
    assert {number: signal.getsignal(number) for number in SIGNALS} == before
