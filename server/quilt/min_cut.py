"""The cheapest border between two labels on a grid, in whole numbers.

Source: Boykov & Kolmogorov, "An experimental comparison of min-cut/max-flow algorithms for energy minimization in
vision" (PAMI 2004), by the library PyMaxflow. Of all cheapest cuts the one with the largest side of label 1 is taken:
it is unique, so the labels do not depend on the order in which a library finds its paths.
"""

import numpy as np
from numpy.typing import NDArray

# To the right, below, and the two diagonals below: with all eight neighbours a border may run in any direction at about
# the same cost (Boykov & Kolmogorov, "Computing geodesics and minimal surfaces via graph cuts", 2003).
SIDES = (((0, 1), 10), ((1, 0), 10), ((1, 1), 7), ((1, -1), 7))  # where the neighbour lies, and its share of 24
FIXED = 2**24  # more than any cut costs around a cell

Numbers = NDArray[np.int64]
Truths = NDArray[np.bool_]


def cheapest_labels(leaning: Numbers, undecided: Truths, costs: Numbers) -> Truths:
    """Labels of cells: (rows, columns) bool.

    `leaning`: what label 1 gains over label 0, if positive, at each cell; cells that are not `undecided` take the
    label of its sign (0 is label 0). `costs`: what a border of one cell's length costs there. All (rows, columns).
    """
    import maxflow  # only where something is blended

    graph = maxflow.GraphInt(leaning.size, 4 * leaning.size)
    nodes = graph.add_grid_nodes(leaning.shape)
    for (down, right), share in SIDES:
        structure = np.zeros((3, 3), np.int32)
        structure[1 + down, 1 + right] = 1
        weights = (costs + np.roll(costs, (-down, -right), (0, 1))) * share // 48
        graph.add_grid_edges(nodes, weights=weights.astype(np.int32), structure=structure, symmetric=True)
    pull = np.where(undecided, leaning, np.where(leaning > 0, FIXED, -FIXED)).astype(np.int32)
    graph.add_grid_tedges(nodes, np.maximum(pull, 0), np.maximum(-pull, 0))
    graph.maxflow()
    sink: Truths = graph.get_grid_segments(nodes)
    return ~sink
