"""
What to say: the preset instructions, custom ones, and the one pass that fills them in.

A template is text with `{{name}}` placeholders. `render` replaces them in a single pass over the **template's** text;
what is put in (the query, the system text, passages, fill values) is never looked at again, so braces that a user
typed stay braces. A placeholder nobody has a value for is an error, and so is a value nobody asked for: nothing that a
caller gave is dropped in silence.

It does not decide who may use a template, does not fetch passages and does not screen words.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.resources import files

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from fengchao_core.errors import InvalidParameter, PluginError, SetupError

DEFAULT_ID = "默认"
"""The template that answers where a caller names none; its system text is everybody's default."""

KNOWLEDGE_ID = "知识库"
"""The template that wraps a question where passages were found and the chosen template has no place for them."""

DEFAULT_PREFIX = "{{system}}"

_PLACEHOLDER = re.compile(r"\{\{\s*+(\w++)\s*+\}\}")
_RESERVED = frozenset({"query", "system", "knowledge"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptTemplate:
    """
    A preset instruction.

    Attributes:
        id: its name for callers.
        prefix: what the system message is made from; `{{system}}` takes the system text.
        prompt: what the user message is made from; holds `{{query}}`.
        system: the system text where the caller gives none; None takes the library's default, empty text means none.
        created: aware; when the text was written.
        aliases: further ids that mean this template; not listed.
    """

    id: str
    prompt: str
    created: datetime
    prefix: str = DEFAULT_PREFIX
    system: str | None = None
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rendered:
    """
    What to send.

    Attributes:
        system: the text of the system message; empty where there is to be none.
        prompt: the text of the user message.
    """

    system: str
    prompt: str


class PromptLibrary:
    """
    All templates of a gateway, in the order in which they are listed.

    Args:
        layers: the product's presets first, then the plugins' templates, then the operator's. A template takes the place
            of an earlier layer's of the same id, where that stood, and keeps its aliases; new ones follow.

    Raises:
        SetupError: a layer names an id twice, a template lacks `{{query}}`, or one of the two that the library itself
            needs (默认, and 知识库 with `{{knowledge}}`) is missing. Holds every problem.
    """

    def __init__(self, *layers: Iterable[PromptTemplate]) -> None:
        templates: dict[str, PromptTemplate] = {}
        aliases: dict[str, str] = {}
        problems: list[str] = []
        for layer in layers:
            seen: set[str] = set()
            for template in layer:
                if template.id in seen:
                    problems.append(f"prompt template {template.id!r} is given twice; rename one")
                if "query" not in _names(template.prompt):
                    problems.append(
                        f"prompt template {template.id!r} lacks {{{{query}}}}; write it where the question belongs"
                    )
                seen.add(template.id)
                templates[template.id] = template
                aliases |= dict.fromkeys(template.aliases, template.id)
        problems.extend(_missing_pillars(templates))
        if problems:
            raise SetupError(*problems)
        default = templates[DEFAULT_ID].system or ""
        self._templates = {
            id_: template if template.system is not None else replace(template, system=default)
            for id_, template in templates.items()
        }
        self._aliases = aliases
        self._default = self._templates[DEFAULT_ID]
        self._knowledge = self._templates[KNOWLEDGE_ID]

    def __iter__(self) -> Iterator[PromptTemplate]:
        """The templates in order; each has its `system` text."""
        return iter(self._templates.values())

    def __len__(self) -> int:
        """How many templates are listed."""
        return len(self._templates)

    def get(self, id_: str) -> PromptTemplate | None:
        """The template of this id or alias, or None."""
        return self._templates.get(id_) or self._templates.get(self._aliases.get(id_, id_))

    def resolve(self, prompt: str | None) -> PromptTemplate:
        """
        The template that a caller means.

        Args:
            prompt: an id or alias; a custom text that holds `{{query}}`; None or blank for the default.

        Raises:
            InvalidParameter: it is neither an id nor a text that holds `{{query}}`.
        """
        if prompt is None or not prompt.strip():
            return self._default
        template = self.get(prompt)
        if template is not None:
            return template
        _require_query(prompt)
        return replace(self._default, id="", prompt=prompt, prefix=DEFAULT_PREFIX, aliases=())

    def compose(
        self,
        prompt: str | None,
        *,
        query: str,
        system: str | None = None,
        prefix: str | None = None,
        fill: Mapping[str, str] | None = None,
        knowledge: str | None = None,
    ) -> Rendered:
        """
        Resolve and render in one step: what the pipeline asks for.

        Args:
            prompt: as for `resolve`.
            query: the question.
            system: instead of the template's system text; empty text means none.
            prefix: instead of the template's prefix.
            fill: values of further placeholders.
            knowledge: the passages found, as one text; None where no knowledge base was asked. They take the place of
                the template's `{{knowledge}}`; a template that has none is rendered and then wrapped by 知识库.

        Raises:
            InvalidParameter: as for `resolve` and `render`.
        """
        template = self.resolve(prompt)
        if prefix is not None:
            template = replace(template, prefix=prefix)
        if knowledge is None or "knowledge" in _names(template.prompt, template.prefix):
            return render(
                template, query=query, system=system, fill=fill, knowledge=knowledge or ""
            )
        inner = render(template, query=query, system=system, fill=fill)
        outer = render(self._knowledge, query=inner.prompt, knowledge=knowledge)
        return Rendered(inner.system, outer.prompt)


def render(
    template: PromptTemplate | str,
    *,
    query: str,
    system: str | None = None,
    fill: Mapping[str, str] | None = None,
    knowledge: str = "",
) -> Rendered:
    """
    Fill a template in, in one pass.

    Args:
        template: a template, or a custom text that holds `{{query}}`.
        query: takes the place of `{{query}}`.
        system: takes the place of `{{system}}`; None takes the template's own.
        fill: values of every further placeholder.
        knowledge: takes the place of `{{knowledge}}`.

    Raises:
        InvalidParameter: the text lacks `{{query}}` (`param="prompt"`); a placeholder has no value, or a value no
            placeholder (`param="prompt_fill"`); a system text is given that no placeholder takes (`param="system"`).
    """
    if isinstance(template, str):
        _require_query(template)
        prefix, prompt, own_system = DEFAULT_PREFIX, template, ""
    else:
        prefix, prompt, own_system = template.prefix, template.prompt, template.system or ""
    values = {
        "query": query,
        "system": own_system if system is None else system,
        "knowledge": knowledge,
    }
    if fill or (prefix, prompt) != (DEFAULT_PREFIX, "{{query}}"):
        wanted = _names(prefix, prompt)
        values |= _checked_fill(fill or {}, wanted)
        if system and "system" not in wanted:
            raise InvalidParameter(
                "a system text is given, but neither prefix nor prompt holds {{system}}; add it or leave the text out",
                param="system",
            )
    return Rendered(_expand(prefix, values), _expand(prompt, values))


def load_templates(
    package: str = "fengchao_core", resource: str = "presets.toml"
) -> tuple[PromptTemplate, ...]:
    """
    Read templates from a TOML file that a package ships: a list of `[[prompts]]` tables with the template's fields.

    Raises:
        PluginError: there is no such file, it is not TOML, or a field is missing, unknown or of the wrong type. Holds
            every problem.
    """
    where = f"{package}: {resource}"
    try:
        document = _File.model_validate(
            tomllib.loads(files(package).joinpath(resource).read_text("utf-8"))
        )
    except (OSError, tomllib.TOMLDecodeError) as exc:
        raise PluginError(f"{where} is not a readable TOML file: {exc}") from exc
    except ValidationError as exc:
        raise PluginError(
            *(f"{where}: {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in exc.errors())
        ) from exc
    return tuple(PromptTemplate(**dict(entry)) for entry in document.prompts)


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=False)

    id: str
    prompt: str
    created: AwareDatetime
    prefix: str = DEFAULT_PREFIX
    system: str | None = None
    aliases: tuple[str, ...] = ()


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    prompts: list[_Entry]


def _missing_pillars(templates: Mapping[str, PromptTemplate]) -> Iterator[str]:
    if DEFAULT_ID not in templates:
        yield f"prompt template {DEFAULT_ID!r} is missing; a library needs it as its default"
    knowledge = templates.get(KNOWLEDGE_ID)
    if knowledge is None or not {"query", "knowledge"} <= _names(knowledge.prompt):
        yield (
            f"prompt template {KNOWLEDGE_ID!r} is missing or lacks {{{{knowledge}}}}; "
            "a library needs it to present passages"
        )


def _require_query(text: str) -> None:
    if "query" not in _names(text):
        raise InvalidParameter(
            "prompt is neither the id of a preset instruction nor a custom text that holds {{query}}; "
            "choose a listed id, or write {{query}} where the question belongs",
            param="prompt",
        )


def _checked_fill(fill: Mapping[str, str], wanted: frozenset[str]) -> Mapping[str, str]:
    for name in fill:
        if name in _RESERVED:
            raise InvalidParameter(
                f"prompt_fill must not name {name!r}, which the gateway fills in itself",
                param="prompt_fill",
            )
        if name not in wanted:
            raise InvalidParameter(
                f"prompt_fill names {_short(name)!r}, but the prompt holds no such placeholder",
                param="prompt_fill",
            )
    missing = sorted(wanted - _RESERVED - fill.keys())
    if missing:
        names = ", ".join(repr(_short(name)) for name in missing)
        raise InvalidParameter(
            f"the prompt holds placeholders without a value: {names}; give each in prompt_fill",
            param="prompt_fill",
        )
    return fill


def _expand(text: str, values: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda match: values[match[1]], text)


def _names(*texts: str) -> frozenset[str]:
    return frozenset(name for text in texts for name in _PLACEHOLDER.findall(text))


def _short(name: str) -> str:
    return name if len(name) <= 40 else name[:40] + "…"
