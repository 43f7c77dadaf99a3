"""What vectors know: twins, analogies, and what people find similar.

    cos(u, v) = u'v / (|u| |v|); every vector is divided by its length first                  (1)
    a : b :: c : ?  the word d, none of a, b, c, with the largest cos(d, b - a + c)           (2)

Source of Eq. (2): T. Mikolov, W. Yih, G. Zweig, "Linguistic regularities in continuous space word
representations", NAACL 2013. Leaving out the three words of the question is part of the rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

_AT_ONCE = 1000  # questions answered in one product


def unit(vectors: Float[Tensor, "V D"]) -> Float[Tensor, "V D"]:
    """Return the vectors, each divided by its length; a vector of zeros stays."""
    return torch.nn.functional.normalize(vectors, dim=1)


def twins_found(vectors: Float[Tensor, "V D"], twins: Int[Tensor, "n 2"]) -> float:
    """Return the percentage of halves whose nearest word, by Eq. (1), is their other half."""
    u = unit(vectors)
    mine, other = torch.cat([twins, twins.flip(1)]).unbind(1)
    alike = u[mine] @ u.T
    alike[torch.arange(len(mine)), mine] = -torch.inf
    return 100 * float((alike.argmax(1) == other).double().mean())


def nearest(
    vectors: Float[Tensor, "V D"], words: Int[Tensor, "n"], many: int
) -> Int[Tensor, "n m"]:
    """Return the nearest words of some words, nearest first, themselves left out."""
    u = unit(vectors)
    alike = u[words] @ u.T
    alike[torch.arange(len(words)), words] = -torch.inf
    return alike.topk(many, dim=1).indices


def answered(
    vectors: Float[Tensor, "V D"],
    number: Mapping[str, int],
    questions: Sequence[tuple[str, str, str, str]],
) -> tuple[float, float]:
    """Answer analogies by Eq. (2).

    Returns:
        The percentage answered rightly of the questions whose four words all have a vector (NaN if
        there is none), and the percentage of such questions.
    """
    known = [one for one in questions if all(word in number for word in one)]
    if not known:
        return float("nan"), 0.0
    u, right = unit(vectors), 0
    asked = torch.tensor([[number[word] for word in one] for one in known])
    for at in range(0, len(asked), _AT_ONCE):
        part = asked[at : at + _AT_ONCE]
        a, b, c, d = part.unbind(1)
        alike = (u[b] - u[a] + u[c]) @ u.T  # Eq. (2); the length of the sum changes no order
        alike.scatter_(1, part[:, :3], -torch.inf)
        right += int((alike.argmax(1) == d).sum())
    return 100 * right / len(known), 100 * len(known) / len(questions)


def agreement(
    vectors: Float[Tensor, "V D"],
    number: Mapping[str, int],
    pairs: Sequence[tuple[str, str]],
    scores: Sequence[float],
) -> tuple[float, float]:
    """Compare cosines with scores.

    Returns:
        Spearman's rank correlation over the pairs whose words both have a vector (NaN below two),
        and the percentage of such pairs.
    """
    from scipy.stats import spearmanr

    there = [i for i, pair in enumerate(pairs) if all(word in number for word in pair)]
    covered = 100 * len(there) / len(pairs)
    if len(there) < 2:
        return float("nan"), covered
    u = unit(vectors)
    first, second = torch.tensor([[number[word] for word in pairs[i]] for i in there]).unbind(1)
    cosines = (u[first] * u[second]).sum(1).double().numpy()
    return float(spearmanr(cosines, [scores[i] for i in there]).statistic), covered
