"""From a chat's body to the prompts of its choices: template, sampling, stop tokens, guards."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from fengchao_local_qwen.engine.calls import OPEN
from fengchao_local_qwen.engine.face import Prompt, Sampling
from fengchao_local_qwen.engine.guard import JsonGuard
from fengchao_local_qwen.engine.vocabulary import Vocabulary
from fengchao_local_qwen.engine.wire import ChatBody, MessageBody, NamedTool

THINK_OPEN = "<think>"
THINK_CLOSE = "</think>"


class TemplateError(Exception):
    """The model's chat template refuses the conversation, or there is none."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the model's own `generation_config.json` says, for what a caller leaves open."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    do_sample: bool = True
    max_new_tokens: int = 2000
    stop_ids: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Asked:
    """
    A chat, ready for the engine.

    Attributes:
        prompts: one for each choice.
        begun: what of the answer stands already in the prompt: the tag that opens the thinking, or a call.
        thinks: whether the answer may begin with thinking.
        calls: whether calls are to be looked for.
        notes: what was adapted, one English sentence each.
    """

    prompts: tuple[Prompt, ...]
    begun: str
    thinks: bool
    calls: bool
    notes: tuple[str, ...] = ()


class ChatPrompts:
    """
    Makes prompts for one model.

    Args:
        tokenizer: a transformers tokenizer with a chat template.
        defaults: the model's own sampling.
    """

    def __init__(self, tokenizer: Any, defaults: Defaults) -> None:
        self.vocabulary = Vocabulary(tokenizer)
        self._tokenizer = tokenizer
        self._defaults = defaults
        template = tokenizer.chat_template or ""
        self._special = tuple(
            str(added.content) for added in tokenizer.added_tokens_decoder.values() if added.special
        )
        self._reserved = frozenset(inspect.signature(tokenizer.apply_chat_template).parameters)
        self._knows_thinking = THINK_CLOSE in (template if isinstance(template, str) else "")

    def read(self, body: ChatBody) -> Asked:
        """
        Make the prompts.

        Raises:
            TemplateError: the conversation does not fit the template.
        """
        notes: list[str] = []
        wants_json = body.response_format.type != "text"
        text = self._rendered(body, wants_json=wants_json, notes=notes)
        begun, guarded_from = self._begun(text, body)
        ids = self._tokenizer.encode(text + begun, add_special_tokens=False)
        thinking_open = self._knows_thinking and text.rstrip().endswith(THINK_OPEN)
        sampling = self._sampling(body)
        prompts = []
        for index in range(body.n):
            guard = None
            if guarded_from is not None or wants_json:
                guard = JsonGuard(
                    self.vocabulary,
                    self._tokenizer.eos_token_id,
                    begun=(guarded_from or "").encode(),
                    after=self._tokenizer.convert_tokens_to_ids(THINK_CLOSE)
                    if thinking_open
                    else None,
                )
            own = sampling
            if index and sampling.seed is not None:
                own = replace(sampling, seed=sampling.seed + index)
            prompts.append(
                Prompt(
                    tuple(ids),
                    body.limit or self._defaults.max_new_tokens,
                    own,
                    self._defaults.stop_ids,
                    guard,
                )
            )
        return Asked(
            tuple(prompts),
            THINK_OPEN if thinking_open else begun,
            self._knows_thinking,
            bool(body.tools),
            tuple(notes),
        )

    def _rendered(self, body: ChatBody, *, wants_json: bool, notes: list[str]) -> str:
        reserved = self._reserved & body.chat_template_kwargs.keys()
        if reserved:
            raise TemplateError(
                f"chat_template_kwargs is for the template's own variables, not {sorted(reserved)}"
            )
        messages = [_message(message, self._harmless) for message in body.messages]
        if body.response_format.type == "json_schema" and body.response_format.json_schema:
            schema = orjson.dumps(body.response_format.json_schema.schema_).decode()
            told = f"请只用符合下面 JSON Schema 的 JSON 回答。Answer only with JSON that follows this schema:\n{schema}"
            _instruct(messages, told)
            notes.append(
                "the JSON schema was put into the instructions; the engine itself holds the answer to JSON only"
            )
        elif wants_json and not any("json" in m["content"].lower() for m in messages):
            _instruct(messages, "请只用一个 JSON 对象回答。Answer with one JSON object only.")
        thinks = body.thinks
        if thinks is None and wants_json:
            thinks = False
        options: dict[str, Any] = {} if thinks is None else {"enable_thinking": thinks}
        tools = None
        if body.tools and body.tool_choice != "none":
            tools = [tool.model_dump(exclude_none=True) for tool in body.tools]
        try:
            return str(
                self._tokenizer.apply_chat_template(
                    messages,
                    tools=tools,
                    tokenize=False,
                    add_generation_prompt=True,
                    **{**options, **body.chat_template_kwargs},
                )
            )
        except Exception as error:  # templates raise what they like
            raise TemplateError(
                f"the model's chat template does not take this conversation ({type(error).__name__})"
            ) from error

    def _harmless(self, text: str) -> str:
        """A text that cannot be taken for the marks between turns: what a caller says must not end their turn."""
        for mark in self._special:
            if mark in text:
                text = text.replace(mark, f"{mark[0]}\u200b{mark[1:]}")
        return text

    def _begun(self, text: str, body: ChatBody) -> tuple[str, str | None]:
        """The beginning of an answer that must be a call, and the JSON of it that stands already."""
        choice = body.tool_choice
        if not body.tools or choice in (None, "none", "auto"):
            return "", None
        name = choice.function.name if isinstance(choice, NamedTool) else None
        names = [tool.function.name for tool in body.tools]
        if name is not None and name not in names:
            raise TemplateError(f"tool_choice names {name!r}, which is none of the tools")
        if name is None and len(names) == 1:
            name = names[0]
        skip = (
            f"{THINK_OPEN}\n\n{THINK_CLOSE}\n\n"
            if self._knows_thinking and THINK_CLOSE not in text[-40:]
            else ""
        )
        head = '{"name": '
        if name is not None:
            head += f'{orjson.dumps(name).decode()}, "arguments": {{'
        return f"{skip}{OPEN}\n{head}", head

    def _sampling(self, body: ChatBody) -> Sampling:
        own = self._defaults
        temperature = own.temperature if body.temperature is None else body.temperature
        samples = (
            body.do_sample
            if body.do_sample is not None
            else (own.do_sample or body.temperature is not None)
        )
        top_k = own.top_k if body.top_k is None else max(0, body.top_k)
        penalty = (
            own.repetition_penalty if body.repetition_penalty is None else body.repetition_penalty
        )
        return Sampling(
            temperature=temperature if samples else 0.0,
            top_k=top_k,
            top_p=own.top_p if body.top_p is None else body.top_p,
            repetition_penalty=penalty,
            presence_penalty=body.presence_penalty,
            frequency_penalty=body.frequency_penalty,
            bias=body.logit_bias,
            seed=body.seed,
            logprobs=body.top_logprobs if body.logprobs else None,
        )


def _instruct(messages: list[dict[str, Any]], text: str) -> None:
    """Add to the system's words, or say them first."""
    if messages[0]["role"] == "system":
        messages[0]["content"] = f"{messages[0]['content']}\n\n{text}"
    else:
        messages.insert(0, {"role": "system", "content": text})


def _message(message: MessageBody, harmless: Callable[[str], str]) -> dict[str, Any]:
    """A turn as the templates take it."""
    role = "system" if message.role == "developer" else message.role
    turn: dict[str, Any] = {"role": role, "content": harmless(message.text)}
    if message.reasoning_content:
        turn["reasoning_content"] = harmless(message.reasoning_content)
    if message.tool_calls:
        turn["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {
                    "name": call.function.name,
                    "arguments": _arguments(harmless(call.function.arguments)),
                },
            }
            for call in message.tool_calls
        ]
    if message.name is not None:
        turn["name"] = message.name
    return turn


def _arguments(text: str) -> Mapping[str, Any] | str:
    """Arguments as an object, which every template can write; text that is no object stays text."""
    try:
        read = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    return read if isinstance(read, dict) else text
