"""Averages, durations, signals, devices, states."""

import os
import signal

import pytest
import torch
from torch import nn

from facemotion.errors import OutputError, UsageError
from facemotion.training.checkpoint import save_state
from facemotion.training.distributed import World
from facemotion.training.duration import parse_duration
from facemotion.training.ema import WeightAverage
from facemotion.training.signals import stop_on_signals


def test_average_follows_early_and_has_its_half_life_later():
    network = nn.Linear(1, 1)
    average = WeightAverage(network, half_life_images=100)
    nn.init.constant_(network.weight, 0.0)
    average.update(network, batch_images=8, images=8)
    assert average.network.weight.item() == pytest.approx(0.0, abs=1e-3)
    nn.init.constant_(network.weight, 1.0)
    for _ in range(10):
        average.update(network, batch_images=10, images=100_000)
    assert average.network.weight.item() == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("text, seconds", [("90s", 90), ("25m", 1500), ("1.5h", 5400), ("1h30m", 5400), ("45", 45)])
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "5d", "1..2h", "m"])
def test_what_is_no_duration(text):
    with pytest.raises(UsageError, match="duration"):
        parse_duration(text)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_asks_to_stop_and_a_second_one_interrupts(number):
    def loud(*_):
        raise KeyboardInterrupt

    before = signal.signal(number, loud)
    try:
        with stop_on_signals() as stop:
            assert not stop()
            os.kill(os.getpid(), number)
            assert stop()
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), number)
                signal.pause()
        assert signal.getsignal(number) is loud
    finally:
        signal.signal(number, before)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(UsageError, match="No cuda device"):
        World.init("cuda")


def test_unwritable_state_is_an_output_error(tmp_path):
    with pytest.raises(OutputError, match="cannot write"):
        save_state(tmp_path / "missing" / "state.pt", {})
