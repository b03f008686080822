"""What Moonshot tells beside chats: its models, the length of a prompt, what is left on the account."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from pydantic import BaseModel, Field

from fengchao_core.kit.errors import Classify
from fengchao_core.kit.replies import read_reply
from fengchao_core.types import Currency

MODELS = "/models"
BALANCE = "/users/me/balance"


@dataclass(frozen=True, slots=True)
class Balance:
    """
    What is left on the account.

    Attributes:
        available: voucher and cash together; at zero the vendor answers no more.
        voucher: None where the vendor does not say, as `cash`.
        cash: negative for an account in arrears.
        currency: that of the platform; None where the settings do not tell which one it is.
    """

    available: Decimal
    voucher: Decimal | None = None
    cash: Decimal | None = None
    currency: Currency | None = None


class _Model(BaseModel):
    id: str


class _Models(BaseModel):
    data: list[_Model]


class _Tokens(BaseModel):
    total_tokens: int = Field(ge=0)


class _Estimate(BaseModel):
    data: _Tokens


class _Sums(BaseModel):
    available_balance: Decimal = Field(allow_inf_nan=False)
    voucher_balance: Decimal | None = Field(default=None, allow_inf_nan=False)
    cash_balance: Decimal | None = Field(default=None, allow_inf_nan=False)


class _Balance(BaseModel):
    data: _Sums


def decode_models(body: bytes, classify: Classify) -> tuple[str, ...]:
    """The ids of the models. Raises `ProviderError`, as `read_reply`."""
    return tuple(model.id for model in read_reply(_Models, body, classify).data)


def decode_estimate(body: bytes, classify: Classify) -> int:
    """The tokens of a prompt. Raises `ProviderError`, as `read_reply`."""
    return read_reply(_Estimate, body, classify).data.total_tokens


def decode_balance(body: bytes, classify: Classify, currency: Currency | None) -> Balance:
    """What is left. Raises `ProviderError`, as `read_reply`."""
    sums = read_reply(_Balance, body, classify).data
    return Balance(sums.available_balance, sums.voucher_balance, sums.cash_balance, currency)
