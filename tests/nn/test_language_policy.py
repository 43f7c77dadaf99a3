"""Policy and reward heads on a GPT-2, against the GPT-2 itself, position by position.

Would catch: logits one place off, a value or reward that is read at another token, an answer that
sees itself.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from practicum.errors import PracticumError
from practicum.nn.gpt2 import GPT2Config
from practicum.nn.language_policy import LanguagePolicy, RewardModel

B, P, T, V = 3, 4, 5, 7
CONFIG = GPT2Config(vocabulary=V, positions=P + T, width=12, layers=2, heads=3, dropout=0.0)


def policy() -> LanguagePolicy:
    torch.manual_seed(2)
    made = LanguagePolicy(CONFIG, P).double()
    torch.nn.init.normal_(made.value.weight)
    torch.nn.init.normal_(made.value.bias)
    return made


def texts() -> Tensor:
    return torch.randint(V, (B, P + T), generator=torch.Generator().manual_seed(1))


def by_prefixes(made: LanguagePolicy, text: Tensor, late: int = 0) -> tuple[Tensor, Tensor]:
    """Read every prefix on its own; `late` reads one token too many."""
    logits, values = [], []
    for t in range(T):
        prefix = text[:, : P + t + late]
        logits.append(made.body(prefix)[:, -1])
        h = made.body.hidden(prefix)[:, -1]
        values.append((h * made.value.weight[0]).sum(-1) + made.value.bias[0])
    return torch.stack(logits, 1), torch.stack(values, 1)


def test_every_token_is_predicted_from_those_before_it() -> None:
    made, text = policy(), texts()
    weights = torch.linspace(-1, 1, B * T * V, dtype=torch.float64).view(B, T, V)
    found = []
    for logits, values in (made(text), by_prefixes(made, text)):
        made.zero_grad()
        ((logits.sin() * weights).sum() + (values.cos() * weights[..., 0]).sum()).backward()
        found.append((logits, values, {n: p.grad.clone() for n, p in made.named_parameters()}))
    (ours, mine, ours_g), (theirs, other, theirs_g) = found
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    torch.testing.assert_close(mine, other, rtol=0, atol=1e-12)
    for name, gradient in ours_g.items():
        assert gradient.abs().max() > 0, name
        torch.testing.assert_close(gradient, theirs_g[name], rtol=0, atol=1e-12)


def test_one_token_too_many_is_noticed() -> None:
    made, text = policy(), texts()
    assert not torch.allclose(made(text)[0], by_prefixes(made, text, late=1)[0], atol=1e-3)


def test_what_is_not_yet_written_has_no_influence() -> None:
    made, text = policy(), texts()
    blank = text.clone()
    blank[:, P + 2 :] = 0
    assert torch.equal(made(text)[0][:, :3], made(blank)[0][:, :3])
    assert not torch.allclose(made(text)[0][:, 3], made(blank)[0][:, 3])


def test_a_new_value_head_says_nothing() -> None:
    assert not LanguagePolicy(CONFIG, P)(texts())[1].any()


def test_the_reward_is_read_at_the_last_token() -> None:
    torch.manual_seed(3)
    made, text = RewardModel(CONFIG).double(), texts()
    last = made.body.hidden(text)[:, P + T - 1]
    made.offset.fill_(0.7)
    w = made.reward.weight.detach()[0]
    expected = [float((w * h).sum()) + 0.7 for h in last.detach()]
    assert made(text).tolist() == pytest.approx(expected, abs=1e-12)
    made(text).square().sum().backward()
    assert all(one.grad is not None and one.grad.any() for one in made.parameters())


def test_an_answer_needs_a_prompt() -> None:
    with pytest.raises(PracticumError, match="at least one"):
        LanguagePolicy(CONFIG, 0)
