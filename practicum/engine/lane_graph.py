"""Tidying a traced program: the same numbers with fewer operations.

A trace of vmap and autograd is full of views to the shape a tensor has already, multiplications by
one, and transposed weight gradients (which an optimizer would have to copy). Programs that write
into intermediate tensors are left as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx

aten = torch.ops.aten
_RESHAPES = frozenset({aten.view.default, aten._unsafe_view.default, aten.expand.default})
_LAST_TWO = ((1, 2), (2, 1), (-1, -2), (-2, -1))


def tidy(module: fx.GraphModule) -> Sequence[Tensor]:
    """Rewrite a traced program in place.

    Returns:
        The tensors from outside whose numbers are part of the program now.
    """
    graph = module.graph
    folded: Sequence[Tensor] = ()
    mutated = [node.args[0] for node in graph.nodes if _mutates(node)]
    if all(isinstance(one, fx.Node) and one.op == "placeholder" for one in mutated):
        for node in list(graph.nodes):
            for rewrite in _REWRITES:
                replacement = rewrite(graph, node)
                if replacement is not None:
                    replacement.meta.setdefault("val", node.meta.get("val"))
                    node.replace_all_uses_with(replacement)
                    graph.erase_node(node)
                    break
        folded = _fold(module)
        if not mutated and not any(map(_is_batch_norm, graph.nodes)):
            _merge_repeated(graph)  # to read again what was written in between is no repetition
    graph.eliminate_dead_code()
    module.recompile()
    return folded


def remeasure(module: fx.GraphModule, example: Sequence[Tensor]) -> None:
    """Run a tidied program once, to know the tensors that it computes now.

    A rewritten product may lie otherwise in memory than the recorded one. A view that can no longer
    be had of what follows from it becomes a copy.
    """
    _Measuring(module).run(*example)
    module.recompile()


class _Measuring(fx.Interpreter):
    def run_node(self, n: fx.Node) -> Any:
        try:
            result = super().run_node(n)
        except RuntimeError:
            if not _calls(n, aten.view.default, aten._unsafe_view.default):
                raise
            n.target = aten.reshape.default
            result = super().run_node(n)
        n.meta["val"] = result
        return result


def _mutates(node: fx.Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    return node.op == "call_function" and schema is not None and bool(schema.is_mutable)


def _is_batch_norm(node: fx.Node) -> bool:
    """Return whether a node writes running statistics, which its schema does not say."""
    return _calls(node, aten.native_batch_norm.default)


def _calls(node: Any, *targets: Any) -> bool:
    return isinstance(node, fx.Node) and node.op == "call_function" and node.target in targets


def _shape(node: Any) -> tuple[int, ...]:
    return tuple(node.meta["val"].shape)


def _drop(graph: fx.Graph, node: fx.Node) -> fx.Node | None:
    """Skip what changes nothing: detach, a view to the same shape, times one, transpose twice."""
    source: Any = node.args[0] if node.args else None
    if not isinstance(source, fx.Node):
        return None
    same = (
        _calls(node, aten.detach.default)
        or (_calls(node, *_RESHAPES) and _shape(node) == _shape(source))
        or (_calls(node, aten.mul.Scalar) and node.args[1] == 1 and _kept_type(node, source))
    )
    if same:
        return source
    if _swaps_last_two(node) and _swaps_last_two(source):
        original: fx.Node = source.args[0]  # type: ignore[assignment]  # its first argument
        return original
    return None


def _power(graph: fx.Graph, node: fx.Node) -> fx.Node | None:
    """Use x^2 = x x, which torch computes so too, but as it computes any power."""
    if not _calls(node, aten.pow.Tensor_Scalar) or node.args[1] != 2:
        return None
    x: fx.Node = node.args[0]  # type: ignore[assignment]  # its first argument
    if not x.meta["val"].is_floating_point():
        return None
    with graph.inserting_before(node):
        return graph.call_function(aten.mul.Tensor, (x, x))


def _kept_type(node: fx.Node, source: fx.Node) -> bool:
    return bool(node.meta["val"].dtype == source.meta["val"].dtype)


def _swaps_last_two(node: fx.Node) -> bool:
    return (
        _calls(node, aten.transpose.int)
        and len(_shape(node)) == 3
        and tuple(node.args[1:]) in _LAST_TWO
    )


def _transposed_product(graph: fx.Graph, node: fx.Node) -> fx.Node | None:
    """Use (A B)^T = B^T A^T: a weight's gradient comes out in the weight's own layout."""
    product: Any = node.args[0] if node.args else None
    if not (_swaps_last_two(node) and _calls(product, aten.bmm.default) and _only(product)):
        return None
    a, b = product.args
    with graph.inserting_before(node):
        return graph.call_function(aten.bmm.default, (_swap(graph, b), _swap(graph, a)))


def _only(node: fx.Node) -> bool:
    return len(node.users) == 1


def _swap(graph: fx.Graph, node: fx.Node) -> fx.Node:
    if _swaps_last_two(node):
        source: fx.Node = node.args[0]  # type: ignore[assignment]  # its first argument
        return source
    swapped = graph.call_function(aten.transpose.int, (node, 1, 2))
    swapped.meta["val"] = node.meta["val"].transpose(1, 2)
    return swapped


def _uncopied(graph: fx.Graph, node: fx.Node) -> fx.Node | None:
    """Skip the copy of a product that was made to undo its transposition."""
    product: Any = node.args[0] if node.args else None
    copied = _calls(node, aten.clone.default) and _calls(product, aten.bmm.default)
    return product if copied and _only(product) else None


def _add_to_product(graph: fx.Graph, node: fx.Node) -> fx.Node | None:
    """Make one call of a product and a sum, as `F.linear` does."""
    if not _calls(node, aten.add.Tensor) or node.kwargs:
        return None
    for product, bias in (node.args, node.args[::-1]):
        if (
            _calls(product, aten.bmm.default)
            and isinstance(product, fx.Node)
            and _only(product)
            and isinstance(bias, fx.Node)
            and _shape(product) == _shape(node)
            and _kept_type(product, bias)
        ):
            with graph.inserting_before(node):
                return graph.call_function(aten.baddbmm.default, (bias, *product.args))
    return None


_REWRITES: tuple[Callable[[fx.Graph, fx.Node], fx.Node | None], ...] = (
    _drop,
    _power,
    _transposed_product,
    _uncopied,
    _add_to_product,
)


_FILLED = frozenset(
    {
        aten.scalar_tensor.default,
        aten.zeros.default,
        aten.ones.default,
        aten.full.default,
        aten.new_zeros.default,
        aten.new_ones.default,
        aten.new_full.default,
        aten.zeros_like.default,
        aten.ones_like.default,
        aten.full_like.default,
    }
)


def _fold(module: fx.GraphModule) -> Sequence[Tensor]:
    """Compute once what is the same in every run: filled tensors, positions, masks.

    Of tensors from outside only indices and masks count as such. Others a loss may close over for
    the sake of changing them between steps.

    Returns:
        The tensors from outside that must not change from now on.
    """
    graph: fx.Graph = module.graph
    same: set[fx.Node] = set()
    for node in graph.nodes:
        if node.op == "get_attr":
            known = _is_index(node.meta["val"])
        else:
            drawn = torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())
            known = _calls(node, *_FILLED) or (
                node.op == "call_function" and not drawn and same.issuperset(node.all_input_nodes)
            )
        if known:
            same.add(node)
    outside = [node for node in same if node.op == "get_attr"]
    read = [one.meta["val"] for one in outside if not same.isdisjoint(one.users)]
    for i, node in enumerate(list(graph.nodes)):
        if node not in same or node.op == "get_attr":
            continue
        readers = [user for user in node.users if not _keeps(user) and user not in same]
        if not readers or not isinstance(node.meta.get("val"), Tensor):
            continue
        name = f"folded{i}"
        module.register_buffer(name, node.meta["val"], persistent=False)
        with graph.inserting_before(node):
            kept = graph.get_attr(name)
        kept.meta["val"] = node.meta["val"]
        for reader in readers:
            reader.replace_input_with(node, kept)
    return read


def _is_index(one: Tensor) -> bool:
    return not (one.is_floating_point() or one.is_complex() or one.is_inference())


def _keeps(node: fx.Node) -> bool:
    """Return whether a node gives its inputs away, or may write into them."""
    return node.op == "output" or _is_batch_norm(node)


def _merge_repeated(graph: fx.Graph) -> None:
    seen: dict[Any, fx.Node] = {}
    for node in list(graph.nodes):
        if node.op != "call_function":
            continue
        key = (node.target, repr(node.args), repr(sorted(node.kwargs.items())))
        if key in seen:
            node.replace_all_uses_with(seen[key])
            graph.erase_node(node)
        else:
            seen[key] = node
