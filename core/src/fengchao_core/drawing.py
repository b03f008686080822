"""
Pictures: what a caller asks, made into what a vendor takes.

Vendors differ: some take a style or a text of what not to show, some draw one picture a call. What a vendor lacks is told
in the prompt, or asked for several times, and a note says so. What cannot be told otherwise (a size it does not draw) is
the vendor's to refuse.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fengchao_core.errors import EmptyQuery, InvalidParameter, ProviderError
from fengchao_core.logs import Log
from fengchao_core.prompts import PromptLibrary
from fengchao_core.provider import DrawsImages
from fengchao_core.types import DrawCall, Image, ImageRequest, ImageResult, Usage

if TYPE_CHECKING:
    from fengchao_core.routing import Deployment
    from fengchao_core.screening import Screening

log = Log()

MOST_PICTURES = 10

_PLAIN_STYLE = "base"
"""What the product's clients send where no style was chosen; one vendor's name for none."""


def request_of(call: DrawCall, prompts: PromptLibrary, screening: Screening | None) -> ImageRequest:
    """
    What to draw: rendered, screened, checked. `model` is left as the caller gave it.

    Raises:
        EmptyQuery: there is nothing to draw.
        InvalidParameter: the number is out of range, or the prompt cannot be rendered.
        SensitiveContent: a word list blocked a text.
    """
    if not call.query or not call.query.strip():
        raise EmptyQuery("query is empty; say what to draw", param="query")
    if call.n is not None and not 1 <= call.n <= MOST_PICTURES:
        raise InvalidParameter(f"n must be 1 to {MOST_PICTURES}", param="n")

    def clean(text: str) -> str:
        return text if screening is None else screening.input(text)

    prompt = call.prompt
    if prompt and prompts.get(prompt) is None:
        prompt = clean(prompt)
    rendered = prompts.compose(
        prompt,
        query=clean(call.query),
        fill={name: clean(value) for name, value in call.prompt_fill.items()},
    )
    negative = (call.negative_prompt or "").strip()
    style = (call.style or "").strip()
    return ImageRequest(
        model=call.model,
        prompt=rendered.prompt,
        n=call.n,
        size=call.size or None,
        quality=call.quality or None,
        style=style if style and style.lower() != _PLAIN_STYLE else None,
        negative_prompt=clean(negative) if negative else None,
        response_format=call.response_format,
        user=call.user,
        extra=call.extra,
    )


@dataclass(slots=True)
class Drawing:
    """Draws one request with one deployment, as far as it can be drawn."""

    request: ImageRequest
    notes: list[str]

    async def ask(self, deployment: Deployment) -> ImageResult:
        """The pictures. Raises `InvalidParameter` and `ProviderError` as the provider does."""
        provider = deployment.provider
        if not isinstance(provider, DrawsImages):
            raise InvalidParameter(
                f"provider {deployment.provider_name!r} draws no pictures", param="model"
            )
        self.notes.clear()
        request = replace(self.request, model=deployment.card.upstream_id)
        request, result = await self._adapted(provider, request)
        missing = (self.request.n or 1) - len(result.images)
        if missing <= 0:
            return replace(result, notes=tuple(self.notes))
        more = await self._more(provider, replace(request, n=None), missing)
        images = (*result.images, *(image for each in more for image in each.images))
        if len(images) < (self.request.n or 1):
            self.notes.append(f"{len(images)} of {self.request.n} pictures could be drawn")
        return replace(
            result,
            images=images[: self.request.n],
            usage=_sum([result.usage, *(each.usage for each in more)]),
            notes=tuple(self.notes),
        )

    async def _adapted(
        self, provider: DrawsImages, request: ImageRequest
    ) -> tuple[ImageRequest, ImageResult]:
        """
        The request as this vendor takes it, and what it drew.

        A provider refuses what its vendor lacks before it sends anything, one field at a time, so trying is free.
        """
        while True:
            try:
                return request, await provider.draw(request)
            except InvalidParameter as error:
                told = _told_otherwise(request, error.param)
                if told is None:
                    raise
                request = told
                if error.param != "n":
                    self.notes.append(
                        f"{error.param} was told in the prompt: the model has no such parameter"
                    )

    async def _more(
        self, provider: DrawsImages, request: ImageRequest, count: int
    ) -> list[ImageResult]:
        """Further pictures, one a call, side by side; a vendor that fails now has drawn some already."""

        async def one() -> ImageResult | None:
            try:
                return await provider.draw(request)
            except ProviderError as error:
                log.warning("drawing.incomplete", error=type(error).__name__)
                return None

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one()) for _ in range(count)]
        return [result for task in tasks if (result := task.result()) is not None]


def _told_otherwise(request: ImageRequest, param: str | None) -> ImageRequest | None:
    """The request without a field that its vendor lacks; None where nothing can take its place."""
    if param == "negative_prompt" and request.negative_prompt:
        prompt = f"{request.prompt}\n画面中不要出现：{request.negative_prompt}"
        return replace(request, prompt=prompt, negative_prompt=None)
    if param == "style" and request.style:
        return replace(request, prompt=f"{request.prompt}\n画面风格：{request.style}", style=None)
    if param == "n" and request.n is not None and request.n > 1:
        return replace(request, n=None)
    return None


def _sum(usages: list[Usage]) -> Usage:
    return Usage(
        sum(usage.prompt_tokens for usage in usages),
        sum(usage.completion_tokens for usage in usages),
        source=usages[0].source,
    )


def addresses(result: ImageResult) -> tuple[str, ...]:
    """Each picture as one text: its address, or its data as a `data:` URL."""
    return tuple(
        image.url or f"data:{_kind(image)};base64,{image.b64_json}" for image in result.images
    )


def _kind(image: Image) -> str:
    data = image.b64_json or ""
    starts = (("/9j/", "jpeg"), ("UklGR", "webp"), ("R0lGOD", "gif"))
    return next((f"image/{kind}" for start, kind in starts if data.startswith(start)), "image/png")
