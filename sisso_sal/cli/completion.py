"""The script for completion by the shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from sisso_sal.cli.help import Command
from sisso_sal.cli.options import COMMON
from sisso_sal.cli.terminal import emit, next_step

SHELLS = {
    "bash": "~/.bashrc",
    "zsh": "~/.zshrc",
    "fish": "~/.config/fish/completions/sisso-sal.fish",
}


@click.command(cls=Command, short_help="Completion for bash, zsh or fish")
@click.argument("shell", type=click.Choice(list(SHELLS)))
@COMMON
def completion(shell, quiet, debug):
    """Print the script with which SHELL completes commands, options, columns of the table and values of settings.

    \b
    Examples:
      echo 'eval "$(sisso-sal completion bash)"' >> ~/.bashrc
      echo 'eval "$(sisso-sal completion zsh)"' >> ~/.zshrc
      sisso-sal completion fish > ~/.config/fish/completions/sisso-sal.fish
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"there is no completion for {shell}")
    emit(kind(click.get_current_context().find_root().command, {}, "sisso-sal", "_SISSO_SAL_COMPLETE").source())
    next_step(f"put it into {SHELLS[shell]} as the help shows, and open a new shell", err=True)
