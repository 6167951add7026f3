"""A two-layer network for handwritten digits: 8×8 pixels in, ten classes out."""

import graphc as gc

with gc.Graph("digits_mlp") as g:
    x = g.input("x", ("batch", 64))
    t = g.input("t", ("batch",), dtype="int64")
    W1 = g.parameter("W1", (64, 128), init="he_normal")
    b1 = g.parameter("b1", (128,), init="zeros")
    W2 = g.parameter("W2", (128, 10), init="glorot_uniform")
    b2 = g.parameter("b2", (10,), init="zeros")
    h = gc.relu(x @ W1 + b1)
    logits = h @ W2 + b2
    g.output("logits", logits)
    g.loss(gc.cross_entropy(logits, t))
