"""Python identifiers for values: the user's label, else a name that says what the value is."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from graphc.ir.graph import ARGUMENT, CONSTANT, Graph
from graphc.ir.node import Node

MAX_LENGTH = 40
MAX_PHRASE = 20
KEY_AND_NAME = 82  # what `"key": name` has of a line of 100, beside indentation, `_bar`, `.copy()`
MIN_LENGTH = 12  # however long the key is

# Keywords, and builtins that code of a module might use. Written out, as they differ between
# versions of Python, and a host such as IPython adds its own: the same model gives the same names.
_RESERVED = """
False None True and as assert async await break case class continue def del elif else except finally
for from global if import in is lambda match nonlocal not or pass raise return try type while with
yield abs aiter all anext any ascii bin bool breakpoint bytearray bytes callable chr classmethod
compile complex copyright credits delattr dict dir divmod enumerate eval exec exit filter float
format frozenset getattr globals hasattr hash help hex id input int isinstance issubclass iter len
license list locals map max memoryview min next object oct open ord pow print property quit range
repr reversed round set setattr slice sorted staticmethod str sum super tuple vars zip
"""
RESERVED = frozenset(_RESERVED.split())
_COUNTED = re.compile(r"^(\d[\d_]*)_([A-Za-z]\w*)$")


def identifier(text: str, fallback: str = "value", length: int = MAX_LENGTH) -> str:
    """An ASCII identifier like the text: no leading underscore, at most `length` characters.

    Of a long path, as in `encoder.layers.0.attention.query.weight`, the end says most. Numbers that
    it begins with stand behind: `0.weight` is `weight_0`.
    """
    plain = text
    if not text.isascii():
        plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    while len(plain) > length and re.search(r"[./]\w", plain):
        plain = re.split(r"[./]", plain, maxsplit=1)[1]
    name = plain if plain.isidentifier() else re.sub(r"\W+", "_", plain)
    name = _COUNTED.sub(r"\2_\1", name.strip("_"))[:length].strip("_")
    if not name:
        return fallback
    return name if not name[0].isdigit() else f"{fallback}_{name}"[:length].strip("_")


class Names:
    """The identifiers of one module: a value is called the same in each of its functions.

    apart  groups of values of which no two stand in one function: they may be called the same
    """

    def __init__(
        self, graph: Graph, reserved: Iterable[str], apart: Sequence[Iterable[Node]] = ()
    ) -> None:
        self.graph = graph
        self.taken = {*reserved, *RESERVED}
        self.given: dict[Node | str, str] = {}
        self.groups = {node: place for place, nodes in enumerate(apart) for node in nodes}
        self.taken_apart: list[set[str]] = [set() for _ in apart]
        # The last one tried, for each wanted identifier.
        self.suffixes: dict[tuple[str, int | None], int] = {}

    def of(self, node: Node) -> str:
        """The identifier of a value; the first call decides it."""
        if node not in self.given:
            own = self.graph.name_of(node)
            room = MAX_LENGTH if own is None else self.room(own[0]) + len(own[1])
            room, group = min(room, MAX_LENGTH), self.groups.get(node)
            self.given[node] = self.free(self.proposed(node), room, group)
        return self.given[node]

    def of_size(self, name: str) -> str:
        """The identifier of a named size."""
        if name not in self.given:
            self.given[name] = self.free(identifier(name, "size"))
        return self.given[name]

    def room(self, name: str) -> int:
        """How long an identifier may be: beside a long key of a dict it has to be shorter."""
        if name not in self.graph.parameters and name not in self.graph.states:
            return MAX_LENGTH
        return min(MAX_LENGTH, max(MIN_LENGTH, KEY_AND_NAME - len(ascii(name))))

    def free(self, wanted: str, length: int = MAX_LENGTH, group: int | None = None) -> str:
        """The wanted identifier, suffixed with a number if it is taken; it is taken from then."""
        name, count = wanted, self.suffixes.get((wanted, group), 1)
        beside = self.taken_apart if group is None else [self.taken_apart[group]]
        while name in self.taken or any(name in taken for taken in beside):
            count += 1
            name = f"{wanted[: length - len(str(count)) - 1].rstrip('_')}_{count}"
        self.suffixes[wanted, group] = count
        (self.taken if group is None else self.taken_apart[group]).add(name)
        return name

    def proposed(self, node: Node) -> str:
        """What a value would be called if every identifier were free."""
        if node.op is CONSTANT:
            return identifier(self.graph.label_of(node) or "constant").upper()
        own = self.graph.name_of(node)
        if own is not None:
            name, suffix = own
            length = min(self.room(name), MAX_LENGTH - len(suffix))
            # A value and what belongs to it begin alike, whichever ops they come from.
            fallback = node.op.name if node.op is ARGUMENT else "value"
            return identifier(name, fallback, length) + suffix
        if node in self.graph.counterparts:
            suffix, primal = self.graph.counterparts[node]
            return f"{primal.op.noun or primal.op.name}_{suffix}"
        return self.phrase(node)

    def phrase(self, node: Node) -> str:
        """A name made of those of the operands, as long as that is short; else a noun."""
        op = node.op
        noun = op.noun or op.name
        operands = [self.given.get(arg) for arg in node.args]
        words = [name.lstrip("*") for name in op.operands]
        if operands and None not in operands and len(words) == len(operands) == len(set(operands)):
            told = dict(zip(words, map(str, operands), strict=True))
            phrase = (op.phrase or f"{noun}_{{{words[0]}}}").format(**told)
            if len(phrase) <= MAX_PHRASE:
                return phrase
        return noun
