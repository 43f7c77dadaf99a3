"""The nanoGPT workload for a processor: tokens a second for one seed, ours against an eager loop.

A GPT of 4 layers, 4 heads and 128 units reads windows of 64 characters, 12 at a time, 2,000 steps.
The loop by hand trains `practicum.nn.gpt2.GPT2` eagerly in float32, with every number of threads
from one to all cores; its best one counts. Ours trains the same network through `fit`, compiled,
in bfloat16. The clock runs from step `WARM` to the last: compiling is not in it, and stands in a
column of its own. Validation losses are measured in float32 by the same code.
"""

from __future__ import annotations

import os
import time
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Floor, Result, cores, fresh, interleaved, median, spread

if TYPE_CHECKING:
    from torch import Tensor

    from practicum.nn.gpt2 import GPT2, GPT2Config

FLOOR = 1.1
MARGIN = 0.05  # nats of validation loss, as the lab gpt allows beside nanoGPT's figure
BLOCK, BATCH, LAYERS, HEADS, WIDTH = 64, 12, 4, 4, 128
STEPS, QUICK = 2_000, 60
WARM = 30
RATE, LAST, RISE, BETAS, DECAY, NORM = 1e-3, 0.1, 100, (0.9, 0.99), 0.1, 1.0


@lru_cache(1)
def data() -> tuple[Tensor, Tensor, int, str]:
    """Return training and validation characters as numbers, their kinds, and what they are."""
    from practicum.data import load_text
    from practicum.errors import PracticumError
    from practicum.learning.autoregressive import alphabet, encode

    try:
        name, text = "tiny Shakespeare", load_text("tinyshakespeare")
    except PracticumError:
        name, text = "Python's own documentation", load_text("pydoc")
    characters = alphabet(text.train, text.validation)
    train, validation = (encode(part, characters) for part in (text.train, text.validation))
    return train, validation, len(characters), name


def config(kinds: int) -> GPT2Config:
    """Return the sizes of the network."""
    from practicum.nn.gpt2 import GPT2Config

    return GPT2Config(
        vocabulary=kinds, positions=BLOCK, width=WIDTH, layers=LAYERS, heads=HEADS, dropout=0.0
    )


def validation_loss(network: GPT2, tokens: Tensor) -> float:
    """Return the mean loss over windows side by side, in nats a character, in float32."""
    from practicum.learning.autoregressive import losses, windows

    network.eval()
    return float(losses(network, windows(tokens, BLOCK, step=BLOCK)).mean())


def matmul_rate() -> float:
    """Return the multiplications and additions a second of a large float32 product."""
    import torch

    n, times = 1024, []
    a, b = torch.randn(2, n, n)
    for _ in range(8):
        began = time.perf_counter()
        a @ b
        times.append(time.perf_counter() - began)
    return 2 * n**3 / min(times)


def work_of_a_token(kinds: int) -> float:
    """Return the multiplications and additions for one token, forward and backward."""
    weights = LAYERS * 12 * WIDTH**2 + kinds * WIDTH
    return 3 * (2 * weights + 4 * LAYERS * BLOCK * WIDTH)


def by_hand(*, seed: int, steps: int) -> dict[str, float]:
    """Train with the loop that one would write oneself."""
    import torch
    import torch.nn.functional as F

    from practicum.engine.schedules import Cosine
    from practicum.nn.gpt2 import GPT2

    torch.set_num_threads(int(os.environ["BENCHMARK_THREADS"]))
    torch.manual_seed(seed)
    train, validation, kinds, _ = data()
    network = GPT2(config(kinds))
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=RATE, betas=BETAS, weight_decay=DECAY, fused=True
    )
    factor, offsets = Cosine(steps=steps, warmup=RISE, floor=LAST), torch.arange(BLOCK + 1)
    began = time.perf_counter()
    for step in range(steps):
        if step == WARM:
            began = time.perf_counter()
        for group in optimizer.param_groups:
            group["lr"] = RATE * factor(step)
        window = train[torch.randint(len(train) - BLOCK, (BATCH, 1)) + offsets]
        logits = network(window[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1), window[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), NORM)
        optimizer.step()
    seconds = time.perf_counter() - began
    return {
        "rate": (steps - WARM) * BATCH * BLOCK / seconds,
        "loss": validation_loss(network, validation),
        "warm": 0.0,
        "matmul": matmul_rate(),
    }


def ours(*, seed: int, steps: int) -> dict[str, float]:
    """Train with the engine, compiled, in bfloat16."""
    import torch

    from practicum.engine.arithmetic import Arithmetic
    from practicum.engine.clipping import ClipNorm
    from practicum.engine.fit import fit
    from practicum.engine.optimizers import AdamW
    from practicum.engine.schedules import Cosine
    from practicum.engine.services import Services
    from practicum.learning.autoregressive import next_token_loss, windows
    from practicum.nn.gpt2 import GPT2

    threads = int(os.environ["BENCHMARK_THREADS"])
    torch.set_num_threads(threads)
    train, validation, kinds, _ = data()
    clock: dict[int, float] = {0: time.perf_counter()}

    def probe(done: int, of: int) -> None:
        if done in (WARM, of):
            clock[done] = time.perf_counter()

    arithmetic = Arithmetic(threads=threads, precision="bfloat16", compile=True)
    trained = fit(
        partial(GPT2, config(kinds)),
        loss=next_token_loss,
        optimizer=AdamW(lr=RATE, betas=BETAS, weight_decay=DECAY),
        data=(windows(train, BLOCK),),
        batch_size=BATCH,
        steps=steps,
        seeds=[seed],
        services=Services(arithmetic=arithmetic, probe=probe),
        clip=ClipNorm(norm=NORM),
        schedule=Cosine(steps=steps, warmup=RISE, floor=LAST),
    )
    return {
        "rate": (steps - WARM) * BATCH * BLOCK / (clock[steps] - clock[WARM]),
        "loss": validation_loss(trained.networks[0]["network"], validation),
        "warm": clock[WARM] - clock[0],
        "matmul": matmul_rate(),
    }


def run(*, repeats: int | None = None, quick: bool = False) -> Result:
    """Measure; every round is another seed."""
    steps, repeats = (QUICK, repeats or 1) if quick else (STEPS, repeats or 3)
    _, _, kinds, source = data()

    def contender(function: str, threads: int) -> Any:
        seeds = iter(range(repeats))
        return lambda: fresh(
            f"benchmarks.gpt:{function}", {"seed": next(seeds), "steps": steps}, threads=threads
        )

    hand = {f"eager loop by hand, {n} threads": n for n in range(1, cores() + 1)}
    us = f"practicum, compiled, bfloat16, {cores()} threads"
    contenders = {name: contender("by_hand", n) for name, n in hand.items()}
    contenders[us] = contender("ours", cores())
    runs = interleaved(contenders, repeats=repeats, say=print)
    rates = {name: [one.answer["rate"] for one in found] for name, found in runs.items()}
    best = max(hand, key=lambda name: median(rates[name]))
    gains = [a / b for a, b in zip(rates[us], rates[best], strict=True)]
    rows = []
    for name, found in runs.items():
        shares = [
            100 * one.answer["rate"] * work_of_a_token(kinds) / one.answer["matmul"]
            for one in found
        ]
        relative = [a / b for a, b in zip(rates[us], rates[name], strict=True)]
        rows.append(
            [
                name,
                round(median(rates[name])),
                round(median(shares)),
                median([one.answer["warm"] for one in found]) or None,
                spread([one.answer["loss"] for one in found]),
                spread(relative),
            ]
        )
    return Result(
        name="gpt",
        title="A small GPT, one seed" + (" (quick)" if quick else ""),
        what=(
            f"{source}, {kinds} characters; {LAYERS} layers, {HEADS} heads, {WIDTH} units, windows "
            f"of {BLOCK}, batches of {BATCH}, {steps:,} steps, AdamW with warm-up and cosine; "
            f"{repeats} seeds. Tokens a second after step {WARM}; the share is that of the rate of "
            "a large float32 product in the same process."
        ),
        columns=["contender", "tokens a second", "% of matmul rate", f"seconds to step {WARM}"]
        + ["validation loss, nats", "ours / rate"],
        rows=rows,
        floors=[
            Floor(
                text=f"times the tokens a second of the {best}",
                bound=FLOOR,
                measured=median(gains),
            ),
            *_quality([[one.answer["loss"] for one in runs[name]] for name in (us, best)]),
        ],
        settings={"steps": steps, "repeats": repeats, "batch": BATCH, "block": BLOCK},
        runs={name: [one.answer for one in found] for name, found in runs.items()},
    )


def _quality(losses: list[list[float]]) -> list[Floor]:
    """Return the promises of equal quality: nothing that seeds can tell, nor as much as MARGIN."""
    from scipy.stats import ttest_rel

    if len(losses[0]) < 2:
        return []
    ends = ttest_rel(*losses).confidence_interval(0.95)
    return [
        Floor(
            text=f"nats of validation loss more than that loop, the 95 % interval's {name} end",
            bound=bound,
            measured=float(end),
            at_most=True,
        )
        for name, bound, end in zip(("lower", "upper"), (0.0, MARGIN), ends, strict=True)
    ]
