"""The cards of the models that are served, which depend on the settings."""

from __future__ import annotations

from dataclasses import replace

from fengchao_core.cards import load_cards
from fengchao_core.types import ModelCard
from fengchao_local_qwen.settings import LocalQwenSettings

STAND_IN = "Qwen（替身：当场生成的随机权重小模型，回答没有意义）"
EMULATED = "Qwen（沙箱：未安装 torch，回答是模拟的）"


def known_cards() -> tuple[ModelCard, ...]:
    """What is known of published Qwen models."""
    return load_cards("fengchao_local_qwen")


def served_cards(settings: LocalQwenSettings) -> tuple[ModelCard, ...]:
    """One card for each model of the settings; models of unknown names have one without limits."""
    known = {card.id: card for card in known_cards()}
    cards = [
        known.get(name) or ModelCard(id=name, owned_by="Qwen", is_local=True, upstream_id=name)
        for name in settings.names
    ]
    cards += [
        ModelCard(id=name, owned_by="本地", kind="embedding", is_local=True, upstream_id=name)
        for name in settings.embeddings
    ]
    owner = STAND_IN if settings.stand_in else EMULATED if settings.emulated else None
    return tuple(card if owner is None else replace(card, owned_by=owner) for card in cards)
