"""Which operators of a model have a form in graphc: all that have none are told at once."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from onnx import defs

from graphc.errors import UnsupportedError
from graphc.frontends.onnx.contents import all_nodes, nodes_of
from graphc.frontends.onnx.functions import called_by, functions_of, plain_body, schema_of
from graphc.frontends.onnx.names import nearest, qualified, quoted, standard
from graphc.frontends.onnx.registry import MAPPINGS, mapping_of

SHOWN = 3  # nodes of an operator that a message names
NEWEST = 1 << 20  # a version of any operator set, above all there are


class Kind(NamedTuple):
    """Operators that graphc has no form for, for one reason."""

    told: str
    operators: tuple[str, ...]
    hint: str | None = None


# Which of these have a mapping all the same is not said here: only what has none is looked up.
KINDS = (
    Kind(
        "quantised numbers",
        (
            *("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv"),
            *("QLinearMatMul", "ConvInteger", "MatMulInteger"),
        ),
        "export the model before it is quantised",
    ),
    Kind(
        "control flow that depends on data",
        ("Loop", "Scan", "If"),
        "export by tracing, which unrolls loops",
    ),
    Kind("a graph for each tensor of a sequence", ("SequenceMap",)),
    Kind("optional values", ("Optional", "OptionalGetElement", "OptionalHasElement")),
    Kind(
        "strings",
        (
            *("StringNormalizer", "StringConcat", "StringSplit", "RegexFullMatch"),
            *("TfIdfVectorizer", "CategoryMapper", "LabelEncoder"),
        ),
        "prepare texts before the model",
    ),
    Kind(
        "dictionaries, which are no arrays",
        ("ZipMap", "CastMap", "DictVectorizer"),
        'convert with options={"zipmap": False}',
    ),
    Kind(
        "results whose shapes depend on data",
        ("NonMaxSuppression", "NonZero", "Compress", "Unique"),
    ),
    Kind("complex numbers", ("DFT", "STFT")),
    Kind("encoded images", ("ImageDecoder",), "decode images before the model"),
    Kind(
        "random draws of its own",
        (
            *("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"),
            *("Multinomial", "Bernoulli"),
        ),
        "make the noise an input",
    ),
    Kind("training", ("Gradient", "Adam", "Adagrad", "Momentum"), "compile with optimizer=..."),
    Kind(
        "decision trees or support vectors",
        (
            *("TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor"),
            *("SVMClassifier", "SVMRegressor"),
        ),
    ),
)
KIND_OF = {operator: kind for kind in KINDS for operator in kind.operators}


def require_supported(model: Any) -> None:
    """Raise UnsupportedError with all operators that a model uses and graphc does not know."""
    functions = functions_of(model)
    unknown: dict[str, tuple[str, str, int, list[Any]]] = {}
    for proto, opsets in nodes_of(model):
        domain, op_type = standard(proto.domain), proto.op_type
        opset = opsets.get(domain, 1)
        if called_by(proto) not in functions and not has_form(domain, op_type, opset):
            key = qualified(domain, op_type)
            unknown.setdefault(key, (domain, op_type, opset, []))[3].append(proto)
    if not unknown:
        return
    found = [unknown[operator] for operator in sorted(unknown)]
    listed = "; ".join(told_of(*entry) for entry in found)
    hints = [hint_of(domain, op_type) for domain, op_type, _, _ in found]
    is_are = "operator is" if len(found) == 1 else "operators are"
    raise UnsupportedError(
        f"{len(found)} {is_are} not supported: {listed}",
        hint="; ".join(dict.fromkeys(filter(None, hints))) or None,
    )


def has_form(domain: str, op_type: str, opset: int) -> bool:
    """Whether graphc knows an operator in a version of its operator set."""
    schema = schema_of(domain, op_type, opset)
    if domain in described() and schema is None:
        return False
    if mapping_of(domain, op_type, opset) is not None:
        return True
    if op_type in KIND_OF:
        return False
    if schema is not None and schema.has_function:
        body = plain_body(schema, opset)
        return all(
            has_form(standard(proto.domain), proto.op_type, opset) for proto in all_nodes(body.node)
        )
    return schema is not None and bool(schema.has_context_dependent_function)


@cache
def described() -> frozenset[str]:
    """The domains whose operators the standard describes."""
    return frozenset(schema.domain for schema in defs.get_all_schemas())


def told_of(domain: str, op_type: str, opset: int, nodes: list[Any]) -> str:
    """An operator with what it is, how often it occurs, and where."""
    shown = ", ".join(map(name_of, nodes[:SHOWN]))
    more = f" and {len(nodes) - SHOWN} more" if len(nodes) > SHOWN else ""
    count = f"{len(nodes)} node{'s' if len(nodes) > 1 else ''}"
    reason = reason_of(domain, op_type, opset)
    return f"{qualified(domain, op_type)} ({reason}; {count}: {shown}{more})"


def name_of(proto: Any) -> str:
    """A node among those of its operator: its name, else what it computes."""
    output = next((name for name in proto.output if name), "")
    return quoted(proto.name) if proto.name else f"that of {quoted(output)}"


def reason_of(domain: str, op_type: str, opset: int) -> str:
    """Why an operator has no form."""
    if domain not in described():
        return f"of the domain {quoted(domain)}, and the model does not define it"
    last, now = (schema_of(domain, op_type, version) for version in (NEWEST, opset))
    if last is None:
        known = nearest(op_type, sorted(s.name for s in defs.get_all_schemas()))
        return ", ".join(filter(None, ["the standard has no such operator", known]))
    if now is None:
        return f"the standard has it from opset {first_of(domain, op_type)}, the model is {opset}"
    if now.deprecated:
        return f"the standard dropped it in opset {now.since_version}, the model is {opset}"
    if versions := ranges(domain, op_type):
        return f"supported {' and '.join(versions)}, the model is opset {opset}"
    return KIND_OF[op_type].told if op_type in KIND_OF else "it has no form in graphc"


def ranges(domain: str, op_type: str) -> list[str]:
    """The operator sets in which an operator has a mapping."""
    mappings = sorted(MAPPINGS.get((domain, op_type), []), key=lambda mapping: mapping.since)
    return [
        f"from opset {m.since}" if m.until is None else f"in opsets {m.since} to {m.until}"
        for m in mappings
    ]


def first_of(domain: str, op_type: str) -> int:
    """The operator set that an operator came with."""
    history = defs.get_all_schemas_with_history()
    return min(s.since_version for s in history if (s.domain, s.name) == (domain, op_type))


def hint_of(domain: str, op_type: str) -> str | None:
    """What to do about an operator that has no form."""
    if domain == "com.microsoft":
        return "export without the optimisations of onnxruntime"
    kind = KIND_OF.get(op_type) if domain in described() else None
    return None if kind is None else kind.hint
