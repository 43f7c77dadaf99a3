"""Storing patterns by the outer-product rule: each pair of units learns how often it agrees.

Papers: D. O. Hebb, "The Organization of Behavior", 1949 (the idea, in words).
J. J. Hopfield, "Neural networks and physical systems with emergent collective computational
abilities", Proceedings of the National Academy of Sciences 79, 2554-2558, 1982 (the rule below,
there for units 0 and 1; in the form for units -1 and +1 used by the next paper).
D. J. Amit, H. Gutfreund and H. Sompolinsky, "Storing infinite numbers of patterns in a spin-glass
model of neural networks", Physical Review Letters 55, 1530-1533, 1985.

Equation (numbered for this file and for `practicum.nn.hopfield`):
    (1)  J_ij = (1/N) sum over patterns p of xi^p_i xi^p_j,   J_ii = 0

Shapes: p patterns of n units (N in the equations), entries -1 and +1.

Deviation: the factor 1/N is left to the network, so that weights are whole numbers and every field
is exact in float32. It changes no sign and hence no update.
Signs of trouble: with the diagonal kept, each unit holds itself in place in proportion to the
load, and more patterns look stable than the couplings between units hold.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from practicum.errors import PracticumError


def outer_product(
    patterns: Float[Tensor, "p n"], *, keep_diagonal: bool = False
) -> Float[Tensor, "n n"]:
    """Return N J, the sum over patterns of their outer products.

    Args:
        patterns: entries -1 or +1.
        keep_diagonal: keep J_ii = p/N instead of zero, which Eq. (1) forbids (to show why).

    Raises:
        PracticumError: an entry is neither -1 nor +1.
    """
    if not bool((patterns.abs() == 1).all()):
        raise PracticumError("patterns have entries -1 and +1 only; code 0 as -1")
    weights = patterns.T @ patterns  # Eq. (1)
    return weights if keep_diagonal else weights.fill_diagonal_(0)
