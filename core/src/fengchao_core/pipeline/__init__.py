"""What every request goes through, step by step: admission, gathering, asking, books; `pipeline` puts them together."""

from fengchao_core.pipeline.pipeline import Pipeline

__all__ = ["Pipeline"]
