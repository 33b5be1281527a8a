"""A call is timed as a whole, on each kind of device."""

import contextlib
import itertools
import time

import torch

from relaxit.bench.measuring.clock import repeating_timer_for, timer_for


def test_the_whole_call_is_timed():
    assert timer_for(torch.device("cpu"))(lambda: time.sleep(0.02)) >= 0.02


def test_other_devices_are_waited_for_before_and_after(monkeypatch):
    done: list[str] = []
    monkeypatch.setattr(torch.accelerator, "synchronize", lambda device: done.append(str(device)))
    assert timer_for(torch.device("mps"))(lambda: done.append("call")) >= 0
    assert done == ["mps", "call", "mps"]


def test_on_cuda_events_enclose_the_call(monkeypatch):
    done: list[str] = []

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            done.append("event")

        def elapsed_time(self, later):
            return 1500.0  # milliseconds

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: done.append("wait"))
    assert timer_for(torch.device("cuda"))(lambda: done.append("call")) == 1.5
    assert done == ["wait", "event", "call", "event", "wait"]


def test_calls_are_repeated_until_the_time_is_over(monkeypatch):
    ticks = itertools.count()
    for name in ("perf_counter", "thread_time"):  # each look at a clock is a second later
        monkeypatch.setattr(time, name, lambda: float(next(ticks)))
    for least, calls in ((0.0, 1), (1.0, 1), (3.5, 4)):
        made = []
        timer = repeating_timer_for(torch.device("cpu"), least)
        assert timer(lambda made=made: made.append("call")) == 1.0
        assert len(made) == calls
