"""Eight seeds of an LSTM, an encoder-decoder and a VAE: ours against the loop by hand.

The loop by hand trains seed after seed with torch.nn's own recurrent layers, whose kernels compute
a whole sequence at once; it is run with every number of threads from one to all cores, and its
best one counts. Ours are `fit` in the engine's one-thread worker processes. Everything counts, from
the start of the process on, imports of the workers included. Data, batches, updates and optimizer
are the same; the final losses of all contenders agree within `MARGIN`.

    lstm       the adding problem: 40 steps of 2 numbers, 64 units, batches of 64
    seq2seq    reversing 12 of 20 symbols: LSTM encoder and decoder of 128 units, batches of 64
    vae        28 x 28 bits: 400 tanh units either side, 20 of the code, batches of 100
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Floor, Result, Run, cores, fresh, interleaved, median, ratios, spread

if TYPE_CHECKING:
    from torch import Tensor, nn

FLOOR = 1.3
MARGIN = 0.1  # of the loss, relative
WORKS = ("lstm", "seq2seq", "vae")
STEPS, QUICK, SEEDS = 600, 12, 8
BATCHES = {"lstm": 64, "seq2seq": 64, "vae": 100}
EXAMPLES, RATE, LAST = 6_400, 2e-3, 100
SYMBOLS, LENGTH, BEGIN = 20, 12, 1
UNITS, EMBEDDED, CODE, BITS = 128, 32, 20, 784


@lru_cache(3)
def data(work: str) -> tuple[Tensor, ...]:
    """Return the examples of one of the works; made up, so that they are always at hand."""
    import torch

    made = torch.Generator().manual_seed(1)
    if work == "lstm":
        numbers, marks = torch.rand(EXAMPLES, 40, generator=made), torch.zeros(EXAMPLES, 40)
        rows = torch.arange(EXAMPLES)
        first = torch.randint(20, (EXAMPLES,), generator=made)
        second = 20 + torch.randint(20, (EXAMPLES,), generator=made)
        marks[rows, first], marks[rows, second] = 1.0, 1.0
        return torch.stack((numbers, marks), 2), (numbers * marks).sum(1, keepdim=True)
    if work == "seq2seq":
        source = 3 + torch.randint(SYMBOLS, (EXAMPLES, LENGTH), generator=made)
        return source, source.flip(1)
    digits = _digits()
    return (digits[torch.randint(len(digits), (EXAMPLES,), generator=made)],)


def _digits() -> Tensor:
    import torch.nn.functional as F

    from practicum.data import load

    x = load("digits").train[0].view(-1, 8, 8)
    large = x.repeat_interleave(3, 1).repeat_interleave(3, 2)  # 8 x 8 to 24 x 24
    return (F.pad(large, (2, 2, 2, 2)) > 0.5).float().flatten(1)


def plain(work: str) -> nn.Module:
    """Return the network as one would write it with torch.nn."""
    import torch
    from torch import nn

    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.output = nn.LSTM(2, 64, batch_first=True), nn.Linear(64, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.output(self.body(x)[0][:, -1])

    class Reverse(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.source = nn.Embedding(SYMBOLS + 3, EMBEDDED)
            self.target = nn.Embedding(SYMBOLS + 3, EMBEDDED)
            self.encoder = nn.LSTM(EMBEDDED, UNITS, batch_first=True)
            self.decoder = nn.LSTM(EMBEDDED, UNITS, batch_first=True)
            self.output = nn.Linear(UNITS, SYMBOLS + 3)

        def forward(self, source: Tensor, inputs: Tensor) -> Tensor:
            state = self.encoder(self.source(source))[1]
            return self.output(self.decoder(self.target(inputs), state)[0])

    class Auto(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.h, self.code = nn.Linear(BITS, 400), nn.Linear(400, 2 * CODE)
            self.up, self.output = nn.Linear(CODE, 400), nn.Linear(400, BITS)

        def forward(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            mean, log_variance = self.code(torch.tanh(self.h(x))).chunk(2, 1)
            z = mean + (0.5 * log_variance).exp() * noise
            return self.output(torch.tanh(self.up(z))), mean, log_variance

    kinds: dict[str, Callable[[], nn.Module]] = {"lstm": Sum, "seq2seq": Reverse, "vae": Auto}
    return kinds[work]()


def network(work: str) -> nn.Module:
    """Return the network made of ours."""
    from torch import nn

    from practicum.nn.lstm import LSTM
    from practicum.nn.seq2seq import Seq2Seq
    from practicum.nn.vae import VAE

    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.output = LSTM(2, 64), nn.Linear(64, 1)

        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = self.output(self.body(x)[0][:, -1])
            return result

    if work == "lstm":
        return Sum()
    if work == "seq2seq":
        return Seq2Seq(SYMBOLS + 3, SYMBOLS + 3, width=EMBEDDED, hidden=UNITS)
    return VAE(BITS, (400,), CODE)


def loss_of(work: str, net: Any, batch: tuple[Tensor, ...], noise: Callable[..., Tensor]) -> Tensor:
    """Return the loss of a batch, for either network."""
    import torch
    import torch.nn.functional as F

    if work == "lstm":
        return F.mse_loss(net(batch[0]), batch[1])
    if work == "seq2seq":
        source, target = batch
        inputs = torch.cat((torch.full_like(target[:, :1], BEGIN), target[:, :-1]), 1)
        return F.cross_entropy(net(source, inputs).flatten(0, 1), target.flatten())
    x = batch[0]
    logits, mean, log_variance = net(x, noise(len(x), CODE))
    likelihood = -F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)
    kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)
    return (kl - likelihood).mean()


def by_hand(*, work: str, seeds: int, steps: int) -> dict[str, Any]:
    """Train every seed with the loop that one would write oneself; return the final losses."""
    import torch

    torch.set_num_threads(int(os.environ["BENCHMARK_THREADS"]))
    examples, losses = data(work), []
    for seed in range(seeds):
        torch.manual_seed(seed)
        net = plain(work)
        optimizer = torch.optim.Adam(net.parameters(), lr=RATE, fused=True)
        done, found = 0, []
        while done < steps:
            for index in torch.randperm(EXAMPLES).split(BATCHES[work])[: steps - done]:
                loss = loss_of(work, net, tuple(one[index] for one in examples), torch.randn)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                found.append(loss.item())
                done += 1
        losses.append(sum(found[-LAST:]) / len(found[-LAST:]))
    return {"losses": losses}


def ours(*, work: str, seeds: int, steps: int, workers: int) -> dict[str, Any]:
    """Train every seed with the engine, in worker processes."""
    from practicum.engine.workers import Task, run_tasks

    losses = [0.0] * seeds

    def keep(task: Task, value: float) -> None:
        losses[task.arguments["seed"]] = value

    tasks = [
        Task(
            name=f"{work}, seed {seed}",
            function="benchmarks.eight:trial",
            arguments={"work": work, "seed": seed, "steps": steps},
        )
        for seed in range(seeds)
    ]
    run_tasks(tasks, on_done=keep, workers=workers, threads=1)
    return {"losses": losses}


def trial(*, work: str, seed: int, steps: int) -> float:
    """Train one seed with `fit`, in whatever process this is; return the final loss."""
    from practicum.engine.fit import fit
    from practicum.engine.optimizers import Adam
    from practicum.engine.services import Services

    def loss(net: Any, batch: tuple[Tensor, ...], noise: Any) -> Tensor:
        if work != "vae":
            return loss_of(work, net, batch, noise.normal)

        def drawn(x: Tensor, one: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            passed = net(x, one.unsqueeze(0))
            return passed.output[0], passed.mean, passed.log_variance

        return loss_of(work, drawn, batch, noise.normal)

    trained = fit(
        partial(network, work),
        loss=loss,
        optimizer=Adam(lr=RATE),
        data=data(work),
        batch_size=BATCHES[work],
        steps=steps,
        every=min(LAST, steps),
        seeds=[seed],
        services=Services(),
    )
    return float(trained.final("loss"))


def run(*, repeats: int | None = None, quick: bool = False) -> Result:
    """Measure."""
    steps, seeds, repeats = (QUICK, 2, repeats or 1) if quick else (STEPS, SEEDS, repeats or 3)
    hand = {f"loop by hand, {n} thread{'s' * (n > 1)}": n for n in range(1, cores() + 1)}
    us = f"practicum, {cores()} workers of one thread"
    rows, floors, every = [], [], {}
    for work in WORKS:
        given = {"work": work, "seeds": seeds, "steps": steps}
        contenders = {
            name: partial(fresh, "benchmarks.eight:by_hand", given, threads=n)
            for name, n in hand.items()
        }
        contenders[us] = partial(
            fresh, "benchmarks.eight:ours", {**given, "workers": cores()}, threads=1
        )
        runs = interleaved(contenders, repeats=repeats, say=print)
        losses = {name: _mean(found[0]) for name, found in runs.items()}
        if not quick and max(losses.values()) > (1 + MARGIN) * min(losses.values()):
            raise RuntimeError(f"{work}: the contenders do not reach the same loss: {losses}")
        best = min(hand, key=lambda name: median([one.wall for one in runs[name]]))
        gain = median(ratios(runs[best], runs[us]))
        floors.append(
            Floor(text=f"{work}: times the speed of the {best}", bound=FLOOR, measured=gain)
        )
        for name, found in runs.items():
            times = [
                median([getattr(one, what) for one in found]) for what in ("wall", "processor")
            ]
            rows.append([f"{work}: {name}", *times, round(losses[name], 4)])
            rows[-1].append(spread(ratios(found, runs[us])))
            every[f"{work}: {name}"] = [
                {"wall": one.wall, "processor": one.processor} | one.answer for one in found
            ]
    return Result(
        name="eight",
        title="Eight seeds" + (" (quick)" if quick else ""),
        what=(
            f"{seeds} seeds, {steps} updates each, fused Adam, examples in memory. Everything "
            "counts, from the start of the process on. The loss is the mean of the last updates'."
        ),
        columns=["contender", "seconds", "processor seconds", "loss", "time / ours"],
        rows=rows,
        floors=floors,
        settings={"steps": steps, "seeds": seeds, "repeats": repeats, "rate": RATE},
        runs=every,
    )


def _mean(run: Run) -> float:
    losses: list[float] = run.answer["losses"]
    return sum(losses) / len(losses)
