"""
Which model is served where: a path of the first generation (V1), a name of the second one (V2), or both.

Sources: the table that the vendor's SDK (qianfan 0.4.12.3) really uses, recorded in `tests/vectors/qianfan.json`; for
ERNIE-Bot-8k the vendor's Go SDK; for V2 the vendor's model list of January 2025. Names count in any case, as they do in
the SDK.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from fengchao_core.errors import ProviderAuthFailed

PREFIX = "/rpc/2.0/ai_custom/v1/wenxinworkshop"

Shape = Literal["messages", "plugins", "query", "prompt", "picture"]
"""What a chat endpoint of V1 wants to be asked with: a conversation, one with plugins, one question, one text, or a
text about one picture."""

_COMMON = frozenset({"temperature", "top_p", "penalty_score", "user_id"})
_ERNIE = _COMMON | {"system", "stop"}

FLAGSHIP = _ERNIE | {"max_output_tokens", "functions", "tool_choice", "response_format"}
"""What ERNIE 3.5 and 4.0 take."""

SWIFT = _ERNIE | {"max_output_tokens", "frequency_penalty", "presence_penalty"}
"""What the Speed, Lite, Tiny and Novel models take."""

PERSONA = _ERNIE | {"max_output_tokens"}
"""What the Character and Function models take."""

HOSTED = _COMMON | {"stop", "top_k"}
"""What the models of other makers take: no system text, and `top_k`."""

ANYTHING = FLAGSHIP | SWIFT | HOSTED
"""What a model of the operator's own may take: nobody knows what it was made of."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """
    An endpoint of V1.

    Attributes:
        path: after the base URL, percent-encoded.
        takes: the parameters of chats that it knows; others would be refused or ignored.
        shape: how a chat is written.
    """

    path: str
    takes: frozenset[str] = ANYTHING
    shape: Shape = "messages"


def _table(takes: frozenset[str], paths: Mapping[str, str]) -> dict[str, Endpoint]:
    return {
        name: Endpoint(f"{PREFIX}/chat/{path}", takes)
        for path, names in paths.items()
        for name in names.split(", ")
    }


V1: Mapping[str, Endpoint] = {
    **_table(
        FLAGSHIP,
        {
            "completions_pro": "ERNIE-4.0-8K, ERNIE-Bot-4",
            "completions_adv_pro": "ERNIE-4.0-8K-Preview-0518",
            "ernie-4.0-8k-latest": "ERNIE-4.0-8K-Latest",
            "ernie-4.0-8k-0104": "ERNIE-4.0-8K-0104",
            "ernie-4.0-8k-0329": "ERNIE-4.0-8K-0329",
            "ernie-4.0-8k-0613": "ERNIE-4.0-8K-0613",
            "ernie-4.0-8k-preview": "ERNIE-4.0-8K-preview, ERNIE-4.0-preview",
            "ernie-4.0-turbo-8k": "ERNIE-4.0-Turbo-8K",
            "ernie-4.0-turbo-8k-latest": "ERNIE-4.0-Turbo-8K-Latest",
            "ernie-4.0-turbo-8k-preview": "ERNIE-4.0-Turbo-8K-Preview",
            "completions": "ERNIE-3.5-8K, ERNIE-Bot, ERNIE 3.5",
            "ernie_bot_8k": "ERNIE-Bot-8k",
            "ernie-3.5-8k-0205": "ERNIE-3.5-8K-0205",
            "ernie-3.5-8k-0329": "ERNIE-3.5-8K-0329",
            "ernie-3.5-8k-0613": "ERNIE-3.5-8K-0613",
            "ernie-3.5-8k-0701": "ERNIE-3.5-8K-0701",
            "ernie-3.5-8k-preview": "ERNIE-3.5-8K-preview, ERNIE-3.5-preview",
            "ernie-3.5-128k": "ERNIE-3.5-128K",
            "qianfan-dynamic-8k": "Qianfan-Dynamic-8K",
        },
    ),
    **_table(
        SWIFT,
        {
            "ernie_speed": "ERNIE-Speed-8K, ERNIE-Speed, ERNIE Speed",
            "ernie-speed-128k": "ERNIE-Speed-128K",
            "ernie-speed-pro-8k": "ERNIE-Speed-Pro-8K",
            "ernie-speed-pro-128k": "ERNIE-Speed-Pro-128K",
            "ernie-lite-8k": "ERNIE-Lite-8K, ERNIE-Lite-8K-0308",
            "ernie-lite-v": "ERNIE-Lite-V",
            "ai_apaas_lite": "ERNIE-Lite-AppBuilder-8K-0614",
            "ernie-tiny-8k": "ERNIE-Tiny-8K",
            "ernie-novel-8k": "ERNIE-Novel-8K",
        },
    ),
    **_table(
        _ERNIE,
        {
            "eb-instant": "ERNIE-Lite-8K-0922, ERNIE-Bot-turbo",
            "ernie-lite-pro-8k": "ERNIE-Lite-Pro-8K",
            "ai_apaas": "ERNIE Speed-AppBuilder, EB-turbo-AppBuilder, ERNIE-Bot-turbo-AI",
        },
    ),
    **_table(
        PERSONA,
        {
            "ernie-char-8k": "ERNIE-Character-8K",
            "ernie-char-fiction-8k": "ERNIE-Character-Fiction-8K",
            # Functions are no parameter of this one: the SDK writes them into the prompt.
            "ernie-func-8k": "ERNIE-Functions-8K, ERNIE-Function-8K",
        },
    ),
    **_table(
        HOSTED,
        {
            "bloomz_7b1": "BLOOMZ-7B",
            "qianfan_bloomz_7b_compressed": "Qianfan-BLOOMZ-7B-compressed",
            "llama_2_7b": "Llama-2-7B-Chat",
            "llama_2_13b": "Llama-2-13B-Chat",
            "llama_2_70b": "Llama-2-70B-Chat",
            "llama_3_8b": "Meta-Llama-3-8B",
            "llama_3_70b": "Meta-Llama-3-70B",
            "qianfan_chinese_llama_2_7b": "Qianfan-Chinese-Llama-2-7B",
            "qianfan_chinese_llama_2_13b": "Qianfan-Chinese-Llama-2-13B",
            "qianfan_chinese_llama_2_70b": "Qianfan-Chinese-Llama-2-70B",
            "mixtral_8x7b_instruct": "Mixtral-8x7B-Instruct",
            "chatglm2_6b_32k": "ChatGLM2-6B-32K",
            "aquilachat_7b": "AquilaChat-7B",
            "xuanyuan_70b_chat": "XuanYuan-70B-Chat-4bit",
            "yi_34b_chat": "Yi-34B-Chat",
            "gemma_7b_it": "Gemma-7B-it",
        },
    ),
    "ChatLaw": Endpoint(f"{PREFIX}/chat/chatlaw", frozenset({"temperature", "top_p", "user_id"})),
    "EBPluginV2": Endpoint(f"{PREFIX}/erniebot/plugin", frozenset({"user_id"}), "plugins"),
    "EBPlugin": Endpoint(f"{PREFIX}/erniebot/plugins", frozenset({"user_id"}), "plugins"),
    "CodeLlama-7b-Instruct": Endpoint(
        f"{PREFIX}/completions/codellama_7b_instruct", HOSTED, "prompt"
    ),
    "Fuyu-8B": Endpoint(f"{PREFIX}/image2text/fuyu_8b", HOSTED, "picture"),
    "Embedding-V1": Endpoint(f"{PREFIX}/embeddings/embedding-v1"),
    "bge-large-zh": Endpoint(f"{PREFIX}/embeddings/bge_large_zh"),
    "bge-large-en": Endpoint(f"{PREFIX}/embeddings/bge_large_en"),
    "tao-8k": Endpoint(f"{PREFIX}/embeddings/tao_8k"),
    "Stable-Diffusion-XL": Endpoint(f"{PREFIX}/text2image/sd_xl"),
    "bce-reranker-base_v1": Endpoint(f"{PREFIX}/reranker/bce_reranker_base"),
}
"""The endpoints of V1 by the models' names."""

TOKENIZER = f"{PREFIX}/tokenizer/erniebot"

_BOTH = """
    ernie-4.0-8k ernie-4.0-8k-latest ernie-4.0-8k-preview ernie-4.0-turbo-8k ernie-4.0-turbo-8k-latest
    ernie-4.0-turbo-8k-preview ernie-3.5-8k ernie-3.5-8k-preview ernie-3.5-128k ernie-speed-8k ernie-speed-128k
    ernie-speed-pro-128k ernie-lite-8k ernie-tiny-8k ernie-novel-8k
    embedding-v1 bge-large-zh bge-large-en tao-8k
"""
_RENAMED = {
    "ernie-bot-4": "ernie-4.0-8k",
    "ernie-bot": "ernie-3.5-8k",
    "ernie 3.5": "ernie-3.5-8k",
    "ernie-4.0-preview": "ernie-4.0-8k-preview",
    "ernie-3.5-preview": "ernie-3.5-8k-preview",
    "ernie-speed": "ernie-speed-8k",
    "ernie speed": "ernie-speed-8k",
    "ernie-character-8k": "ernie-char-8k",
    "ernie-char-8k": "ernie-char-8k",
    "ernie-character-fiction-8k": "ernie-char-fiction-8k",
    "ernie-char-fiction-8k": "ernie-char-fiction-8k",
    "bce-reranker-base_v1": "bce-reranker-base",
    "bce-reranker-base": "bce-reranker-base",
}
_ONLY_V2 = (
    *("ernie-4.0-turbo-128k", "ernie-lite-pro-128k"),
    *("ernie-4.5-", "ernie-5.", "ernie-x1", "deepseek-", "irag-", "flux."),
)

V2: Mapping[str, str] = {**{name: name for name in _BOTH.split()}, **_RENAMED}
"""The names of V2 by the names, in lower case, of models that V1 has, too."""

_V1_BY_NAME = {name.lower(): endpoint for name, endpoint in V1.items()}
_V1_BY_NAME |= {
    v2: _V1_BY_NAME[v1] for v1, v2 in _RENAMED.items() if v1 in _V1_BY_NAME and v2 != v1
}
_SHAPES: Mapping[str, Shape] = {
    "completions": "prompt",
    "image2text": "picture",
    "plugin": "query",
    "erniebot": "plugins",
}


def endpoint_of(model: str) -> Endpoint | None:
    """The endpoint of V1 that serves a model, by any of its names in any case; None where there is none."""
    return _V1_BY_NAME.get(model.lower())


@dataclass(frozen=True, slots=True)
class Access:
    """Which generations an operator's credentials open, and which of them is preferred."""

    v1: bool
    v2: bool
    prefer: Literal["v1", "v2"] = "v1"


def route(model: str, access: Access) -> Endpoint | str:
    """
    Where a model is served: an endpoint of V1, or a name of V2.

    A name with a slash is a path of V1 (`chat/my_endpoint`, `plugin/my_plugin`). A name that nobody knows is one of V2
    where that can be used, and otherwise the name of a published endpoint of V1.

    Raises:
        ProviderAuthFailed: the settings hold no credentials for the generation that has the model.
    """
    if "/" in model:
        if not access.v1:
            raise locked("V1")
        return published(model)
    name = model.lower()
    v1, v2 = endpoint_of(name), V2.get(name)
    if v1 is None and v2 is None:
        if access.v2:
            return model
        if name.startswith(_ONLY_V2):
            raise locked("V2")
        return published(f"chat/{model}")
    if v1 is not None and access.v1 and not (v2 and access.v2 and access.prefer == "v2"):
        return v1
    if v2 is not None and access.v2:
        return v2
    raise locked("V1") if v2 is None else locked("V2")


def published(path: str) -> Endpoint:
    """The endpoint of V1 behind a path like `chat/my_endpoint`."""
    path = path.strip("/")
    kind = path.partition("/")[0]
    shape = _SHAPES.get(kind, "messages")
    tail = "/" if shape == "query" else ""  # the vendor's own paths of plugins end so
    return Endpoint(f"{PREFIX}/{quote(path, safe='/')}{tail}", shape=shape)


def locked(generation: Literal["V1", "V2"]) -> ProviderAuthFailed:
    """The error of a model that the settings hold no credentials for."""
    names = "'ak' and 'sk'" if generation == "V1" else "'api_key'"
    return ProviderAuthFailed(
        f"this is served by {generation} of the provider's API, for which the settings hold no credentials; "
        f"set {names}, or 'iam_ak' and 'iam_sk'"
    )
