"""Cycles against what plain reachability says, and a graph too deep for recursion."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.checker.graph import Graph

_NODES = 7
_edges = st.lists(
    st.tuples(st.integers(0, _NODES - 1), st.integers(0, _NODES - 1)).filter(lambda edge: edge[0] != edge[1]),
    max_size=14,
)


def _graph(nodes: int, edges: list[tuple[int, int]]) -> Graph:
    graph = Graph()
    for _ in range(nodes):
        graph.add_node()
    for source, target in edges:
        graph.add_edge(source, target)
    return graph


def _knots(edges: list[tuple[int, int]]) -> set[frozenset[int]]:
    """The sets of nodes that reach one another."""
    reached = set(edges)
    for via in range(_NODES):
        for source in range(_NODES):
            for target in range(_NODES):
                if (source, via) in reached and (via, target) in reached:
                    reached.add((source, target))
    return {
        frozenset(other for other in range(_NODES) if (node, other) in reached and (other, node) in reached)
        for node in range(_NODES)
        if (node, node) in reached
    }


@settings(max_examples=50, deadline=None)
@given(_edges)
def test_finds_one_cycle_in_each_knot(edges: list[tuple[int, int]]) -> None:
    cycles = _graph(_NODES, edges).cycles()
    knots = _knots(edges)

    assert len(cycles) == len(knots)
    assert all(any(set(cycle) <= knot for knot in knots) for cycle in cycles)
    for cycle in cycles:
        assert len(set(cycle)) == len(cycle)
        assert all(edge in edges for edge in zip(cycle, [*cycle[1:], cycle[0]], strict=True))


def test_goes_as_deep_as_the_history_is_long() -> None:
    nodes = 20_000
    chain = [(node, node + 1) for node in range(nodes - 1)]

    assert _graph(nodes, chain).cycles() == []
    assert _graph(nodes, [*chain, (nodes - 1, 0)]).cycles() == [list(range(nodes))]
    assert _graph(0, []).cycles() == []
