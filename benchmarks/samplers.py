"""What a sampler costs besides its network: ours against diffusers' schedulers.

Both walk the whole way from noise to data with a network that returns its input, so that what is
timed is the sampler alone: DDPM with 200 steps and DDIM with 50 of 200, on images of three sizes.
They draw the same noise and end in the same pictures to `SAME`. They take turns within one process,
one thread; the median of many walks counts.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Floor, Result, fresh, interleaved, median, spread

if TYPE_CHECKING:
    from torch import Tensor

FLOOR = 1.0
SAME = 1e-3
STEPS, SHORT = 200, 50
SHAPES = ((16, 1, 8, 8), (16, 3, 32, 32), (64, 3, 32, 32))


def _see(x: Tensor, t: Any) -> Tensor:
    return x


def ours(kind: str, x: Tensor) -> Callable[[], Tensor]:
    """Return our walk from x."""
    import torch

    from practicum.learning.diffusion import sample
    from practicum.nn.diffusion_schedules import Schedule

    schedule, made = Schedule.linear(STEPS), torch.Generator()

    def walk() -> Tensor:
        made.manual_seed(0)

        def normal(t: int) -> Tensor:
            return torch.randn(x.shape, generator=made)

        steps = STEPS if kind == "DDPM" else SHORT
        eta = None if kind == "DDPM" else 0.0
        return sample(_see, schedule, x, steps, normal, eta=eta)

    return walk


def theirs(kind: str, x: Tensor) -> Callable[[], Tensor]:
    """Return diffusers' walk from x."""
    import torch
    from diffusers import DDIMScheduler, DDPMScheduler

    settings = {"num_train_timesteps": STEPS, "beta_schedule": "linear", "clip_sample": False}
    made = torch.Generator()

    def walk() -> Tensor:
        made.manual_seed(0)
        with torch.no_grad():
            state = x
            for t in scheduler.timesteps:
                state = scheduler.step(_see(state, t), t, state, generator=made).prev_sample
        return state

    if kind == "DDPM":
        scheduler = DDPMScheduler(**settings)
        scheduler.set_timesteps(STEPS)
    else:
        scheduler = DDIMScheduler(**settings, set_alpha_to_one=True)
        scheduler.set_timesteps(SHORT)
    return walk


def measure(*, walks: int) -> dict[str, Any]:
    """Time the walks of both in turn; return microseconds a step, by case."""
    import torch

    torch.set_num_threads(int(os.environ["BENCHMARK_THREADS"]))
    found: dict[str, Any] = {}
    for kind in ("DDPM", "DDIM"):
        for shape in SHAPES:
            x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
            pair = {"ours": ours(kind, x), "theirs": theirs(kind, x)}
            ends = {name: walk() for name, walk in pair.items()}
            apart = float((ends["ours"] - ends["theirs"]).abs().max())
            if kind == "DDPM" and apart > SAME * float(ends["theirs"].abs().max()):
                raise RuntimeError(f"{kind} {shape}: the ends lie {apart} apart")
            times: dict[str, list[float]] = {name: [] for name in pair}
            for turn in range(walks):
                for name in sorted(pair, reverse=bool(turn % 2)):
                    began = time.perf_counter()
                    pair[name]()
                    times[name].append(time.perf_counter() - began)
            steps = STEPS if kind == "DDPM" else SHORT
            found[f"{kind}, {' x '.join(map(str, shape))}"] = {
                name: 1e6 * statistics.median(values) / steps for name, values in times.items()
            } | {"apart": apart}
    return found


def run(*, repeats: int | None = None, quick: bool = False) -> Result:
    """Measure."""
    walks, repeats = (3, repeats or 1) if quick else (21, repeats or 3)
    contender = partial(fresh, "benchmarks.samplers:measure", {"walks": walks}, threads=1)
    runs = interleaved({"both": contender}, repeats=repeats, say=print)["both"]
    rows, worst = [], 0.0
    for case in runs[0].answer:
        found = [one.answer[case] for one in runs]
        share = [one["ours"] / one["theirs"] for one in found]
        worst = max(worst, median(share))
        mine, other = (median([one[name] for one in found]) for name in ("ours", "theirs"))
        rows.append([case, mine, other, spread(share)])
    return Result(
        name="samplers",
        title="Samplers without their network" + (" (quick)" if quick else ""),
        what=(
            f"DDPM with {STEPS} steps, DDIM with {SHORT} of {STEPS}, from the same noise; a "
            f"network that returns its input. Median of {walks} walks in turn; {repeats} processes."
        ),
        columns=["sampler and images", "practicum, µs a step", "diffusers, µs a step"]
        + ["ours / theirs"],
        rows=rows,
        floors=[
            Floor(
                text="of diffusers' time a step, in the worst case",
                bound=FLOOR,
                measured=worst,
                at_most=True,
            )
        ],
        settings={"walks": walks, "repeats": repeats, "steps": STEPS},
        runs={"both": [one.answer for one in runs]},
    )
