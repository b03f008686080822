"""Files in a question: as text for most models, by the vendor's own ids for those whose vendor reads files itself."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from fengchao_core.errors import RequestRejected
from fengchao_core.files.service import OpenFile
from fengchao_core.provider import AnswersFromFiles
from fengchao_core.types import (
    ChatRequest,
    ContentPart,
    FilePart,
    ImagePart,
    Message,
    TextPart,
    VideoPart,
)
from fengchao_core.window import Document

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from fengchao_core.files.copies import Copies
    from fengchao_core.files.service import Files
    from fengchao_core.routing import Deployment

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Native:
    """
    A question whose files a vendor may read itself.

    Attributes:
        files: the documents.
        messages: the conversation without their text.
    """

    files: tuple[OpenFile, ...]
    messages: tuple[Message, ...]

    @classmethod
    def of(
        cls, opened: Sequence[OpenFile], messages: tuple[Message, ...], question: Message
    ) -> Native:
        """
        Out of a conversation that has the files' text in its last message.

        Args:
            question: the last message before the text was put in.
        """
        last = messages[-1]
        if isinstance(
            last.content, tuple
        ):  # the text is its first part; its pictures are as they can be sent now
            question = replace(question, content=last.content[1:])
        files = tuple(file for file in opened if file.text is not None)
        return cls(files, (*messages[:-1], question))

    async def ask(
        self,
        deployment: Deployment,
        request: ChatRequest,
        copies: Copies,
        notes: list[str],
        open_stream: Callable[[ChatRequest], Awaitable[_Result]],
    ) -> _Result:
        """
        Ask a deployment, with the vendor's ids of the files where it reads files, else with their text.

        Args:
            open_stream: asks with the request that it is given.

        Raises:
            ProviderError: the vendor failed; also while it was given the files.
        """
        provider, name = deployment.provider, deployment.provider_name
        if "files" not in deployment.card.capabilities or not isinstance(
            provider, AnswersFromFiles
        ):
            return await open_stream(request)
        records = [file.record for file in self.files]
        try:
            ids, were_known = await copies.ids(records, name, provider)
        except RequestRejected:
            note = "厂商不接受这些文件，已改发其中的文字 (the vendor does not take these files; their text was sent)"
            notes.append(note)
            return await open_stream(request)
        try:
            return await open_stream(self._with(ids, request))
        except RequestRejected:
            if not were_known:
                raise
        # Vendors forget files, and an operator may have changed the account: once more, with new copies.
        await copies.forget(records, name, provider)
        ids, _ = await copies.ids(records, name, provider)
        return await open_stream(self._with(ids, request))

    def _with(self, ids: Mapping[str, str], request: ChatRequest) -> ChatRequest:
        last = self.messages[-1]
        parts = [FilePart(file_id=ids[f.record.id], filename=f.record.name) for f in self.files]
        said = (TextPart(last.content),) if isinstance(last.content, str) else last.content or ()
        content: tuple[ContentPart, ...] = (*parts, *said)
        return replace(request, messages=(*self.messages[:-1], replace(last, content=content)))


async def shown(files: Files, opened: Sequence[OpenFile]) -> tuple[ContentPart, ...]:
    """The pictures and films among files, as parts of a message."""
    parts: list[ContentPart] = []
    for file in opened:
        if file.text is not None:
            continue
        data = base64.b64encode(await files.read(file.record)).decode("ascii")
        url = f"data:{file.kind.media_type};base64,{data}"
        parts.append(ImagePart(url) if file.kind.group == "picture" else VideoPart(url))
    return tuple(parts)


def documents(
    opened: Sequence[OpenFile], screen: Callable[[str], str] | None
) -> tuple[tuple[Document, ...], bool]:
    """
    The texts among files, screened, and whether they are the files' very own, to their end.

    Raises:
        SensitiveContent: a word list blocked one, or its name.
    """
    is_own = True
    found = []
    for file in opened:
        if file.text is None:
            continue
        name, text = file.record.name, file.text
        if screen is not None:
            name, text = screen(name), screen(text)
            is_own = is_own and text == file.text and name == file.record.name
        is_own = is_own and not file.record.is_cut
        found.append(Document(name, text))
    return tuple(found), is_own


def notes_of(opened: Sequence[OpenFile]) -> list[str]:
    """What a caller should know of the files themselves."""
    return [
        f"文件 {file.record.name} 的文字过多，只读出了开头的 {file.record.chars} 个字符"
        f" (only the first {file.record.chars} characters of the file were read)"
        for file in opened
        if file.record.is_cut
    ]
