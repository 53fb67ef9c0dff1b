"""What a GPU makes of a clip: start-up, frames per second and memory, for every precision, beside the CPU.

    python -m tests.benchmarks.gpu [--frames 64]

Each line is a process of its own. Rendering and compositing run on the CPU everywhere: the GPU has the network alone,
so that frames per second say how much of a frame that is. `pytest -m gpu` says whether the frames are the same.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

PORTRAIT = Path(__file__).parents[2] / "docs" / "images" / "portrait.jpg"
PLACES = (("cpu", "fp32"), ("cpu", "bf16"), ("cuda", "fp32"), ("cuda", "fp16"), ("cuda", "bf16"))


def measure(device: str, precision: str, frames: int) -> dict[str, float]:
    """Seconds until the network is ready, milliseconds of the network a frame, frames per second of all, memory."""
    started = time.perf_counter()
    import torch

    from facemotion.animation import Animation
    from facemotion.api import Animator
    from facemotion.media.photos import read_photo
    from facemotion.settings import AnimateSettings

    settings = AnimateSettings("surprise", frames=frames)
    animator = Animator(settings, device=device, precision=precision)
    ready_s = time.perf_counter() - started
    photo = read_photo(PORTRAIT)
    clip = Animation.of(photo, settings, settings.script(), name="", on_note=lambda _: None, network=animator._network)
    plain = Animation.of(photo, settings, settings.script(), name="", on_note=lambda _: None)
    for each in (clip, plain):
        each.frame(frames - 1)  # compiles, allocates
    times_ms = []
    for each in (clip, plain):
        began = time.perf_counter()
        for number in range(1, frames):
            each._rendered(number)
        times_ms.append(1000 * (time.perf_counter() - began) / (frames - 1))
    began = time.perf_counter()
    count = sum(1 for _ in clip.frames())
    rate = count / (time.perf_counter() - began)
    gpu_mb = torch.cuda.max_memory_allocated() / 1e6 if device == "cuda" else 0.0
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"ready_s": ready_s, "network_ms": times_ms[0] - times_ms[1], "rate": rate, "gpu": gpu_mb, "peak": peak_mb}


def main() -> None:
    """Measure every place that is there and print a table."""
    parser = argparse.ArgumentParser(description="What a GPU makes of a clip.")
    parser.add_argument("--frames", type=int, default=64)
    parser.add_argument("--place", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.place:
        print(json.dumps(measure(*asked.place, asked.frames)))
        return
    import torch

    places = [place for place in PLACES if place[0] == "cpu" or torch.cuda.is_available()]
    print(torch.cuda.get_device_name() if torch.cuda.is_available() else "No CUDA device here: the CPU alone.")
    print("place           ready s  network ms a frame  frames/s  GPU MB  memory MB")
    for device, precision in places:
        words = ["-m", "tests.benchmarks.gpu", "--frames", str(asked.frames), "--place", device, precision]
        done = subprocess.run([sys.executable, *words], check=True, capture_output=True, text=True)
        found = json.loads(done.stdout.splitlines()[-1])
        print(
            f"{device + ' ' + precision:14}  {found['ready_s']:7.1f}  {found['network_ms']:18.1f}  {found['rate']:8.1f}"
            f"  {found['gpu']:6.0f}  {found['peak']:9.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
