"""Two gloo processes train like one with twice the sources."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from facemotion.training.config import from_dict
from facemotion.training.distributed import World
from facemotion.training.networks import Networks
from tests.training.conftest import TINY

SCRIPT = """
import sys
from pathlib import Path
from facemotion.training.config import TrainConfig, override
from facemotion.training.distributed import World
from facemotion.training.run import open_training
world = World.init("cpu")
config = override(TrainConfig(), sys.argv[3:])
trainer = open_training([sys.argv[1]], config, folder=Path(sys.argv[2]), world=world)
assert trainer.run() == "finished"
world.destroy()
"""


@pytest.mark.slow
@pytest.mark.xfail(reason="with accumulated batches the discriminators come out 13 % apart; cause unknown")
@pytest.mark.parametrize("changes", [["optimiser.accumulate=2"], ["generator.preset=paper"]], ids=str)
def test_two_processes_equal_one_of_twice_the_batch(clip_folder, tmp_path, changes):
    script = tmp_path / "one_process.py"
    script.write_text(SCRIPT)
    settings = [*TINY, "images=24", "adversary.from_images=12", "adversary.r1_every=2", *changes]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for start, folder, sources in ((launch, "two", 2), ([sys.executable], "one", 4)):
        command = [*start, str(script), str(clip_folder), str(tmp_path / folder), *settings]
        subprocess.run([*command, f"phases=0:32/64x{sources}"], check=True, env=environment, timeout=250)
    one, two = (torch.load(tmp_path / name / "state.pt", weights_only=True) for name in ("one", "two"))
    assert one["progress"]["samples"] == two["progress"]["samples"]
    begun = Networks(from_dict(one["config"]), World(0, 1, torch.device("cpu"))).state()
    for part in ("generator", "discriminators", "average"):
        learned = distance(one[part], begun[part])
        assert learned > 0
        # Adam turns a bias's rounding error into a step where its gradients cancel: compare networks, not weights.
        assert distance(one[part], two[part]) < 0.02 * learned, part


@pytest.mark.slow
def test_a_time_budget_ends_all_processes_well(clip_folder, tmp_path):
    settings = [
        word for change in (*TINY, "images=1M") if not change.startswith("images=16") for word in ("--set", change)
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "-m",
        "facemotion",
    ]
    command = [*launch, "train", str(clip_folder), "--out", str(tmp_path / "run"), "--time-budget", "5s", *settings]
    done = subprocess.run([*command, "--device", "cpu"], env=environment, timeout=280, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "time budget at" in done.stdout
    assert (tmp_path / "run" / "release.safetensors").is_file()


def distance(one, other):
    """Euclidean distance of two sets of weights."""
    return sum((one[name].double() - other[name].double()).square().sum().item() for name in one) ** 0.5
