"""RMM 1.0 (Arm DEN0137): RMI 1.0 for the Host, RSI 1.0 and PSCI 1.1 for Realms."""

from typing import Final

from cca_arch.el3 import version
from cca_arch.rmi.v1_0 import ABI_VERSION, FeatureRegister0, Rmi, RmiStatus
from cca_arch.rsi.v1_0 import Rsi
from cca_arch.sysregs import PMU_COUNTERS
from cca_platform.gic.virtual import LIST_REGISTERS
from cca_rmm.base.command import table
from cca_rmm.base.offer import Offer
from cca_rmm.base.version import Version
from cca_rmm.commands import attestation, data, granule, psci, realm, rec, rec_enter, ripas, rsi, rtt
from cca_rmm.objects.granule import MOVES

__all__ = ["V1_0"]

V1_0: Final = Version(
    name="1.0",
    rmi=ABI_VERSION,
    rsi=ABI_VERSION,
    el3=version(0, 3),  # the platform token in hunks
    offer=Offer(
        FeatureRegister0.make(
            S2SZ=48,
            NUM_BPS=5,
            NUM_WPS=3,
            HASH_SHA_256=1,
            HASH_SHA_512=1,
            GICV3_NUM_LRS=LIST_REGISTERS - 1,
            MAX_RECS_ORDER=10,
            PMU_EN=1,
            PMU_NUM_CTRS=PMU_COUNTERS,
        )
    ),
    statuses=RmiStatus,
    moves=MOVES,
    abi=Rmi,
    commands=table(
        granule.COMMANDS, realm.COMMANDS, data.COMMANDS, rtt.COMMANDS, ripas.COMMANDS, rec.COMMANDS, rec_enter.COMMANDS
    ),
    services=table(rsi.COMMANDS, attestation.COMMANDS, psci.COMMANDS),
    service_abi=Rsi,
    enter=Rmi.REC_ENTER,
    opening=frozenset({Rmi.VERSION, Rmi.FEATURES}),
    specification="DEN0137 1.0",
    manual="manual.toml",
)
"""The version, used as ``Rmm(machine, V1_0)``."""
