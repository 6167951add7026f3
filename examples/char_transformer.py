"""A causal transformer that learns to count, one character at a time.

    python examples/char_transformer.py [--size small|full]

The text is made here: the numbers from one to nine hundred ninety nine in words, in scores ("forty
one, …, sixty, ") of which every seventh is held out. Two blocks of attention learn to predict the
next character. Prints the entropy of a character of the text, by itself and after another (a bigram
model can get no better), the loss on the scores that were held out, and how the network counts on.
Exits with status 1 if that loss is not below the bigram entropy.
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

STEPS = {"small": 200, "full": 1200}
BATCH = 16
CONTEXT = 64
UNITS = 48
HEADS = 4
BLOCKS = 2
DROPOUT = 0.1

ONES = [
    "", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
]  # fmt: skip
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


def spelled(number: int) -> str:
    """A number from 1 to 999 in words."""
    hundreds, rest = divmod(number, 100)
    words = [ONES[hundreds], "hundred"] if hundreds else []
    if rest >= 20:
        words.append(TENS[rest // 10 - 2])
        rest %= 10
    if rest:
        words.append(ONES[rest])
    return " ".join(words)


def counting() -> tuple[str, list[str]]:
    """The text to learn from, and the scores that are held out."""
    numbers = [f"{spelled(number)}, " for number in range(1, 1000)]
    scores = ["".join(numbers[start : start + 20]) for start in range(0, len(numbers), 20)]
    held_out = scores[2::7]
    return "".join(score for score in scores if score not in held_out), held_out


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
                h = h + gc.dropout(attended, DROPOUT)
                wide = gc.gelu(gc.nn.dense(gc.nn.layer_norm(h), 4 * UNITS))
                h = h + gc.dropout(gc.nn.dense(wide, UNITS), DROPOUT)
        logits = gc.nn.dense(gc.nn.layer_norm(h), characters)
        g.output("logits", logits)
        g.loss(gc.cross_entropy(logits, t))
    return g


def windows(codes: Any, starts: Any) -> tuple[Any, Any]:
    """Pieces of a text, and the same one character later."""
    at = np.asarray(starts)[:, None] + np.arange(CONTEXT)
    return codes[at], codes[at + 1]


def continued(
    net: ModuleType, params: dict[str, Any], alphabet: str, text: str, characters: int
) -> str:
    """A text and the likeliest characters after it.

    What is causal reads nothing of what follows, so that anything may stand there.
    """
    for _ in range(characters):
        seen = text[-CONTEXT:]
        codes = [alphabet.index(character) for character in seen.ljust(CONTEXT)]
        logits = net.predict(params, np.array([codes]))
        text += alphabet[logits[0, len(seen) - 1].argmax()]
    return text


def main(size: str) -> None:
    text, held_out = counting()
    alphabet = "".join(sorted(set(text)))
    alone, bigram = entropies(text + "".join(held_out))
    print(f"{len(text)} characters, {len(alphabet)} different ones; in nats for each:")
    print(f"entropy {alone:.3f}, after another (bigram) {bigram:.3f}")

    steps = STEPS[size]
    rising = steps // 20
    module = gc.compile(
        transformer(len(alphabet)),
        optimizer=gc.optim.adamw(lr=0.003),
        schedule=gc.optim.warmup(rising, start=0.1, then=gc.optim.cosine(steps - rising)),
        clip_norm=1.0,
        fit=True,
    )
    net = module.load()
    rng = np.random.default_rng(0)
    codes = np.array([alphabet.index(character) for character in text])
    inputs, targets = windows(codes, rng.integers(0, len(codes) - CONTEXT, steps // 5 * BATCH))
    others = [np.array([alphabet.index(character) for character in score]) for score in held_out]
    tests = [windows(score, range(0, len(score) - CONTEXT, CONTEXT)) for score in others]
    test_inputs, test_targets = (np.concatenate(parts) for parts in zip(*tests, strict=True))

    def report(epoch: int, loss: float, params: dict[str, Any], _: Any) -> None:
        left = net.evaluate(params, test_inputs, test_targets)
        print(f"step {(epoch + 1) * (steps // 5):5}: loss {loss:.3f}, held out {left:.3f}")

    params, _, _ = net.fit(
        net.init_params(rng), inputs, targets,
        epochs=5, batch_size=BATCH, rng=rng, callback=report,
    )  # fmt: skip
    for number in (45, 324, 748):
        print(f"  {continued(net, params, alphabet, f'{spelled(number)}, ', 75)}…")
    left = float(net.evaluate(params, test_inputs, test_targets))
    if left > bigram:
        sys.exit(f"expected a loss below the bigram entropy of {bigram:.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A causal transformer that learns to count.")
    parser.add_argument("--size", choices=("small", "full"), default="full")
    main(parser.parse_args().size)
