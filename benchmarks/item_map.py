"""Time and quality of the item map: planted clusters, as many items as given.

    python benchmarks/item_map.py [20000]

Prints core-seconds, the share of neighbours kept, and the share that chance would keep.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import numpy as np

from segue.item_map.layout import lay_out
from segue.item_map.quality import NEAR_ON_MAP, kept_neighbours

DIM, ITEMS_PER_CLUSTER, SPREAD = 64, 200, 0.8


def planted(n_items: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of length 1 around random centres, and the cluster of each."""
    random = np.random.default_rng(seed)
    n_clusters = max(2, n_items // ITEMS_PER_CLUSTER)
    centres = random.normal(size=(n_clusters, DIM))
    clusters = random.integers(0, n_clusters, n_items)
    vectors = centres[clusters] + SPREAD * random.normal(size=(n_items, DIM))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32), clusters


def main(arguments: Sequence[str] | None = None) -> None:
    """Lay out planted clusters and print how it went."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("n_items", type=int, nargs="?", default=20_000)
    n_items = parser.parse_args(arguments).n_items
    vectors, _ = planted(n_items)
    start_s, start_core_s = time.perf_counter(), time.process_time()
    positions = lay_out(vectors)
    core_s = time.process_time() - start_core_s
    kept = kept_neighbours(vectors, positions)
    print(
        f"{n_items:,} items: {core_s:.0f} core-seconds, {time.perf_counter() - start_s:.0f} s; "
        f"{kept:.3f} of the neighbours kept, {NEAR_ON_MAP / n_items:.4f} by chance"
    )


if __name__ == "__main__":
    main()
