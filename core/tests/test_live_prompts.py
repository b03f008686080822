"""Preset instructions that operators write: versions, rolling back, and what is in force."""

from datetime import UTC, datetime

import pytest

from fengchao_core.errors import InvalidParameter
from fengchao_core.live_prompts import LivePrompts
from fengchao_core.prompt_keeping import PromptKeeper
from fengchao_core.prompts import DEFAULT_ID, load_templates
from fengchao_core.store import MemoryStore, PromptVersion


@pytest.fixture
def store():
    """A store in memory."""
    return MemoryStore()


@pytest.fixture
def keeper(store):
    """What an operator does to it."""
    return PromptKeeper(store.prompts, [load_templates()])


@pytest.fixture
async def prompts(store):
    """The presets in force."""
    live = LivePrompts(store.prompts, load_templates())
    await live.open()
    return live


async def test_a_new_preset_is_there_for_the_next_request(prompts, keeper):
    """A preset that an operator adds follows the shipped ones, and renders."""
    await keeper.add("周报", "写周报：{{query}}", system="短")
    assert prompts.is_stale
    await prompts.refresh()
    assert "周报" == [template.id for template in prompts.library][-1]
    rendered = prompts.library.compose("周报", query="甲")
    assert ("短", "写周报：甲") == (rendered.system, rendered.prompt)


async def test_a_shipped_preset_can_be_changed_and_given_back(prompts, keeper):
    """An edit takes a shipped preset's place where it stood; removing the edit brings the shipped one back."""
    shipped = prompts.library.get("多译英").prompt
    before = [template.id for template in prompts.library]
    await keeper.edit("多译英", {"prompt": "译：{{query}}"})
    await prompts.refresh()
    assert ("译：{{query}}", before) == (
        prompts.library.get("多译英").prompt, [template.id for template in prompts.library],
    )  # fmt: skip
    await keeper.remove("多译英")
    await prompts.refresh()
    assert shipped == prompts.library.get("多译英").prompt


async def test_the_default_system_text_can_be_changed(prompts, keeper):
    """What an operator writes over the default's system text holds for every preset that has none of its own."""
    await keeper.edit(DEFAULT_ID, {"system": "新的"})
    await prompts.refresh()
    assert {"新的"} == {prompts.library.get(id_).system for id_ in (DEFAULT_ID, "多译英")}


async def test_every_version_is_kept(keeper):
    """Edits and removals are versions; rolling back writes an old one again; the shipped text is version 0."""
    await keeper.add("周报", "一：{{query}}", author="ann")
    await keeper.edit("周报", {"prompt": "二：{{query}}", "prefix": "p"}, comment="shorter")
    await keeper.rollback("周报", 1)
    await keeper.remove("周报")
    history = await keeper.history("周报")
    assert [(4, True), (3, False), (2, False), (1, False)] == [
        (v.version, v.removed) for v in history
    ]
    assert ("一：{{query}}", None) == (history[1].prompt, history[1].prefix)
    assert ("shorter", "ann") == (history[2].comment, history[3].author)
    assert [0] == [v.version for v in await keeper.history("多译英")]
    await keeper.rollback("周报", 2)
    assert "p" == (await keeper.show("周报")).prefix


async def test_rolling_back_to_the_shipped_text(prompts, keeper):
    """Version 0 brings back what is shipped."""
    await keeper.edit("多译英", {"prompt": "译：{{query}}"})
    await keeper.rollback("多译英", 0)
    await prompts.refresh()
    assert "译：{{query}}" != prompts.library.get("多译英").prompt
    assert 0 == next(p.version for p in await keeper.presets() if p.template.id == "多译英")


@pytest.mark.parametrize(
    ("call", "param"),
    [
        (lambda k: k.add("周报", "没有占位"), "prompt"),
        (lambda k: k.add("默认", "{{query}}"), "id"),
        (lambda k: k.add(" ", "{{query}}"), "id"),
        (lambda k: k.add("a\nb", "{{query}}"), "id"),
        (lambda k: k.add("长" * 65, "{{query}}"), "id"),
        (lambda k: k.add("x", "{{query}}" + "长" * 20_000), "prompt"),
        (lambda k: k.edit("没有", {"prompt": "{{query}}"}), "id"),
        (lambda k: k.edit("默认", {"id": "x"}), "id"),
        (lambda k: k.edit("知识库", {"prompt": "{{query}}"}), "prompt"),
        (lambda k: k.edit("默认", {"prompt": "{{query}}"}, after=3), "after"),
        (lambda k: k.rollback("默认", 7), "version"),
        (lambda k: k.remove("默认"), "id"),
        (lambda k: k.remove("没有"), "id"),
        (lambda k: k.history("没有"), "id"),
    ],
)
async def test_what_makes_no_preset_is_refused(store, keeper, call, param):
    """A wrong id, text or version is refused by name, and nothing is kept."""
    with pytest.raises(InvalidParameter) as caught:
        await call(keeper)
    assert param == caught.value.param
    assert () == await store.prompts.newest()


async def test_a_broken_preset_spoils_no_other(store, prompts):
    """A preset that somebody broke in the database is left out; the others stay in force."""
    now = datetime.now(UTC)
    for id_, text in (("坏的", "no place"), ("好的", "好：{{query}}")):
        await store.prompts.append(PromptVersion(id=id_, prompt=text, created_at=now))
    await prompts.refresh()
    assert prompts.library.get("坏的") is None
    assert prompts.library.get("好的") is not None
