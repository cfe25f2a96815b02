"""A pretended GPU: tensors that say they are on ``cuda`` and refuse to meet those of the CPU.

Code that mixes devices works on every machine without a GPU and fails on the first one that has
one. Inside :func:`far_device` it fails here: ``x.cuda()`` gives a :class:`Far`, whose numbers lie
on the CPU, but whose operations with CPU tensors are refused as CUDA's are. Kernels of our own,
gradients and what other threads make are beyond it.
"""

import contextlib
from collections.abc import Iterator
from unittest import mock

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

ATEN = torch.ops.aten
MIXED = {ATEN.index.Tensor, ATEN.index_put_.default, ATEN.index_put.default, ATEN.copy_.default,
         ATEN._index_put_impl_.default}  # fmt: skip
"""What CUDA lets tensors of the CPU take part in."""


class Far(torch.Tensor):
    """A tensor that is elsewhere."""

    __torch_function__ = torch._C._disabled_torch_function_impl
    device = property(lambda self: torch.device("cuda", 0))
    is_cuda = property(lambda self: True)
    is_cpu = property(lambda self: False)

    @staticmethod
    def __new__(cls, inner):
        out = torch.Tensor._make_wrapper_subclass(
            cls, inner.size(), strides=inner.stride(), storage_offset=inner.storage_offset(),
            dtype=inner.dtype, device=torch.device("cpu"),
        )  # fmt: skip
        out.inner = inner.detach()
        return out

    def __repr__(self):
        return f"Far({self.inner!r})"

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        tensors = [a for a in tree_leaves((args, kwargs)) if isinstance(a, torch.Tensor)]
        near = [a for a in tensors if not isinstance(a, Far) and a.dim() > 0]
        if near and func not in MIXED:
            raise RuntimeError(f"{func} of tensors on cuda:0 and on cpu")
        inner = lambda a: a.inner if isinstance(a, Far) else a
        out = func(*tree_map(inner, args), **tree_map(inner, kwargs))
        if func is ATEN.copy_.default and not isinstance(args[0], Far):
            return out
        far = tree_map(lambda a: Far(a) if isinstance(a, torch.Tensor) else a, out)
        return return_and_correct_aliasing(func, args, kwargs, far)


def is_far(device) -> bool:
    return isinstance(device, str | torch.device) and torch.device(device).type == "cuda"


class Pretend(TorchFunctionMode):
    """Moves between the devices, and tensors that are made on one."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        x, name = (args[0] if args else None), getattr(func, "__name__", "")
        device = kwargs.get("device")
        if name == "cuda":
            return moved(x, "cuda")
        if name == "cpu":
            return moved(x, "cpu")
        if name == "pin_memory":
            return x
        if name == "to":
            return self.to(*args, **kwargs)
        if isinstance(x, Far) and name == "tolist":
            return x.inner.tolist()
        if isinstance(x, Far) and name == "numpy":
            raise TypeError("a tensor on cuda:0 has no NumPy array")
        if isinstance(x, Far) and name == "new_tensor":
            return Far(x.inner.new_tensor(*args[1:], **kwargs))
        if isinstance(x, Far) and name in ("as_tensor", "tensor"):
            return self.to(x, kwargs.get("dtype") or x.dtype, device=device or x.device)
        if is_far(device):
            return Far(func(*args, **(kwargs | {"device": "cpu"})))
        return func(*args, **kwargs)

    def to(self, x, *where, device=None, non_blocking=False, **more):
        for a in where:
            if isinstance(a, torch.Tensor):
                device, more["dtype"] = a.device, a.dtype
            elif isinstance(a, torch.dtype):
                more["dtype"] = a
            else:
                device = a
        x = torch.Tensor.to(x, **more) if more else x
        return x if device is None else moved(x, device)


def moved(x, device):
    if is_far(device) == isinstance(x, Far):
        return x
    return Far(x.detach().clone()) if is_far(device) else x.inner.clone()


@contextlib.contextmanager
def far_device() -> Iterator[None]:
    """Inside, ``cuda`` can be pretended; nothing is drawn ahead, and no kernel is Triton's."""
    from wasserscore.core.ahead import Ahead

    begin = Ahead.__init__
    with (
        mock.patch("wasserscore.kernel.device._supported", return_value=False),
        mock.patch.object(Ahead, "__init__", lambda self, draw, stop, *, active: begin(
            self, draw, stop, active=False)),
        Pretend(),
    ):  # fmt: skip
        yield
