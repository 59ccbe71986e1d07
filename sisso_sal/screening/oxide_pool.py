"""Oxides that are enumerated, as a pool."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sisso_sal.data.arrow import text_array
from sisso_sal.oxides.enumeration import OxideEnumeration, OxidePart
from sisso_sal.screening.block import N_ROWS, PoolBlock, PoolReading

N_OXIDES = 2**16
"""Oxides of a part, about."""


@dataclass(frozen=True)
class OxideShard:
    """Some of the oxides that a text enumerates. Plain data, to be sent to workers.

    Attributes
    ----------
    text : str
        Of the whole enumeration, see `OxideEnumeration.parse`.
    part : OxidePart
    digest : str
        Of what the enumeration depends on.
    n_rows : int
        About how many there are.
    """

    text: str
    part: OxidePart
    digest: str
    n_rows: int

    @property
    def label(self) -> str:
        return f"oxides-{self.part.n_metals}-{self.part.start:015d}"

    def key(self, *, by_number: bool) -> Any:
        """What results depend on."""
        return [self.digest, *self.part]


def is_enumerated(pool: str) -> bool:
    """Whether a text stands for oxides that are enumerated: ``oxides``, or ``oxides:`` and settings.

    Examples
    --------
    >>> is_enumerated("oxides:max_metals=3"), is_enumerated("oxides.parquet")
    (True, False)
    """
    return pool.partition(":")[0].strip() == "oxides"


def oxide_shards(text: str) -> Iterator[OxideShard]:
    """The parts of an enumeration, in order.

    Raises
    ------
    InputError
        The text cannot be read.
    """
    oxides = OxideEnumeration.parse(text)
    digest = hashlib.sha256(json.dumps(oxides.describe(), sort_keys=True).encode()).hexdigest()[:32]
    for part in oxides.parts(N_OXIDES):
        yield OxideShard(text, part, digest, N_OXIDES)


def blocks_of_oxides(shard: OxideShard, reading: PoolReading) -> Iterator[PoolBlock]:
    """The oxides of a part in order, `N_ROWS` at a time."""
    made = _enumeration(shard.text).read(shard.part)
    columns = {name: factor * made.features[header] for name, (header, factor) in reading.features.items()}
    shares = None if reading.composition is None else made.shares()
    for start in range(0, len(made.formulas), N_ROWS):
        rows = slice(start, start + N_ROWS)
        yield PoolBlock(
            text_array(made.formulas[rows].tolist()),
            {name: values[rows] for name, values in columns.items()},
            None if shares is None else shares[rows],
            {},
        )


_enumeration = lru_cache(maxsize=2)(OxideEnumeration.parse)
