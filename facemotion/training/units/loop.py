"""The training of the unit generator: ``python -m facemotion.training.units.loop SAMPLES OUT [CONFIG]``.

SAMPLES holds ``train`` and ``validation`` as `facemotion.datasets.prepare_units` makes them. OUT receives
``state.pt`` (everything an exact resume needs), ``log.jsonl`` and ``generator.safetensors`` (averaged weights). A run
that was stopped goes on where its last state is. Under ``torchrun`` the batch is shared between processes.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from pathlib import Path

import torch
from torch import Tensor

from facemotion.datasets.unit_samples import UnitSampleFolder
from facemotion.errors import TrainingError
from facemotion.models.unit_discriminators import UnitDiscriminators
from facemotion.models.unit_generator import UnitGenerator
from facemotion.models.unit_release import save_unit_release
from facemotion.training.checkpoint import load_state, save_state
from facemotion.training.distributed import World
from facemotion.training.ema import WeightAverage
from facemotion.training.units.config import UnitTrainConfig
from facemotion.training.units.data import UnitBatch, batches
from facemotion.training.units.losses import (
    VIEW_SHARE,
    FeatureDistance,
    pixel_loss,
    restraint,
    views_of,
)

CREDIT = {
    "data": "Face Research Lab London Set (DeBruine & Jones 2017, CC BY 4.0); Young Adult White Faces with Manipulated "
    "Versions (DeBruine & Jones 2017, CC BY 4.0); SFHQ-T2I (David Beniaguev 2024, MIT)",
    "head": "ICT-FaceKit (MIT, USC Institute for Creative Technologies)",
    "perceptual loss": "EfficientNet-Lite0 (Apache-2.0)",
}
"""What the release says about its origin."""


class UnitTrainer:
    """A training under way in a folder."""

    def __init__(self, config: UnitTrainConfig, samples: UnitSampleFolder, folder: Path, world: World):
        self.config, self.samples, self.folder, self.world = config, samples, folder, world
        torch.manual_seed(config.seed)
        generator = UnitGenerator(config.generator).to(world.device, memory_format=torch.channels_last)
        discriminators = UnitDiscriminators().to(world.device, memory_format=torch.channels_last)
        self.average = WeightAverage(generator, half_life_images=config.ema_half_life)
        self.generator_optimiser = torch.optim.Adam(generator.parameters(), 1.0, betas=(0.9, 0.99))
        self.discriminator_optimiser = torch.optim.Adam(
            discriminators.parameters(), config.discriminator_learning_rate, betas=(0.0, 0.99)
        )
        self.step = 0
        if (folder / "state.pt").exists():
            state = load_state(folder / "state.pt")
            if state["config"] != json.loads(config.to_json()):
                raise TrainingError(f"{folder} holds a training of another configuration", "Give a new folder.")
            generator.load_state_dict(state["generator"])
            discriminators.load_state_dict(state["discriminators"])
            self.average.network.load_state_dict(state["average"])
            self.generator_optimiser.load_state_dict(state["generator_optimiser"])
            self.discriminator_optimiser.load_state_dict(state["discriminator_optimiser"])
            self.step = state["step"]
        self.generator = generator
        self._generator = world.wrap(generator, partly_used=True)
        self.discriminators = world.wrap(discriminators, partly_used=True)
        self.perceptual = FeatureDistance().to(world.device) if config.perceptual else None
        self._bf16 = world.best_precision() == "bf16"

    def run(self, *, until: int | None = None) -> None:
        """Train to the end, or to a step before it; saves the state."""
        last = self.config.steps if until is None else min(until, self.config.steps)
        start, began = self.step, time.monotonic()
        for batch in batches(self.samples, self.config, self.step, rank=self.world.rank, size=self.world.size):
            if self.step >= last:
                break
            values = self._train(batch.to(self.world.device))
            self.step += 1
            values["seconds"] = (time.monotonic() - began) / (self.step - start)
            if not math.isfinite(values["loss"]):
                raise TrainingError(f"the loss is {values['loss']} in step {self.step}", "Lower the learning rate.")
            if self.world.is_main:
                with open(self.folder / "log.jsonl", "a") as log:
                    print(json.dumps({"step": self.step} | {k: round(v, 5) for k, v in values.items()}), file=log)
            if self.step % self.config.save_every == 0:
                self.save()
        self.save()

    def save(self) -> None:
        """Write the state and the release."""
        if not self.world.is_main:
            return
        unwrapped = getattr(self.discriminators, "module", self.discriminators)
        state = {
            "config": json.loads(self.config.to_json()),
            "generator": self.generator.state_dict(),
            "discriminators": unwrapped.state_dict(),
            "average": self.average.network.state_dict(),
            "generator_optimiser": self.generator_optimiser.state_dict(),
            "discriminator_optimiser": self.discriminator_optimiser.state_dict(),
            "step": self.step,
        }
        save_state(self.folder / "state.pt", state)
        record = CREDIT | {"steps": self.step, "samples": self.step * self.config.batch}
        save_unit_release(self.folder / "generator.safetensors", self.average.network, record)

    def _learning_rate(self) -> float:
        config = self.config
        done = self.step / config.steps
        fall = 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * done))
        return config.learning_rate * fall * min(1.0, (self.step + 1) / config.warm_up)

    def _autocast(self):
        return torch.autocast(self.world.device.type, torch.bfloat16, enabled=self._bf16)

    def _train(self, batch: UnitBatch) -> dict[str, float]:
        """One step of the generator, then one of the discriminators."""
        config, terms = self.config, {}
        with self._autocast():
            correction = self._generator(batch.photo, batch.coordinates, batch.own, batch.control, batch.rendered)
        views = views_of(correction, batch, config)
        terms["pixels"] = config.pixels * pixel_loss(views)
        if self.perceptual is not None and self.step % config.perceptual_every == 0:
            with self._autocast():
                distances = {
                    name: self.perceptual(view, views.wanted[name], views.weight[name])
                    for name, view in views.generated.items()
                }
            total = sum(VIEW_SHARE[name] * value for name, value in distances.items())
            terms["perceptual"] = config.perceptual * config.perceptual_every * total
        displaced = (correction.landmarks - batch.displacement).abs().mean()
        terms["landmarks"] = config.landmarks * displaced
        roughness, excess = restraint(correction, batch.mask, config)
        terms["smoothness"], terms["restraint"] = config.smoothness * roughness, config.restraint * excess
        playing = self.step >= config.adversarial_from and config.adversarial > 0
        judged = views.judged()
        if playing:
            self.discriminators.requires_grad_(False)
            with self._autocast():
                fakes = self.discriminators(judged)
                with torch.no_grad():
                    reals = self.discriminators(views.wanted)
            terms["adversarial"] = -config.adversarial * sum(logits.float().mean() for logits, _ in fakes.values())
            matched = [
                (mine - other).float().abs().mean()
                for name in fakes
                for mine, other in zip(fakes[name][1], reals[name][1], strict=True)
            ]
            terms["features"] = config.features * sum(matched) / len(matched)
        loss = sum(terms.values())
        for group in self.generator_optimiser.param_groups:
            group["lr"] = self._learning_rate()
        self.generator_optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.generator.parameters(), 5.0)
        self.generator_optimiser.step()
        images = (self.step + 1) * config.batch
        self.average.update(self.generator, batch_images=config.batch, images=images)
        values = {name: float(term.detach()) for name, term in ({"loss": loss} | terms).items()}
        if playing:
            values |= self._judge({n: v.detach() for n, v in judged.items()}, views.wanted)
        return values

    def _judge(self, fakes: dict[str, Tensor], reals: dict[str, Tensor]) -> dict[str, float]:
        """One step of the discriminators; returns their loss and how often each is right."""
        config = self.config
        self.discriminators.requires_grad_(True)
        with self._autocast():
            on_fakes, on_reals = self.discriminators(fakes), self.discriminators(reals)
        loss = torch.zeros(())
        right = {}
        for name in fakes:
            fake, real = on_fakes[name][0].float(), on_reals[name][0].float()
            loss = loss + torch.relu(1 + fake).mean() + torch.relu(1 - real).mean()
            right[f"right_{name}"] = float(((fake < 0).float().mean() + (real > 0).float().mean()) / 2)
        if self.step % config.r1_every == 0:
            points = {name: view.clone().requires_grad_(True) for name, view in reals.items()}
            total = sum(logits.sum() for logits, _ in self.discriminators(points).values())
            gradients = torch.autograd.grad(total, list(points.values()), create_graph=True)
            penalty = sum(g.square().sum((1, 2, 3)).mean() / (g.shape[2] * g.shape[3]) for g in gradients)
            loss = loss + config.r1 * config.r1_every * penalty
        self.discriminator_optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.discriminator_optimiser.step()
        return {"discriminator": float(loss.detach()), **right}


def main(arguments: list[str]) -> None:
    """Train as the arguments say."""
    samples, out = Path(arguments[0]), Path(arguments[1])
    config = UnitTrainConfig.read(Path(arguments[2]) if len(arguments) > 2 else None)
    out.mkdir(parents=True, exist_ok=True)
    world = World.init(os.environ.get("FACEMOTION_DEVICE", "auto"))
    try:
        UnitTrainer(config, UnitSampleFolder(samples / "train"), out, world).run()
    finally:
        world.destroy()


if __name__ == "__main__":
    main(sys.argv[1:])
