"""Batch normalisation: every activation is standardised over the examples of a batch.

Paper: Ioffe, Szegedy, "Batch normalization: accelerating deep network training by reducing internal
covariate shift", ICML 2015, arXiv:1502.03167v3. The noise: Santurkar, Tsipras, Ilyas, Madry, "How
does batch normalization help optimization?", NeurIPS 2018, arXiv:1805.11604, section 2.2.

Equations (the paper's algorithms; m values of one activation in a batch B):
    mu_B      = 1/m sum_i x_i                                (A1.1) mean of the batch
    sigma_B^2 = 1/m sum_i (x_i - mu_B)^2                     (A1.2) variance, divided by m
    x^_i      = (x_i - mu_B) / sqrt(sigma_B^2 + epsilon)     (A1.3) standardise
    y_i       = gamma x^_i + beta                            (A1.4) scale and shift, both learned
    E[x]      = mean of mu_B                                 (A2.10) over training batches
    Var[x]    = m/(m-1) mean of sigma_B^2                    (A2.10) unbiased, unlike (A1.2)
    y         = gamma (x - E[x]) / sqrt(Var[x] + epsilon) + beta     (A2.11) when training is over
    z         = g(BN(W u))                                   section 3.2; beta takes over the bias

For images one mean and variance belong to each feature map: m is batch size times pixels.

Shapes: B batch, C activations (feature maps), H hidden units, K outputs.

Deviations:
    1. (A2.10) averages after training. Here, as section 3.1 allows, moving averages follow while
       training: a <- (1 - momentum) a + momentum new, from mean 0 and variance 1.
    2. `BatchNormMLP` starts its weights from a normal distribution of a given deviation; section
       4.1 says "small random Gaussian values" without saying how small.
    3. `Perturb` draws from normal distributions whose spreads are settings of its own; the noise is
       on while training only.

Cost: 2 C parameters; about 8 operations a value.
"""

from __future__ import annotations

import itertools

import torch
from jaxtyping import Float
from torch import Tensor, nn

from practicum.errors import PracticumError, unknown
from practicum.nn.mlp import ACTIVATIONS


class BatchNorm(nn.Module):
    """Batch normalisation of vectors [B, C] or of feature maps [B, C, ...].

    Args:
        features: C.
        epsilon: added to the variance before the square root.
        momentum: weight of the newest batch in the moving averages.

    Raises:
        PracticumError: epsilon is not above 0, or momentum is not in (0, 1].
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, features: int, *, epsilon: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        if not epsilon > 0:
            raise PracticumError(f"epsilon is {epsilon}; it must be above 0")
        if not 0 < momentum <= 1:
            raise PracticumError(f"the momentum of the averages is {momentum}, not in (0, 1]")
        self.gamma = nn.Parameter(torch.ones(features))
        self.beta = nn.Parameter(torch.zeros(features))
        self.register_buffer("running_mean", torch.zeros(features))
        self.register_buffer("running_var", torch.ones(features))
        self.epsilon, self.momentum = epsilon, momentum

    def forward(self, x: Float[Tensor, "B C *rest"]) -> Float[Tensor, "B C *rest"]:
        """Return the normalised values; in training mode, move the averages on.

        Raises:
            PracticumError: training on one value for each activation, which has no variance.
        """
        over = [0, *range(2, x.dim())]  # all axes but the activations'
        shape = (-1,) + (1,) * (x.dim() - 2)
        if self.training:
            m = x.numel() // x.shape[1]
            if m < 2:
                raise PracticumError(
                    "batch normalisation cannot train on one value for each activation; "
                    "use batches of two examples or more"
                )
            mean = x.mean(over, keepdim=True)  # (A1.1)
            centred = x - mean
            var = (centred * centred).mean(over, keepdim=True)  # (A1.2)
            with torch.no_grad():
                keep, new = 1 - self.momentum, self.momentum
                self.running_mean.mul_(keep).add_(mean.detach().flatten(), alpha=new)
                unbiased = var.detach().flatten() * (m / (m - 1))  # (A2.10)
                self.running_var.mul_(keep).add_(unbiased, alpha=new)
        else:
            centred = x - self.running_mean.view(shape)  # (A2.11)
            var = self.running_var.view(shape)
        # Centred first and scaled then: with both folded into one factor and one shift, a mean that
        # is large for its spread would lose digits.
        scale = self.gamma.view(shape) * torch.rsqrt(var + self.epsilon)
        return torch.addcmul(self.beta.view(shape), centred, scale)  # (A1.3), (A1.4)


class Perturb(nn.Module):
    """Noise that gives every activation another distribution at every training step.

    y_ij = s_j x_ij + mu_j + r e_ij, with s_j = exp(scale a_j) and mu_j = shift b_j; a_j, b_j, e_ij
    are standard normal, the first two drawn once a step for each activation j, the last for each
    example i too. So the mean is not zero, the variance not one, and neither stays.

    Args:
        shift: deviation of the means mu_j.
        scale: deviation of the logarithms of the factors s_j.
        jitter: r.
    """

    def __init__(self, *, shift: float, scale: float, jitter: float) -> None:
        super().__init__()
        self.shift, self.scale, self.jitter = shift, scale, jitter

    def forward(self, x_BH: Float[Tensor, "B H"]) -> Float[Tensor, "B H"]:
        """Return the perturbed activations; in evaluation mode, the activations."""
        if not self.training:
            return x_BH
        factor_1H = torch.exp(self.scale * torch.randn_like(x_BH[:1]))
        mean_1H = self.shift * torch.randn_like(x_BH[:1])
        return factor_1H * x_BH + mean_1H + self.jitter * torch.randn_like(x_BH)


class BatchNormMLP(nn.Module):
    """A multilayer perceptron with or without batch normalisation of its hidden layers.

    Args:
        inputs: D, numbers per example after flattening.
        hidden: units of each hidden layer.
        outputs: K.
        activation: "sigmoid", "relu" or "tanh".
        normalize: normalise W u before the nonlinearity, and drop its bias.
        perturb: noise after the normalisation (without it: on W u + b), or None.
        deviation: of the normal distribution of the first weights; biases start at 0.

    Raises:
        PracticumError: no such activation, or the deviation is not above 0.
    """

    def __init__(
        self,
        inputs: int,
        hidden: tuple[int, ...],
        outputs: int,
        *,
        activation: str = "sigmoid",
        normalize: bool = True,
        perturb: Perturb | None = None,
        deviation: float = 0.1,
    ) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise unknown("activation", activation, ACTIVATIONS)
        if not deviation > 0:
            raise PracticumError(f"the deviation of the first weights is {deviation}; give more")
        self.layers = nn.ModuleList(
            nn.Linear(fan_in, fan_out) for fan_in, fan_out in itertools.pairwise((inputs, *hidden))
        )
        if normalize:
            for layer in self.layers:
                # Built with it first: both kinds of network draw the same first weights.
                layer.register_parameter("bias", None)
        self.norms = nn.ModuleList(
            BatchNorm(units) if normalize else nn.Identity() for units in hidden
        )
        self.perturb = perturb
        self.head = nn.Linear((inputs, *hidden)[-1], outputs)
        self.activation = activation
        for name, parameter in self.named_parameters():
            if name.endswith("weight"):
                nn.init.normal_(parameter, std=deviation)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, x: Float[Tensor, "B *inputs"]) -> Float[Tensor, "B K"]:
        """Return the outputs before any softmax (logits)."""
        g = ACTIVATIONS[self.activation]
        u_BH = x.flatten(1)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            a_BH = norm(layer(u_BH))
            u_BH = g(a_BH if self.perturb is None else self.perturb(a_BH))  # z = g(BN(W u))
        logits: Tensor = self.head(u_BH)
        return logits
