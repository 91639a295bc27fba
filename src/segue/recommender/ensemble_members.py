"""``EnsembleMembers``: what an ensemble consists of, its copies, and its vectors on the device."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Array, Bool, Float32, Int64

from segue.bfloat16 import to_float32
from segue.errors import RequestError
from segue.features import SequenceVocabulary
from segue.machine import check_fork
from segue.recommender.device_vectors import largest_of, on_device
from segue.recommender.encoder import Encoder
from segue.recommender.masks import catalogue_mask
from segue.recommender.members import DenseMember, ItemBias, SparseMember, Window
from segue.recommender.search_kernels import Vectors
from segue.recommender.second_transformer import SecondTransformer
from segue.recommender.shared_property import shared_property
from segue.recommender.similarity import ContentVectors
from segue.tokens import N_SPECIALS

EnsembleT = TypeVar("EnsembleT", bound="EnsembleMembers")


class EnsembleMembers:
    """An encoder and further members, with the item vectors of the dense ones.

    All in the item indices of the model.

    Attributes:
        encoder: the transformer.
        encoder_weight: factor on its scores.
        training_counts: training events by item index; None if unknown.
        further_dense: the dense members besides the encoder.
        dense: the dense members that score items: the encoder, if its weight is not 0, comes
            first.
        sparse: the sparse members.
        is_candidate: by item index, whether an item may be recommended.
        catalogue: the mask of the items that are never recommended, as in ``masks``.
    """

    def __init__(
        self,
        encoder: Encoder,
        dense: Sequence[DenseMember] = (),
        sparse: Sequence[SparseMember] = (),
        is_candidate: Bool[np.ndarray, " vocabulary"] | None = None,
        encoder_weight: float = 1.0,
        training_counts: Int64[np.ndarray, " vocabulary"] | None = None,
    ) -> None:
        """Combine the members.

        Args:
            dense: dense members besides the encoder.
            sparse: sparse members.
            is_candidate: by item index, whether an item may be recommended, false for special
                tokens; by default the whole catalogue may.
            encoder_weight: factor on the scores of the encoder, 0 or more. With 0 it is not
                computed, except for the probability of END.
            training_counts: training events by item index, for the popularity dial.

        Raises:
            RequestError: a member or ``is_candidate`` has another number of items, or the weight
                is not possible.
        """
        if not 0 <= encoder_weight <= np.finfo(np.float32).max:
            message = f"encoder_weight is {encoder_weight}, expected a number from 0 up"
            raise RequestError(message, "1 is usual")
        if not (encoder_weight or dense):
            raise RequestError(
                "encoder_weight is 0, and no other member scores all items",
                "add an ItemBias, such as ItemBias.of_popularity",
            )
        self._original: Any = None  # the ensemble of which this is a copy
        self.encoder = encoder
        self.encoder_weight = encoder_weight
        self.training_counts = training_counts
        self.further_dense = tuple(dense)
        self.dense: tuple[DenseMember, ...] = self.further_dense
        if encoder_weight:
            self.dense = (encoder, *self.dense)
        self.sparse = tuple(sparse)
        if is_candidate is None:
            is_candidate = np.arange(self.vocabulary_size) >= N_SPECIALS
        for size in (len(is_candidate), *(len(member.vectors) for member in dense)):
            self.check_size(size)
        self.is_candidate = is_candidate
        self.catalogue = catalogue_mask(is_candidate)

    @cached_property
    def vocabulary(self) -> SequenceVocabulary:
        """The sequence features that the encoder or a second transformer reads."""
        values = [encoder.vocabulary.values for encoder in self.encoders]
        return SequenceVocabulary({name: by_name[name] for by_name in values for name in by_name})

    @property
    def encoders(self) -> tuple[Encoder, ...]:
        """The encoder and those of further transformers."""
        second = (m.encoder for m in self.further_dense if isinstance(m, SecondTransformer))
        return (self.encoder, *second)

    def encoder_alone(self: EnsembleT) -> EnsembleT:
        """The encoder without the other members."""
        return type(self)(
            self.encoder, is_candidate=self.is_candidate, training_counts=self.training_counts
        )

    def caching(self: EnsembleT) -> EnsembleT:
        """A copy for queries whose histories grow; see ``PrefixCache``.

        Its members keep what they computed for the last query, so each query must be one block,
        of at most ``rows_per_block`` requests. It is for one thread at a time.
        """
        return self._with_dense(
            self.encoder.caching(), [member.caching() for member in self.further_dense]
        )

    def with_window(self: EnsembleT, window: Window) -> EnsembleT:
        """A copy whose transformers read other tokens of histories longer than their context."""
        return self._with_dense(
            self.encoder.with_window(window),
            [member.with_window(window) for member in self.further_dense],
        )

    def _with_dense(
        self: EnsembleT, encoder: Encoder, further_dense: Iterable[DenseMember]
    ) -> EnsembleT:
        """A copy with other dense members, which have the same vectors."""
        ensemble = copy(self)
        ensemble._original = self._original or self
        ensemble.encoder = encoder
        ensemble.further_dense = tuple(further_dense)
        ensemble.dense = ensemble.further_dense
        if self.encoder_weight:
            ensemble.dense = (ensemble.encoder, *ensemble.dense)
        return ensemble

    @property
    def members(self) -> tuple[DenseMember | SparseMember, ...]:
        """All members besides the encoder."""
        return (*self.further_dense, *self.sparse)

    @shared_property
    def vectors(self) -> Vectors:
        """For each member of ``dense`` its item vectors, on the device."""
        return on_device(self.dense)

    @property
    def vocabulary_size(self) -> int:
        """Number of special tokens and catalogue items."""
        return self.encoder.layout.vocabulary_size

    @cached_property
    def n_candidates(self) -> int:
        """Number of items that may be recommended."""
        return int(np.count_nonzero(self.is_candidate))

    def item_vectors(self) -> Float32[np.ndarray, "vocabulary dim"]:
        """The item vectors of all members of ``dense``, concatenated, in float32."""
        check_fork()
        return np.concatenate([np.asarray(to_float32(member)) for member in self.vectors], axis=1)

    @shared_property
    def content(self) -> ContentVectors:
        """The vectors by which items are similar: without item biases, which have no direction."""
        return ContentVectors(
            [self.encoder, *(m for m in self.further_dense if not isinstance(m, ItemBias))]
        )

    @shared_property
    def largest_of_vectors(self) -> Float32[Array, " members"]:
        return largest_of(self.vectors)

    @shared_property
    def encoder_vectors(self) -> Vectors:
        return on_device([self.encoder])

    @shared_property
    def largest_of_encoder(self) -> Float32[Array, " members"]:
        return largest_of(self.encoder_vectors)

    def check_size(self, size: int) -> None:
        if size != self.vocabulary_size:
            raise RequestError(
                f"a member has {size} items, but the model has {self.vocabulary_size}, special "
                "tokens included",
                "fit the members on the dataset that the model was trained on",
            )
