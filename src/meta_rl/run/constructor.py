"""The parameters of a class's constructor, inherited ones included."""

import inspect


def constructor_parameters(cls: object) -> dict[str, inspect.Parameter]:
    """Parameters by name without self, *args and **kwargs, base classes first; none of what is no class."""
    found: dict[str, inspect.Parameter] = {}
    for base in reversed(cls.__mro__[:-1]) if inspect.isclass(cls) else ():
        if "__init__" in vars(base):
            parameters = inspect.signature(base.__init__).parameters.values()
            found |= {p.name: p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    found.pop("self", None)
    return found
