"""The async client."""

# The signatures are the published SDK's: many arguments, booleans among them, and a `timeout` that is handed on.
# ruff: noqa: ASYNC109, FBT001, FBT002, PLR0917

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, overload

from fengchao.address import checked_base_url, warn_of_logger_level
from fengchao.answers import AsyncAnswerStream
from fengchao.arguments import (
    ChatArguments,
    ChatOptions,
    DrawArguments,
    DrawOptions,
    Mode,
    Turn,
)
from fengchao.backend import Backend
from fengchao.calls import Calls, Errors
from fengchao.errors import ClientSetupError
from fengchao.http import HttpBackend
from fengchao.retry import Retry
from fengchao.signing import Signer
from fengchao.transport import TIMEOUT_S
from fengchao.uploads import Paths, Report, reporter
from fengchao.wire.models import (
    ChatCompletionResponse,
    FileList,
    FinalResponse,
    KGList,
    ModelList,
    PromptList,
    TaskCard,
    TaskList,
)
from fengchao.wire.usage import UsageReport

if TYPE_CHECKING:
    from typing import Unpack

    from fengchao_core.gateway import Gateway


class FengChaoAsync:
    """
    The async client: any number of calls side by side, on whichever loop runs them.

    It works as it stands; entered (`async with FengChaoAsync(...) as client:`) it also keeps its connections from call to
    call, which spares each call a handshake.

    Args:
        api_key: the public half of the keys.
        secret_key: the secret half; only ever used to sign.
        base_url: where the service is; the variable FENGCHAO_BASE_URL where not given.
        logger_level: of no effect; taken because the published 2.x took it.
        gateway: an open `fengchao_core.Gateway` of the running loop, instead of a service: the client runs embedded, needs
            no keys, and leaves the gateway to its owner to close.
        errors: what a failure becomes: a `FinalResponse` whose status is not 200, or a raised `FengChaoAPIError`.
        timeout: seconds that one attempt may take where a call brings no `timeout`. Of a stream it limits each wait for the
            next event. Embedded, the gateway's own limits hold where it is not given.

    Raises:
        ClientSetupError: neither an address nor a gateway is known, or both, or the address is none.
    """

    def __init__(
        self,
        api_key: str = "",
        secret_key: str = "",
        base_url: str | None = None,
        logger_level: str | None = None,
        *,
        gateway: Gateway | None = None,
        errors: Errors = "return",
        timeout: float | None = None,
    ) -> None:
        if logger_level is not None:
            warn_of_logger_level()
        self._backend: Backend
        if gateway is None:
            self._backend = HttpBackend(
                checked_base_url(base_url),
                Signer(api_key, secret_key),
                timeout_s=TIMEOUT_S if timeout is None else timeout,
            )
        elif base_url is None:
            # Here, because it needs the core, which most users of this package do not have.
            from fengchao.embedded import EmbeddedBackend

            self._backend = EmbeddedBackend(gateway, timeout_s=timeout)
        else:
            raise ClientSetupError(
                "base_url 与 gateway 只能给出一个 (give either base_url or gateway, not both)"
            )
        self._calls = Calls(self._backend, errors)

    async def __aenter__(self) -> Self:
        """Keep connections from call to call, on this loop."""
        await self._backend.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let go of the connections."""
        await self.close()

    async def close(self) -> None:
        """Let go of what `async with` keeps; calls under way are not disturbed, and later ones still work."""
        await self._backend.close()

    async def models(self) -> FinalResponse[ModelList]:
        """The models: `data` is a `ModelList`."""
        return await self._calls.listing(ModelList)

    async def prompts(self) -> FinalResponse[PromptList]:
        """The preset instructions: `data` is a `PromptList`."""
        return await self._calls.listing(PromptList)

    async def kgs(self) -> FinalResponse[KGList]:
        """The knowledge bases: `data` is a `KGList`."""
        return await self._calls.listing(KGList)

    @overload
    async def chat(
        self,
        model: str,
        query: str | None = None,
        *,
        mode: Literal["stream"],
        **options: Unpack[ChatOptions],
    ) -> AsyncAnswerStream: ...

    @overload
    async def chat(
        self,
        model: str,
        query: str | None = None,
        *,
        mode: Literal["async"],
        **options: Unpack[ChatOptions],
    ) -> FinalResponse[str]: ...

    @overload
    async def chat(
        self,
        model: str,
        query: str | None = None,
        request_id: str | None = None,
        system: str | None = None,
        prompt: str | None = None,
        prompt_fill: Mapping[str, str | int | float] | None = None,
        is_sensitive: bool = True,
        sensitive_replace: bool = False,
        task_id: str | None = None,
        history: Sequence[Turn] | None = None,
        response_format: str | None = "text",
        do_sample: bool | None = True,
        temperature: float | None = 0.8,
        top_p: float | None = 0.75,
        max_tokens: int | None = 256,
        mode: Literal["invoke", "async_result"] = "invoke",
        knowledge: str | None = None,
        top_k: int | None = 5,
        threshold: float | None = 500,
        image: str | None = None,
        video: str | None = None,
        try_num: int | None = None,
        timeout: float | None = None,
        retry_action: Retry | None = None,
        files: Sequence[str] | str | None = None,
        agg_models: Sequence[str] | None = None,
        search_param: Mapping[str, float] | None = None,
        *,
        json_schema: Mapping[str, Any] | None = None,
        resumable: bool = False,
    ) -> FinalResponse[ChatCompletionResponse]: ...

    async def chat(
        self,
        model: str,
        query: str | None = None,
        request_id: str | None = None,
        system: str | None = None,
        prompt: str | None = None,
        prompt_fill: Mapping[str, str | int | float] | None = None,
        is_sensitive: bool = True,
        sensitive_replace: bool = False,
        task_id: str | None = None,
        history: Sequence[Turn] | None = None,
        response_format: str | None = "text",
        do_sample: bool | None = True,
        temperature: float | None = 0.8,
        top_p: float | None = 0.75,
        max_tokens: int | None = 256,
        mode: Mode | Literal["stream"] = "invoke",
        knowledge: str | None = None,
        top_k: int | None = 5,
        threshold: float | None = 500,
        image: str | None = None,
        video: str | None = None,
        try_num: int | None = None,
        timeout: float | None = None,
        retry_action: Retry | None = None,
        files: Sequence[str] | str | None = None,
        agg_models: Sequence[str] | None = None,
        search_param: Mapping[str, float] | None = None,
        *,
        json_schema: Mapping[str, Any] | None = None,
        resumable: bool = False,
    ) -> FinalResponse[str | ChatCompletionResponse] | AsyncAnswerStream:
        """
        Ask a model.

        Args:
            model: its id, as `models()` lists it.
            query: the question.
            request_id: of the conversation; made where not given.
            system: instead of the service's system text.
            prompt: the id of a preset instruction, or a text that holds `{{query}}`.
            prompt_fill: values of the further placeholders of `prompt`.
            is_sensitive: screen the words of question and answer.
            sensitive_replace: replace hits by `*` instead of refusing.
            task_id: of an asynchronous task, for `mode="async_result"`.
            history: earlier turns: `{"role": …, "content": …}`, or the messages of earlier answers.
            response_format: `text` or `json`: an answer that is no JSON is asked for once more, and `{}` where it still is
                none. Not checked in a stream.
            do_sample: False for greedy decoding.
            temperature: 0.1 to 1. As with the next two, None leaves it to the vendor.
            top_p: 0 to 1.
            max_tokens: longest answer, in tokens.
            mode: `invoke`, `stream`, `async` or `async_result`.
            knowledge: a knowledge base, as `kgs()` lists it.
            top_k: passages at most.
            threshold: largest distance of a passage, 0 to about 1100; 0 means no threshold.
            image: a URL, base64, or the path of a local file.
            video: likewise.
            try_num: attempts at most, the first included; 3 where neither it nor `retry_action` says otherwise.
            timeout: seconds for one attempt, instead of the client's.
            retry_action: your own `Retry`.
            files: paths of local files to upload first, or ids of files that were uploaded.
            agg_models: models that are asked the same question at the same time; `model` merges their answers, which
                stand in the answer's `agg`.
            search_param: look the question up on the web first: `{"top_k": 5, "score": 0.1}`, pages at most and the
                least relevance of one. They stand in the answer's `search`.
            json_schema: a JSON schema that the answer must fit; asks for JSON by itself.
            resumable: of a stream: the answer goes on when the connection is lost, and `attach()` reads it again.

        Returns:
            the answer; with `mode="async"` the id of the task; with `mode="stream"` an iterator of the answer's events,
            which sends nothing before it is iterated.

        Raises:
            FengChaoAPIError: only of a client made with `errors="raise"`; for a stream, while it is iterated.
        """
        arguments = ChatArguments(
            model,
            query,
            request_id,
            system,
            prompt,
            prompt_fill,
            is_sensitive,
            sensitive_replace,
            task_id,
            history,
            response_format,
            do_sample,
            temperature,
            top_p,
            max_tokens,
            mode,
            knowledge,
            top_k,
            threshold,
            image,
            video,
            try_num,
            timeout,
            retry_action,
            files,
            agg_models,
            search_param,
            json_schema,
            resumable,
        )
        if mode == "stream":
            return AsyncAnswerStream(self._calls.stream(arguments))
        return await self._calls.chat(arguments)

    async def usage(
        self,
        by: Literal["model", "day"] = "model",
        *,
        since: str | None = None,
        until: str | None = None,
    ) -> FinalResponse[UsageReport]:
        """
        What these keys used, and what is left of their limits: `data` is a `UsageReport`.

        Args:
            by: `model` or `day`.
            since: the first day (UTC), as `2026-11-21`, or an instant with its zone; the first of the month where not given.
            until: the day after the last, likewise; up to now where not given.
        """
        return await self._calls.usage(by, since, until)

    async def tasks(self, limit: int = 100) -> FinalResponse[TaskList]:
        """The asynchronous tasks of these keys, newest first: `data` is a `TaskList`."""
        return await self._calls.tasks(limit)

    async def cancel_task(self, task_id: str) -> FinalResponse[TaskCard]:
        """End an asynchronous task; `data` is its `TaskCard` afterwards. One that has ended stays as it is."""
        return await self._calls.cancel(task_id)

    async def wait_for(
        self, task_id: str, *, timeout: float | None = None, interval: float = 1.0
    ) -> FinalResponse[ChatCompletionResponse]:
        """
        The answer of an asynchronous task, once it has one.

        Args:
            timeout: seconds to wait; None waits until the task has ended, one way or another. Where they pass, the answer's
                status is 6602.
            interval: seconds between two questions.

        Raises:
            FengChaoAPIError: only of a client made with `errors="raise"`.
        """
        return await self._calls.wait_for(task_id, interval_s=interval, timeout_s=timeout)

    def attach(
        self, task_id: str, start: int = 0, *, timeout: float | None = None
    ) -> AsyncAnswerStream:
        """
        Read a resumable stream again; what has not come yet is waited for.

        Args:
            task_id: `task_id` of the stream, or of any of its events.
            start: the number of the first event wanted, from 0.
            timeout: seconds to wait for the next event, instead of the client's.

        Returns:
            as `chat` with `mode="stream"`.
        """
        return AsyncAnswerStream(self._calls.attach(task_id, start, timeout))

    async def upload_files(
        self,
        files: Paths,
        *,
        progress: bool | Report | None = None,
        timeout: float | None = None,
    ) -> FinalResponse[FileList]:
        """
        Upload files of this machine, to ask about them in any number of chats: `chat(…, files=[card.id])`.

        They are streamed from the disk. Either all are taken, or none.

        Args:
            files: paths, or one path.
            progress: True draws a bar on the terminal; a function is called with a `Progress` after each piece.
            timeout: seconds for one attempt, instead of the client's.

        Returns:
            `data` is a `FileList`, in the order of the paths.

        Raises:
            FengChaoAPIError: only of a client made with `errors="raise"`.
        """
        return await self._calls.upload(files, reporter(progress), timeout)

    async def files(self) -> FinalResponse[FileList]:
        """The files that were uploaded with these keys and have not expired: `data` is a `FileList`, newest first."""
        return await self._calls.files()

    async def delete_file(self, file_id: str) -> FinalResponse[None]:
        """Delete an uploaded file, named by its `id`, and its copies at vendors."""
        return await self._calls.delete_file(file_id)

    @overload
    async def t2i(
        self,
        model: str,
        query: str | None = None,
        *,
        mode: Literal["async"],
        **options: Unpack[DrawOptions],
    ) -> FinalResponse[str]: ...

    @overload
    async def t2i(
        self,
        model: str,
        query: str | None = None,
        request_id: str | None = None,
        task_id: str | None = None,
        prompt: str | None = None,
        negative_prompt: str | None = "",
        prompt_fill: Mapping[str, str | int | float] | None = None,
        n: int = 1,
        size: str = "1024x1024",
        style: str = "Base",
        mode: Literal["invoke", "async_result"] = "invoke",
        try_num: int | None = None,
        timeout: float | None = None,
        retry_action: Retry | None = None,
    ) -> FinalResponse[ChatCompletionResponse]: ...

    async def t2i(
        self,
        model: str,
        query: str | None = None,
        request_id: str | None = None,
        task_id: str | None = None,
        prompt: str | None = None,
        negative_prompt: str | None = "",
        prompt_fill: Mapping[str, str | int | float] | None = None,
        n: int = 1,
        size: str = "1024x1024",
        style: str = "Base",
        mode: Mode = "invoke",
        try_num: int | None = None,
        timeout: float | None = None,
        retry_action: Retry | None = None,
    ) -> FinalResponse[str | ChatCompletionResponse]:
        """
        Draw pictures from a text. Each is a choice of the answer, its content an address or a `data:` URL.

        Args:
            model: its id, as `models()` lists it.
            query: what the picture shows.
            request_id: of the conversation; made where not given.
            task_id: of an asynchronous task, for `mode="async_result"`.
            prompt: the id of a preset instruction, or a text that holds `{{query}}`.
            negative_prompt: what the pictures should not show.
            prompt_fill: values of the further placeholders of `prompt`.
            n: how many, 1 to 10.
            size: `WIDTHxHEIGHT` in pixels; an empty text leaves it to the vendor.
            style: the vendor's name of a style; `Base` means none.
            mode: `invoke`, `async` or `async_result`.
            try_num: attempts at most, the first included; 3 where neither it nor `retry_action` says otherwise.
            timeout: seconds for one attempt, instead of the client's.
            retry_action: your own `Retry`.

        Returns:
            the answer; with `mode="async"` the id of the task.

        Raises:
            FengChaoAPIError: only of a client made with `errors="raise"`.
        """
        arguments = DrawArguments(
            model,
            query,
            request_id,
            task_id,
            prompt,
            negative_prompt,
            prompt_fill,
            n,
            size,
            style,
            mode,
            try_num,
            timeout,
            retry_action,
        )
        return await self._calls.draw(arguments)
