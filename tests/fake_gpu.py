"""A GPU that is none: tensors on it are real ones on the CPU that carry a mark, and whatever mixes marked and unmarked
tensors fails as it would on a GPU."""

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_iter, tree_map

GPU = torch.device("cuda", 0)
MOVES = {torch.Tensor.to, torch.Tensor.cpu, torch.Tensor.cuda}
INDEXED = {torch.Tensor.__getitem__, torch.Tensor.__setitem__}  # may be by numbers that are on the CPU
READS = {torch.Tensor.numpy, torch.Tensor.__array__}
FACTORIES = {torch.zeros, torch.ones, torch.full, torch.tensor, torch.arange, torch.empty, torch.eye, torch.linspace,
             torch.randn, torch.rand, torch.randint, torch.as_tensor}


def on_gpu(x) -> bool:
    """Whether a tensor is marked."""
    return isinstance(x, torch.Tensor) and getattr(x, "on_gpu", False)


def mark(x, there: bool = True):
    """The same, marked where it is a tensor."""
    if isinstance(x, torch.Tensor):
        x.on_gpu = there
    return x


def move(module: nn.Module) -> None:
    """Put a module there."""
    for tensor in (*module.parameters(), *module.buffers()):
        mark(tensor)


class FakeGPU(TorchFunctionMode):
    """While inside, marked tensors say that they are on GPU. moved: how often something was moved there or back."""

    moved = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        tensors = [x for x in tree_iter((args, kwargs)) if isinstance(x, torch.Tensor)]
        marked = any(map(on_gpu, tensors))
        if func == torch.Tensor.device.__get__:
            return GPU if marked else func(*args)
        if func == torch.Tensor.is_cuda.__get__:
            return marked
        if func in MOVES:
            return self._moved(func, args, kwargs)
        if marked and func in READS:
            raise TypeError("can't convert cuda:0 device type tensor to numpy")
        there = self._place(kwargs)
        if func in FACTORIES and kwargs.get("generator") is not None and there:
            raise RuntimeError("Expected a 'cuda' device type for generator but found 'cpu'")
        if marked:
            wrong = [x for x in tensors[1 if func in INDEXED else 0 :] if not on_gpu(x) and x.ndim]
            if func in INDEXED and not on_gpu(tensors[0]) or wrong and func not in INDEXED:
                raise RuntimeError(f"{func.__name__}: expected all tensors to be on the same device, but found cuda:0 "
                                   f"and cpu (shapes {[tuple(x.shape) for x in tensors]})")
        out = func(*args, **kwargs)
        return tree_map(mark, out) if there or marked and there is not False else out

    def _moved(self, func, args, kwargs):
        where = kwargs.get("device", next((a for a in args[1:] if isinstance(a, (str, torch.device))), None))
        where = "cpu" if func is torch.Tensor.cpu else where
        if isinstance(args[1] if len(args) > 1 else None, torch.Tensor):
            where = GPU if on_gpu(args[1]) else "cpu"
        if where is None:
            return mark(func(*args, **kwargs), on_gpu(args[0]))
        there = torch.device(where).type == "cuda"
        if there == on_gpu(args[0]):
            return args[0]
        type(self).moved += 1
        return mark(args[0].clone(), there)

    @staticmethod
    def _place(kwargs):
        """Whether a device that was asked for is the GPU, None if none was; the real one is asked for the CPU."""
        if kwargs.get("device") is None:
            return None
        there = torch.device(kwargs["device"]).type == "cuda"
        kwargs["device"] = "cpu"
        return there
