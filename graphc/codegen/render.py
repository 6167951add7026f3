"""Rendering: a ModuleView through a Jinja template."""

from __future__ import annotations

import traceback
from functools import cache
from pathlib import Path

import jinja2

from graphc.codegen.view import ModuleView
from graphc.errors import UsageError

MACROS = "macros.jinja"


def stock_templates() -> Path:
    """Where the templates that come with graphc are, installed from a wheel or from a checkout."""
    package = Path(__file__).parent.parent
    for folder in (package / "templates", package.parent / "templates"):
        if (folder / MACROS).is_file():
            return folder
    raise UsageError(f"graphc's templates are missing beside {package}", hint="install it again")


@cache
def environment(folder: str | None) -> jinja2.Environment:
    """The Jinja environment; a user's folder comes before the stock templates."""
    stock = jinja2.FileSystemLoader(stock_templates())
    loaders: list[jinja2.BaseLoader] = [jinja2.PrefixLoader({"graphc": stock}), stock]
    if folder is not None:
        loaders.insert(0, jinja2.FileSystemLoader(folder))
    return jinja2.Environment(
        loader=jinja2.ChoiceLoader(loaders),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )


def render(view: ModuleView, style: str, folder: str | None = None) -> str:
    """The source of a module. Raises UsageError for a template that does not work."""
    template = f"{style}.py.jinja"
    if folder is not None and not Path(folder).is_dir():
        raise UsageError(f"the template folder {folder!r} does not exist")
    try:
        return environment(folder).get_template(template).render(module=view)
    except jinja2.TemplateSyntaxError as error:
        where = f"{error.filename or error.name}:{error.lineno}"
        raise UsageError(f"template {where}: {error.message}") from error
    except Exception as error:  # a template can raise whatever Python can
        what = str(error) if isinstance(error, jinja2.TemplateError) else repr(error)
        raise UsageError(f"template {place(error, template)}: {what}") from error


def place(error: Exception, template: str) -> str:
    """File and line of the innermost template on the way to an error."""
    frames = traceback.extract_tb(error.__traceback__)
    found = [f"{f.filename}:{f.lineno}" for f in frames if f.filename.endswith(".jinja")]
    return found[-1] if found else template
