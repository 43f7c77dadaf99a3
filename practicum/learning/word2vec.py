"""Negative sampling: tell the words around from words drawn at random, without a softmax.

Papers: T. Mikolov, K. Chen, G. Corrado, J. Dean, arXiv:1301.3781v3, 2013 (windows, decay of the
rate). T. Mikolov, I. Sutskever, K. Chen, G. Corrado, J. Dean, arXiv:1310.4546v1, 2013 (the loss,
noise words, frequent words).

What is minimised, for a pair of what is read, h, and a word w_O that stands there (1310.4546):
    (4)  - log sigma(v'_{w_O}^T h) - sum of k terms E_{w ~ P_n} log sigma(- v'_w^T h)
    P_n(w) = U(w)^{3/4} / Z, U the frequencies of the words
    (5)  before learning, an occurrence of w is left out with chance 1 - sqrt(t / f(w))
The window (1301.3781, section 3.2): at every position, R is drawn from 1 ... C; the R words on each
side count. Skip-gram makes a pair of the middle word with each of them; CBOW reads them all and
asks for the middle word. The rate falls in a straight line to zero.

Algorithm, a step for T positions in a row:
    1. Draw R for each position, and N noise words for all of them.
    2. s = v'^T h for the words there and for the noise words.
    3. g = sigma(s) - 1 for a word there, g = (k / N) sigma(s) for a noise word
    4. The gradient is g h for the output vector and g v' for h; CBOW hands a read word its share
       of the latter, 1 / (number of words read).
    5. Add minus the rate times the sums of these to the tables.

Shapes: V words, D dimension, T positions, L = T + 2 C words of a passage, N noise words, B pairs.

Deviations:
    1. The noise words of step 1 are shared by all T positions; each has the weight k / N, so that
       the expectation is that of Eq. (4). The authors' program draws k for every pair.
    2. The T positions move together, from the same weights; the program moves pair by pair.
    3. The program hands every word that CBOW reads the whole gradient of the mean, which is not
       that of Eq. (4) (Irsoy, Benton, Stratos, "Corrected CBOW performs as well as skip-gram",
       arXiv:2012.15332). Step 4 is the true gradient, so CBOW's rate is larger than usual.

Known failure signs: all vectors long and alike (the rate is too large, or T is, for a text with few
different words); nearest neighbours that are merely as frequent (too few passes).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from practicum.engine.loop import Diverged, Step
from practicum.engine.noise import Noise
from practicum.engine.state import State
from practicum.errors import PracticumError
from practicum.nn.word2vec import Word2Vec

Model = Literal["skip-gram", "cbow"]
NOBODY = -1  # stands in a passage where the text has no word
POWER = 0.75
LEAST_RATE = 1e-4  # of the first rate: what it falls to


def keep_chance(counts: Int[Tensor, "V"], threshold: float) -> Float[Tensor, "V"]:
    """Return the chance that an occurrence of a word is kept, one minus Eq. (5).

    Args:
        counts: how often each word occurs.
        threshold: t, a frequency; 0 keeps everything.
    """
    if threshold == 0:
        return torch.ones(len(counts), dtype=torch.float64)
    frequency = counts.double() / counts.sum()
    return (threshold / frequency).sqrt().clamp(max=1)  # Eq. (5)


def noise_distribution(counts: Int[Tensor, "V"], power: float = POWER) -> Float[Tensor, "V"]:
    """Return P_n, proportional to the counts to a power."""
    raised = counts.double() ** power
    return raised / raised.sum()


def pair_loss(
    network: Word2Vec,
    read: Int[Tensor, "B C"],
    there: Bool[Tensor, "B C"],
    asked: Int[Tensor, "B"],
    noise: Int[Tensor, "B N"],
    negatives: float,
) -> Float[Tensor, ""]:
    """Return the sum over pairs of Eq. (4), each with noise words of its own, for autograd.

    It is the definition; `gradients` is the fast way to the same numbers.
    """
    scores = network(read, there, torch.cat([asked[:, None], noise], dim=1))
    weight = negatives / noise.shape[1]
    return -F.logsigmoid(scores[:, 0]).sum() - weight * F.logsigmoid(-scores[:, 1:]).sum()


@dataclass(frozen=True)
class Gradients:
    """The loss of a passage and its gradient, only the rows that are not zero.

    Attributes:
        loss: the sum of Eq. (4) over all pairs of the passage.
        pairs: how many pairs there are.
        rows_in, of_in: numbers of words and what is to be added to the gradient of their input
            vectors; a word may come several times.
        rows_out, of_out: the same for output vectors.
    """

    loss: Float[Tensor, ""]
    pairs: Float[Tensor, ""]
    rows_in: Int[Tensor, "n"]
    of_in: Float[Tensor, "n D"]
    rows_out: Int[Tensor, "m"]
    of_out: Float[Tensor, "m D"]


def window(passage: Int[Tensor, "L"], reach: Int[Tensor, "T"], most: int) -> Bool[Tensor, "T L"]:
    """Return which words of a passage stand in the window of each position.

    Args:
        passage: numbers of words, `NOBODY` where there is none; position i is word i + C.
        reach: R of each position.
        most: C.
    """
    middle = torch.arange(len(reach), device=passage.device)[:, None] + most
    distance = (torch.arange(len(passage), device=passage.device) - middle).abs()
    somebody = passage != NOBODY
    near = (distance > 0) & (distance <= reach[:, None]) & somebody
    return near & somebody[most : len(passage) - most, None]


@torch.no_grad()
def gradients(
    model: Model,
    network: Word2Vec,
    passage: Int[Tensor, "L"],
    near: Bool[Tensor, "T L"],
    noise: Int[Tensor, "N"],
    negatives: int,
) -> Gradients:
    """Return the loss of all pairs of a passage and its gradient, in closed form.

    Args:
        model: "skip-gram" or "cbow".
        network: the tables.
        passage: numbers of words; as many on each side of the T positions.
        near: from `window`.
        noise: noise words, shared by all pairs.
        negatives: k.
    """
    sides = (len(passage) - len(near)) // 2
    words = passage.clamp(min=0)  # nobody is in no window, so its row gets zero
    middle = words[sides : len(words) - sides]
    near_TL = near.to(network.input.dtype)
    count_T1 = near_TL.sum(1, keepdim=True)
    noise_ND = network.output[noise]
    weight = negatives / len(noise)
    if model == "skip-gram":
        h_TD, asked_LD = network.input[middle], network.output[words]
        there_TL, noise_TN = h_TD @ asked_LD.T, h_TD @ noise_ND.T  # step 2
        g_TL = near_TL * (torch.sigmoid(there_TL) - 1)  # step 3
        g_TN = weight * count_T1 * torch.sigmoid(noise_TN)
        loss = (near_TL * F.softplus(-there_TL)).sum()
        loss = loss + weight * (count_T1 * F.softplus(noise_TN)).sum()
        of_in, of_asked = g_TL @ asked_LD + g_TN @ noise_ND, g_TL.T @ h_TD  # step 4
        rows_in, asked, pairs = middle, words, count_T1.sum()
    else:
        share_TL = near_TL / count_T1.clamp(min=1)
        alive_T1 = (count_T1 > 0).to(near_TL.dtype)
        h_TD, asked_TD = share_TL @ network.input[words], network.output[middle]
        there_T1, noise_TN = (h_TD * asked_TD).sum(1, keepdim=True), h_TD @ noise_ND.T  # step 2
        g_T1 = alive_T1 * (torch.sigmoid(there_T1) - 1)  # step 3
        g_TN = weight * alive_T1 * torch.sigmoid(noise_TN)
        loss = (alive_T1 * F.softplus(-there_T1)).sum()
        loss = loss + weight * (alive_T1 * F.softplus(noise_TN)).sum()
        of_in = share_TL.T @ (g_T1 * asked_TD + g_TN @ noise_ND)  # step 4
        of_asked, rows_in, asked, pairs = g_T1 * h_TD, words, middle, alive_T1.sum()
    of_out = torch.cat([of_asked, g_TN.T @ h_TD])
    return Gradients(loss, pairs, rows_in, of_in, torch.cat([asked, noise]), of_out)


def word2vec(
    model: Model,
    chances: Float[Tensor, "V"],
    *,
    most: int,
    negatives: int,
    shared: int,
    rate: float,
    steps: int,
) -> Step:
    """Return one step of negative sampling, its gradient in closed form.

    The step moves `state.networks["main"]`, a Word2Vec; its batch is a passage, [T + 2 C].

    Args:
        model: "skip-gram" or "cbow".
        chances: P_n.
        most: C, the largest reach of a window.
        negatives: k, noise words of a pair.
        shared: N, noise words drawn for a step.
        rate: learning rate of the first step, for a single pair.
        steps: steps in all; the rate has fallen to nothing at the last.

    Raises:
        PracticumError: no window, noise word or step; from the step, another network.
    """
    if min(most, negatives, shared, steps) < 1:
        raise PracticumError(
            f"word2vec with window {most}, {negatives} noise words a pair, {shared} a step and "
            f"{steps} steps; at least one of each"
        )
    below = chances.cumsum(0).to(torch.float32)
    below[-1] = 1.0

    def step(state: State, passage: Tensor, noise: Noise) -> tuple[State, dict[str, Any]]:
        network = state.networks["main"]
        if not isinstance(network, Word2Vec):
            raise PracticumError(f"negative sampling trains a Word2Vec, not {type(network)}")
        reach = 1 + noise.integers(most, len(passage) - 2 * most)  # step 1
        drawn = torch.searchsorted(below.to(passage.device), noise.uniform(shared), right=True)
        drawn = drawn.clamp(max=len(below) - 1)
        near = window(passage, reach, most)
        found = gradients(model, network, passage, near, drawn, negatives)
        if not bool(torch.isfinite(found.loss)):
            raise Diverged
        now = -rate * max(1 - state.step / steps, LEAST_RATE)
        with torch.no_grad():  # step 5
            network.input.index_add_(0, found.rows_in, found.of_in, alpha=now)
            network.output.index_add_(0, found.rows_out, found.of_out, alpha=now)
        return state, {"loss": found.loss / found.pairs.clamp(min=1)}

    return step


def passages(
    text: Int[Tensor, "n"],
    keep: Float[Tensor, "V"],
    *,
    positions: int,
    most: int,
    generator: torch.Generator,
) -> Iterator[Int[Tensor, "L"]]:
    """Yield passages of T + 2 C words, in the order of the text, without an end.

    At the beginning of every pass over the text, each occurrence is kept or left out anew.
    Neighbouring passages overlap, so that every kept word is in the middle once a pass.

    Args:
        text: numbers of words.
        keep: the chance that an occurrence of a word is kept.
        positions: T.
        most: C.
        generator: what is kept is drawn from it.

    Raises:
        PracticumError: a text without words.
    """
    if not len(text):
        raise PracticumError("word2vec needs a text with words")
    chance = keep[text]
    while True:
        drawn = torch.rand(len(text), generator=generator, dtype=torch.float64)
        kept = text[drawn < chance]  # Eq. (5)
        runs = -(-len(kept) // positions)
        whole = torch.full((runs * positions + 2 * most,), NOBODY)
        whole[most : most + len(kept)] = kept
        yield from whole.unfold(0, positions + 2 * most, positions) if runs else ()


def steps_of(
    text: Int[Tensor, "n"], keep: Float[Tensor, "V"], passes: float, positions: int
) -> int:
    """Return how many steps so many passes over a text take, by the expected number of words."""
    return max(1, round(passes * float(keep[text].sum()) / positions))
