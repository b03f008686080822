"""One pipeline to every large model: the embeddable core of fengchao."""

from fengchao_core.caller import EMBEDDED, Caller
from fengchao_core.cards import load_cards
from fengchao_core.errors import (
    CallError,
    FengChaoError,
    ProviderError,
    SensitiveContent,
    SetupError,
)
from fengchao_core.exchange import Exchange
from fengchao_core.fold import Fold
from fengchao_core.gateway import Gateway
from fengchao_core.hookspecs import hookimpl
from fengchao_core.prompts import PromptTemplate
from fengchao_core.provider import (
    Limits,
    Provider,
    ProviderContext,
    ProviderSettings,
    ProviderSpec,
    SandboxSpec,
)
from fengchao_core.retry import Retry
from fengchao_core.settings import Settings
from fengchao_core.store import MemoryStore, Store, StoreSpec
from fengchao_core.types import (
    ChatCall,
    ChatParams,
    ChatRequest,
    Choice,
    Completion,
    Delta,
    Message,
    ModelCard,
    Money,
    Price,
    Usage,
)

__all__ = [
    "EMBEDDED",
    "CallError",
    "Caller",
    "ChatCall",
    "ChatParams",
    "ChatRequest",
    "Choice",
    "Completion",
    "Delta",
    "Exchange",
    "FengChaoError",
    "Fold",
    "Gateway",
    "Limits",
    "MemoryStore",
    "Message",
    "ModelCard",
    "Money",
    "Price",
    "PromptTemplate",
    "Provider",
    "ProviderContext",
    "ProviderError",
    "ProviderSettings",
    "ProviderSpec",
    "Retry",
    "SandboxSpec",
    "SensitiveContent",
    "Settings",
    "SetupError",
    "Store",
    "StoreSpec",
    "Usage",
    "hookimpl",
    "load_cards",
]
