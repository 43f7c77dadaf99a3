"""Random features: a layer that is drawn once and never trained, and linear regression behind it.

Papers: A. Rahimi and B. Recht, "Random features for large-scale kernel machines", NIPS 20, 2007
(Fourier features). M. Belkin, D. Hsu, S. Ma and S. Mandal, "Reconciling modern machine-learning
practice and the classical bias-variance trade-off", PNAS 116 (2019), arXiv:1812.11118 (ReLU
features, the least-norm fit, and what happens where N passes n).

Idea: the nonlinear part of the model is random, so what is learnt is linear, and the least-squares
fit is known in closed form whatever the number of features N is. With N below the number of
examples n there is one fit; with N above it there are infinitely many that make no error on the
training examples, and the one whose weights are smallest is taken.

Equations (numbered for this file):
    (1)  phi_k(x) = sqrt(2) cos(v_k x + b_k)     v_k ~ normal(0, 1 / width^2), b_k ~ U(0, 2 pi)
    (2)  phi_k(x) = max(v_k x, 0)                v_k uniform on the unit sphere
    (3)  z(x) = (phi_1(x), ..., phi_N(x)) / sqrt(N)
    (4)  Z = U S V'                              singular values, Z the rows z(x_i)
    (5)  A = V S^-1 U' Y                         least-norm least squares, over s > rcond s_1
    (6)  A = V S / (S^2 + n lambda) U' Y         minimum of |Z A - Y|^2 / n + lambda |A|^2

With Eq. (1), z(x) z(y) tends to exp(-|x - y|^2 / (2 width^2)) as N grows.

Shapes: n examples, D inputs, N features, K targets.

Deviations from the papers:
    1. Belkin's Fourier features are complex exponentials; here they are the real ones of Rahimi and
       Recht's Eq. for z, so that each feature is one real parameter per target.
    2. Belkin writes the sum over features without 1 / sqrt(N). The fit of Eq. (5) makes the same
       predictions either way; the scale of the weights, and of lambda, is then comparable over N.
    3. Features of a smaller N are the first ones of a larger N (`first`), so that a curve over N
       adds features and never redraws them.

Cost: n N min(n, N) for the decomposition, which serves Eq. (5) and Eq. (6) for every lambda.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array

from practicum.errors import PracticumError, unknown

KINDS = ("fourier", "relu")
RCOND = 1e-13
"""Singular values below this share of the largest one count as zero."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RandomFeatures:
    """N fixed nonlinear functions of D inputs.

    Attributes:
        kind: "fourier", Eq. (1), or "relu", Eq. (2).
        directions: [N, D] the v.
        offsets: [N] the b; zero for "relu".
    """

    kind: str
    directions: Float[Array, "N D"]
    offsets: Float[Array, "N"]

    @classmethod
    def draw(
        cls, kind: str, inputs: int, features: int, random: np.random.Generator, width: float = 1.0
    ) -> RandomFeatures:
        """Draw the features.

        Args:
            kind: "fourier" or "relu".
            inputs: D.
            features: N.
            random: draws them.
            width: of the Gaussian kernel that Fourier features approach; no meaning for "relu".

        Raises:
            PracticumError: no such kind, no input, no feature, or a width that is not above zero.
        """
        if kind not in KINDS:
            raise unknown("kind of random features", kind, KINDS)
        if inputs < 1 or features < 1 or not width > 0:
            raise PracticumError(
                f"{features} features of {inputs} inputs with width {width}: each must be above 0"
            )
        v = random.normal(size=(features, inputs))
        if kind == "relu":
            sphere = v / np.linalg.norm(v, axis=1, keepdims=True)
            return cls(kind=kind, directions=sphere, offsets=np.zeros(features))
        return cls(
            kind=kind,
            directions=v / width,
            offsets=random.uniform(0.0, 2.0 * math.pi, size=features),
        )

    def responses(self, x: Float[Array, "n D"]) -> Float[Array, "n N"]:
        """Return phi of every example, Eq. (1) or (2), not yet divided by sqrt(N)."""
        if x.ndim != 2 or x.shape[1] != self.directions.shape[1]:
            raise PracticumError(
                f"inputs of shape {x.shape}; expected [n, {self.directions.shape[1]}]"
            )
        field = x @ self.directions.T + self.offsets
        if self.kind == "relu":
            rectified: Array = np.maximum(field, 0.0)  # Eq. (2)
            return rectified
        cosine: Array = math.sqrt(2.0) * np.cos(field)  # Eq. (1)
        return cosine

    def __call__(self, x: Float[Array, "n D"]) -> Float[Array, "n N"]:
        """Return z of every example, Eq. (3)."""
        return first(self.responses(x), len(self.offsets))


def first(responses: Float[Array, "n N"], features: int) -> Float[Array, "n features"]:
    """Return z for the first so many features, Eq. (3).

    Raises:
        PracticumError: there are not so many.
    """
    if not 1 <= features <= responses.shape[1]:
        raise PracticumError(f"{features} of {responses.shape[1]} features cannot be taken")
    return responses[:, :features] / math.sqrt(features)


@dataclass(frozen=True, kw_only=True, eq=False)
class LeastSquares:
    """The singular value decomposition of the features, from which every fit follows.

    Attributes:
        left: [n, r] U.
        values: [r] S, the largest first; r = min(n, N).
        right: [r, N] V', or [r, r] if there is a basis.
        basis: [N, r] orthonormal columns Q; V is then Q times the transpose of `right`.
    """

    left: Float[Array, "n r"]
    values: Float[Array, "r"]
    right: Float[Array, "r columns"]
    basis: Float[Array, "N r"] | None = None

    @classmethod
    def of(cls, z: Float[Array, "n N"]) -> LeastSquares:
        """Decompose the features of the training examples, Eq. (4), in float64.

        Raises:
            PracticumError: not a matrix, or not all entries are finite.
        """
        if z.ndim != 2 or not z.size or not np.isfinite(z).all():
            raise PracticumError(f"features of shape {z.shape}: expected finite numbers, [n, N]")
        z = z.astype(np.float64, copy=False)
        n, features = z.shape
        if features <= 2 * n:
            left, values, right = np.linalg.svd(z, full_matrices=False)
            return cls(left=left, values=values, right=right)
        # Z' = Q R; the small matrix R' = U S W' has the same singular values; V = Q W.
        q, r = np.linalg.qr(z.T)
        left, values, right = np.linalg.svd(r.T)
        return cls(left=left, values=values, right=right, basis=q)

    def rank(self, rcond: float = RCOND) -> int:
        """Return how many singular values count as not zero."""
        return int((self.values > rcond * self.values[0]).sum())

    def least_norm(self, y: Float[Array, "n K"], rcond: float = RCOND) -> Float[Array, "N K"]:
        """Return the weights of least norm among those of least squared error, Eq. (5)."""
        kept = self.rank(rcond)
        inverse = np.zeros_like(self.values)
        inverse[:kept] = 1.0 / self.values[:kept]
        return self._weights(inverse, y)

    def ridge(self, y: Float[Array, "n K"], penalty: float) -> Float[Array, "N K"]:
        """Return the weights of ridge regression, Eq. (6).

        Raises:
            PracticumError: the penalty is not above zero; without one, use `least_norm`.
        """
        if not penalty > 0:
            raise PracticumError(f"a ridge of {penalty}: expected above 0, else use `least_norm`")
        n = len(self.left)
        return self._weights(self.values / (self.values**2 + n * penalty), y)

    def _weights(self, factors: Float[Array, "r"], y: Float[Array, "n K"]) -> Float[Array, "N K"]:
        if y.ndim != 2 or len(y) != len(self.left):
            raise PracticumError(f"targets of shape {y.shape}; expected [{len(self.left)}, K]")
        weights: Array = self.right.T @ (factors[:, None] * (self.left.T @ y))
        return weights if self.basis is None else self.basis @ weights


def isotropic_risk(gamma: float, signal: float, noise: float) -> float:
    """Return the risk of least-norm linear regression on isotropic inputs, as sizes grow.

    T. Hastie, A. Montanari, S. Rosset and R. Tibshirani, "Surprises in high-dimensional ridgeless
    least squares interpolation", Annals of Statistics 50 (2022), arXiv:1903.08560:

        noise gamma / (1 - gamma)                                  gamma < 1                    (7)
        signal (1 - 1 / gamma) + noise / (gamma - 1)               gamma > 1                    (8)

    Args:
        gamma: inputs by examples, not 1.
        signal: squared length of the true weights.
        noise: variance of the targets' noise.

    Raises:
        PracticumError: gamma is not above zero or is 1, where the risk has no limit.
    """
    if not gamma > 0 or gamma == 1:
        raise PracticumError(f"gamma {gamma}: expected above 0 and not 1, where the risk diverges")
    if gamma < 1:
        return noise * gamma / (1.0 - gamma)  # Eq. (7)
    return signal * (1.0 - 1.0 / gamma) + noise / (gamma - 1.0)  # Eq. (8)
