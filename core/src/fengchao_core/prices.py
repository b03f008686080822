"""
The price book: dated prices as they stand in a plugin's `models.toml` or in the settings, checked before they count.

Figures are per 1,000 tokens. Vendors print theirs per 1,000 or per 1,000,000, and the slip between the two is what makes
a bill a thousand times too high or too low; so a figure that no vendor asks, or that is far from the card's own, is
refused with a sentence that says so. `unusual = true` beside a price says that it is meant.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from fengchao_core.types import Currency, OffPeak, Price, PriceTier

_FIGURES: Final = ("input", "output", "cached_input", "cache_write", "per_image", "per_search")

_HIGHEST: Final[Mapping[Currency, Mapping[str, Decimal]]] = {
    "CNY": {
        "input": Decimal(1),
        "output": Decimal(3),
        "cached_input": Decimal(1),
        "cache_write": Decimal(2),
        "per_image": Decimal(50),
        "per_search": Decimal(10),
    },
    "USD": {
        "input": Decimal("0.2"),
        "output": Decimal("0.8"),
        "cached_input": Decimal("0.2"),
        "cache_write": Decimal("0.4"),
        "per_image": Decimal(10),
        "per_search": Decimal(2),
    },
}
"""
Above these no vendor asks: some three times the dearest list price of any model, of October 2026.
"""

_FAR: Final = 100
"""A figure this many times another that should be like it was read in another unit."""

_HINT: Final = (
    "prices here are per 1,000 tokens: divide a price per million by 1,000, "
    "or set unusual = true if it is meant"
)

_ZONE_HOURS: Final = 14


class _Figures(BaseModel):
    """Figures are text in TOML, so that they stay exact."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: Decimal = Field(ge=0)
    output: Decimal = Field(ge=0)
    cached_input: Decimal | None = Field(default=None, ge=0)
    cache_write: Decimal | None = Field(default=None, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _exact(cls, row: Any) -> Any:
        if isinstance(row, Mapping):
            for key in _FIGURES:
                if isinstance(row.get(key), float):
                    raise ValueError(  # noqa: TRY004  # pydantic reports a ValueError
                        f"'{key}' must be quoted, so that it stays exact: \"{row[key]}\""
                    )
        return row

    def figures(self) -> Iterator[tuple[str, Decimal]]:
        """The figures that are given, by name."""
        for name in _FIGURES:
            figure: Decimal | None = getattr(self, name, None)
            if figure is not None:
                yield name, figure


class TierRow(_Figures):
    """A step of a price: for inputs longer than `above_tokens`, answers longer than `above_output_tokens`, or both."""

    above_tokens: int = Field(default=0, ge=0)
    above_output_tokens: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _is_a_step(self) -> TierRow:
        if not self.above_tokens and not self.above_output_tokens:
            raise ValueError("a tier needs above_tokens or above_output_tokens, of 1 or more")
        return self

    def tier(self) -> PriceTier:
        """As the pipeline takes it."""
        return PriceTier(
            self.above_tokens,
            self.input,
            self.output,
            self.cached_input,
            self.cache_write,
            self.above_output_tokens,
        )


class OffPeakRow(BaseModel):
    """Hours of the day in which everything costs `factor` of the price."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: time
    end: time
    utc_offset_h: int = Field(default=8, ge=-_ZONE_HOURS, le=_ZONE_HOURS)
    factor: Decimal = Field(ge=0, le=1)

    @field_validator("factor", mode="before")
    @classmethod
    def _exact(cls, factor: Any) -> Any:
        if isinstance(factor, float):
            raise ValueError(f"'factor' must be quoted, so that it stays exact: \"{factor}\"")  # noqa: TRY004  # as above
        return factor

    @model_validator(mode="after")
    def _has_length(self) -> OffPeakRow:
        if self.start == self.end or self.start.tzinfo or self.end.tzinfo:
            raise ValueError("off-peak hours need a start and another end, as times without a zone")
        return self

    def off_peak(self) -> OffPeak:
        """As the pipeline takes it."""
        return OffPeak(self.start, self.end, timedelta(hours=self.utc_offset_h), self.factor)


class PriceRow(_Figures):
    """A dated price per 1,000 tokens."""

    per_image: Decimal | None = Field(default=None, ge=0)
    per_search: Decimal | None = Field(default=None, ge=0)
    currency: Currency
    since: date
    source: str = Field(min_length=1)
    confirmed: bool = True
    unusual: bool = False
    tiers: tuple[TierRow, ...] = ()
    off_peak: OffPeakRow | None = None

    @model_validator(mode="after")
    def _is_plausible(self) -> PriceRow:
        if not self.unusual:
            for rates in (self, *self.tiers):
                _check(rates, self.currency)
        return self

    def price(self) -> Price:
        """As the pipeline takes it."""
        tiers = sorted(self.tiers, key=lambda tier: (tier.above_tokens, tier.above_output_tokens))
        return Price(
            input=self.input,
            output=self.output,
            cached_input=self.cached_input,
            cache_write=self.cache_write,
            per_image=self.per_image,
            per_search=self.per_search,
            currency=self.currency,
            since=self.since,
            source=self.source,
            confirmed=self.confirmed,
            tiers=tuple(tier.tier() for tier in tiers),
            off_peak=self.off_peak.off_peak() if self.off_peak else None,
            version=self._version(),
        )

    def _version(self) -> str:
        """The day, and a check of everything that makes an amount: two prices of one day differ in it."""
        figures = self.model_dump(
            mode="json", exclude={"source", "confirmed", "unusual"}, exclude_none=True
        )
        digest = hashlib.blake2b(json.dumps(figures, sort_keys=True).encode(), digest_size=3)
        return f"{self.since.isoformat()}-{digest.hexdigest()}"


def read_prices(
    rows: Sequence[Mapping[str, Any]], *, known: Sequence[Price] = ()
) -> tuple[Price, ...]:
    """
    Prices out of an operator's settings.

    Args:
        known: what the model's own card says, to compare with.

    Raises:
        ValidationError: a field is wrong, or a figure is no price per 1,000 tokens.
        ValueError: a figure is a hundred times the card's, or a hundredth.
    """
    checked = [PriceRow.model_validate(row) for row in rows]
    for row in checked:
        if not row.unusual:
            _compare(row, known)
    return tuple(row.price() for row in checked)


def _check(rates: _Figures, currency: Currency) -> None:
    for name, figure in rates.figures():
        highest = _HIGHEST[currency][name]
        if figure > highest:
            raise ValueError(
                f"'{name}' = {figure} {currency} is dearer than any model ({highest} at most); {_HINT}"
            )
    if rates.input and rates.output > rates.input * _FAR:
        raise ValueError(
            f"'output' = {rates.output} is more than {_FAR} times 'input' = {rates.input}; {_HINT}"
        )
    if rates.output and rates.input > rates.output * _FAR:
        raise ValueError(
            f"'input' = {rates.input} is more than {_FAR} times 'output' = {rates.output}; {_HINT}"
        )


def _compare(row: PriceRow, known: Sequence[Price]) -> None:
    of_currency = [price for price in known if price.currency == row.currency]
    if not of_currency:
        return
    card = max(of_currency, key=lambda price: price.since)
    for name in ("input", "output"):
        ours: Decimal = getattr(row, name)
        theirs: Decimal = getattr(card, name)
        if ours and theirs and not theirs / _FAR < ours < theirs * _FAR:
            raise ValueError(
                f"'{name}' = {ours} {row.currency} is {_FAR} times off the model card's {theirs}; {_HINT}"
            )
