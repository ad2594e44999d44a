"""Medians of pairs, and how far they can be trusted."""

import math
import statistics

CONFIDENCE = 0.95


def interval(values):
    """Where the median lies with 95 % confidence, whatever the distribution: two of the values, by the sign test.

    Of less than six values nothing that narrow can be said; then it is the least and the most.
    """
    ordered = sorted(values)
    n, cut, tail = len(ordered), 0, 0.0
    while True:
        tail += math.comb(n, cut) / 2 ** n
        if 2 * tail > 1 - CONFIDENCE or cut >= (n - 1) // 2:
            break
        cut += 1
    cut = max(0, cut - 1)
    return ordered[cut], ordered[n - 1 - cut]


def summary(values):
    """What a result keeps of its values: the median, its interval, how many there were, and all of them."""
    low, high = interval(values)
    return {"median": statistics.median(values), "low": low, "high": high, "pairs": len(values), "values": list(values)}


def percentile(values, share):
    """The smallest value that at least this share of all does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def between(before, after):
    """What a baseline was meanwhile, as if it had changed evenly: the mean of what it was before and after."""
    return (before + after) / 2


# Of fewer nothing is judged that differs from run to run.
FEWEST = 3


def judge(result, limit, at_least, ideal=None):
    """met or missed, if all of the interval says so; else noise: the spread hides the answer.

    ideal: the best that can be. What is better than that by as much as the limit allows to be worse is noise too.
    """
    def good(value):
        return value >= limit if at_least else value <= limit
    if result["pairs"] < FEWEST:
        return "too few"
    if ideal is not None and (result["median"] - ideal) * (1 if at_least else -1) > abs(ideal - limit):
        return "noise"
    outcomes = {good(result["low"]), good(result["median"]), good(result["high"])}
    if len(outcomes) > 1:
        return "noise"
    return "met" if outcomes.pop() else "missed"
