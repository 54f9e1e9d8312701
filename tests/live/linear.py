"""A checker of linearizability (Wing and Gong, with Lowe's memory of states seen), for one resource
whose states are numbered: is there an order of the operations, each between its beginning and its
end, that a single thread could have done with the same results?

An operation whose outcome is not known (the answer never came) has no end: it may have happened at
any time after its beginning, or never."""

from dataclasses import dataclass

NEVER = float("inf")


@dataclass(frozen=True)
class Op:
    start: float
    end: float     # NEVER: nobody knows
    kind: str      # create, read, cas, delete
    given: tuple   # create: (value,), cas: (revision, value), delete: (revision,)
    result: tuple  # ("ok", revision, value), ("ok",), ("conflict",), ("missing",), ("unknown",)


@dataclass(frozen=True)
class State:
    revision: int  # counts on over deletions
    value: object  # None: it is not there


def step(state, op):
    """The states that the operation may leave behind, given its result; none: it cannot be here."""
    verdict = op.result[0]
    there = state.value is not None
    if op.kind == "read":
        if verdict == "missing":
            return [state] if not there else []
        return [state] if there and op.result[1:] == (state.revision, state.value) else []
    if op.kind == "create":
        after = State(state.revision + 1, op.given[0])
        if verdict == "ok":
            return [after] if not there and op.result[1] == after.revision else []
        if verdict == "conflict":
            return [state] if there else []
        return [after] if not there else []  # that it did nothing needs no place
    fits = there and op.given[0] == state.revision
    after = State(state.revision + 1, op.given[1] if op.kind == "cas" else None)
    if verdict == "ok":
        return [after] if fits and (op.kind == "delete" or op.result[1] == after.revision) else []
    if verdict == "conflict":
        return [state] if there and not fits else []
    if verdict == "missing":
        return [state] if not there else []
    return [after] if fits else []


def linearizable(history, initial=State(0, None)):
    """Whether the history can be explained. What is done is told by the first operation that is not,
    and the few behind it that are: histories are long."""
    ops = sorted(history, key=lambda op: op.start)
    certain = [op.result[0] != "unknown" for op in ops]
    stack, seen = [(0, frozenset(), initial)], set()
    while stack:
        low, beyond, state = stack.pop()
        while low in beyond:
            beyond, low = beyond - {low}, low + 1
        if low == len(ops):
            return True
        if (low, beyond, state) in seen:
            continue
        seen.add((low, beyond, state))
        stack.extend(next_steps(ops, certain, low, beyond, state))
    return False


def next_steps(ops, certain, low, beyond, state):
    """What may come next: nothing that began after something certain, not done yet, had ended."""
    horizon, steps = NEVER, []
    for i in range(low, len(ops)):
        if ops[i].start > horizon:
            break
        if i not in beyond:
            horizon = min(horizon, ops[i].end)
    for i in range(low, len(ops)):
        if ops[i].start > horizon:
            break
        if i not in beyond:
            steps += [(low, beyond | {i}, after) for after in step(state, ops[i])]
    if not certain[low]:  # it never happened
        steps.append((low + 1, frozenset(k for k in beyond if k > low), state))
    return steps
