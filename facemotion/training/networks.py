"""Everything that learns: generator, its average, discriminators, their optimisers, and the training's counters."""

import contextlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from facemotion.errors import TrainingError
from facemotion.media.records import MalformedError, built, check_tensors, checked, malformed
from facemotion.models.discriminators import Discriminators
from facemotion.models.generator import Generator, GeneratorConfig
from facemotion.models.release import load_release
from facemotion.models.transfer import transferred
from facemotion.training.checkpoint import TrainingProgress, load_matching, load_moments, load_state
from facemotion.training.config import OptimiserConfig, TrainConfig
from facemotion.training.distributed import World
from facemotion.training.ema import WeightAverage
from facemotion.training.step import DiscriminatorStep, GeneratorStep


class Networks:
    """Built from the configuration's seed; ``restore`` makes them those of a checkpoint."""

    def __init__(self, config: TrainConfig, world: World):
        torch.manual_seed(config.seed)
        self.config = config
        generator = Generator(config.generator)
        discriminators = Discriminators(
            controls=len(config.generator.expressions),
            regions=config.adversary.regions,
            face_px=config.adversary.face_px,
            spectral_norm=config.adversary.spectral_norm,
        )
        if not config.adversary.spectral_norm:
            initialise_he(discriminators)
        layout = torch.channels_last if world.device.type == "cuda" else torch.contiguous_format  # measured faster
        self.generator: Generator = generator.to(world.device, memory_format=layout).train()  # type: ignore[call-overload]
        self.discriminators: Discriminators = discriminators.to(world.device, memory_format=layout).train()  # type: ignore[call-overload]
        self.average = WeightAverage(self.generator, half_life_images=config.optimiser.ema_half_life_images)
        partly = config.generator.preset == "paper" or config.generator.residual == "separate"
        self.generator_step = world.wrap(GeneratorStep(self.generator), partly_used=partly)
        self.discriminator_step = world.wrap(DiscriminatorStep(self.discriminators))
        optimiser = config.optimiser
        self.generator_optimiser = adamw(
            self.generator.parameters(), betas=(optimiser.beta1, optimiser.beta2), weight_decay=optimiser.weight_decay
        )
        self.discriminator_optimiser = adamw(
            self.discriminators.parameters(), betas=(config.adversary.beta1, optimiser.beta2), weight_decay=0.0
        )
        self.progress = TrainingProgress()
        self.data = ""
        """Fingerprint of the clips."""

    @contextlib.contextmanager
    def accumulating(self, *, last: bool) -> Iterator[None]:
        """Gradients of a batch; processes exchange them only for the ``last`` one of a step."""
        with contextlib.ExitStack() as stack:
            for module in (self.generator_step, self.discriminator_step):
                if isinstance(module, DistributedDataParallel) and not last:
                    stack.enter_context(module.no_sync())
            yield

    def step(self, rate: float, *, train_discriminators: bool) -> Tensor:
        """Step the generator's optimiser, on request the discriminators' as well; returns the norm of the gradients."""
        norm = nn.utils.clip_grad_norm_(self.generator.parameters(), self.config.optimiser.clip_norm)
        optimisers = [(self.generator_optimiser, rate)]
        if train_discriminators:
            share = rate / self.config.optimiser.lr
            optimisers.append((self.discriminator_optimiser, share * self.config.adversary.lr))
        for optimiser, value in optimisers:
            set_rate(optimiser, value)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        return norm

    def state(self) -> dict:
        """Everything that ``restore`` needs."""
        return {
            "config": asdict(self.config),
            "data": self.data,
            "progress": asdict(self.progress),
            "generator": self.generator.state_dict(),
            "average": self.average.network.state_dict(),
            "average_images_before": self.average.images_before,
            "discriminators": self.discriminators.state_dict(),
            "generator_optimiser": self.generator_optimiser.state_dict(),
            "discriminator_optimiser": self.discriminator_optimiser.state_dict(),
        }

    def restore(self, state: dict) -> None:
        """Continue from ``state`` of the same configuration exactly. Raises MalformedError for any other."""
        with malformed():
            parts = {
                "generator": self.generator,
                "average": self.average.network,
                "discriminators": self.discriminators,
            }
            for name, network in parts.items():
                check_tensors(state[name], network.state_dict())
                network.load_state_dict(state[name])
            self.average.images_before = _count(state["average_images_before"])
            load_moments(self.generator_optimiser, state["generator_optimiser"])
            load_moments(self.discriminator_optimiser, state["discriminator_optimiser"])
            progress = built(TrainingProgress, state["progress"])
            if min(progress.images, progress.samples, progress.steps, progress.seconds) < 0:
                raise MalformedError("counters below zero")
            for name, value in asdict(progress).items():
                setattr(self.progress, name, value)

    def initialise(self, path: Path) -> list[str]:
        """Begin from the weights of a release or of another training's state, whatever its losses and schedule were.

        Expressions are matched by name, see `transferred`. What then fits by name and shape is taken, the rest keeps
        its random initial values; returns the names of the latter in the generator. Of a state, the optimisers' moments
        are taken as well where the networks are the same. Raises ``TrainingError`` or ``WeightsError`` for a file that
        is neither, or one in which nothing fits. The score of glasses is left out: it was fitted to features that are
        about to change, and clips show glasses that bend.
        """
        try:
            with malformed():
                left = self._begin_with(path)
        except MalformedError as error:
            raise TrainingError(f"{path} is damaged ({error})", "Begin from another file.") from error
        if len(left) == len(self.generator.state_dict()):
            raise TrainingError(f"nothing in {path} fits this generator", "Use the generator settings of its training.")
        return left

    def _begin_with(self, path: Path) -> list[str]:
        if path.suffix == ".safetensors":
            generator, record = load_release(path)
            weights = average = generator.state_dict()
            source = generator.config
            images = _count(record.get("images", 0)) + _count(record.get("images_before", 0))
        else:
            state = load_state(path)
            source = GeneratorConfig.from_dict(state["config"]["generator"])
            with torch.device("meta"):  # takes no memory, whatever sizes the file asks for
                expected = Generator(source).state_dict()
            weights, average = state["generator"], state["average"]
            for tensors in (weights, average):
                check_tensors(tensors, expected)
            images = _count(state["average_images_before"]) + _count(state["progress"]["images"])
            if state["discriminator_optimiser"]["state"]:  # they have been trained
                load_matching(self.discriminators, state["discriminators"])
            for optimiser, name in (
                (self.generator_optimiser, "generator_optimiser"),
                (self.discriminator_optimiser, "discriminator_optimiser"),
            ):
                with contextlib.suppress(MalformedError):  # of networks of other sizes
                    load_moments(optimiser, state[name])
        weights, average = (
            transferred(_without_glasses(state), source, self.config.generator) for state in (weights, average)
        )
        left = load_matching(self.generator, weights)
        load_matching(self.average.network, average)
        self.average.images_before = images
        return left


def _count(value: Any) -> int:
    if checked(value, int, "images") < 0:
        raise MalformedError("images below zero")
    return value


def _without_glasses(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in state.items() if not name.startswith("glasses.")}


def initialise_he(discriminators: nn.Module) -> None:
    """Initial weights that keep the variance through leaky rectifiers (He et al., ICCV 2015).

    With PyTorch's own, which shrink it layer by layer, the discriminators stayed at chance (docs/training.md).
    """
    for module in discriminators.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, a=0.2)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def learning_rate(config: OptimiserConfig, *, images: int, total: int) -> float:
    """Rate of the generator: linear warm-up, then constant or half a cosine down to a twentieth at ``total``."""
    rate = config.lr * min(1.0, (images + 1) / max(config.warmup_images, 1))
    if config.schedule == "cosine":
        rate *= 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * min(images / total, 1.0)))
    return rate


def adamw(parameters: Iterable[nn.Parameter], *, betas: tuple[float, float], weight_decay: float) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter, ICLR 2019) whose rate is set before every step."""
    return torch.optim.AdamW(parameters, lr=0.0, betas=betas, weight_decay=weight_decay, fused=True)


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of every group."""
    for group in optimiser.param_groups:
        group["lr"] = rate
