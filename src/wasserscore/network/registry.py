"""Networks by name: saved as a configuration and tensors, rebuilt without running foreign code."""

import json
from typing import Any

import torch
from torch import Tensor, nn

from wasserscore.core.errors import InputError, explain, require
from wasserscore.core.tensors import not_finite
from wasserscore.network.dit import DiT
from wasserscore.network.latent import LatentMLP
from wasserscore.network.logit import LogitMLP
from wasserscore.network.mlp import MLP
from wasserscore.network.perceptron import Perceptron
from wasserscore.network.unet import UNet

_CLASSES: dict[str, type[nn.Module]] = {
    network.__name__: network for network in (MLP, UNet, DiT, Perceptron, LatentMLP, LogitMLP)
}


def register(network_class: type[nn.Module]) -> type[nn.Module]:
    """Make a class of yours known to ``save`` and ``load``; usable as a decorator.

    The class needs a method ``config()`` that returns ``{"class": its name, **arguments}`` with
    JSON types. It is rebuilt under ``torch.device("meta")``, then given its tensors: everything
    it needs must be a parameter or a persistent buffer.

    Raises:
        InputError: If the class has no ``config``, or its name is taken.
    """
    name = network_class.__name__
    require(
        callable(getattr(network_class, "config", None)),
        "a registered network needs a method config()",
        got=name,
    )
    require(
        _CLASSES.get(name, network_class) is network_class,
        "a network of this name is registered already",
        got=name,
        do="rename yours",
    )
    _CLASSES[name] = network_class
    return network_class


def describe(network: nn.Module) -> dict[str, Any]:
    """The configuration that :func:`rebuild` reads, as it reads it: lists for tuples.

    Raises:
        InputError: If the network's class is not registered, or the configuration and the state
            would not give it back: a file that nobody can load is found out too late.
    """
    name = type(network).__name__
    require(
        _CLASSES.get(name) is type(network),
        "only registered networks can be saved",
        got=name,
        do="add @ws.networks.register to the class",
    )
    state = network.state_dict()
    odd = [key for key, value in state.items() if not isinstance(value, Tensor)]
    odd += [key for key, _ in network.named_buffers() if key not in state]
    require(not odd, f"what {name} keeps must be parameters and persistent buffers", got=odd[:3])
    broken = not_finite(state)
    require(not broken, f"the state of {name} must be finite",
            got=f"NaN or infinity in {broken[:3]}",
            do="keep a mask as True and False, the infinities out of it")  # fmt: skip
    own = network.config()  # type: ignore[operator]
    try:
        config: dict[str, Any] = json.loads(json.dumps(own))
    except (TypeError, ValueError) as error:
        raise InputError(explain(f"config() of {name} must hold JSON types", got=error)) from None
    _require_fit(_skeleton(config), state)
    return config


def rebuild(config: dict[str, Any], tensors: dict[str, Tensor]) -> nn.Module:
    """The network of this configuration with these tensors as its weights.

    A skeleton without memory is built first and compared with the tensors, so a configuration
    that asks for a giant network fails before anything is allocated.

    Raises:
        InputError: For an unknown class or argument, or tensors that do not fit.
    """
    return filled(_skeleton(config), tensors)


def _skeleton(config: dict[str, Any]) -> nn.Module:
    """The network of this configuration, without memory."""
    with torch.device("meta"):
        return built(config)


def filled(network: nn.Module, tensors: dict[str, Tensor]) -> nn.Module:
    """The network itself, with these tensors as its weights; what modules share stays shared.

    Raises:
        InputError: If a name or a shape differs, or the tensors of one weight; names the first.
    """
    name = type(network).__name__
    _require_fit(network, tensors)
    twins = _twins(network)
    for own, first in twins.items():
        require(torch.equal(tensors[own], tensors[first]), f"weight {own[:80]!r} of {name} must "
                f"be {first[:80]!r}, which it is in the network", got="another")  # fmt: skip
    network.load_state_dict(tensors, assign=True)
    for own, first in twins.items():  # they are two now
        module, _, attribute = own.rpartition(".")
        setattr(network.get_submodule(module), attribute, network.get_parameter(first))
    return network


def _require_fit(network: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Refuse tensors of another name or shape than the network's own; names the first."""
    expected = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    found = {key: tuple(value.shape) for key, value in tensors.items()}
    for key in sorted(expected.keys() | found.keys()):
        shape = expected.get(key, "(it has no such weight)")
        require(
            expected.get(key) == found.get(key),
            f"weight {key[:80]!r} of {type(network).__name__} must have shape {shape}",
            got=found.get(key, "nothing"),
        )


def _twins(network: nn.Module) -> dict[str, str]:
    """The further names of a weight that several modules share, with its first one."""
    first: dict[nn.Parameter, str] = {}
    named = network.named_parameters(remove_duplicate=False)
    return {name: first[x] for name, x in named if first.setdefault(x, name) != name}


def built(config: dict[str, Any]) -> nn.Module:
    """A network of this configuration, its weights fresh (or none, under "meta").

    Raises:
        InputError: For an unknown class or argument.
    """
    require(isinstance(config, dict), "a network's configuration must be an object", got=config)
    arguments = dict(config)
    name = arguments.pop("class", None)
    require(
        isinstance(name, str) and name in _CLASSES,
        f"network class must be one of {sorted(_CLASSES)}",
        got=repr(name),
        do="register it before loading",
    )
    try:
        return _CLASSES[str(name)](**arguments)
    except (TypeError, RuntimeError) as error:  # a skeleton has no numbers to look at
        reason = " ".join(str(error).split())[:200]
        raise InputError(explain(f"the configuration does not fit {name}", got=reason)) from None
