"""A model of RMM 1.0 from a second reading of its rules: what every command answers and changes, and nothing of how.

It was written from the project's book of facts about DEN0137 1.0 alone, apart from :mod:`cca_rmm` and from the model
that was here before. That one and the command had been written from one remark about another RMM ("a full table of
level 1 is refused with the level above, before anyone looks at contiguity"), so that they agreed on a wrong index.
Nothing here imports the project: numbers, layouts and encodings are read a second time, too.

Each command is a table of conditions (:mod:`rmm_model.rules`). Where the specification leaves their order open, a
verdict has every answer that it allows.
"""

from rmm_model import (
    data_commands,
    granule_commands,
    paging_commands,
    realm_commands,
    rec_commands,
    ripas_commands,
    rtt_commands,
)
from rmm_model.rules import Command

__all__ = ["ALL", "COMMANDS", "PAGING"]

COMMANDS: dict[str, Command] = {
    command.name: command
    for module in (granule_commands, realm_commands, data_commands, rec_commands, rtt_commands, ripas_commands)
    for command in module.COMMANDS
}
PAGING: dict[str, Command] = {command.name: command for command in paging_commands.COMMANDS}
"""Those of the extension, which an RMM has if it is asked to."""
ALL: dict[str, Command] = {**COMMANDS, **PAGING}
