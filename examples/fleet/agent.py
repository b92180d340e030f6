"""A delivery planner that pays for its own thinking: the CPython guest of the example fleet.

Plans one round trip over STOPS stops by simulated annealing with 2-opt moves. Each
time the best plan is at least half a per cent shorter than the last one announced, it prints
`round trip N m`; the fleet's sponsor pays for each such line. Standard library only, so that it
runs unchanged under `python3 agent.py` and as a WebAssembly guest.

Usage: python3 agent.py [STOPS [SEED [MOVES]]]  with at least 16 stops
"""

# ruff: noqa: S311, T201  Annealing needs no secret randomness, and a program prints.
from __future__ import annotations

import math
import random
import sys

ANNOUNCE_RATIO = 0.995
"""A plan is announced when it is at most this part of the last one announced."""

CITY_METRES = 10_000
"""The stops lie in a square city of this side."""

NEIGHBOURS = 12
"""Moves join a stop to one of this many nearest stops."""

COLD_RATIO = 0.02
"""The final temperature as a part of the first."""


def plan(stops: int, seed: int, moves: int) -> int:
    """Plans the trip, printing each announced improvement; returns the final length in metres."""
    rng = random.Random(seed)
    places = [(rng.random() * CITY_METRES, rng.random() * CITY_METRES) for _ in range(stops)]
    distance = [[math.dist(a, b) for b in places] for a in places]

    tour = nearest_neighbour(distance)
    length = sum(distance[tour[i - 1]][tour[i]] for i in range(stops))
    announced = length
    print(f"round trip {announced:.0f} m", flush=True)

    near = [sorted(range(stops), key=row.__getitem__)[1 : NEIGHBOURS + 1] for row in distance]
    position = [0] * stops
    for index, stop in enumerate(tour):
        position[stop] = index

    hot = length / stops
    for move in range(moves):
        temperature = hot * COLD_RATIO ** (move / moves)
        # 2-opt: join a stop to one of its neighbours, and their successors to each other.
        a = rng.randrange(stops)
        c = rng.choice(near[a])
        i, j = position[a], position[c]
        b, d = tour[(i + 1) % stops], tour[(j + 1) % stops]
        if b == c or d == a:
            continue
        change = distance[a][c] + distance[b][d] - distance[a][b] - distance[c][d]
        if change >= 0 and rng.random() >= math.exp(-change / temperature):
            continue
        first, last = (i + 1, j) if i < j else (j + 1, i)
        turned = tour[first : last + 1][::-1]
        tour[first : last + 1] = turned
        for index, stop in enumerate(turned, first):
            position[stop] = index
        length += change
        if length <= announced * ANNOUNCE_RATIO:
            announced = length
            print(f"round trip {announced:.0f} m", flush=True)
    print(f"final plan {length:.0f} m over {stops} stops", flush=True)
    return round(length)


def nearest_neighbour(distance: list[list[float]]) -> list[int]:
    """Returns the tour from stop 0 that always goes to the nearest stop not yet visited."""
    tour = [0]
    left = set(range(1, len(distance)))
    while left:
        row = distance[tour[-1]]
        nearest = min(left, key=row.__getitem__)
        tour.append(nearest)
        left.remove(nearest)
    return tour


def main() -> None:
    """Reads the arguments and plans."""
    defaults = [400, 7, 300_000]
    given = [int(text) for text in sys.argv[1:4]]
    stops, seed, moves = given + defaults[len(given) :]
    plan(stops, seed, moves)


if __name__ == "__main__":
    main()
