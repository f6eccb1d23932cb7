"""Every command with its arguments, as Markdown for docs/commands.md."""

import argparse
from collections.abc import Iterator

from flexifed.analysis import typeset


def markdown(parser: argparse.ArgumentParser) -> str:
    """A section for each command of a parser with commands."""
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    said = {choice.dest: choice.help or "" for choice in commands._choices_actions}
    return "\n\n".join(_section(name, said[name], command) for name, command in commands.choices.items())


def _section(name: str, said: str, command: argparse.ArgumentParser) -> str:
    rows = list(_arguments(command))
    head = f"## {name}\n\n{said[:1].upper()}{said[1:]}.\n\n"
    usage = " ".join(["flexifed", name, *(text for text, _, needed in rows if needed)])
    table = typeset.markdown_table(["argument", "meaning"], [(f"`{a}`", m) for a, m, _ in rows], words=(0, 1))
    return f"{head}```bash\n{usage}\n```" + (f"\n\n{table}" if rows else "")


def _arguments(command: argparse.ArgumentParser) -> Iterator[tuple[str, str, bool]]:
    """Each argument as it is typed, what it means, and whether it is needed."""
    for action in command._actions:
        if isinstance(action, argparse._HelpAction):
            continue
        value = action.metavar or ("|".join(map(str, action.choices)) if action.choices else action.dest.upper())
        typed = str(value)
        if action.option_strings:
            typed = action.option_strings[-1] + ("" if action.nargs == 0 else f" {value}")
        meaning = (action.help or "").replace("%(default)s", str(action.default))
        yield typed, meaning, action.required or (not action.option_strings and action.nargs is None)
