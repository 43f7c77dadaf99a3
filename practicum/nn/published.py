"""Checkpoints as they are published: a folder with config.json and model.safetensors.

The names and shapes in them are those of the `transformers` library. A network that has the same
names reads one without knowing more; what older files call otherwise, it renames.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from practicum.errors import PracticumError

CONFIG, WEIGHTS = "config.json", "model.safetensors"


def read_config(folder: Path, kind: str, must: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a published checkpoint.

    Args:
        folder: where config.json is.
        kind: the `model_type` that it must name.
        must: settings that, where they are given, must have these values.

    Raises:
        PracticumError: there is no such file, or it describes another network.
    """
    path = folder / CONFIG
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PracticumError(f"cannot read {path}: {error}") from None
    if not isinstance(found, dict) or found.get("model_type") != kind:
        named = found.get("model_type") if isinstance(found, dict) else None
        raise PracticumError(f"{path} describes a {named!r} network, not a {kind!r}")
    for name, value in must.items():
        if found.get(name, value) != value:
            raise PracticumError(
                f"{path} has {name} = {found[name]!r}; this network has it only as {value!r}"
            )
    return found


def number(folder: Path, found: Mapping[str, Any], name: str, default: float | None = None) -> Any:
    """Return a setting that is a number.

    Args:
        folder: where config.json is, for the error.
        found: its settings.
        name: of the setting.
        default: its value where config.json lacks it; None: it must be there, and is a size.

    Raises:
        PracticumError: it is missing, no number, or a size that is not a whole number above 0.
    """
    value = found.get(name, default)
    if default is None:
        good, wanted = isinstance(value, int) and value > 0, "a whole number above 0"
    else:
        good, wanted = isinstance(value, int | float), "a number"
    if isinstance(value, bool) or not good:
        said = f"{name} = {value!r}" if name in found else f"no {name}"
        raise PracticumError(f"{folder / CONFIG} has {said}; {wanted} is needed")
    return value


def weight_names(folder: Path) -> frozenset[str]:
    """Return the names of the tensors of a published checkpoint.

    Raises:
        PracticumError: there is no such file, or it is damaged.
    """
    from safetensors import safe_open

    path = _weights(folder)
    with _whole(path), safe_open(path, "pt") as file:
        return frozenset(file.keys())


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    """Within, say of a file that cannot be read what is wrong with it."""
    from safetensors import SafetensorError

    try:
        yield
    except (SafetensorError, OSError) as error:
        raise PracticumError(
            f"{path} is no whole safetensors file ({error}); fetch or save it again"
        ) from None


def _weights(folder: Path) -> Path:
    path = folder / WEIGHTS
    if not path.is_file():
        raise PracticumError(
            f"there is no {path}; save the network as one safetensors file (in transformers: "
            "save_pretrained(folder, max_shard_size='100GB'))"
        )
    return path


def read_weights(
    network: nn.Module, folder: Path, rename: Callable[[str], str | None], tied: Mapping[str, str]
) -> None:
    """Fill a network with the weights of a published checkpoint.

    Args:
        network: what to fill.
        folder: where model.safetensors is.
        rename: from a name in the file to the network's, or None for what it does not need.
        tied: from names that a file may have, renamed, to the parameter that is the same.

    Raises:
        PracticumError: there is no such file, it is damaged, or a tensor is missing, left over, of
            another shape or unlike the one that it is tied to.
    """
    from safetensors.torch import load_file

    path = _weights(folder)
    with _whole(path):
        tensors = load_file(path)
    named: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        ours = rename(name)
        if ours is not None:
            named[ours] = tensor
    for name, same in tied.items():
        copy = named.pop(name, None)
        if copy is not None and same in named and not copy.equal(named[same]):
            raise PracticumError(f"{path}: {name} differs from {same}, to which it is tied here")
    wanted = network.state_dict()
    problems = [f"{name} is missing" for name in wanted if name not in named]
    problems += [f"{name} is left over" for name in named if name not in wanted]
    problems += [
        f"{name} is {tuple(one.shape)}, not {tuple(wanted[name].shape)}"
        for name, one in named.items()
        if name in wanted and one.shape != wanted[name].shape
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise PracticumError(f"{path} does not fit: {'; '.join(problems[:3])}{more}")
    network.load_state_dict(named)


def write(
    network: nn.Module, folder: Path, config: Mapping[str, Any], rename: Callable[[str], str]
) -> None:
    """Write config.json and model.safetensors into a folder, which is made.

    Args:
        network: whose weights to write.
        folder: where to.
        config: the settings.
        rename: from the network's name of a tensor to the published one.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    tensors = {rename(name): one.contiguous() for name, one in network.state_dict().items()}
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    (folder / CONFIG).write_text(json.dumps(dict(config), indent=2) + "\n", encoding="utf-8")
