"""Block sizes and shape buckets of encoding and search: every array shape that is compiled.

XLA compiles a function anew for every shape of its arguments, which takes a second or more. So
the number of requests, the length of their histories and the number of results are rounded up to
one of a few sizes, the buckets. ``Recommender.warm_up`` compiles them all beforehand.
"""

from __future__ import annotations

ROW_BUCKETS = (1, 2, 3, 4, 6, 8, 12, 16, 32, 64, 128, 256)
"""Numbers of requests that are computed together. Those between the powers of two, up to the usual
batches of a server, save it a tenth of its time: a padded row costs as much as one with a request.
Each takes a server some 75 MB of compiled programs. Larger blocks do not make the matrix product of
a search faster."""

MAX_ROWS = ROW_BUCKETS[-1]
"""Largest number of requests that are computed together."""

REQUESTS_PER_CALL = 4 * MAX_ROWS
"""Requests that an evaluation passes to a ranker at a time."""

RESULT_BUCKETS = (10, 20, 100, 500)
"""Numbers of results per request: those that are usual. Larger k use 500 x 4^n."""

PAIR_BUCKETS = (256, 4096, 1 << 16)
"""Numbers of pairs of a request and an item that are scored together."""

CONTEXT_SHARES = (4, 1)
"""Divisors of the context that give the lengths of the model's input."""

CHUNK_SHARE = 8
"""Share of the context that is added to a key-value cache at a time: more waste padding, less make
the matrix products small."""

MIN_CHUNK = 16
"""Least number of these tokens: for fewer, a call takes longer than what it computes."""

SLIDE_SHARE = 4
"""Share of the context by which a moving window moves once it is full. The keys and values of the
new window are computed again, so each event costs about 1 / share of a context. What the shorter
windows cost in accuracy is in ``docs/generation.md``."""

MOVED_ROWS_SHARE = 8
"""Share of the rows of a batch that are computed again without the others, if these are few."""

MAX_CACHE_BYTES = 1 << 28
"""Memory of the key-value caches of a block of requests, 256 MiB."""
TOKENS_TO_ENCODE = 1 << 11
"""Largest number of tokens that are encoded together where there are many histories per request:
the activations of so many stay in the cache of a processor."""

SUFFIX_SHARE = 4
"""Number of lengths of what follows a shared prefix."""

SUFFIX_TOKENS = 1 << 10
"""Largest number of tokens that are encoded together after a shared prefix, whose keys and values
take as much of the cache of a processor again."""

GROUP_SIZE = 64
"""Items per group, for which the first stage of a search stores one maximum. Smaller groups give
more maxima to store and search, larger ones more items to score again."""

SMALL_CATALOGUE = 1 << 15
"""Largest vocabulary whose scores are searched directly: finding the best of all scores takes less
time than a second pass over some groups."""

CPU_BLOCK_ELEMENTS = 1 << 20
"""Largest number of embedding values, and of scores, per item block on a CPU: 4 MiB of float32,
so that they stay in the cache."""

ACCELERATOR_BLOCK_ELEMENTS = 1 << 26
"""The same limit on an accelerator, where larger blocks are faster: 256 MiB of float32."""

MAX_STORED_SCORES = 1 << 25
"""Largest number of group maxima, or scores, stored per block of requests: 128 MiB of float32."""


MAX_DENSE_BONUS_ITEMS = 1 << 20
"""Largest vocabulary for which the bonuses of the sparse members are an array of all items. Long
histories have much of a catalogue in their support, where adding up an array is some ten times
faster than sparse entries."""

MAX_DENSE_BONUS_VALUES = 1 << 24
"""Largest size of this array for a block of requests, which limits their number: 64 MiB of
float32."""

ITEM_MULTIPLE = MAX_ROWS
"""Item blocks and masks cover a multiple of this many items, hence whole groups of items."""


def row_bucket(n_rows: int) -> int:
    """The number of rows, padding included, that ``n_rows`` requests are computed with.

    Args:
        n_rows: at most ``MAX_ROWS``.
    """
    return next(size for size in ROW_BUCKETS if size >= n_rows)


def rows_to_encode(length: int) -> int:
    """Largest number of histories of ``length`` tokens that are encoded together."""
    return max(size for size in ROW_BUCKETS if size * length <= max(length, TOKENS_TO_ENCODE))


def suffix_lengths(context: int) -> list[int]:
    """Numbers of tokens that are encoded after the prefix that histories share."""
    step = -(-context // SUFFIX_SHARE)
    return [min(context, step * i) for i in range(1, SUFFIX_SHARE + 1)]


def suffix_rows(length: int, context: int) -> int:
    """Number of histories that are encoded together after a shared prefix.

    Of each of ``suffix_lengths`` there are at most as many as the first one is long; they are
    divided into equal blocks.
    """
    n_rows = -(-context // SUFFIX_SHARE)
    n_blocks = -(-n_rows * length // SUFFIX_TOKENS)
    return -(-n_rows // n_blocks)


def rows_per_block(vocabulary_size: int, k: int) -> int:
    """Largest number of requests that are searched together for ``k`` results each."""
    stores_all = vocabulary_size <= SMALL_CATALOGUE or is_small(vocabulary_size, k)
    n_stored = vocabulary_size if stores_all else n_groups(vocabulary_size)
    limit = MAX_STORED_SCORES // n_stored
    return max(size for size in ROW_BUCKETS if size <= max(1, limit))


def dense_bonus_rows(vocabulary_size: int) -> int:
    """Largest number of requests that have an array of the bonuses of all items together."""
    limit = MAX_DENSE_BONUS_VALUES // vocabulary_size
    return max(size for size in ROW_BUCKETS if size <= max(1, limit))


def result_bucket(k: int, vocabulary_size: int) -> int:
    """The number of results, at least ``k``, that a search computes; at most all items."""
    size = next((size for size in RESULT_BUCKETS if size >= k), RESULT_BUCKETS[-1])
    while size < k:
        size *= 4
    return min(size, vocabulary_size)


def pair_bucket(n_pairs: int) -> int:
    """The number of pairs, padding included, that up to ``n_pairs`` pairs are scored with."""
    return next((size for size in PAIR_BUCKETS if size >= n_pairs), PAIR_BUCKETS[-1])


def length_bucket(length: int, context: int) -> int:
    """The number of input tokens, padding included, for prompts of up to ``length`` tokens."""
    sizes = [-(-context // share) for share in CONTEXT_SHARES]
    return next(size for size in sizes if size >= min(length, context))


def chunk_length(context: int) -> int:
    """The number of tokens that are added to a key-value cache together, if it is not one."""
    return min(context, max(MIN_CHUNK, -(-context // CHUNK_SHARE)))


def slide_step(context: int) -> int:
    """The number of events by which a moving window moves beyond the context."""
    return max(1, context // SLIDE_SHARE)


def cached_rows(bytes_per_row: int) -> int:
    """Largest number of requests whose key-value caches are in memory together."""
    limit = MAX_CACHE_BYTES // max(1, bytes_per_row)
    return max(size for size in ROW_BUCKETS if size <= max(1, limit))


def moved_row_bucket(n_rows: int, n_all_rows: int) -> int:
    """The number of rows, padding included, that ``n_rows`` of ``n_all_rows`` are computed with."""
    few = max(1, n_all_rows // MOVED_ROWS_SHARE)
    return few if n_rows <= few else n_all_rows


def is_small(vocabulary_size: int, k: int) -> bool:
    """Whether ``k`` groups contain all items, so that groups would not shorten a search."""
    return vocabulary_size <= k * GROUP_SIZE


def n_groups(vocabulary_size: int) -> int:
    """Number of groups of items; the last one may reach beyond the vocabulary."""
    return -(-vocabulary_size // GROUP_SIZE)


def items_per_block(n_rows: int, vocabulary_size: int, dim: int) -> int:
    """Items whose scores are computed together: a multiple of ``ITEM_MULTIPLE``.

    It is therefore never smaller than the number of requests, on which the ranks rely.

    Args:
        n_rows: requests per block.
        dim: dimensions of all vectors of an item together.
    """
    n_items = min(vocabulary_size, max(1, block_elements() // max(dim, n_rows)))
    return -(-n_items // ITEM_MULTIPLE) * ITEM_MULTIPLE


def block_elements() -> int:
    """Largest number of embedding values or scores per item block on this device."""
    import jax  # not above: clients of a server need the rest of this module only

    return CPU_BLOCK_ELEMENTS if jax.default_backend() == "cpu" else ACCELERATOR_BLOCK_ELEMENTS
