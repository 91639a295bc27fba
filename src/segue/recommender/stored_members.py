"""Members of an ensemble to and from the folder ``ensemble/`` of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import NamedTuple, TypeAlias

import msgspec
import numpy as np
from scipy import sparse

from segue.baselines.item_item import HistoryWeights, ItemItemRanker
from segue.errors import RunError
from segue.recommender.members import DenseMember, ItemBias, PureSVD, SparseMember
from segue.recommender.second_transformer import SecondTransformer
from segue.recommender.stored_encoder import load_encoder
from segue.runs import RunFolder
from segue.runs.checksums import RUN_PROBLEMS
from segue.runs.ensemble import (
    AnyStoredMember,
    StoredHistoryWeights,
    StoredItemBias,
    StoredItemItem,
    StoredPureSVD,
    StoredTransformer,
)
from segue.tokens import INDEX_DTYPE

Member: TypeAlias = SecondTransformer | PureSVD | ItemBias | SparseMember
"""A member that can be stored. The ranker of a sparse one is an ``ItemItemRanker``; a second
transformer is in the run folder already."""


class Members(NamedTuple):
    """The members beside the transformer, with the weight of the transformer.

    Attributes:
        encoder_weight: factor on the scores of the transformer.
        dense: dense members.
        sparse: sparse members.
    """

    encoder_weight: float = 1.0
    dense: tuple[DenseMember, ...] = ()
    sparse: tuple[SparseMember, ...] = ()


def write_members(
    folder: RunFolder, members: Sequence[Member], encoder_weight: float = 1.0
) -> None:
    """Write the members to a run folder, in place of those that it has.

    An interrupted write leaves the earlier members, or files that the next write replaces. The
    card of the run must be written afterwards.

    Args:
        folder: the run folder.
        members: all members beside the transformer; none removes the ensemble from the folder.
        encoder_weight: factor on the scores of the transformer; 0 leaves it out, which needs a
            dense member.

    Raises:
        RunError: a member cannot be stored.
        StorageError: no space or no permission.
    """
    if members or encoder_weight != 1:
        folder.ensemble.write([_to_stored(member) for member in members], float(encoder_weight))
    else:
        folder.ensemble.remove()


def load_members(folder: RunFolder, vocabulary_size: int, *, is_verified: bool = False) -> Members:
    """Read the members of a run folder; without an ensemble there are none.

    Args:
        folder: the run folder.
        vocabulary_size: expected number of special tokens and items.
        is_verified: whether the checksums of the files were compared already.

    Raises:
        RunError: a file is missing, damaged, or belongs to another ensemble or vocabulary.
    """
    if not folder.ensemble.exists():
        return Members()
    index = folder.ensemble.read() if is_verified else folder.ensemble.verify()
    members = [_read(folder, stored, vocabulary_size) for stored in index.members]
    return Members(
        index.encoder_weight,
        tuple(member for member in members if isinstance(member, DenseMember)),
        tuple(member for member in members if isinstance(member, SparseMember)),
    )


def _to_stored(member: Member) -> tuple[AnyStoredMember, dict[str, np.ndarray]]:
    common = {
        "name": member.name,
        "weight": float(member.weight),
        "parameters": dict(member.parameters),
    }
    if isinstance(member, SecondTransformer):
        return StoredTransformer(**common), {}
    if isinstance(member, PureSVD):
        return StoredPureSVD(**common), {"vectors": member.vectors}
    if isinstance(member, ItemBias):
        return StoredItemBias(**common), {"vectors": member.vectors}
    ranker = member.ranker
    if not isinstance(ranker, ItemItemRanker):
        message = f"member {member.name} is a {type(ranker).__name__}, which a run cannot store"
        raise RunError(message, "give an ItemItemRanker")
    arrays = {
        "indptr": np.asarray(ranker.pairs.indptr, np.int64),
        "indices": np.asarray(ranker.pairs.indices, INDEX_DTYPE),
        "data": np.asarray(ranker.pairs.data, np.float32),
        "counts": ranker.counts,
    }
    if ranker.divisors is not None:
        arrays["divisors"] = ranker.divisors
    history_weights = StoredHistoryWeights(**asdict(ranker.history_weights))
    stored = StoredItemItem(**common, scale=float(member.scale), history_weights=history_weights)
    return stored, arrays


def _read(folder: RunFolder, stored: AnyStoredMember, vocabulary_size: int) -> Member:
    """A member with its arrays."""
    if isinstance(stored, StoredTransformer):
        return _second_transformer(folder, stored, vocabulary_size)
    return _from_arrays(stored, folder.ensemble.read_arrays(stored, vocabulary_size))


def _second_transformer(
    folder: RunFolder, stored: StoredTransformer, vocabulary_size: int
) -> SecondTransformer:
    """The transformer of the run ``second/``.

    Raises:
        RunError: the run is damaged, or was trained on another dataset.
    """
    folder.second.verify()
    encoder, _, _, dataset = load_encoder(folder.second)
    _, expected = folder.read_config()
    is_of_dataset = dataset["fingerprint"] == expected["fingerprint"]
    if not is_of_dataset or encoder.layout.vocabulary_size != vocabulary_size:
        reason = "its transformer was trained on another dataset"
        raise RUN_PROBLEMS.damaged(folder.second.path, reason)
    return SecondTransformer(encoder, stored.weight, stored.parameters, stored.name)


def _from_arrays(
    stored: StoredItemItem | StoredPureSVD | StoredItemBias, arrays: Mapping[str, np.ndarray]
) -> Member:
    if isinstance(stored, StoredPureSVD):
        return PureSVD(arrays["vectors"], stored.weight, stored.parameters, stored.name)
    if isinstance(stored, StoredItemBias):
        return ItemBias(arrays["vectors"], stored.weight, stored.parameters, stored.name)
    counts = arrays["counts"]
    pairs = sparse.csr_matrix(
        (arrays["data"], arrays["indices"], arrays["indptr"]), shape=(len(counts), len(counts))
    )
    history_weights = HistoryWeights(**msgspec.structs.asdict(stored.history_weights))
    ranker = ItemItemRanker(
        stored.name, pairs, counts, history_weights, divisors=arrays.get("divisors")
    )
    return SparseMember(ranker, stored.weight, stored.scale, stored.parameters)
