"""Training samples without a face in them."""

import numpy as np

from facemotion.datasets.samples import Sample


def made_up_sample(seed: int, *, person: str = "portrait-a", kind: str = "back", size: int = 48) -> Sample:
    """Noise and bright squares, with a control of two units."""
    generator = np.random.default_rng(seed)
    source, target = generator.integers(0, 256, (2, size, size, 3), dtype=np.uint8)
    landmarks = (0.5 + 0.12 * generator.standard_normal((468, 2))).astype(np.float32)
    landmarks[33], landmarks[263] = (0.35, 0.4), (0.65, 0.4)
    control = np.zeros(52, np.float32)
    control[generator.choice(50, 2, replace=False)] = 0.7, -0.4
    layers = np.zeros((size, size, 4), np.uint8)
    layers[20:30, 15:30] = 128
    return Sample(
        person,
        kind,
        source,
        target,
        np.full((size, size), 255, np.uint8),
        layers,
        (0.01 * generator.standard_normal((16, 16, 2))).astype(np.float16),
        (0.1 * generator.standard_normal((16, 16))).astype(np.float16),
        generator.uniform(-1, 1, (16, 16, 3)).astype(np.float16),
        control,
        generator.random(52).astype(np.float32),
        landmarks,
        landmarks + np.float32(0.01),
        landmarks + np.float32(0.02),
    )
