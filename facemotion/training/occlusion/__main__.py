"""``python -m facemotion.training.occlusion DATA --out FOLDER``: train the occlusion network."""

import argparse
from pathlib import Path

import torch

from facemotion.training.occlusion.run import OcclusionTraining, train_occlusion


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m facemotion.training.occlusion", description=__doc__)
    parser.add_argument("data", type=Path, help="face data folder: photos and landmarks.npz")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoint, log and finished weights")
    parser.add_argument("--steps", type=int, default=OcclusionTraining.steps)
    parser.add_argument("--seed", type=int, default=OcclusionTraining.seed)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    training = OcclusionTraining(data=asked.data, out=asked.out, steps=asked.steps, seed=asked.seed)
    print(f"Finished: {train_occlusion(training, report=lambda line: print(line, flush=True))}")


if __name__ == "__main__":
    main()
