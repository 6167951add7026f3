"""A causal transformer that learns to add, one character at a time.

    python examples/char_transformer.py [--size small|full]

The text is made here: sums in words, as in "seven plus twelve is nineteen." Two blocks of attention
learn to predict the next character; a fifth of the sums is kept from them. Prints the entropies of
the text given no character and given one (a bigram model can get no better), the loss on the sums
that were held out, and how the network ends some of them. Exits with status 1 if that loss is not
below the bigram entropy.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter
from itertools import pairwise
from types import ModuleType
from typing import Any

import numpy as np

import graphc as gc

STEPS = {"small": 100, "full": 800}
BATCH = 32
CONTEXT = 32
UNITS = 48
HEADS = 4
BLOCKS = 2

ONES = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
]  # fmt: skip
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


def spelled(number: int) -> str:
    """A number below 100 in words."""
    if number < 20:
        return ONES[number]
    tens, ones = divmod(number, 10)
    return TENS[tens - 2] + (f" {ONES[ones]}" if ones else "")


def sums(rng: np.random.Generator) -> list[str]:
    """All sums of two numbers below 40, in some order."""
    pairs = rng.permutation([(a, b) for a in range(40) for b in range(40)])
    return [f"{spelled(a)} plus {spelled(b)} is {spelled(a + b)}. " for a, b in pairs]


def entropies(text: str) -> tuple[float, float]:
    """The entropy of a character, and that of one after another, in nats."""
    single, pairs = Counter(text), Counter(pairwise(text))
    alone = -sum(n / len(text) * math.log(n / len(text)) for n in single.values())
    after = sum(n * math.log(single[first] / n) for (first, _), n in pairs.items())
    return alone, after / (len(text) - 1)


def transformer(characters: int) -> gc.Graph:
    """Blocks of attention and of two dense layers, each added to what it reads (pre-norm)."""
    with gc.Graph("char_transformer") as g:
        x = g.input("x", ("batch", CONTEXT), dtype="int64")
        t = g.input("t", ("batch", CONTEXT), dtype="int64")
        small = gc.init.normal(std=0.1)
        position = g.parameter("position", (CONTEXT, UNITS), init=small)
        h = gc.nn.embedding(x, characters, UNITS, init=small) + position
        for block in range(1, BLOCKS + 1):
            with gc.path(f"block{block}"):
                attended = gc.nn.multi_head_attention(gc.nn.layer_norm(h), HEADS, causal=True)
                h = h + attended
                wide = gc.gelu(gc.nn.dense(gc.nn.layer_norm(h), 4 * UNITS))
                h = h + gc.nn.dense(wide, UNITS)
        logits = gc.nn.dense(gc.nn.layer_norm(h), characters)
        g.output("logits", logits)
        g.loss(gc.cross_entropy(logits, t))
    return g


def windows(codes: Any, starts: Any) -> tuple[Any, Any]:
    """Pieces of the text, and the same one character later."""
    at = np.asarray(starts)[:, None] + np.arange(CONTEXT)
    return codes[at], codes[at + 1]


def completed(net: ModuleType, params: dict[str, Any], alphabet: str, start: str) -> str:
    """The likeliest characters after a beginning, up to a full stop.

    What is causal reads nothing of what follows, so that any rubbish may stand there.
    """
    text = start
    while not text.endswith(".") and len(text) < 2 * CONTEXT:
        seen = text[-CONTEXT:]
        codes = [alphabet.index(character) for character in seen.ljust(CONTEXT)]
        logits = net.predict(params, np.array([codes]))
        text += alphabet[logits[0, len(seen) - 1].argmax()]
    return text


def main(size: str) -> None:
    rng = np.random.default_rng(0)
    sentences = sums(rng)
    kept = len(sentences) // 5
    held_out, text = "".join(sentences[:kept]), "".join(sentences[kept:])
    alphabet = "".join(sorted(set(text)))
    codes, held_out_codes = (
        np.array([alphabet.index(character) for character in part]) for part in (text, held_out)
    )
    alone, bigram = entropies(text + held_out)
    print(f"{len(text)} characters, {len(alphabet)} different ones; in nats for each:")
    print(f"entropy {alone:.3f}, after another (bigram) {bigram:.3f}")

    steps = STEPS[size]
    schedule = gc.optim.warmup(steps // 20, start=0.1, then=gc.optim.cosine(steps - steps // 20))
    module = gc.compile(
        transformer(len(alphabet)), optimizer=gc.optim.adamw(lr=0.003),
        schedule=schedule, clip_norm=1.0, fit=True,
    )  # fmt: skip
    net = module.load()
    held_out_windows = windows(held_out_codes, range(0, len(held_out) - CONTEXT, CONTEXT))
    epoch_steps = steps // 5

    def report(epoch: int, loss: float, params: dict[str, Any], _: Any) -> None:
        left = net.evaluate(params, *held_out_windows)
        print(f"step {(epoch + 1) * epoch_steps:5}: loss {loss:.3f}, held out {left:.3f}")

    x, t = windows(codes, rng.integers(0, len(codes) - CONTEXT, epoch_steps * BATCH))
    params, _, _ = net.fit(
        net.init_params(rng), x, t, epochs=5, batch_size=BATCH, rng=rng, callback=report
    )
    for sentence in sentences[:4]:
        start = sentence[: sentence.index(" is ") + 4]
        print(f"  {start}→ {completed(net, params, alphabet, start)[len(start) :]}")
    left = float(net.evaluate(params, *held_out_windows))
    if left > bigram:
        sys.exit(f"expected a loss below the bigram entropy of {bigram:.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A causal transformer on sums in words.")
    parser.add_argument("--size", choices=("small", "full"), default="full")
    main(parser.parse_args().size)
