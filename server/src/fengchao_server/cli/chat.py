"""`fengchao chat`: talk to a model in the terminal, through the gateway in this process; no server is needed."""

from __future__ import annotations

import signal
import sys
from argparse import Namespace
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

from fengchao_core import Gateway, Settings
from fengchao_core.errors import FengChaoError, SetupError
from fengchao_core.types import ChatCall, Message
from fengchao_server.cli.opened import load_settings
from fengchao_server.cli.terminal import complain, say
from fengchao_server.process import run as run_loop

_LEAVING = frozenset({"/exit", "/quit", "/q"})


def run(args: Namespace) -> int:
    """Ask once, or talk until the end of input."""
    return run_loop(_chat(args))


async def _chat(args: Namespace) -> int:
    async with _gateway(load_settings(args), sandbox=args.sandbox) as gateway:
        model = args.model or await _first_model(gateway)
        text = " ".join(args.text)
        if not text and not sys.stdin.isatty():
            text = sys.stdin.read().strip()
        if text:
            await _ask(gateway, model, [], text, args.system)
            return 0
        return await _talk(gateway, model, args.system)


@asynccontextmanager
async def _gateway(settings: Settings, *, sandbox: bool) -> AsyncIterator[Gateway]:
    if sandbox:
        from fengchao_server.sandboxes import sandboxed

        async with sandboxed(settings) as pointed, Gateway.open(pointed) as gateway:
            yield gateway
    else:
        async with Gateway.open(settings) as gateway:
            yield gateway


async def _first_model(gateway: Gateway) -> str:
    for card in await gateway.discover():
        if card.kind == "chat":
            return card.id
    raise SetupError(
        "no model can be asked: configure a provider (as [providers.openai] in fengchao.toml, or OPENAI_API_KEY), "
        "or add --sandbox"
    )


async def _talk(gateway: Gateway, model: str, system: str | None) -> int:
    say(f"正在与 {model} 对话，/exit 或 Ctrl-D 结束 chatting with {model}")
    history: list[Message] = []
    while True:
        try:
            text = _read_line()
        except (EOFError, KeyboardInterrupt):
            say("")
            return 0
        if text in _LEAVING:
            return 0
        if not text:
            continue
        try:
            said = await _ask(gateway, model, history, text, system)
        except FengChaoError as error:
            complain(error)
            continue
        history += [Message("user", text), Message("assistant", said)]


def _read_line() -> str:
    """
    What the person types. Nothing else of this loop has to run meanwhile.

    Ctrl-C leaves at once here; during an answer it is the loop's, which cancels in good order.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return input("> ").strip()
    finally:
        signal.signal(signal.SIGINT, before)


async def _ask(
    gateway: Gateway, model: str, history: list[Message], text: str, system: str | None
) -> str:
    """Ask, and print the answer while it comes."""
    call = ChatCall(model=model, query=text, history=tuple(history), system=system)
    said: list[str] = []
    dim, plain = ("\x1b[2m", "\x1b[0m") if sys.stderr.isatty() else ("", "")
    async with aclosing(gateway.stream(call)) as deltas:
        async for delta in deltas:
            if delta.reasoning:
                sys.stderr.write(f"{dim}{delta.reasoning}{plain}")
                sys.stderr.flush()
            if delta.text and delta.index == 0:
                said.append(delta.text)
                sys.stdout.write(delta.text)
                sys.stdout.flush()
    sys.stdout.write("\n")
    sys.stdout.flush()
    return "".join(said)
