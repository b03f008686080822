"""Prompts: the presets, the library's order and overrides, and the one pass that fills a template in."""

import string
import sys
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengchao_core.errors import InvalidParameter, PluginError, SetupError
from fengchao_core.prompts import (
    DEFAULT_ID,
    KNOWLEDGE_ID,
    PromptLibrary,
    PromptTemplate,
    Rendered,
    load_templates,
    render,
)

PRODUCT_IDS = [
    "默认", "知识库", "多译英", "多译中", "韩译中", "日译中", "英译中", "俄译中", "德译中", "法译中", "英文词典",
    "广告商", "讲故事的人", "担任编剧", "小说家", "词源学家", "标题生成器", "正则表达式生成器", "语言检测器", "文章摘要",
    "问题推荐",
]  # fmt: skip
NOW = datetime(2026, 11, 21, tzinfo=UTC)
BRACED = st.text(alphabet=st.sampled_from("{} qs蜂\n")) | st.lists(
    st.sampled_from(
        ["{{query}}", "{{system}}", "{{knowledge}}", "{{x}}", "{{", "}}", "{", "好", " "]
    )
).map("".join)


def template(id_: str, prompt: str = "{{query}}", **fields: object) -> PromptTemplate:
    """Make a template with as little as a test cares for."""
    return PromptTemplate(id=id_, prompt=prompt, created=NOW, **fields)


@pytest.fixture(scope="module")
def library() -> PromptLibrary:
    """Give the product's own presets."""
    return PromptLibrary(load_templates())


def test_presets_are_the_products(library):
    """The presets carry the product's ids, in the product's order."""
    assert PRODUCT_IDS == [t.id for t in library]
    assert len(PRODUCT_IDS) == len(library)


def test_every_preset_renders(library):
    """Every preset needs nothing but a question, and keeps the question whole."""
    for preset in library:
        rendered = library.compose(preset.id, query="蜜蜂怎样说话？")
        assert 1 == rendered.prompt.count("蜜蜂怎样说话？")
        assert "{{" not in rendered.prompt + rendered.system


def test_presets_share_the_default_system_text(library):
    """A preset without a system text of its own takes the default's; 知识库 has none."""
    default = library.get(DEFAULT_ID).system
    assert "蜂巢" in default
    assert default == library.get("多译英").system
    assert "" == library.compose(KNOWLEDGE_ID, query="问").system


def test_an_alias_means_its_template_and_is_not_listed(library):
    """中译英, the id of the API example, means 多译英."""
    assert library.get("多译英") is library.get("中译英")
    assert "中译英" not in {t.id for t in library}


def test_no_prompt_means_the_default(library):
    """Without a prompt, or with a blank one, the question goes out as it is under the default system text."""
    expected = Rendered(library.get(DEFAULT_ID).system, "你好")
    assert expected == library.compose(None, query="你好")
    assert expected == library.compose(" ", query="你好")


def test_system_text_is_the_callers_where_given(library):
    """A caller's system text takes the template's place; an empty one means none."""
    assert "你是诗人" == library.compose(None, query="问", system="你是诗人").system
    assert "" == library.compose(None, query="问", system="").system


def test_prefix_frames_the_system_text(library):
    """A caller's prefix is what the system message is made from."""
    rendered = library.compose(None, query="问", system="你是诗人", prefix="前言。{{system}}。后记")
    assert "前言。你是诗人。后记" == rendered.system


def test_custom_prompt_takes_the_query(library):
    """A custom text is filled in where it says {{query}}, blanks inside the braces allowed."""
    rendered = library.compose("请将以下句子{{ query }}翻译为英文。", query="“早安”")
    assert "请将以下句子“早安”翻译为英文。" == rendered.prompt


@pytest.mark.parametrize("text", ["没有占位", "{{ system }}", "{query}", "{{ que ry }}"])
def test_custom_prompt_without_query_is_refused(library, text):
    """A text that is no id and has no place for the question is refused with what to do, without repeating the text."""
    with pytest.raises(InvalidParameter, match=r"\{\{query\}\}") as caught:
        library.compose(text, query="问")
    assert "prompt" == caught.value.param
    assert "占位" not in str(caught.value)


def test_fill_takes_further_placeholders(library):
    """prompt_fill gives values to further placeholders, in prompt and prefix alike."""
    rendered = library.compose(
        "用{{语气}}的语气说：{{query}}",
        query="早",
        fill={"语气": "温和", "role": "诗人"},
        prefix="{{role}}",
    )
    assert Rendered("诗人", "用温和的语气说：早") == rendered


def test_placeholder_without_a_value_is_named(library):
    """A placeholder that nobody has a value for is an error that names it."""
    with pytest.raises(InvalidParameter, match="'tone'") as caught:
        library.compose("{{query}}{{tone}}", query="问")
    assert "prompt_fill" == caught.value.param


def test_value_without_a_placeholder_is_named(library):
    """A value that no placeholder takes is an error that names it."""
    with pytest.raises(InvalidParameter, match="'tone'") as caught:
        library.compose("{{query}}", query="问", fill={"tone": "暖"})
    assert "prompt_fill" == caught.value.param


@pytest.mark.parametrize("name", ["query", "system", "knowledge"])
def test_fill_cannot_take_the_gateways_names(library, name):
    """prompt_fill cannot give a value to a name that the gateway fills in itself."""
    with pytest.raises(InvalidParameter, match=name) as caught:
        library.compose("{{query}}", query="问", fill={name: "x"})
    assert "prompt_fill" == caught.value.param


def test_system_text_nobody_takes_is_refused(library):
    """A caller's system text that no placeholder takes is refused rather than dropped."""
    with pytest.raises(InvalidParameter) as caught:
        library.compose(None, query="问", system="你是诗人", prefix="固定")
    assert "system" == caught.value.param


def test_knowledge_fills_its_placeholder(library):
    """A template with a place for passages gets them there."""
    rendered = library.compose("{{knowledge}}|{{query}}", query="问", knowledge="资料")
    assert "资料|问" == rendered.prompt


def test_knowledge_wraps_a_template_without_a_place_for_it(library):
    """Passages reach the model even where the chosen template has no place for them; its own system text stays."""
    rendered = library.compose(
        "译：{{query}}", query="{{x}}", system="你是译者", knowledge="{{y}}资料"
    )
    assert "你是译者" == rendered.system
    assert rendered.prompt.index("{{y}}资料") < rendered.prompt.index("译：{{x}}")


@given(query=BRACED, system=BRACED, value=BRACED, knowledge=BRACED)
def test_user_text_is_never_expanded(query, system, value, knowledge):
    """Whatever braces a user's texts hold, they come out as they went in."""
    rendered = render(
        "A{{query}}B{{value}}C{{system}}D{{knowledge}}E",
        query=query,
        system=system,
        fill={"value": value},
        knowledge=knowledge,
    )
    assert Rendered(system, f"A{query}B{value}C{system}D{knowledge}E") == rendered


@given(before=st.text(), after=st.text(), query=BRACED, system=BRACED)
def test_a_query_survives_any_custom_prompt(library, before, after, query, system):
    """A custom prompt either is refused or keeps every character of the question."""
    try:
        rendered = library.compose(before + "{{query}}" + after, query=query, system=system)
    except InvalidParameter:
        return
    assert query in rendered.prompt
    assert system == rendered.system


@given(name=st.text(alphabet=string.ascii_letters + "语气_9", min_size=1))
def test_a_missing_value_is_always_noticed(name):
    """No placeholder is ever sent to a model unfilled."""
    if name in {"query", "system", "knowledge"}:
        return
    with pytest.raises(InvalidParameter):
        render("{{query}}{{" + name + "}}", query="问")


def test_later_layers_replace_earlier_ones_in_place():
    """An operator's template stands where the preset of its id stood; new ones follow in their order."""
    library = PromptLibrary(
        load_templates(), [template("周报")], [template("多译英", "En: {{query}}")]
    )
    assert [*PRODUCT_IDS, "周报"] == [t.id for t in library]
    assert "En: 好" == library.compose("多译英", query="好").prompt
    assert "En: 好" == library.compose("中译英", query="好").prompt


def test_an_operators_default_is_everybodys():
    """Replacing 默认 changes the system text of every preset that has none of its own."""
    library = PromptLibrary(load_templates(), [template(DEFAULT_ID, system="你是客服")])
    assert "你是客服" == library.get("小说家").system
    assert "你是客服" == library.compose("自定{{query}}", query="问").system


def test_every_problem_of_a_library_is_told():
    """A broken library names all of its problems at once."""
    with pytest.raises(SetupError) as caught:
        PromptLibrary([template("a", "no place"), template("b"), template("b")])
    text = "\n".join(caught.value.problems)
    assert 4 == len(caught.value.problems)
    for part in ("'a' lacks {{query}}", "'b' is given twice", DEFAULT_ID, KNOWLEDGE_ID):
        assert part in text


@pytest.mark.parametrize(
    ("toml", "part"),
    [
        ("[[prompts]", "not a readable TOML file"),
        ('[[prompts]]\nid = "x"\nprompt = "{{query}}"', "prompts.0.created"),
        ('[[prompts]]\nid = "x"\nprompt = "{{query}}"\ncreated = 2026-01-01T00:00:00', "created"),
        (
            '[[prompts]]\nid="x"\nprompt="{{query}}"\ncreated=2026-01-01T00:00:00Z\ntitle="y"',
            "title",
        ),
    ],
)
def test_a_broken_template_file_is_told(tmp_path, monkeypatch, toml, part):
    """A template file that is wrong is refused with its name and the field."""
    package = tmp_path / "broken_prompts"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "p.toml").write_text(toml, "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "broken_prompts", raising=False)
    with pytest.raises(PluginError, match=part) as caught:
        load_templates("broken_prompts", "p.toml")
    assert "broken_prompts: p.toml" in str(caught.value)
