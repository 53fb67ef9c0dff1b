"""Training: samples to a generator, in steps that a resume repeats exactly.

The folder of a training receives ``config.json``, ``state.pt`` (everything an exact resume needs), ``log.jsonl`` and
``generator.safetensors`` (averaged weights). Under ``torchrun`` the batch is shared between processes.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from facemotion.datasets.prepare import read_plan
from facemotion.datasets.samples import SampleFolder
from facemotion.datasets.sources import sources_of
from facemotion.errors import OutputError, TrainingError
from facemotion.media.atomic import write_whole
from facemotion.media.records import MalformedError, built, checked, malformed, parse_object
from facemotion.models.discriminators import Discriminators
from facemotion.models.release import save_release
from facemotion.training.checkpoint import load_state, save_state
from facemotion.training.config import CorrectionTrainConfig, PaperTrainConfig
from facemotion.training.data import SampleBatch, batches
from facemotion.training.distributed import World
from facemotion.training.ema import WeightAverage
from facemotion.training.methods import method_of

STATE_FILE, LOG_FILE, CONFIG_FILE, RELEASE_FILE = "state.pt", "log.jsonl", "config.json", "generator.safetensors"
FINISHED, OUT_OF_TIME, STOPPED = "finished", "time budget", "stopped"
CREDIT = {
    "head": "ICT-FaceKit (MIT, USC Institute for Creative Technologies)",
    "perceptual loss": "EfficientNet-Lite0 (Apache-2.0)",
}
"""What the release says about its origin beside its data."""


@dataclass(frozen=True)
class StepReport:
    """How a training stands after a step."""

    step: int
    steps: int
    seconds: float
    """A step takes so long, on average of this run."""
    losses: dict[str, float]


class Trainer:
    """A training under way in a folder."""

    def __init__(
        self,
        config: CorrectionTrainConfig | PaperTrainConfig,
        samples: SampleFolder,
        folder: Path,
        world: World,
        *,
        own_sources: tuple[dict, ...] = (),
    ):
        """Resumes where the folder holds a state. ``own_sources`` are those of the samples that belong to no known set.

        Raises TrainingError for a training of another configuration or on other samples.
        """
        self.config, self.samples, self.folder, self.world = config, samples, folder, world
        self._sources = [*(asdict(source) for source in sources_of(samples.people)), *own_sources]
        torch.manual_seed(config.seed)
        self._method = method_of(config, world.device)
        generator = self._method.generator.to(world.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        discriminators = Discriminators().to(world.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = WeightAverage(generator, half_life_images=config.ema_half_life)
        self.generator_optimiser = torch.optim.Adam(generator.parameters(), 1.0, betas=(0.9, 0.99))
        self.discriminator_optimiser = torch.optim.Adam(
            discriminators.parameters(), config.discriminator_learning_rate, betas=(0.0, 0.99)
        )
        self.step = 0
        self.generator = generator
        if (folder / STATE_FILE).exists():
            self._resume(folder / STATE_FILE, discriminators)
        self._generator = world.wrap(generator, partly_used=True)
        self.discriminators = world.wrap(discriminators, partly_used=True)
        self._bf16 = world.best_precision() == "bf16"

    def _resume(self, file: Path, discriminators: nn.Module) -> None:
        state = load_state(file)
        try:
            with malformed():
                stored = built(type(self.config), checked(state["config"], dict, "config"))
                if stored != self.config:
                    raise TrainingError(
                        f"{file.parent} holds a training of another configuration", "Give a new folder."
                    )
                if state.get("samples", len(self.samples)) != len(self.samples):
                    raise TrainingError(f"{file.parent} holds a training on other samples", "Give a new folder.")
                self.generator.load_state_dict(state["generator"])
                discriminators.load_state_dict(state["discriminators"])
                self.average.network.load_state_dict(state["average"])
                self.generator_optimiser.load_state_dict(state["generator_optimiser"])
                self.discriminator_optimiser.load_state_dict(state["discriminator_optimiser"])
                self.step = checked(state["step"], int, "step")
        except MalformedError as error:
            raise TrainingError(
                f"{file.parent} holds a damaged training, or one of another configuration ({error})",
                "Start again in a new folder.",
            ) from error

    def run(
        self,
        *,
        until: int | None = None,
        time_budget_s: float | None = None,
        stop: Callable[[], bool] | None = None,
        report: Callable[[StepReport], None] | None = None,
    ) -> str:
        """Train to the end, or to a step before it, or until the time is over or ``stop()`` says so; saves the state.

        Returns `FINISHED`, `OUT_OF_TIME` or `STOPPED`. Raises TrainingError for a loss that is not a number: the last
        state on disk is kept.
        """
        last = self.config.steps if until is None else min(until, self.config.steps)
        start, began = self.step, time.monotonic()
        ending = FINISHED
        if self.world.is_main:
            self._begin_files()
        world = self.world
        for batch in batches(
            self.samples, self.config, self.step, rank=world.rank, size=world.size, device=world.device
        ):
            if self.step >= last:
                break
            losses = self._train(batch)
            self.step += 1
            seconds = (time.monotonic() - began) / (self.step - start)
            if self.world.is_main:
                self._log({"step": self.step} | losses | {"seconds": seconds})
                if report is not None:
                    report(StepReport(self.step, self.config.steps, seconds, losses))
            ending = self._ending(began, time_budget_s, stop)
            if ending != FINISHED:
                break
            if self.step % self.config.save_every == 0:
                self.save()
        self.save()
        return ending

    def _ending(self, began: float, time_budget_s: float | None, stop: Callable[[], bool] | None) -> str:
        """Why the training ends after this step; `FINISHED` where it does not. The same in all processes."""
        asked = stop is not None and stop()
        over = time_budget_s is not None and time.monotonic() - began >= time_budget_s
        why = self.world.most(2 if asked else 1 if over else 0)
        return (FINISHED, OUT_OF_TIME, STOPPED)[why]

    def _begin_files(self) -> None:
        """The folder with its configuration; lines of the log from beyond the state are dropped, as those steps are
        taken again."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / CONFIG_FILE).write_text(self.config.to_json())
            log = self.folder / LOG_FILE
            if log.is_file():
                lines = log.read_text(errors="replace").splitlines(True)
                write_whole(log, "".join(line for line in lines if _step_of(line) <= self.step).encode())
        except OSError as error:
            raise OutputError(f"{self.folder} cannot be written ({error}).", "Choose another folder.") from error

    def _log(self, values: dict[str, float]) -> None:
        rounded = {name: value if isinstance(value, int) else round(value, 5) for name, value in values.items()}
        with open(self.folder / LOG_FILE, "a") as log:
            print(json.dumps(rounded), file=log)

    def save(self) -> None:
        """Write the state and the release."""
        if not self.world.is_main:
            return
        unwrapped = getattr(self.discriminators, "module", self.discriminators)
        state = {
            "config": json.loads(self.config.to_json()),
            "samples": len(self.samples),
            "generator": self.generator.state_dict(),
            "discriminators": unwrapped.state_dict(),
            "average": self.average.network.state_dict(),
            "generator_optimiser": self.generator_optimiser.state_dict(),
            "discriminator_optimiser": self.discriminator_optimiser.state_dict(),
            "step": self.step,
        }
        save_state(self.folder / STATE_FILE, state)
        record = CREDIT | {"data": self._sources, "steps": self.step, "samples": self.step * self.config.batch}
        save_release(self.folder / RELEASE_FILE, self.average.network, record)

    def _learning_rate(self) -> float:
        config = self.config
        done = self.step / config.steps
        fall = 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * done))
        return config.learning_rate * fall * min(1.0, (self.step + 1) / config.warm_up)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.world.device.type, torch.bfloat16, enabled=self._bf16)

    def _train(self, batch: SampleBatch) -> dict[str, float]:
        """One step of the generator, then one of the discriminators."""
        config = self.config
        terms, views = self._method.terms(self._generator, batch, step=self.step, autocast=self._bf16)
        adversarial = self.step >= config.adversarial_from and config.adversarial > 0
        if adversarial:  # in all processes or in none
            adversarial = self.world.most(int(not batch.photographed.any())) == 0
        if adversarial:
            fakes, reals, photos = views.for_discriminators(batch.photographed)
            terms |= self._adversarial_terms(fakes, reals, photos)
        loss = torch.stack(list(terms.values())).sum()
        if not torch.isfinite(loss):  # backward through places that are no numbers may end the process
            raise TrainingError(
                f"the loss is {float(loss.detach())} in step {self.step + 1}", "Lower the learning rate."
            )
        for group in self.generator_optimiser.param_groups:
            group["lr"] = self._learning_rate()
        self.generator_optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.generator.parameters(), 5.0)
        self.generator_optimiser.step()
        images = (self.step + 1) * config.batch
        self.average.update(self.generator, batch_images=config.batch, images=images)
        values = {name: float(term.detach()) for name, term in ({"loss": loss} | terms).items()}
        if adversarial:
            values |= self._train_discriminators({name: view.detach() for name, view in fakes.items()}, reals, photos)
        return values

    def _adversarial_terms(
        self, fakes: dict[str, Tensor], reals: dict[str, Tensor], photos: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """By which the discriminators, held fixed, train the generator: hinge loss and feature matching."""
        self.discriminators.requires_grad_(False)
        with self._autocast():
            on_fakes = self.discriminators(fakes, photos)
            with torch.no_grad():
                on_reals = self.discriminators(reals, photos)
        logits = torch.stack([logits.float().mean() for logits, _ in on_fakes.values()]).sum()
        matched = [
            (mine - other).float().abs().mean()
            for name in on_fakes
            for mine, other in zip(on_fakes[name][1], on_reals[name][1], strict=True)
        ]
        return {
            "adversarial": -self.config.adversarial * logits,
            "features": self.config.features * torch.stack(matched).mean(),
        }

    def _train_discriminators(
        self, fakes: dict[str, Tensor], reals: dict[str, Tensor], photos: dict[str, Tensor]
    ) -> dict[str, float]:
        """One step of the discriminators; returns their loss and how often each is right."""
        config = self.config
        self.discriminators.requires_grad_(True)
        with self._autocast():
            on_fakes, on_reals = self.discriminators(fakes, photos), self.discriminators(reals, photos)
        parts, right = [], {}
        for name in fakes:
            fake, real = on_fakes[name][0].float(), on_reals[name][0].float()
            parts.append(torch.relu(1 + fake).mean() + torch.relu(1 - real).mean())
            right[f"right_{name}"] = float(((fake < 0).float().mean() + (real > 0).float().mean()) / 2)
        loss = torch.stack(parts).sum()
        if self.step % config.r1_every == 0:
            points = {name: view.clone().requires_grad_(True) for name, view in reals.items()}
            total = torch.stack([logits.sum() for logits, _ in self.discriminators(points, photos).values()]).sum()
            gradients = torch.autograd.grad(total, list(points.values()), create_graph=True)
            penalty = [g.square().sum((1, 2, 3)).mean() / (g.shape[2] * g.shape[3]) for g in gradients]
            loss = loss + config.r1 * config.r1_every * torch.stack(penalty).sum()
        self.discriminator_optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.discriminator_optimiser.step()
        return {"discriminator": float(loss.detach()), **right}


def open_training(
    folders: list[Path], config: CorrectionTrainConfig | PaperTrainConfig, out: Path, world: World
) -> Trainer:
    """The training of ``config`` on folders of samples (those of ``train`` below each) in ``out``.

    Raises InputError for folders without samples, TrainingError as `Trainer` does.
    """
    samples = SampleFolder(*(folder / "train" for folder in folders))
    known = {source.name for source in sources_of(samples.people)}
    plans = [plan for folder in folders if (plan := read_plan(folder)) is not None]
    own = tuple(source for plan in plans for source in plan["sources"] if source["name"] not in known)
    return Trainer(config, samples, out, world, own_sources=own)


def _step_of(line: str) -> int:
    """The step of a line of the log; a line cut off by a crash belongs to no point of the training."""
    try:
        return checked(parse_object(line)["step"], int, "step")
    except (MalformedError, KeyError):
        return 1 << 62
