"""The training loop: batches, losses, steps; records, sheets, checkpoints; stops in good order."""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from facemotion.errors import TrainingError
from facemotion.model.release import save_release
from facemotion.train.augment import augment
from facemotion.train.checkpoint import Progress, is_finite, save_state
from facemotion.train.config import Phase, TrainConfig
from facemotion.train.dataset import Batch, ClipPool
from facemotion.train.distributed import World
from facemotion.train.loader import Loader
from facemotion.train.networks import Networks
from facemotion.train.optimise import learning_rate
from facemotion.train.record import LossMeter, LossRecord
from facemotion.train.sampler import Sampler
from facemotion.train.sheet import SheetPeople, draw_sheet, save_sheet
from facemotion.train.step import Shown, adversarial_terms, discriminator_loss, supervised_terms, trial
from facemotion.train.validate import Validation

CHECK_STEPS = 8
"""Steps between looks at whether all losses were finite (a look waits for the device)."""
DIVERGED = 3.0
"""Running mean of the reconstruction loss over its best since the phase began, from which on training has diverged."""
SETTLED = 8
"""Lines of the record after which the running mean counts."""


@dataclass(frozen=True)
class Ticket:
    """An order to the loader: samples ``first`` … ``first + count − 1`` for one batch of one process."""

    first: int
    count: int
    phase: Phase


def plan(config: TrainConfig, world: World, progress: Progress) -> Iterator[list[Ticket]]:
    """The batches of this process, step by step, from ``progress`` on."""
    images, samples = progress.images, progress.samples
    while True:
        phase = config.phase_at(images)
        share = phase.sources
        batches = config.optimiser.accumulate
        firsts = [samples + (batch * world.size + world.rank) * share for batch in range(batches)]
        yield [Ticket(first, share, phase) for first in firsts]
        samples += share * world.size * batches
        images += share * world.size * batches * config.sampler.frames_per_source


@dataclass(frozen=True)
class Report:
    """How the training stands, after every step."""

    images: int
    total: int
    images_per_s: float
    loader_images_per_s: float
    """What the loader's threads could deliver."""
    waited: float
    """Share of the time in which training waited for the loader."""
    losses: dict[str, float] | None
    """Means since the last record, when one was just written."""


class Trainer:
    """A training under way in a folder. ``run`` continues it until it is finished, out of time or told to stop."""

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
        """``pool``: clips to train on; ``validation``: people for sheets and numbers (the training people if None);
        ``credit``: what the release says about data and origin."""
        self.config, self.pool, self.networks, self.folder, self.world = config, pool, networks, folder, world
        self.progress = networks.progress
        self.credit = credit or {}
        self._sampler = Sampler(pool.facts, config=config.sampler, augment=config.augment, seed=config.seed)
        self._validation_pool = validation
        self._workers = workers
        self._meter = LossMeter()
        self._bad = torch.zeros((), dtype=torch.bool, device=world.device)
        self._watch = _Watch()

    @property
    def shares(self) -> dict[str, float]:
        """Share of the samples by group."""
        return self._sampler.shares

    def run(
        self,
        *,
        time_budget_s: float | None = None,
        stop: Callable[[], bool] = lambda: False,
        report: Callable[[Report], None] = lambda _: None,
    ) -> str:
        """Train; returns ``finished``, ``time budget`` or ``stopped``, the state having been saved.

        Raises ``TrainingError`` when a loss is not finite or diverges; the last good state stays on disk.
        """
        begun = saved = time.monotonic()
        steps = plan(self.config, self.world, self.progress)
        tickets = (ticket for step in steps for ticket in step)
        loader = Loader(self._read, lambda: next(tickets), workers=self._workers)
        record = LossRecord(self.folder, images=self.progress.images) if self.world.leads else None
        clock = _Clock(loader)
        longest = 0.0
        try:
            while self.progress.images < self.config.images:
                now = time.monotonic()
                late = time_budget_s is not None and now - begun + 1.2 * longest > time_budget_s
                if self.world.any(late or stop()):
                    self._check()
                    self.save()
                    return "time budget" if late else "stopped"
                images = self._step(loader)
                self.progress.seconds += time.monotonic() - now
                clock.add(images)
                if self.progress.steps % CHECK_STEPS == 0:
                    self._check()
                losses = self._write(record, clock) if self._crossed(images, self.config.log_images) else None
                if self._crossed(images, self.config.sheet_images):
                    self._show(record)
                if self.world.any(time.monotonic() - saved > 60 * self.config.checkpoint_minutes):
                    self._check()
                    self.save()
                    saved = time.monotonic()
                report(clock.report(self.progress.images, self.config.images, losses))
                longest = max(longest, time.monotonic() - now)
            self._check()
            self._show(record)
            self.save()
            return "finished"
        finally:
            loader.close()
            if record:
                record.close()

    def save(self) -> None:
        """Write the training state and the release, by the leading process."""
        if not self.world.leads:
            return
        save_state(self.folder / "state.pt", self.networks.state())
        record = {
            "images": self.progress.images,
            "hours": round(self.progress.seconds / 3600, 3),
            "processes": self.world.size,
            "device": self.world.device.type,
            "training": asdict(self.config),
            **self.credit,
        }
        save_release(self.folder / "release.safetensors", self.networks.average.network, record)

    def _read(self, ticket: Ticket) -> tuple[Ticket, Batch]:
        samples = [self._sampler.sample(ticket.first + i) for i in range(ticket.count)]
        batch = self.pool.batch(samples, size=ticket.phase.paint_px)
        return ticket, batch.pin() if self.world.device.type == "cuda" else batch

    def _step(self, loader: Loader) -> int:
        """One optimiser step of generator and, once it is on, adversary; returns the images shown."""
        config, networks, progress = self.config, self.networks, self.progress
        accumulate = config.optimiser.accumulate
        rate = learning_rate(config.optimiser, images=progress.images, total=config.images)
        strength = _ramp(progress.images, start=config.adversary.from_images, length=config.adversary.ramp_images)
        playing = progress.images >= config.adversary.from_images
        shown_images = 0
        for index in range(accumulate):
            ticket, batch = next(loader)
            with networks.gathering(last=index == accumulate - 1):
                self._backward(batch.to(self.world.device), ticket.phase, playing=playing, strength=strength)
            shown_images += ticket.count * self.world.size * config.sampler.frames_per_source
            progress.samples += ticket.count * self.world.size
        norm = networks.step(rate, playing=playing)
        self._bad |= ~torch.isfinite(norm)
        self._meter.add({"gradient_norm": norm})
        progress.images += shown_images
        progress.steps += 1
        networks.average.update(networks.generator, batch_images=shown_images, images=progress.images)
        return shown_images

    def _backward(self, batch: Batch, phase: Phase, *, playing: bool, strength: float) -> None:
        """Gradients of one batch, added to those there are."""
        config, networks = self.config, self.networks
        autocast = config.precision == "bf16"
        with torch.no_grad():
            frames, landmarks = augment(batch, size=phase.paint_px)
        shown = Shown(frames, landmarks, batch.control, batch.real)
        made = networks.generator_step(shown.source, shown.control, input_px=phase.input_px, autocast=autocast)
        terms = supervised_terms(shown, made, config.losses)
        parts: dict[str, Tensor] = {}
        if playing:
            seen = trial(shown, made, networks.judges, real_weight=config.adversary.real_weight)
            every = config.adversary.r1_every
            lazily = config.adversary.r1 * every if self.progress.steps % every == 0 else 0.0
            loss, parts, on_real = discriminator_loss(networks.judges_step, seen, r1=lazily, autocast=autocast)
            (loss / config.optimiser.accumulate).backward()
            terms |= adversarial_terms(networks.judges, seen, on_real, autocast=autocast)
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

    def _write(self, record: LossRecord | None, clock: "_Clock") -> dict[str, float]:
        """Write means of the losses since the last line; raise ``TrainingError`` if they diverge."""
        means = self._meter.means()
        values = self.world.mean(torch.stack(list(means.values()))).tolist()
        losses = dict(zip(means, values, strict=True))
        self._check()
        if self._watch.diverges(losses["reconstruction"], self.config.phase_at(self.progress.images)):
            raise TrainingError(
                f"training diverged near image {self.progress.images:,}: the reconstruction loss keeps growing",
                f"The last good state is kept in {self.folder}; continue from it with --init and a lower optimiser.lr.",
            )
        if record:
            record.write({"images": self.progress.images, **clock.values(), **losses})
        return losses

    def _show(self, record: LossRecord | None) -> None:
        """Sample sheet and validation numbers of the averaged generator, by the leading process."""
        if record is None:
            return
        phase = self.config.phase_at(self.progress.images)
        pool = self._validation_pool or self.pool
        people = SheetPeople.choose(pool, count=8, size=phase.paint_px)
        network = self.networks.average.network
        name = f"{self.progress.images:09d}.png"
        save_sheet(self.folder / "sheets" / name, draw_sheet(network, people, input_px=phase.input_px))
        if self._validation_pool:
            validation = Validation(self._validation_pool, self.config.sampler)
            values = validation.measure(network, input_px=phase.input_px, paint_px=phase.paint_px)
            record.write({"images": self.progress.images, **values})

    def _crossed(self, images: int, interval: int) -> bool:
        """Whether the last step of ``images`` passed a multiple of ``interval``."""
        return self.progress.images // interval > (self.progress.images - images) // interval


def _ramp(images: int, *, start: int, length: int) -> float:
    return min(1.0, max(0.0, (images - start) / max(length, 1)))


class _Watch:
    """Tells a growing loss from a noisy one, phase by phase (another resolution has other losses)."""

    def __init__(self):
        self._phase: Phase | None = None

    def diverges(self, loss: float, phase: Phase) -> bool:
        """Whether the running mean of the losses so far, this one included, is ``DIVERGED`` times its best."""
        if phase != self._phase:
            self._phase, self._lines, self._mean, self._best = phase, 0, loss, float("inf")
        self._lines += 1
        self._mean += (loss - self._mean) / min(self._lines, SETTLED)
        if self._lines < SETTLED:
            return False
        self._best = min(self._best, self._mean)
        return self._mean > DIVERGED * self._best


class _Clock:
    """Rates over the last part of the run."""

    def __init__(self, loader: Loader):
        self._loader = loader
        self._begin()

    def _begin(self) -> None:
        self._start, self._images = time.monotonic(), 0
        self._waited, self._busy = self._loader.waited_s, self._loader.busy_s

    def add(self, images: int) -> None:
        self._images += images

    def report(self, images: int, total: int, losses: dict[str, float] | None) -> Report:
        values = self.values()
        if losses is not None:
            self._begin()
        return Report(images, total, values["images_per_s"], values["loader_images_per_s"], values["waited"], losses)

    def values(self) -> dict[str, float]:
        elapsed = max(time.monotonic() - self._start, 1e-9)
        busy = (self._loader.busy_s - self._busy) / self._loader.workers
        return {
            "images_per_s": self._images / elapsed,
            "loader_images_per_s": self._images / max(busy, 1e-9),
            "waited": (self._loader.waited_s - self._waited) / elapsed,
        }
