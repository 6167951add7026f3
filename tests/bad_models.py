"""Models with a mistake in them, and what their authors have to be told.

The line that the message has to name is marked in the model; without a mark it names none.
"""

from __future__ import annotations

from typing import NamedTuple

from tests.command_line import MARK

COMPILE = "compile model.py -o net.py"


class Case(NamedTuple):
    """A model with a mistake in it, and parts of the message that the command ends with."""

    name: str
    source: str
    expected: tuple[str, ...]
    command: str = COMPILE


def graph(*lines: str) -> str:
    """A model of one graph."""
    body = "\n".join(f"    {line}" for line in lines)
    return f"import graphc as gc\nimport numpy as np\n\nwith gc.Graph('m') as g:\n{body}\n"


SCALARS = (
    "x = g.input('x')",
    "W = g.parameter('Weight')",
    "g.loss(x * W)",
)
LOSS = graph(*SCALARS)

DECLARATIONS = [
    Case(
        "sizes of a matrix product",
        graph(
            "x = g.input('x', ('batch', 64))",
            "W = g.parameter('W', (32, 10))",
            f"y = x @ W  {MARK}",
        ),
        (
            "matmul: sizes 64 and 32 differ: x float32 (batch, 64) [model.py:5], "
            "W float32 (32, 10) [model.py:6]",
        ),
    ),
    Case(
        "sizes of a sum",
        graph("x = g.input('x', (3, 4))", "y = g.input('y', (3, 5))", f"z = x + y  {MARK}"),
        ("add: sizes 4 and 5 differ: x float32 (3, 4) [model.py:5], y float32 (3, 5) [model.py:6",),
    ),
    Case(
        "two named sizes",
        graph("x = g.input('x', ('n',))", "y = g.input('y', ('m',))", f"z = x + y  {MARK}"),
        ("add: sizes n and m differ", "x float32 (n,) [model.py:5]", "y float32 (m,) [model.py:6]"),
    ),
    Case(
        "a reshape that does not fit",
        graph("x = g.input('x', (3, 4))", f"y = x.reshape(5, 2)  {MARK}"),
        ("reshape: 12 elements do not fill (5, 2)", "x float32 (3, 4) [model.py:5]"),
    ),
    Case(
        "an axis that does not exist",
        graph("x = g.input('x', (3, 4))", f"y = x.sum(axis=2)  {MARK}"),
        ("axis 2 does not exist in an array of 2 axes",),
    ),
    Case(
        "labels that are floats",
        graph(
            "x = g.input('x', ('n', 4))",
            "t = g.input('t', ('n',))",
            f"g.loss(gc.cross_entropy(x, t))  {MARK}",
        ),
        ("cross_entropy expects labels of an int dtype, got t float32 (n,) [model.py:6]",),
    ),
    Case(
        "a condition that is no bool",
        graph("x = g.input('x', (3,))", f"y = gc.where(x, x, 0)  {MARK}"),
        ("where expects a bool condition, got x float32 (3,) [model.py:5]; compare: x > 0",),
    ),
    Case(
        "a dtype that does not exist",
        graph(f"x = g.input('x', (3,), dtype='flot32')  {MARK}"),
        ("dtype 'flot32' is not supported; use one of", "'float32'"),
    ),
    Case(
        "complex numbers",
        graph("x = g.input('x', (3,))", f"y = x * 1j  {MARK}"),
        ("dtype 'complex128' is not supported",),
    ),
    Case(
        "text as an operand",
        graph("x = g.input('x', (3,))", f"y = x + 'a'  {MARK}"),
        ("an operand is a node, a number or an array, got 'a'",),
    ),
    Case(
        "ints to be trained",
        graph(f"W = g.parameter('W', (3,), dtype='int32')  {MARK}"),
        ("parameter 'W' of dtype int32 cannot be trained; pass trainable=False",),
    ),
    Case(
        "an input called like another",
        graph("x = g.input('x', (3,))", f"y = g.parameter('x', (4,))  {MARK}"),
        ("there is already input x float32 (3,) [model.py:5]",),
    ),
    Case(
        "an output called like another",
        graph("x = g.input('x', (3,))", "g.output('y', x)", f"g.output('y', x + 1)  {MARK}"),
        ("there is an output 'y' already: x float32 (3,) [model.py:5]",),
    ),
    Case(
        "a loss with axes",
        graph("x = g.input('x', (3,))", "h = x * 2", f"g.loss(h)  {MARK}"),
        (
            "the loss has to be a float scalar, got h float32 (3,) [model.py:6]; "
            "reduce it with .mean() or .sum()",
        ),
    ),
    Case(
        "a loss of ints",
        graph("x = g.input('x', dtype='int64')", f"g.loss(x)  {MARK}"),
        ("the loss has to be a float scalar, got x int64 () [model.py:5]; convert with .astype",),
    ),
    Case(
        "two losses",
        graph("x = g.input('x')", "g.loss(x)", f"g.loss(x + 1)  {MARK}"),
        ("there is a loss already: x float32 () [model.py:5]",),
    ),
    Case(
        "nodes of two graphs",
        "import graphc as gc\na = gc.Graph('a')\nb = gc.Graph('b')\n"
        f"x = a.input('x')\ny = b.input('y')\nz = x + y  {MARK}\n",
        (
            "add mixes nodes of two graphs: x float32 () [model.py:4] of graph 'a', "
            "y float32 () [model.py:5] of graph 'b'",
        ),
    ),
    Case(
        "the output of another graph",
        "import graphc as gc\na = gc.Graph('a')\nb = gc.Graph('b')\n"
        f"x = a.input('x')\nb.output('y', x)  {MARK}\n",
        ("x float32 () [model.py:4] belongs to graph 'a', not to 'b'",),
    ),
    Case(
        "an op that does not exist",
        graph("x = g.input('x', (3,))", f"y = gc.sofmax(x)  {MARK}"),
        ("graphc has no 'sofmax'; did you mean 'softmax'?",),
    ),
    Case(
        "a function of NumPy that has no op",
        graph("x = g.input('x', (3, 3))", f"y = np.linalg.svd(x)  {MARK}"),
        ("svd has no op in graphc",),
    ),
    Case(
        "a branch on a value",
        graph("x = g.input('x')", f"y = x if x > 0 else -x  {MARK}"),
        ("greater bool () is symbolic and has no truth value; use gc.where",),
    ),
    Case(
        "a negative size",
        graph(f"W = g.parameter('W', (-3,))  {MARK}"),
        ("parameter 'W' has a negative size in (-3,)",),
    ),
    Case(
        "a size that is no int",
        graph(f"W = g.parameter('W', (3.0,))  {MARK}"),
        ("a size is an int or the name of a dimension, got 3.0",),
    ),
    Case(
        "a named size that is no identifier",
        graph(f"x = g.input('x', ('a b',))  {MARK}"),
        ("the name of a dimension is an identifier, got 'a b'",),
    ),
    Case(
        "a name that is no text",
        graph(f"x = g.input(3)  {MARK}"),
        ("the name of the input is a non-empty string, got 3",),
    ),
    Case(
        "an initialiser that does not exist",
        graph(f"W = g.parameter('W', (3, 2), init='he_norml')  {MARK}"),
        ("there is no initialiser 'he_norml'; did you mean 'he_normal'?",),
    ),
    Case(
        "an initial value of another shape",
        graph(f"W = g.parameter('W', (3,), init=np.zeros(4))  {MARK}"),
        ("the initial value has shape (4,), not that of W float32 (3,)",),
    ),
    Case(
        "an update of another shape",
        graph("s = g.state('s', (3,))", "v = s * s.sum() + np.ones((2, 1))",
              f"g.update(s, v)  {MARK}"),
        ("the update of s float32 (3,) [model.py:5] has another shape: v float32 (2, 3)",),
    ),
    Case(
        "an update that truncates",
        graph("s = g.state('s', dtype='int64')", "v = s * 0.5", f"g.update(s, v)  {MARK}"),
        ("the update of s int64 () [model.py:5] would lose more than precision: v float32 ()",),
    ),
]  # fmt: skip

DERIVATIVES = [
    Case(
        "a parameter that the loss does not depend on",
        graph(
            "x = g.input('x')",
            f"W = g.parameter('W')  {MARK}",
            "l = x * x",
            "g.loss(l)",
        ),
        (
            "the gradient of W float32 () [model.py:6] is zero everywhere: it does not reach "
            "l float32 () [model.py:7]; leave it out with --wrt or --freeze, or pass "
            "--allow-unused",
        ),
    ),
    Case(
        "an input that the loss does not depend on",
        graph(*SCALARS, f"U = g.input('U')  {MARK}"),
        ("the gradient of U float32 () [model.py:8] is zero everywhere",),
        f"{COMPILE} --wrt U",
    ),
    Case(
        "a misspelt wrt",
        LOSS,
        ("wrt 'Wieght' is no parameter and no input; did you mean 'Weight'?",),
        f"{COMPILE} --wrt Wieght",
    ),
    Case(
        "wrt an input of ints",
        graph(*SCALARS, "i = g.input('i', dtype='int32')"),
        ("wrt has to be a float, got i int32 () [model.py:8]",),
        f"{COMPILE} --wrt i",
    ),
    Case(
        "a pattern that fits nothing",
        LOSS,
        ("--freeze 'layer.*' fits no parameter",),
        f"{COMPILE} --freeze layer.*",
    ),
    Case(
        "no results",
        graph("x = g.input('x')", "y = x * 2"),
        ("graph 'm' has no outputs and no loss; declare one with g.output(\"y\", y) or g.loss(…)",),
    ),
    Case(
        "inference without an output",
        LOSS,
        ("--inference needs an output; the graph declares a loss only",),
        f"{COMPILE} --inference",
    ),
    Case(
        "training without a loss",
        graph("x = g.input('x', (3,))", "W = g.parameter('W')", "g.output('y', x * W)"),
        ("--optimizer sgd needs a loss and a trained parameter",),
        f"{COMPILE} --optimizer sgd",
    ),
    Case(
        "nothing to train",
        LOSS,
        ("--optimizer sgd needs a loss and a trained parameter",),
        f"{COMPILE} --optimizer sgd --freeze Weight",
    ),
]

CODE = [
    Case(
        "an exception",
        f"x = 1\n1 / 0  {MARK}\n",
        ("raised ZeroDivisionError: division by zero",),
    ),
    Case(
        "an exception in a function",
        f"def f():\n    raise ValueError('a\\nb  c')  {MARK}\n\n\nf()\n",
        ("raised ValueError: a b c\n",),
    ),
    Case("an exception without text", f"raise MemoryError  {MARK}\n", ("raised MemoryError\n",)),
    Case(
        "an exception without a usable text",
        "class Odd(Exception):\n    def __str__(self):\n        raise ValueError\n\n\n"
        f"raise Odd  {MARK}\n",
        ("raised Odd: (its text cannot be made)",),
    ),
    Case("a base exception", f"raise GeneratorExit  {MARK}\n", ("raised GeneratorExit",)),
    Case("an exit", f"import sys\nsys.exit(0)  {MARK}\n", ("the model calls sys.exit(0)",)),
    Case("a syntax error", f"x = 1\nx = = 2  {MARK}\n", ("not valid Python: invalid syntax",)),
    Case(
        "an error of indentation",
        f"if 1:\nx = 1  {MARK}\n",
        ("not valid Python: expected an indented block after 'if' statement on line 1",),
    ),
    Case(
        "a syntax error in code that the model makes",
        f"x = 1\nexec('x = = 2')  {MARK}\n",
        ("raised SyntaxError: invalid syntax",),
    ),
    Case(
        "a missing package",
        f"import a_package_that_is_missing  {MARK}\n",
        ("raised ModuleNotFoundError: No module named 'a_package_that_is_missing'",),
    ),
    Case(
        "endless recursion",
        f"def f():\n    f()  {MARK}\n\n\nf()\n",
        ("raised RecursionError: maximum recursion depth exceeded",),
    ),
    Case("an empty file", "", ("model.py defines no graph; define one: `with gc.Graph(",)),
    Case(
        "no graph but a function",
        "def make():\n    return 1\n",
        ("model.py defines no graph", "name a function that returns one: model.py:make"),
    ),
    Case(
        "several graphs",
        "import graphc as gc\na = gc.Graph('a')\nb = gc.Graph('b')\nsame_as_b = b\n",
        ("model.py defines several graphs: a, b; choose: model.py:a\n",),
    ),
    Case(
        "a name that is not there",
        "import graphc as gc\ngraph = gc.Graph('a')\n",
        ("model.py has no 'grpah'; did you mean 'graph'?",),
        "compile model.py:grpah -o net.py",
    ),
    Case(
        "a name of no graph",
        "x = 1\n",
        ("'x' of model.py is no graph, but int",),
        "check model.py:x",
    ),
    Case(
        "a function that makes no graph",
        "def make():\n    pass\n",
        ("'make' of model.py is no graph, but NoneType",),
        "inspect model.py:make",
    ),
    Case(
        "a function with arguments",
        f"x = 1\n\n\ndef make(n):  {MARK}\n    pass\n",
        ("'make' is called without arguments: missing a required argument: 'n'",),
        "inspect model.py:make",
    ),
    Case(
        "a function that raises",
        f"def make():\n    return {{}}['k']  {MARK}\n",
        ("raised KeyError: 'k'",),
        "inspect ./model.py:make",
    ),
]  # fmt: skip

CASES = [*DECLARATIONS, *DERIVATIVES, *CODE]
