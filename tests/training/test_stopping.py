"""Requests to stop, one within another."""

from __future__ import annotations

import signal

from relaxit.training.stopping import StopRequest


def test_a_stop_asked_for_before_an_inner_run_begins_is_not_lost():
    with StopRequest() as outer:
        signal.raise_signal(signal.SIGTERM)
        with StopRequest() as inner:
            assert inner.exit_code == outer.exit_code == 143
    with StopRequest() as outer, StopRequest() as inner:
        assert not outer
        assert not inner
