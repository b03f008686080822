"""
Pictures and films in messages: whether the model takes them, and what is sent of them.

What comes in the product's way (`attachments`) is always sent as data whose content was looked at; an address is fetched
for it. What stands in a caller's own `messages` is the caller's and goes out untouched, but for addresses to a vendor
that takes none.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

from fengchao_core.errors import InvalidParameter
from fengchao_core.files.kinds import tell_media
from fengchao_core.types import (
    Capability,
    ContentPart,
    ImagePart,
    Message,
    ModelCard,
    VideoPart,
)

if TYPE_CHECKING:
    from fengchao_core.fetch import Fetcher

Media = ImagePart | VideoPart

_ADDRESS = ("http://", "https://")
_LONG_DATA = 200_000  # characters of base64 beyond which decoding is left to a thread


def media_of(messages: Iterable[Message]) -> tuple[Media, ...]:
    """The pictures and films of a conversation."""
    return tuple(
        part
        for message in messages
        if type(message.content) is tuple
        for part in message.content
        if isinstance(part, ImagePart | VideoPart)
    )


def needs_of(media: Iterable[Media]) -> frozenset[Capability]:
    """What a model must be able to do to be shown these."""
    return frozenset("vision" if isinstance(part, ImagePart) else "video" for part in media)


def check_capable(
    card: ModelCard, needs: frozenset[Capability], others: Iterable[ModelCard]
) -> None:
    """
    Refuse what the model cannot look at. A model of which nothing but its name is known is believed to see.

    Args:
        others: every model, to name some that can.

    Raises:
        InvalidParameter: naming the model, and a few that can.
    """
    lacking = () if not card.is_known else sorted(needs - card.capabilities)
    if not lacking:
        return
    what, param = ("pictures", "image") if lacking[0] == "vision" else ("films", "video")
    able = [c.id for c in others if c.kind == "chat" and needs <= c.capabilities][:3]
    hint = f"; choose one that does, such as {', '.join(able)}" if able else ""
    raise InvalidParameter(f"model {card.id!r} takes no {what}{hint}", param=param)


async def resolve(
    messages: tuple[Message, ...], fetcher: Fetcher, most_bytes: int, *, checks_data: bool
) -> tuple[Message, ...]:
    """
    The conversation with the pictures and films as data.

    Args:
        checks_data: whether what came as data is looked at as well; without it only addresses are replaced.

    Raises:
        InvalidParameter: one cannot be fetched, or is not what its field says.
    """

    async def convert(part: ContentPart) -> ContentPart:
        if not isinstance(part, ImagePart | VideoPart):
            return part
        url = part.url
        if url.startswith(_ADDRESS):
            kinds = ("image/",) if isinstance(part, ImagePart) else ("video/",)
            fetched = await fetcher.get(url, kinds=kinds, param=_field(part))
            return replace(part, url=await _off_loop(_as_data, fetched.content, part))
        if not checks_data or not url.startswith("data:"):
            return part  # a vendor's own address of a file, say
        return replace(part, url=await _off_loop(_checked, url, part, most_bytes))

    return await _each_part(messages, convert)


async def _each_part(
    messages: Sequence[Message], convert: Callable[[ContentPart], Awaitable[ContentPart]]
) -> tuple[Message, ...]:
    converted = []
    for message in messages:
        if type(message.content) is tuple:
            parts = tuple([await convert(part) for part in message.content])
            converted.append(replace(message, content=parts))
        else:
            converted.append(message)
    return tuple(converted)


async def _off_loop(
    function: Callable[..., str], content: str | bytes, part: Media, *more: int
) -> str:
    if len(content) < _LONG_DATA:
        return function(content, part, *more)
    return await asyncio.to_thread(function, content, part, *more)


def _checked(url: str, part: Media, most_bytes: int) -> str:
    head, comma, data = url.partition(",")
    if not comma or not head.endswith(";base64"):
        _refuse("expected a data: URL in base64", part)
    try:
        content = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        _refuse("the data is not valid base64", part)
    if len(content) > most_bytes:
        _refuse(f"the data has {len(content)} bytes, more than the limit of {most_bytes}", part)
    return _as_data(content, part)


def _as_data(content: bytes, part: Media) -> str:
    kind = tell_media(content)
    wanted = "picture" if isinstance(part, ImagePart) else "film"
    if kind is None or kind.group != wanted:
        taken = "png, jpeg, gif, webp or bmp" if wanted == "picture" else "mp4, mov or webm"
        _refuse(f"the content is no {wanted} of a known kind; expected {taken}", part)
    return f"data:{kind.media_type};base64,{base64.b64encode(content).decode('ascii')}"


def _field(part: Media) -> str:
    return "image" if isinstance(part, ImagePart) else "video"


def _refuse(why: str, part: Media) -> NoReturn:
    raise InvalidParameter(why, param=_field(part)) from None
