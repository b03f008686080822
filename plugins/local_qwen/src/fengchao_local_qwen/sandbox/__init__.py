"""An engine without a model: it verifies the wire, and answers as every sandbox does."""

from fengchao_local_qwen.sandbox.app import build as build
