"""All pairs of a caller's dialect and an upstream's, and tests over those that something applies to."""

import pytest

from .upstreams import DIALECTS

PAIRS = [(caller, upstream) for caller in DIALECTS for upstream in DIALECTS]
DIFFERENT = [pair for pair in PAIRS if pair[0] != pair[1]]


def short(dialect):
    vendor, _, name = dialect.partition(".")
    return vendor if name == "chat" and vendor != "openai" else name


def pair_name(pair):
    return f"{short(pair[0])}>{short(pair[1])}"


def of_pairs(names="", values=((),), pairs=PAIRS, applies=lambda pair, *values: True):
    """Parametrises over pairs, and over `values` of the parameters `names` where they apply to the pair."""
    rows = [pytest.param(pair, *value, id="-".join([pair_name(pair), *map(str, value)]))
            for pair in pairs for value in values if applies(pair, *value)]
    return pytest.mark.parametrize(["pair", *names.split()], rows, indirect=["pair"])


def each(*lists):
    """Every combination of one of each list."""
    rows = [()]
    for values in lists:
        rows = [(*row, value) for row in rows for value in values]
    return rows
