"""A stand-in for Volcengine on loopback: Ark, the legacy MaaS API and the control plane, verified as the vendor does."""

from fengchao_volcengine.sandbox.app import AK, API_KEY, SK, build, settings_for

__all__ = ["AK", "API_KEY", "SK", "build", "settings_for"]
