"""The vendor's codes, as its stand-in answers them."""

from __future__ import annotations

from collections.abc import Mapping

CODES: Mapping[str, tuple[int, str]] = {
    "435": (435, "文件大小不能超过 100 MB"),
    "500": (500, "内部错误，请稍后重试"),
    "503": (503, "服务过载，请稍后重试"),
    "1000": (401, "身份验证失败"),
    "1001": (401, "Header 中未收到 Authentication 参数，无法进行身份验证"),
    "1002": (401, "Authentication Token 非法，请确认 Authentication Token 正确传递"),
    "1003": (401, "Authentication Token 已过期，请重新生成"),
    "1004": (401, "通过提供的 Authentication Token 的验证失败"),
    "1005": (401, "需要完成二次身份验证"),
    "1100": (403, "账户读写受限"),
    "1110": (403, "您的账户当前处于非活动状态，请检查账户信息"),
    "1111": (403, "您的账户不存在"),
    "1112": (403, "您的账户已被锁定，请联系客服解锁"),
    "1113": (429, "您的账户已欠费，请充值后重试"),
    "1120": (500, "无法成功访问您的账户，请稍后重试"),
    "1121": (403, "您的账户因违规已被锁定"),
    "1200": (500, "API 调用失败"),
    "1210": (400, "API 调用参数有误，请检查文档"),
    "1211": (400, "模型不存在，请检查模型代码"),
    "1212": (400, "当前模型不支持该调用方式"),
    "1213": (400, "未正常接收到参数"),
    "1214": (400, "参数非法，请检查文档"),
    "1215": (400, "参数之间不能同时设置，请检查文档"),
    "1220": (403, "您无权访问该 API"),
    "1221": (400, "该 API 已下线"),
    "1222": (400, "API 不存在"),
    "1230": (500, "API 调用流程出错"),
    "1231": (400, "已有相同 request_id 的请求"),
    "1234": (500, "网络错误，请稍后重试"),
    "1261": (400, "Prompt 超长"),
    "1300": (400, "API 调用被策略阻止"),
    "1301": (
        400,
        "系统检测到输入或生成内容可能包含不安全或敏感内容，请您避免输入易产生敏感内容的提示语",
    ),
    "1302": (429, "您的账户已达到速率限制，请控制请求频率"),
    "1303": (429, "您当前使用该 API 的频率过高，请降低频率"),
    "1304": (429, "您今天调用该 API 的次数已用尽"),
    "1305": (429, "该模型当前访问量过大，请稍后再试"),
    "1308": (429, "已达到使用上限，您的限额将稍后重置"),
    "1309": (429, "您的编码套餐已到期"),
    "1310": (429, "已达到每周或每月使用上限"),
    "1311": (429, "当前套餐不包含该模型"),
    "1312": (429, "该模型当前访问量过大，您可以换用其他模型"),
    "1313": (429, "您的账户因违反公平使用政策受到限制"),
    "1314": (429, "企业套餐已失效"),
    "1315": (429, "该密钥仅可用于企业套餐"),
    **{str(code): (429, "已达到使用上限，且没有可用的超额预算") for code in range(1316, 1322)},
}
"""The vendor's codes: HTTP status and words (ours, after the meaning that the vendor documents); three stand for their status."""


class RefusedError(Exception):
    """
    The vendor refuses.

    Args:
        code: one of `CODES`.
        message: instead of the code's usual words.
        retry_after: seconds, for a Retry-After header.
    """

    def __init__(
        self, code: str, message: str | None = None, *, retry_after: float | None = None
    ) -> None:
        super().__init__(code)
        self.code = code
        self.message = message or CODES[code][1]
        self.retry_after = retry_after
