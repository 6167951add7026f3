"""What the fuzzer found, kept as it was shrunk: each of these failed once."""

from tests.fuzz.cases import Case
from tests.random_recipes import Declared, Recipe, Step

FINDS = {
    "the first line of a docstring of a workspace was too long": Case(
        recipe=Recipe(
            sizes={"batch": 1, "n": 1},
            declared=[
                Declared(name="x0", kind="input", shape=(0, 3), dtype="float64", most=0),
                Declared(name="x1", kind="input", shape=(2, 1), dtype="float64", most=0),
                Declared(name="x2", kind="input", shape=(2, 3), dtype="float64", most=0),
            ],
            steps=[Step(name="v2", op="add", args=("x2", "x1"), options={}, labelled=False)],
            outputs=["v2", "x0"],
            loss=None,
        ),
        style="workspace",
        dtype="float64",
        options={"wrt": ["x0", "x1", "x2"], "allow_unused": True},
        seed=658902818,
        drawing=False,
    ),
    "a training step of parameters that the loss does not need had no argument for them": Case(
        recipe=Recipe(
            sizes={"batch": 1, "n": 1},
            declared=[
                Declared(name="x0", kind="input", shape=(2, 3), dtype="float32", most=0),
                Declared(name="x1", kind="parameter", shape=(2, 1), dtype="float64", most=0),
                Declared(name="t2", kind="input", shape=(2,), dtype="int64", most=3),
            ],
            steps=[
                Step(name="v0", op="widen", args=("x0",), options={}, labelled=False),
                Step(name="v1", op="cross_entropy", args=("v0", "t2"), options={}, labelled=False),
                Step(name="v2", op="sum", args=("v1",), options={}, labelled=False),
            ],
            outputs=[],
            loss="v2",
        ),
        style="functional",
        dtype="float64",
        options={"wrt": ["x1"], "allow_unused": True, "optimizer": "sgd"},
        seed=921317581,
        drawing=False,
    ),
    "the options in the header were one column too wide": Case(
        recipe=Recipe(
            sizes={"batch": 1, "n": 1},
            declared=[
                Declared(
                    name="x0", kind="parameter", shape=(2, "batch", 3), dtype="float32", most=0
                )
            ],
            steps=[
                Step(name="v0", op="widen", args=("x0",), options={}, labelled=False),
                Step(name="v3", op="mean", args=("v0",), options={}, labelled=False),
            ],
            outputs=["v3"],
            loss=None,
        ),
        style="workspace",
        dtype="float64",
        options={"wrt": ["x0"], "allow_unused": True, "kinks": "jax", "optimizer": "sgd"},
        seed=1653634576,
        drawing=False,
    ),
    "an output in a buffer was returned by a name that the buffer has not": Case(
        recipe=Recipe(
            sizes={"batch": 1, "n": 1},
            declared=[Declared(name="x3", kind="input", shape=(3, 2), dtype="float64", most=0)],
            steps=[
                Step(name="v2", op="negative", args=("x3",), options={}, labelled=False),
                Step(name="v5", op="square", args=("v2",), options={}, labelled=False),
                Step(name="v6", op="shift", args=("v5",), options={"c": 0.5}, labelled=True),
                Step(name="v7", op="sqrt", args=("v6",), options={}, labelled=False),
            ],
            outputs=["v7"],
            loss=None,
        ),
        style="workspace",
        dtype="float64",
        options={"wrt": ["x3"], "allow_unused": True},
        seed=311900493,
        drawing=False,
    ),
    "a view that backward writes inside another value was left out as a result": Case(
        recipe=Recipe(
            sizes={"batch": 1, "n": 1},
            declared=[
                Declared(name="x3", kind="input", shape=("batch", 1), dtype="float64", most=0)
            ],
            steps=[
                Step(name="v2", op="softmax", args=("x3",), options={"axis": -1}, labelled=False),
                Step(
                    name="v3",
                    op="merge",
                    args=("v2",),
                    options={"groups": ((0, 1),)},
                    labelled=False,
                ),
                Step(
                    name="v6", op="expand_dims", args=("v2",), options={"axis": -1}, labelled=False
                ),
                Step(name="v10", op="subtract", args=("x3", "v3"), options={}, labelled=False),
                Step(name="v13", op="mse", args=("v10", "v10"), options={}, labelled=False),
                Step(
                    name="v16", op="expand_dims", args=("v2",), options={"axis": 2}, labelled=False
                ),
                Step(
                    name="v28", op="broadcast_like", args=("v13", "v16"), options={}, labelled=False
                ),
                Step(name="v41", op="cos", args=("v28",), options={}, labelled=False),
            ],
            outputs=["v6", "v41"],
            loss=None,
        ),
        style="workspace",
        dtype="float64",
        options={"wrt": ["x3"], "allow_unused": True},
        seed=662403458,
        drawing=False,
    ),
    "a size in named dimensions was longer than a line": Case(
        recipe=Recipe(
            sizes={"batch": 3, "n": 2},
            declared=[
                Declared(
                    name="x0", kind="parameter", shape=("batch", "n"), dtype="float64", most=0
                ),
                Declared(name="x2", kind="input", shape=("batch", "n"), dtype="float32", most=0),
            ],
            steps=[
                Step(name="v0", op="widen", args=("x2",), options={}, labelled=False),
                Step(
                    name="v1",
                    op="getitem",
                    args=("x0",),
                    options={"key": ((None, None, 2), (1, None))},
                    labelled=False,
                ),
                Step(
                    name="v2",
                    op="getitem",
                    args=("v1",),
                    options={"key": ((1, None), None)},
                    labelled=False,
                ),
                Step(name="v3", op="broadcast_like", args=("v2", "v1"), options={}, labelled=False),
                Step(name="v4", op="maximum", args=("v1", "v2"), options={}, labelled=False),
                Step(name="v5", op="square", args=("v4",), options={}, labelled=False),
                Step(name="v6", op="shift", args=("v5",), options={"c": 0.5}, labelled=False),
                Step(name="v7", op="number_over", args=("v6",), options={"c": 1.0}, labelled=False),
                Step(
                    name="v8",
                    op="std",
                    args=("v7",),
                    options={"axis": (-1, 0), "keepdims": False},
                    labelled=False,
                ),
                Step(name="v9", op="tanh", args=("v7",), options={}, labelled=False),
                Step(
                    name="v10",
                    op="log_of_softmax",
                    args=("v7",),
                    options={"axis": -2},
                    labelled=False,
                ),
                Step(name="v11", op="mean", args=("v0",), options={}, labelled=False),
                Step(name="v12", op="mean", args=("v3",), options={}, labelled=False),
                Step(name="v13", op="mean", args=("v8",), options={}, labelled=False),
                Step(name="v14", op="mean", args=("v9",), options={}, labelled=False),
                Step(name="v15", op="sum", args=("v10",), options={}, labelled=False),
                Step(name="v16", op="add", args=("v11", "v12"), options={}, labelled=False),
                Step(name="v17", op="add", args=("v16", "v13"), options={}, labelled=False),
                Step(name="v18", op="add", args=("v17", "v14"), options={}, labelled=False),
                Step(name="v19", op="add", args=("v18", "v15"), options={}, labelled=False),
            ],
            outputs=[],
            loss="v19",
        ),
        style="functional",
        dtype="float64",
        options={"wrt": ["x0", "x2"], "allow_unused": True},
        seed=1754728333,
        drawing=False,
    ),
}
