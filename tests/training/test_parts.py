"""Averages, rates, durations, signals, plans."""

import os
import signal

import pytest
import torch
from torch import nn

from facemotion.errors import OutputError, UsageError
from facemotion.training.checkpoint import TrainingProgress, load_matching, save_state
from facemotion.training.config import OptimiserConfig
from facemotion.training.distributed import World
from facemotion.training.duration import parse_duration
from facemotion.training.ema import WeightAverage
from facemotion.training.loader import plan_batches
from facemotion.training.networks import learning_rate
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


def test_average_begun_from_a_trained_one_does_not_forget_it_at_once():
    network = nn.Linear(1, 1)
    nn.init.constant_(network.weight, 0.0)
    average = WeightAverage(network, half_life_images=1000)
    average.images_before = 100_000
    nn.init.constant_(network.weight, 1.0)
    average.update(network, batch_images=8, images=8)
    assert average.network.weight.item() < 0.01


def test_rate_warms_up_and_comes_down():
    config = OptimiserConfig(lr=1.0, warmup_images=100, schedule="cosine")
    rates = [learning_rate(config, images=n, total=1000) for n in (0, 49, 99, 500, 1000, 2000)]
    assert rates == pytest.approx([0.01, 0.497, 0.977, 0.525, 0.05, 0.05], abs=5e-3)
    constant = OptimiserConfig(lr=1.0, warmup_images=0, schedule="constant")
    assert learning_rate(constant, images=10**9, total=1) == 1.0


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


def test_processes_share_the_samples_of_one_process(tiny):
    def numbers(rank, size, sources):
        config = tiny(f"phases=0:32/64x{sources},24:64/128x{sources}", "optimiser.accumulate=2")
        steps = plan_batches(config, World(rank, size, torch.device("cpu")), TrainingProgress())
        return [[(t.first, t.count, t.phase.paint_px) for t in next(steps)] for _ in range(3)]

    def shown(steps):
        return [{(n, px) for first, count, px in step for n in range(first, first + count)} for step in steps]

    one = shown(numbers(0, 1, 4))
    two = [a | b for a, b in zip(shown(numbers(0, 2, 2)), shown(numbers(1, 2, 2)), strict=True)]
    assert one == two
    assert [max(n for n, _ in step) for step in one] == [7, 15, 23]
    assert [{px for _, px in step} for step in one] == [{64}, {64}, {128}]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(UsageError, match="No cuda device"):
        World.init("cuda")


def test_unwritable_state_is_an_output_error(tmp_path):
    with pytest.raises(OutputError, match="cannot write"):
        save_state(tmp_path / "missing" / "state.pt", {})


def test_only_fitting_weights_are_loaded():
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 3))
    other = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 4))
    assert load_matching(network, other.state_dict()) == ["1.bias", "1.weight"]
    assert torch.equal(network[0].weight, other[0].weight)
