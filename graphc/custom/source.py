"""NumPy code of the user's that goes into generated modules: formulas, and functions as source.

What is pasted has to mean there what it means here, so it may use `np`, its arguments and the
builtins that compute, and nothing else. That is read off the code, and what runs from then on is
the pasted text itself, in a namespace that holds nothing more.
"""

from __future__ import annotations
import __future__

import ast
import builtins
import dis
import inspect
import io
import linecache
import re
import textwrap
import tokenize
from collections.abc import Callable, Iterator, Sequence
from types import CodeType, FunctionType
from typing import Any, NoReturn

import numpy as np

from graphc.codegen.literals import quoted
from graphc.errors import DeclarationError

MAX_FORMULA = 1_000  # characters
PYTHON = (3, 9)  # the oldest that generated modules run on
_BUILTINS = """
abs all any bool complex dict divmod enumerate filter float frozenset int isinstance len list map
max min pow range reversed round set slice sorted sum tuple type zip
ArithmeticError IndexError TypeError ValueError ZeroDivisionError
"""
BUILTINS = frozenset(_BUILTINS.split())
_EXPRESSIONS = (
    ast.Expression, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.Call,
    ast.Attribute, ast.Subscript, ast.Slice, ast.Name, ast.Constant, ast.Tuple, ast.List,
    ast.keyword, ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.expr_context,
)  # fmt: skip


def formula_names(name: str, text: str, module: str = "np") -> list[str]:
    """The variables of a formula on arrays, as in `"np.where(x > 0, x, 0.1 * x)"`, in order.

    Raises DeclarationError for what is no expression of variables, numbers and the functions of
    the module.
    """
    found = variables(parsed(name, text), module)
    return list(dict.fromkeys(node.id for node in sorted(found, key=lambda node: node.col_offset)))


def formula_template(name: str, text: str, operands: Sequence[str], module: str = "np") -> str:
    """A formula with its variables as placeholders, laid out as generated code is.

    Raises as `formula_names` does.
    """
    tree = parsed(name, text)
    for node in variables(tree, module):
        if node.id not in operands:
            refuse(name, f"the formula reads {node.id!r}; the operands are {', '.join(operands)}")
        node.id = f"{{{node.id}}}"
    # A comment would take what follows the formula in its line with it.
    spelled = ast.unparse(Quoted().visit(tree))
    return spelled if '"' in spelled else _POWER.sub(r"\1**\2", spelled)


_POWER = re.compile(r"(?<![\w.\])])([\w.{}]+) \*\* (-?[\w.{}]+)(?![\w.{}(\[])")


class Quoted(ast.NodeTransformer):
    """Writes texts in double quotes, as generated code does."""

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        return ast.Name(quoted(node.value)) if isinstance(node.value, str) else node


def parsed(name: str, text: str) -> ast.Expression:
    """A formula as a tree."""
    if len(text) > MAX_FORMULA or not text.isascii() or not text.isprintable():
        refuse(name, f"a formula is one line of ASCII of at most {MAX_FORMULA} characters")
    try:
        tree = ast.parse(text, mode="eval", feature_version=PYTHON)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        refuse(name, f"{text!r:.60} is no expression: {error}")
    if tree.body.col_offset and text[0].isspace():
        refuse(name, "the formula begins with a space")
    for node in ast.walk(tree):
        if not isinstance(node, _EXPRESSIONS):
            refuse(name, f"a formula has no {type(node).__name__}", "pass a function")
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "{" in node.value:
            refuse(name, "a formula has no text with braces")
    check_attributes(name, tree)
    return tree


def variables(tree: ast.Expression, module: str) -> list[ast.Name]:
    """The places of variables in a formula."""
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    return [node for node in names if node.id not in (module, *BUILTINS)]


def pasted(name: str, function: Any) -> tuple[Callable[..., Any], str]:
    """A function as it will stand in generated modules, under the name of its op, and its source.

    Its signature is written anew, without annotations that would need names. Raises
    DeclarationError for a function whose source cannot be found or that needs more than `np`, its
    arguments and builtins.
    """
    if not isinstance(function, FunctionType):
        refuse(name, f"forward is a function or a formula as text, got {function!r:.60}")
    if function.__name__ == "<lambda>":
        refuse(name, "a lambda has no source of its own", "use def, or a formula as text")
    try:
        source = textwrap.dedent(inspect.getsource(function))
        tree = ast.parse(source, feature_version=PYTHON)
    except OSError:
        refuse(name, "the source of forward is not found", "define it in a file, or pass a text")
    except SyntaxError as error:
        version = ".".join(map(str, PYTHON))
        refuse(name, f"forward does not run on Python {version}: {error.msg}, line {error.lineno}")
    (definition,) = tree.body
    if not isinstance(definition, ast.FunctionDef):
        refuse(name, "forward is no plain function")
    check_signature(name, definition)
    check_attributes(name, tree)
    operands = [argument.arg for argument in definition.args.args]
    arguments = ", ".join(f"{operand}: Any" for operand in operands)
    text = f"def {name}({arguments}) -> Any:\n{body_of(source)}"
    file = f"<graphc custom op {name}>"
    code = compile(text, file, "exec", __future__.annotations.compiler_flag)
    for inner in codes(code):
        check_names(name, inner)
    # NumPy's own code imports through the caller's builtins, as that of x.sum() does.
    known = {key: getattr(builtins, key) for key in (*sorted(BUILTINS), "__import__")}
    scope: dict[str, Any] = {"np": np, "__builtins__": known}
    exec(code, scope)
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    made: Callable[..., Any] = scope[name]
    if inspect.isgeneratorfunction(made):
        refuse(name, "forward is a generator; it has to return an array")
    return made, text


def check_signature(name: str, definition: ast.FunctionDef) -> None:
    """Refuse what a signature may not have."""
    arguments = definition.args
    if definition.decorator_list:
        refuse(name, "forward has a decorator, which would not be pasted with it")
    if arguments.defaults or arguments.kw_defaults:
        refuse(name, "forward has arguments with defaults", "every argument is an operand")
    if arguments.posonlyargs or arguments.kwonlyargs or arguments.vararg or arguments.kwarg:
        refuse(name, "the arguments of forward are plain: def f(x, y)")
    if not arguments.args:
        refuse(name, "forward takes no operand")


def check_attributes(name: str, tree: ast.AST) -> None:
    """Refuse attributes that begin with an underscore, and chance."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            if node.attr.startswith("_"):
                refuse(name, f"forward reads the attribute {node.attr!r}")
            if node.attr == "random" and isinstance(node.value, ast.Name):
                refuse(name, "forward draws", "use gc.random, and pass what it draws as an operand")


def codes(code: CodeType) -> Iterator[CodeType]:
    """The code of the functions in some code, nested ones too."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from codes(constant)


def check_names(name: str, code: CodeType) -> None:
    """Refuse code that reads or writes names outside of itself."""
    for step in dis.get_instructions(code):
        read = step.argval
        if step.opname.startswith("IMPORT"):
            refuse(name, f"forward imports {read}", "np is there already")
        if step.opname in ("STORE_GLOBAL", "DELETE_GLOBAL"):
            refuse(name, f"forward changes the global {read!r}")
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME") and read not in {"np", *BUILTINS}:
            refuse(name, f"forward reads {read!r}, which will not be there",
                   "it may use np, its arguments and the builtins that compute")  # fmt: skip


def body_of(source: str) -> str:
    """The body of a function as it is written, with its comments."""
    depth = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        depth += (token.string in "([{") - (token.string in ")]}") if token.string else 0
        if token.string == ":" and token.type == tokenize.OP and depth == 0:
            break
    row, column = token.end
    lines = source.splitlines()
    rest = lines[row - 1][column:].strip()
    if rest and not rest.startswith("#"):
        return f"    {rest}\n"
    return "\n".join(lines[row:]).rstrip() + "\n"


def refuse(name: str, problem: str, hint: str | None = None) -> NoReturn:
    """Raise the error about a custom op."""
    raise DeclarationError(f"custom op {name!r}: {problem}", hint=hint)
