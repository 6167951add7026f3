"""What a compilation reports beside the module: rules that fired, memory, residuals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from graphc.errors import UsageError
from graphc.inspect.text import printable, reading, table
from graphc.ir import dims
from graphc.ir.node import Node
from graphc.ir.pattern import Rule
from graphc.lower.buffers import byte_size
from graphc.lower.layout import Layout, layout
from graphc.lower.module import LoweredModule

TYPICAL = 128  # the named sizes for which the text gives numbers, unless told otherwise
MAX_READERS = 4


@dataclass(frozen=True, slots=True)
class Residual:
    """A forward value that backward reads.

    name     its variable
    type     dtype and shape
    size     bytes
    readers  what backward computes from it: variables, and gradients as `∂loss/∂W`
    """

    name: str
    type: str
    size: dims.Extent
    readers: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """Of one compiled module.

    fired  the rewrite rules and the nodes on which they fired, in order
    """

    lowered: LoweredModule
    fired: Sequence[tuple[Rule, Node]] = field(repr=False)

    @cached_property
    def layout(self) -> Layout:
        """The memory of the workspace style, whatever style was compiled."""
        return layout(self.lowered)

    def planned(self, **sizes: int) -> int:
        """The bytes of all buffers in the workspace style, for the named sizes."""
        return dims.evaluate(self.layout.planned(), self.complete(sizes))

    def bound(self, **sizes: int) -> int:
        """The bytes that no plan could do without: the largest set of values alive at one time."""
        known = self.complete(sizes)
        return max(memory.largest_live_set(known) for memory in self.layout.sequences())

    @cached_property
    def residuals(self) -> tuple[Residual, ...]:
        """The forward values that backward reads, in order of computation."""
        module = self.lowered
        if module.backward is None:
            return ()
        names, equations = reading(module)
        derived = equations["backward"]
        readers: dict[Node, dict[Node, None]] = {node: {} for node in module.residuals}
        users: dict[Node, list[Node]] = {}
        for node in module.backward.order:
            for arg in node.args:
                users.setdefault(arg, []).append(node)
        for residual, found in readers.items():
            reached = list(users.get(residual, ()))
            for node in reached:
                if node not in derived.inlined:
                    found[node] = None
                else:  # written inside what uses it
                    reached += users.get(node, ())
        return tuple(
            Residual(names.of(n), str(n.types[0]), byte_size(n), tuple(map(derived.called, found)))
            for n, found in readers.items()
        )

    def complete(self, sizes: Mapping[str, int]) -> Mapping[str, int]:
        """The named sizes. Raises UsageError where one is missing or unknown."""
        known = self.layout.sizes()
        for name in known:
            if name not in sizes:
                raise UsageError(f"the memory depends on {name!r}", hint=f"pass {name}=64, say")
        for name in sizes:
            if name not in known:
                raise UsageError(
                    f"the model has no size {name!r}; it has {', '.join(known) or 'none'}"
                )
        return sizes

    def text(self, sizes: Mapping[str, int] | None = None) -> str:
        """The memory and the residuals, as `graphc inspect` shows them."""
        given = dict.fromkeys(self.layout.sizes(), TYPICAL) | dict(sizes or {})
        planned, bound = self.planned(**given), self.bound(**given)
        at = ", ".join(f"{printable(name)} = {size}" for name, size in given.items())
        lines = ["memory" + (f", in bytes at {at}" if at else ", in bytes")]
        ratio = f"{planned / bound:.2f} × the bound" if bound else ""
        lines += table(
            [
                ("planned", f"{planned}", f"{self.layout.planned()}", ratio),
                ("bound", f"{bound}", "the largest set of values alive at one time", ""),
            ]
        )
        if self.residuals:
            rows = []
            for row in self.residuals:
                readers = ", ".join(row.readers[:MAX_READERS]) or "nothing but sizes"
                more = len(row.readers) - MAX_READERS
                readers += f" and {more} more" if more > 0 else ""
                rows.append((row.name, row.type, f"{row.size} bytes", f"read by {readers}"))
            lines += ["", "residuals", *table(rows)]
        return "\n".join(lines) + "\n"
