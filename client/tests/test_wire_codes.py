"""The table of codes."""

import pytest

import fengchao_core.errors as core
from fengchao.wire import MSG, BodyError, Code, status_of
from fengchao.wire.codes import failure


def every_error():
    """One of each class of the core that can come out of a call."""
    special = {
        core.WrongChannel: core.WrongChannel("m", is_local=True),
        core.LimitExceeded: core.LimitExceeded("m", limit="rpm"),
        core.BudgetExceeded: core.BudgetExceeded("m", limit="budget_day"),
        core.SensitiveContent: core.SensitiveContent("政治", direction="input", start=0, end=1),
        core.ProviderTimeout: core.ProviderTimeout("idle", 60),
    }
    kinds = [core.FengChaoError]
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
    # What others derive from them while the tests run is theirs to word.
    return [
        special.get(kind) or kind("a message") for kind in kinds if kind.__module__ == core.__name__
    ]


@pytest.mark.parametrize(
    ("error", "http_status", "body_status", "begins"),
    [
        (core.AuthenticationFailed("m"), 401, 401, "鉴权失败"),
        (core.PermissionDenied("m"), 401, 401, "鉴权失败"),
        (core.UnknownModel("m"), 440, 440, "模型不存在"),
        (core.WrongChannel("m", is_local=True), 441, 441, "模型为本地模型却使用了在线接口"),
        (core.WrongChannel("m", is_local=False), 442, 442, "模型为在线模型却使用了本地接口"),
        (core.EmptyQuery("m"), 443, 443, "问题为空"),
        (core.UnknownKnowledge("m"), 444, 444, "知识库不存在"),
        (core.InvalidParameter("m", param="top_p"), 445, 445, "参数错误：top_p（m）"),
        (BodyError("top_p 不能小于 0"), 445, 445, "参数错误：top_p 不能小于 0"),
        (core.LimitExceeded("m", limit="rpm"), 429, 429, "请求过于频繁"),
        (
            core.LimitExceeded("m", limit="concurrent", retry_after=0.2),
            429,
            429,
            "请求过于频繁：并发请求数已达上限，请在 1 秒后再试（m）",
        ),
        (
            core.BudgetExceeded("m", limit="budget_day"),
            429,
            429,
            "额度已用尽：今日的预算不够这个请求（m）",
        ),
        (
            core.SensitiveContent("政治", direction="output", start=0, end=1),
            200,
            6601,
            "敏感词：输出内容包含敏感词（类别“政治”，第 1 个字符）",
        ),
        (core.ResultNotReady("m"), 200, 6602, "异步结果未生成"),
        (core.UnknownTask("m", param="task_id"), 445, 445, "参数错误：task_id 不存在"),
        (core.UnknownFile("m", param="files"), 445, 445, "参数错误：files 文件不存在"),
        (core.FileRefused("m", reason="too_large"), 413, 413, "请求体过大：files 文件过大（m）"),
        (
            core.FileRefused("m", reason="encrypted", filename="a.pdf"),
            445,
            445,
            "参数错误：files 中的 a.pdf：文件已加密",
        ),
        (core.TaskEnded("cancelled"), 200, 400, "访问异常：任务已取消"),
        (core.TaskEnded("expired"), 200, 408, "请求超时：任务未在有效期内完成"),
        (core.TaskEnded("interrupted"), 200, 400, "访问异常：执行任务的进程中断"),
        (core.TaskEnded("incident"), 200, 400, "访问异常：任务执行失败"),
        (core.ProviderTimeout("idle", 60), 200, 408, "请求超时"),
        (core.ProviderUnavailable("m"), 200, 400, "访问异常"),
        (core.ProviderUnavailable("m", status=503), 200, 503, "访问异常"),
        (core.RateLimited("m", status=429), 200, 429, "访问异常"),
        (core.RateLimited("m"), 200, 429, "访问异常"),
        (core.RequestRejected("m", status=422), 200, 422, "访问异常"),
        (core.ProviderError("m", status=408), 200, 408, "请求超时"),
        (core.StoreUnavailable("m"), 503, 503, "服务暂不可用"),
        (ValueError("m"), 500, 500, "服务内部错误"),
    ],
)
def test_each_error_has_its_codes(error, http_status, body_status, begins):
    """Errors of the caller become HTTP statuses, what happens while serving becomes body statuses."""
    said = status_of(error)
    assert (http_status, body_status) == (said.http_status, said.body_status)
    assert said.msg.startswith(begins)


@pytest.mark.parametrize("status", [401, 404, 413, 440, 441, 442, 443, 444, 445])
def test_a_vendors_status_never_reads_as_one_of_ours(status):
    """A vendor's 401 is not about the caller's keys, and so on: such statuses become 400."""
    assert 400 == status_of(core.ProviderError("m", status=status)).body_status
    assert 400 == status_of(core.ProviderAuthFailed("m", status=401)).body_status


def test_a_vendors_words_are_shown_but_not_about_our_credentials():
    """Callers see why a vendor refused, except where it may quote a part of our key."""
    assert "too long" in status_of(core.ContextTooLong("m", vendor_message="too long")).msg
    refused = core.ProviderAuthFailed("m", vendor_message="Incorrect API key sk-abc***xyz")
    assert "sk-abc" not in status_of(refused).msg


@pytest.mark.parametrize("error", every_error(), ids=lambda error: type(error).__name__)
def test_every_error_of_the_core_is_in_the_table(error):
    """No error that the core raises on purpose is answered as a fault of ours, but those of start-up."""
    is_ours = isinstance(error, core.SetupError) or type(error) is core.FengChaoError
    assert is_ours == (500 == status_of(error).http_status)


def test_a_plugins_own_error_counts_as_its_parent():
    """A subclass that the table does not know is answered as the class it narrows."""

    class OddRefusal(core.RequestRejected):
        """A vendor's special one."""

    assert 422 == status_of(OddRefusal("m", status=422)).body_status


def test_another_packages_error_of_the_same_name_is_a_fault():
    """A name alone does not make an error one of the core's."""

    class RateLimited(Exception):
        """Somebody else's."""

    assert 500 == status_of(RateLimited("m")).http_status


def test_a_fault_of_ours_says_nothing_of_itself():
    """An exception nobody planned may hold anything; none of it reaches the caller."""
    assert "服务内部错误" == status_of(RuntimeError("password=pa55")).msg


def test_every_code_has_words():
    """Each code has its Chinese text, and the table is complete."""
    assert set(Code) == set(MSG)


def test_long_details_are_cut():
    """A vendor's essay does not become the message."""
    assert len(failure(Code.INVALID_PARAMETER, "长" * 10_000).msg) < 600
