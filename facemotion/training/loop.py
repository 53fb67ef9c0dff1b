"""The training loop: batches, losses, steps; log, sample grids, checkpoints; stops cleanly."""

import copy
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor

from facemotion.errors import TrainingError
from facemotion.models.release import save_release
from facemotion.training.augment import augment
from facemotion.training.checkpoint import is_finite, save_state
from facemotion.training.config import Phase, TrainConfig
from facemotion.training.dataset import Batch, ClipPool
from facemotion.training.distributed import World
from facemotion.training.loader import BatchRequest, Loader, plan_batches
from facemotion.training.log import DivergenceWatch, LossLog, LossMeter, ThroughputMeter, ThroughputReport
from facemotion.training.networks import Networks, learning_rate
from facemotion.training.sample_grid import SamplePeople, draw_samples, save_samples
from facemotion.training.sampler import Sampler
from facemotion.training.step import (
    AugmentedBatch,
    adversarial_terms,
    discriminator_input,
    discriminator_loss,
    supervised_terms,
)
from facemotion.training.validate import Validation

CHECK_STEPS = 8
"""Steps between checks that all losses were finite (a check waits for the device)."""


class Trainer:
    """A training under way in a folder. ``run`` continues it until it is finished, out of time or asked to stop."""

    def __init__(
        self,
        config: TrainConfig,
        pool: ClipPool,
        networks: Networks,
        *,
        folder: Path,
        world: World,
        validation: ClipPool | None = None,
        workers: int = 1,
        credit: dict | None = None,
    ):
        """``pool``: clips to train on; ``validation``: people for grids and numbers (the training people if None);
        ``credit``: what the release says about data and origin."""
        self.config, self.pool, self.networks, self.folder, self.world = config, pool, networks, folder, world
        self.progress = networks.progress
        self.credit = credit or {}
        self._sampler = Sampler(pool.facts, config=config.sampler, augment=config.augment, seed=config.seed)
        self._validation_pool = validation
        self._workers = workers
        self._meter = LossMeter()
        self._bad = torch.zeros((), dtype=torch.bool, device=world.device)
        self._watch = DivergenceWatch()
        self._phase = config.phase_at(max(self.progress.images - 1, 0))
        """The phase of the last step."""

    @property
    def shares(self) -> dict[str, float]:
        """Share of the samples by group."""
        return self._sampler.shares

    def run(
        self,
        *,
        time_budget_s: float | None = None,
        stop: Callable[[], bool] = lambda: False,
        report: Callable[[ThroughputReport], None] = lambda _: None,
    ) -> str:
        """Train; returns ``finished``, ``time budget`` or ``stopped``, the state having been saved.

        Raises ``TrainingError`` when a loss is not finite or diverges; the last good state stays on disk.
        """
        started = saved = time.monotonic()
        steps = plan_batches(self.config, self.world, self.progress)
        requests = (request for step in steps for request in step)
        loader = Loader(self._read, requests.__next__, workers=self._workers)
        log = LossLog(self.folder, images=self.progress.images) if self.world.is_main else None
        throughput = ThroughputMeter(loader)
        longest = 0.0
        try:
            while self.progress.images < self.config.images:
                now = time.monotonic()
                late = time_budget_s is not None and now - started + 1.2 * longest > time_budget_s
                ending = self.world.most(2 if stop() else 1 if late else 0)  # clocks differ: all end for one reason
                if ending:
                    self._check()
                    self.save()
                    return "stopped" if ending == 2 else "time budget"
                images = self._step(loader)
                self.progress.seconds += time.monotonic() - now
                throughput.add(images)
                if self.progress.steps % CHECK_STEPS == 0:
                    self._check()
                losses = self._write(log, throughput) if self._crossed(images, self.config.log_images) else None
                if self._crossed(images, self.config.sample_images):
                    self._sample(log)
                if self.world.any(time.monotonic() - saved > 60 * self.config.checkpoint_minutes):
                    self._check()
                    self.save()
                    saved = time.monotonic()
                report(throughput.report(self.progress.images, self.config.images, losses))
                longest = max(longest, time.monotonic() - now)
            self._check()
            self._sample(log)
            self.save()
            return "finished"
        finally:
            loader.close()
            if log:
                log.close()

    def save(self) -> None:
        """Write the training state and the release, by the main process."""
        if not self.world.is_main:
            return
        save_state(self.folder / "state.pt", self.networks.state())
        record = {
            "images": self.progress.images,
            "images_before": self.networks.average.images_before,
            "hours": round(self.progress.seconds / 3600, 3),
            "processes": self.world.size,
            "device": self.world.device.type,
            "training": asdict(self.config),
            **self.credit,
        }
        release = copy.copy(self.networks.average.network)  # features have sizes: made for the resolution of training
        release.config = replace(release.config, input_px=self._phase.input_px, paint_px=self._phase.paint_px)
        save_release(self.folder / "release.safetensors", release, record)

    def _read(self, request: BatchRequest) -> tuple[BatchRequest, Batch]:
        samples = [self._sampler.sample(request.first + i) for i in range(request.count)]
        batch = self.pool.batch(samples, size=request.phase.paint_px)
        return request, batch.pin() if self.world.device.type == "cuda" else batch

    def _step(self, loader: Loader[BatchRequest, tuple[BatchRequest, Batch]]) -> int:
        """One optimiser step of generator and, once it is on, adversary; returns the images shown."""
        config, networks, progress = self.config, self.networks, self.progress
        accumulate = config.optimiser.accumulate
        rate = learning_rate(config.optimiser, images=progress.images, total=config.images)
        strength = _ramp(progress.images, start=config.adversary.from_images, length=config.adversary.ramp_images)
        train_discriminators = progress.images >= config.adversary.from_images
        shown_images = 0
        for index in range(accumulate):
            request, batch = next(loader)
            self._phase = request.phase
            with networks.accumulating(last=index == accumulate - 1):
                self._backward(
                    batch.to(self.world.device),
                    request.phase,
                    train_discriminators=train_discriminators,
                    strength=strength,
                )
            shown_images += request.count * self.world.size * config.sampler.frames_per_source
            progress.samples += request.count * self.world.size
        norm = networks.step(rate, train_discriminators=train_discriminators)
        self._bad |= ~torch.isfinite(norm)
        self._meter.add({"gradient_norm": norm})
        progress.images += shown_images
        progress.steps += 1
        networks.average.update(networks.generator, batch_images=shown_images, images=progress.images)
        return shown_images

    def _backward(self, batch: Batch, phase: Phase, *, train_discriminators: bool, strength: float) -> None:
        """Gradients of one batch, added to those there are."""
        config, networks = self.config, self.networks
        autocast = config.precision == "bf16"
        with torch.no_grad():
            frames, landmarks = augment(batch, size=phase.paint_px)
        shown = AugmentedBatch(frames, landmarks, batch.control, batch.real)
        anchors = shown.landmarks[:, 1:] if config.anchor_to_target else None
        made = networks.generator_step(shown.source, shown.control, anchors, input_px=phase.input_px, autocast=autocast)
        terms = supervised_terms(shown, made, config.losses)
        parts: dict[str, Tensor] = {}
        if train_discriminators:
            with_discriminators = shown.first(config.adversary.targets)
            frames = made.frames[:, : config.adversary.targets]
            seen = discriminator_input(
                with_discriminators, frames, networks.discriminators, real_weight=config.adversary.real_weight
            )
            every = config.adversary.r1_every
            lazily = config.adversary.r1 * every if self.progress.steps % every == 0 else 0.0
            loss, parts, on_real = discriminator_loss(networks.discriminator_step, seen, r1=lazily, autocast=autocast)
            (loss / config.optimiser.accumulate).backward()
            terms |= adversarial_terms(networks.discriminators, seen, on_real, autocast=autocast)
        scale = {"adversarial": strength, "feature_matching": strength}
        total = sum(getattr(config.losses, name) * scale.get(name, 1.0) * term for name, term in terms.items())
        self._bad |= ~torch.isfinite(total.detach())
        if self.world.device.type == "cpu" and self._bad:  # grid_sample's gradient at NaN coordinates would crash
            raise self._not_a_number()
        (total / config.optimiser.accumulate).backward()
        self._meter.add({**terms, **parts, "loss": total, "mask": made.mask.mean()})

    def _check(self) -> None:
        """Raise ``TrainingError`` if any loss or gradient, here or in another process, was not finite."""
        if self.world.any(bool(self._bad) or not is_finite(self.networks.generator)):
            raise self._not_a_number()

    def _not_a_number(self) -> TrainingError:
        return TrainingError(
            f"the loss became infinite or not a number near image {self.progress.images:,}",
            f"The last good state is kept in {self.folder}. Lower the rate: --set optimiser.lr="
            f"{self.config.optimiser.lr / 2:g} with --init {self.folder / 'state.pt'} and a new --out.",
        )

    def _write(self, log: LossLog | None, throughput: ThroughputMeter) -> dict[str, float]:
        """Write means of the losses since the last line; raise ``TrainingError`` if they diverge."""
        means = self._meter.means()
        values = self.world.mean(torch.stack(list(means.values()))).tolist()
        losses = dict(zip(means, values, strict=True))
        self._check()
        if self._watch.diverges(losses["reconstruction"], self._phase):
            raise TrainingError(
                f"training diverged near image {self.progress.images:,}: the reconstruction loss keeps growing",
                f"The last good state is kept in {self.folder}; continue from it with --init and a lower optimiser.lr.",
            )
        if log:
            log.write({"images": self.progress.images, **throughput.values(), **losses})
        return losses

    def _sample(self, log: LossLog | None) -> None:
        """Sample grid and validation numbers of the averaged generator, by the main process."""
        if log is None:
            return
        phase = self._phase
        pool = self._validation_pool or self.pool
        people = SamplePeople.choose(pool, count=8, size=phase.paint_px)
        network = self.networks.average.network
        name = f"{self.progress.images:09d}.png"
        save_samples(self.folder / "samples" / name, draw_samples(network, people, input_px=phase.input_px))
        if self._validation_pool:
            validation = Validation(self._validation_pool, self.config.sampler)
            values = validation.measure(network, input_px=phase.input_px, paint_px=phase.paint_px)
            log.write({"images": self.progress.images, **values})

    def _crossed(self, images: int, interval: int) -> bool:
        """Whether the last step of ``images`` passed a multiple of ``interval``."""
        return self.progress.images // interval > (self.progress.images - images) // interval


def _ramp(images: int, *, start: int, length: int) -> float:
    return min(1.0, max(0.0, (images - start) / max(length, 1)))
