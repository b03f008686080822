"""A provider plugin to copy: put your vendor's name in the place of `template`."""

from fengchao_core import ProviderSpec, hookimpl, load_cards
from fengchao_template.settings import TemplateSettings


def _open(settings, context):
    from fengchao_template.provider import open_template  # not before it is needed

    return open_template(settings, context)


SPEC = ProviderSpec("template", "模板", TemplateSettings, lambda: load_cards(__name__), _open)


@hookimpl
def fengchao_providers():
    """What this plugin brings."""
    return (SPEC,)
