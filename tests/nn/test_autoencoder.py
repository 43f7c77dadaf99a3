"""The autoencoder: would catch a decoder that is no mirror image, a nonlinearity on the code or the
output, an error that is averaged where it should be summed, and a linear one that cannot reach
what principal component analysis reaches, or that goes below it.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from practicum.errors import PracticumError
from practicum.nn.autoencoder import Autoencoder, squared_error


def test_outputs_equal_the_loops_by_hand() -> None:
    torch.manual_seed(0)
    network = Autoencoder(6, (5, 4), 2, activation="tanh").double()
    x = torch.randn(3, 2, 3, dtype=torch.float64)
    sizes = [tuple(p.shape) for name, p in network.named_parameters() if "weight" in name]
    assert sizes == [(5, 6), (4, 5), (2, 4), (4, 2), (5, 4), (6, 5)]
    y = x.flatten(1)
    for side in (network.encoder, network.decoder):
        for i, layer in enumerate(side.layers):
            y = y @ layer.weight.T + layer.bias
            y = y.tanh() if i < 2 else y
    torch.testing.assert_close(network(x), y.reshape(3, 2, 3))
    assert torch.autograd.gradcheck(network, (x.requires_grad_(),))


def test_the_error_is_summed_over_inputs_and_not_over_examples() -> None:
    x = torch.zeros(2, 3, 2)
    made = torch.stack((torch.full((3, 2), 1.0), torch.full((3, 2), 2.0)))
    assert squared_error(made, x).tolist() == [6.0, 24.0]


def test_a_linear_one_ends_where_principal_component_analysis_does() -> None:
    generator = torch.Generator().manual_seed(3)
    spread = torch.tensor([3.0, 2.0, 1.5, 0.6, 0.3])
    turn = torch.linalg.qr(torch.randn(5, 5, generator=generator))[0]
    x = ((torch.randn(40, 5, generator=generator) * spread) @ turn + 1.0).double()
    torch.manual_seed(1)
    network = Autoencoder(5, (), 2).double()
    optimizer = torch.optim.LBFGS(
        network.parameters(), max_iter=300, line_search_fn="strong_wolfe", tolerance_grad=1e-10
    )

    def closure() -> float:
        optimizer.zero_grad()
        loss = squared_error(network(x), x).mean()
        loss.backward()
        return loss.item()

    optimizer.step(closure)
    peer = PCA(2).fit(x.numpy())
    back = peer.inverse_transform(peer.transform(x.numpy()))
    least = float(np.square(back - x.numpy()).sum(1).mean())
    with torch.no_grad():
        error = squared_error(network(x), x).mean().item()
        np.testing.assert_allclose(network(x).numpy(), back, atol=1e-3)
    assert error == pytest.approx(least, rel=1e-6)
    one = PCA(1).fit(x.numpy())
    worse = np.square(one.inverse_transform(one.transform(x.numpy())) - x.numpy()).sum(1).mean()
    assert worse > 1.5 * error  # a code with a unit less would be seen


def test_a_code_without_units_is_an_error() -> None:
    with pytest.raises(PracticumError, match="at least one"):
        Autoencoder(4, (3,), 0)
