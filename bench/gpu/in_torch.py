"""The parts `torch` and `compiled`: PyTorch on the same networks and batches, as a replayed CUDA graph.

Convolutional networks have their channels last; bfloat16 is autocast; SGD is fused. `compiled` goes through inductor in
its default mode first. Leans on torch and on the networks' definitions for peers.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from ... import models
from ..contenders import HEAD_WEIGHT, MOMENTUM
from ..networks import case as raced
from ..networks import definition
from . import turn
from .parts import MODES, read_case
from .work import MOST_CALLS, ROUND_SECONDS, ROUNDS

WARM = 3
Step = Callable[[], Any]


def run_compiled(case: str, say: Callable[[dict[str, Any]], None]) -> None:
    """A row for each mode, through inductor."""
    run(case, say, True)


def run(case: str, say: Callable[[dict[str, Any]], None], compiled: bool = False) -> None:
    """A row for each mode."""
    name, batch, precision = read_case(case)
    for mode in MODES:
        started = time.perf_counter()
        run_step = step(name, batch, mode == "train", precision, compiled)
        if compiled:
            with turn.beside():
                warm(run_step)
        ready = time.perf_counter() - started
        with turn.alone():
            found = milliseconds(captured(run_step))
        last = ", channels last" if raced(name).convolutional else ""
        about = {"network": name, "batch": batch, "mode": mode, "precision": precision}
        by = f"torch{' compiled' if compiled else ''}{last}"
        say({**about, "by": by, **found, "build_seconds": ready})


def set_precision(precision: str) -> None:
    """Tensor cores for products and convolutions of float32, or none."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision != "float32"
    torch.backends.cudnn.benchmark = True


def step(name: str, batch: int, training: bool, precision: str, compiled: bool) -> Step:
    """A training step or an inference on random data on the GPU."""
    set_precision(precision)
    torch.manual_seed(0)
    model = models.build(name)
    net = definition(name).to("cuda").train(training)
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    x = torch.rand(batch, *model.input_shape, device="cuda")
    t = torch.randint(0, model.classes, (batch,), device="cuda")
    if raced(name).convolutional:
        net, x = net.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)

    def forward() -> Any:
        with torch.autocast("cuda", torch.bfloat16, enabled=precision == "bfloat16"):
            answers = net(x)
        if not training:
            return answers
        logits, *heads = (y.float() for y in (answers if isinstance(answers, tuple) else (answers,)))
        loss = nn.functional.cross_entropy(logits, t)
        for head in heads:
            loss = loss + HEAD_WEIGHT * nn.functional.cross_entropy(head, t)
        return loss

    run_forward: Step = torch.compile(forward) if compiled else forward
    if not training:
        without_gradients: Step = torch.no_grad()(run_forward)
        return without_gradients
    optimizer = torch.optim.SGD(net.parameters(), raced(name).rate, momentum=MOMENTUM, fused=True)

    def whole() -> Any:
        optimizer.zero_grad(set_to_none=True)
        loss = run_forward()
        loss.backward()
        optimizer.step()
        return loss

    return whole


def warm(run_step: Step) -> None:
    """Some steps on a stream of their own, as PyTorch's documentation asks before a capture."""
    stream: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM):
            run_step()
    torch.cuda.current_stream().wait_stream(stream)
    torch.cuda.synchronize()


def captured(run_step: Step) -> Step:
    """The step as a CUDA graph to replay, after some steps beside it."""
    warm(run_step)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        held = run_step()

    def replay() -> Any:
        graph.replay()
        return held

    return replay


def milliseconds(replay: Step) -> dict[str, float]:
    """Median, least and most milliseconds over some rounds, by events."""

    def measured(calls: int) -> float:
        start: Any = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        end: Any = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        start.record()
        for _ in range(calls):
            replay()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) / calls

    once = min(measured(1) for _ in range(2))
    calls = int(min(max(ROUND_SECONDS * 1e3 / max(once, 1e-3), 1), MOST_CALLS))
    found = [measured(calls) for _ in range(ROUNDS)]
    return {"ms": statistics.median(found), "lower": min(found), "upper": max(found)}


def ceilings(elements: int, sides: Sequence[int], precisions: Sequence[str]) -> Iterator[tuple[str, float]]:
    """(name, milliseconds) of the programs of the part `ceilings`."""
    x = torch.rand(elements, device="cuda")
    copy = torch.empty_like(x)
    yield "copy", _alone(lambda: torch.mul(x, 2.0, out=copy))
    for side in sides:
        for precision in precisions:
            set_precision(precision)
            kind = torch.bfloat16 if precision == "bfloat16" else torch.float32
            a, b = (torch.rand(side, side, device="cuda").sub(0.5).to(kind) for _ in range(2))
            yield f"product {side} {precision}", _alone(partial(torch.matmul, a, b))


def _alone(run_step: Step) -> float:
    with turn.alone():
        return milliseconds(captured(run_step))["ms"]
