"""Everything the server serves, in one table: each family of paths has its list here, `/admin` in its package."""

from __future__ import annotations

from fengchao import wire
from fengchao_server import accounts, admin, aigc, pages, static, tasks, uploads
from fengchao_server.admin.shape import AdminShape
from fengchao_server.routes import Events, Route, RouteTable
from fengchao_server.v1 import embeddings, handlers, images, schema
from fengchao_server.v1.errors import V1Shape


def build_routes() -> RouteTable:
    """The route table. Documentation and OpenAPI are generated from it, in this order."""
    return RouteTable(
        [*_aigc(), *_v1(), *admin.routes(), *_pages()],
        shapes=(("/aigc", aigc.AigcShape()), ("/admin", AdminShape()), ("", V1Shape())),
    )


def _aigc() -> list[Route]:
    """The product's own API."""
    product = aigc.AigcShape()
    pieces = Events(gives=(wire.ChatCompletionResponse,), asked_by={"mode": "stream"})
    return [
        Route(
            method="GET", path="/aigc/token", handler=aigc.token_by_query, shape=product, auth=False,
            summary="生成 token（密钥在查询参数中）", query=("api_key", "secret_key"), gives=wire.TokenResponse,
        ),
        Route(
            method="POST", path="/aigc/token", handler=aigc.token_by_body, shape=product, auth=False, body="own",
            summary="生成 token（密钥在请求体中，JSON 或表单）", takes=pages.TokenRequest, gives=wire.TokenResponse,
        ),
        Route(
            method="GET", path="/aigc/models/", handler=aigc.models, shape=product, auth=False,
            summary="查看模型列表", gives=wire.ModelList,
        ),
        Route(
            method="GET", path="/aigc/prompts/", handler=aigc.prompts, shape=product, auth=False,
            summary="查看指令列表", gives=wire.PromptList,
        ),
        Route(
            method="GET", path="/aigc/kgs/", handler=aigc.knowledge_bases, shape=product, auth=False,
            summary="查看知识库列表", gives=wire.KGList,
        ),
        Route(
            method="POST", path="/aigc/chat/", handler=aigc.chat, shape=product, body="own", streams=pieces,
            summary="对话服务：在线模型（mode 为 invoke、stream、async 或 async_result）",
            takes=wire.ChatBody, example={"model": "glm-4", "query": "你好"}, gives=wire.ChatCompletionResponse,
        ),
        Route(
            method="POST", path="/aigc/local_chat/", handler=aigc.local_chat, shape=product, body="own", streams=pieces,
            summary="对话服务：本地模型（mode 为 invoke、stream、async 或 async_result）",
            takes=wire.ChatBody, example={"model": "Qwen1.5-0.5B-Chat", "query": "你好"}, gives=wire.ChatCompletionResponse,
        ),
        Route(
            method="POST", path="/aigc/t2i/", handler=aigc.draw, shape=product, body="own",
            summary="文生图", takes=wire.DrawBody, gives=wire.ChatCompletionResponse,
        ),
        Route(
            method="GET", path="/aigc/usage/", handler=accounts.own_usage, shape=product,
            summary="查看自己的用量与余额", query=("by?", "since?", "until?"), gives=wire.UsageResponse,
        ),
        Route(
            method="GET", path="/aigc/tasks/", handler=tasks.task_list, shape=product,
            summary="查看自己的异步任务", query=("limit?",), gives=wire.TaskListResponse,
        ),
        Route(
            method="GET", path="/aigc/tasks/{id}", handler=tasks.task, shape=product,
            summary="查看一个异步任务", gives=wire.TaskResponse,
        ),
        Route(
            method="DELETE", path="/aigc/tasks/{id}", handler=tasks.cancel_task, shape=product,
            summary="取消一个异步任务", gives=wire.TaskResponse,
        ),
        Route(
            method="GET", path="/aigc/stream/{id}", handler=tasks.read_stream, shape=product,
            streams=Events(gives=(wire.ChatCompletionResponse,)),
            summary="重新读取一个可恢复的流", query=("from?",), gives=wire.ChatCompletionResponse,
        ),
        Route(
            method="POST", path="/aigc/uploadfiles/", handler=uploads.upload, shape=product, body="own",
            auth="optional", summary="上传文件（multipart/form-data，字段名 files）", takes=wire.UploadForm,
            accepts=("multipart/form-data",), gives=wire.UploadResponse,
        ),
        Route(
            method="GET", path="/aigc/files/", handler=uploads.listing, shape=product,
            summary="查看自己的文件", gives=wire.FileList,
        ),
        Route(
            method="DELETE", path="/aigc/files/{id}", handler=uploads.delete, shape=product,
            summary="删除自己的一个文件", gives=wire.Done,
        ),
    ]  # fmt: skip


def _v1() -> list[Route]:
    """OpenAI's API."""
    openai = V1Shape()
    return [
        Route(
            method="POST", path="/v1/chat/completions", handler=handlers.chat_completions, shape=openai, body="json",
            streams=Events(gives=(schema.ChatCompletionChunk, schema.Error), ends="[DONE]", asked_by={"stream": True}),
            summary="对话（OpenAI 兼容）Chat completions", takes=schema.ChatCompletionRequest,
            example={"model": "glm-4", "messages": [{"role": "user", "content": "你好"}]}, gives=schema.ChatCompletion,
        ),
        Route(
            method="GET", path="/v1/models", handler=handlers.models, shape=openai,
            summary="模型列表（OpenAI 兼容）Models", gives=schema.Models,
        ),
        Route(
            method="GET", path="/v1/models/{id}", handler=handlers.model, shape=openai,
            summary="一个模型（OpenAI 兼容）One model", gives=schema.Model,
        ),
        Route(
            method="POST", path="/v1/embeddings", handler=embeddings.embeddings, shape=openai, body="json",
            summary="文本向量（OpenAI 兼容）Embeddings",
            takes=schema.EmbeddingsRequest, gives=schema.Embeddings,
        ),
        Route(
            method="POST", path="/v1/images/generations", handler=images.generations, shape=openai, body="json",
            summary="文生图（OpenAI 兼容）Images",
            takes=schema.ImagesRequest, gives=schema.Images,
        ),
    ]  # fmt: skip


def _pages() -> list[Route]:
    """What a browser or a monitor asks for."""
    openai = V1Shape()
    return [
        Route(
            method="GET", path="/healthz", handler=pages.health, shape=openai, quiet=True, auth=False,
            summary="健康检查 Health", gives=pages.Health,
        ),
        Route(method="GET", path="/", handler=pages.landing, shape=openai, auth=False, media="text/html", summary="首页 Start page"),
        Route(
            method="GET", path="/docs", handler=pages.docs, shape=openai, auth=False,
            summary="接口文档 Documentation of this API", media="text/html",
        ),
        Route(
            method="GET", path="/docs/plain", handler=pages.plain_docs, shape=openai, auth=False,
            summary="接口文档，纯文字版 Documentation without scripts", media="text/html",
        ),
        Route(
            method="GET", path="/examples", handler=pages.examples, shape=openai, auth=False,
            summary="请求示例 Examples that run", media="text/html",
        ),
        Route(
            method="GET", path="/static/{path}", handler=static.serve, shape=openai, auth=False, quiet=True,
            summary="页面的文件 Files of the pages", media="*/*",
        ),
        Route(
            method="GET", path="/openapi.json", handler=pages.openapi, shape=openai, auth=False,
            summary="OpenAPI 3.1 描述 OpenAPI document",
        ),
    ]  # fmt: skip
