"""Directed graphs of millions of nodes: the knots in them, in time linear in nodes and edges."""

from array import array
from collections import deque

import numpy as np


class Graph:
    """Nodes are the integers from 0; an edge says that one moment was before another."""

    def __init__(self) -> None:
        self.nodes = 0
        self._sources = array("q")
        self._targets = array("q")

    def add_node(self) -> int:
        self.nodes += 1
        return self.nodes - 1

    def add_edge(self, source: int, target: int) -> None:
        self._sources.append(source)
        self._targets.append(target)

    def cycles(self) -> list[list[int]]:
        """One short cycle out of each strongly connected component that has one; its first node is not repeated."""
        starts, successors = self._adjacency()
        return [_short_cycle(component, starts, successors) for component in _components(starts, successors)]

    def _adjacency(self) -> tuple[list[int], list[int]]:
        """The successors of node n are `successors[starts[n] : starts[n + 1]]`."""
        sources = np.frombuffer(self._sources, dtype=np.int64) if self._sources else np.empty(0, np.int64)
        targets = np.frombuffer(self._targets, dtype=np.int64) if self._targets else np.empty(0, np.int64)
        starts = np.concatenate([[0], np.cumsum(np.bincount(sources, minlength=self.nodes))])
        return starts.tolist(), targets[np.argsort(sources, kind="stable")].tolist()


def _components(starts: list[int], successors: list[int]) -> list[list[int]]:
    """The strongly connected components of more than one node: Tarjan's algorithm with a stack of its own."""
    nodes = len(starts) - 1
    order = [0] * nodes  # 0: not met yet
    low = [0] * nodes
    on_stack = bytearray(nodes)
    position = starts[:nodes]
    met = 0
    stack: list[int] = []
    found: list[list[int]] = []
    for root in range(nodes):
        if order[root]:
            continue
        path = [root]
        while path:
            node = path[-1]
            if not order[node]:
                met += 1
                order[node] = low[node] = met
                stack.append(node)
                on_stack[node] = 1
            descended = False
            lowest = low[node]
            at = position[node]
            end = starts[node + 1]
            while at < end:
                successor = successors[at]
                if not order[successor]:
                    path.append(successor)
                    descended = True
                    break
                if on_stack[successor] and low[successor] < lowest:
                    lowest = low[successor]
                at += 1
            position[node] = at
            low[node] = lowest
            if descended:
                continue
            path.pop()
            if lowest == order[node]:
                _pop_component(node, stack, on_stack, found)
    return found


def _pop_component(node: int, stack: list[int], on_stack: bytearray, found: list[list[int]]) -> None:
    component = []
    while True:
        member = stack.pop()
        on_stack[member] = 0
        component.append(member)
        if member == node:
            break
    if len(component) > 1:
        found.append(component)


def _short_cycle(component: list[int], starts: list[int], successors: list[int]) -> list[int]:
    """The shortest way from one of the component's nodes back to itself."""
    members = set(component)
    home = min(component)
    came_from: dict[int, int] = {}
    waiting = deque([home])
    while waiting:
        node = waiting.popleft()
        for successor in successors[starts[node] : starts[node + 1]]:
            if successor not in members or successor in came_from:
                continue
            came_from[successor] = node
            if successor == home:
                waiting.clear()
                break
            waiting.append(successor)
    cycle = [home]
    while (node := came_from[cycle[-1]]) != home:
        cycle.append(node)
    return [home, *reversed(cycle[1:])]
