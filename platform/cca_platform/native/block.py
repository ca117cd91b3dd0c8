"""The words that native hooks and Python share: one block for the machine, one for each PE.

A block is a numpy int64 array; the address of word ``W`` is ``block + 8 * W``. Everything that a hook needs is in one
of the two, so that a hook holds no process-specific constant and its compiled form can be cached on disk.
"""

from typing import Final

__all__: list[str] = []

# -- machine block -----------------------------------------------------------------------------------------------
M_RETIRED: Final = 0  # instructions that all PEs have retired
M_BUDGET: Final = 1  # the value of M_RETIRED at which the running PE has to look whether it must stop
M_BANKS: Final = 2  # number of DRAM banks (at most 4)
M_SKIPPED: Final = 3  # ticks of idle time: the system counter is M_SKIPPED + M_RETIRED // M_PER_TICK
M_BANK: Final = 4  # per bank 4 words: base PA, size, host address, index of its first page in the page maps
M_GPTBR: Final = 20  # GPTBR_EL3, the same in every PE
M_GPCCR: Final = 21  # GPCCR_EL3, the same in every PE
M_PPS_BITS: Final = 22  # width in bits of the protected physical space (from GPCCR_EL3.PPS)
M_L0GPTSZ_BITS: Final = 23  # bits resolved by one L0 entry: 30, 34, 36 or 39
M_DIRTY: Final = 24  # address of one byte per DRAM page: 1 = written since the last snapshot
M_EXECUTED: Final = 25  # address of one byte per DRAM page: 1 = some PE may hold translated code of it
M_SHADOW: Final = 26  # address of the pre-image area (same layout as the page maps, 4096 bytes a page), 0 = no snapshot
M_PER_TICK: Final = 27  # instructions that take one tick of the system counter
M_CODE_WRITTEN: Final = 28  # 1 = a page with M_EXECUTED was written by another PE or from Python: drop translations
M_PA_BITS: Final = 29  # PARange of the PEs in bits: 48 unless the board says less
M_TLBI: Final = 30  # counts broadcast TLB invalidations (TLBI ...IS); a PE whose P_TLBI_SEEN differs flushes first
M_PES_USED: Final = 31  # number of PEs that ever ran real code: with one, no broadcast is needed
M_WORDS: Final = 64

# -- PE block: inputs of a translation ---------------------------------------------------------------------------
P_MACHINE: Final = 0  # address of the machine block
P_SECURITY: Final = 1  # SecurityState of the PE: 0 Secure, 1 Non-secure, 3 Realm
P_EL: Final = 2  # exception level of the access: 0, 1 or 2 (an unprivileged LDTR/STTR at EL1 counts as 0)
P_PAN: Final = 3  # PSTATE.PAN, 1 = set (0 for an unprivileged access)
P_SCTLR: Final = 4  # SCTLR_EL1 or SCTLR_EL2 of the regime in use
P_TCR: Final = 5
P_TTBR0: Final = 6
P_TTBR1: Final = 7
P_MAIR: Final = 8
P_HCR: Final = 9  # HCR_EL2 as the EL2 software set it (Unicorn's own copy drops FWB and GPF)
P_VTCR: Final = 10
P_VTTBR: Final = 11
P_VSTTBR: Final = 12  # Secure stage 2 base; unused until S-EL2 exists

# -- PE block: result of a translation ---------------------------------------------------------------------------
P_OUT_PA: Final = 16  # the physical address of the access (page offset included)
P_OUT_PAS: Final = 17  # Pas of the access
P_OUT_PROT: Final = 18  # what the translation permits at this EL: 1 read, 2 write, 4 execute
P_OUT_ATTR: Final = 19  # resulting memory type: MAIR-style byte (0x00..0x0C device, 0x44 NC, 0xFF WB)
P_OUT_IPA: Final = 20  # the intermediate physical address (equals the PA without stage 2)
P_OUT_NG: Final = 21  # nG of the stage 1 leaf
P_OUT_SH: Final = 22  # shareability of the access: 0 none, 2 outer, 3 inner

# -- PE block: why a translation failed --------------------------------------------------------------------------
P_FAULT_FSC: Final = 24  # DFSC/IFSC, 6 bits
P_FAULT_STAGE: Final = 25  # 1 or 2: which stage reports it
P_FAULT_S1PTW: Final = 26  # 1 = stage 2 fault on a stage 1 table walk
P_FAULT_IPA: Final = 27  # stage 2: the faulting IPA (page of the access, or address of the stage 1 descriptor)
P_FAULT_PA: Final = 28  # GPF and address size: the physical address
P_FAULT_PAS: Final = 29  # GPF: the PAS of the refused access
P_FAULT_GPF: Final = 30  # gpc.GPC_* >> 8: 1 = granule protection fault (FSC 0x23..0x28), more = of a GPT: goes to EL3
P_FAULT_VA: Final = 31
P_FAULT_ACCESS: Final = 32  # Access of the refused access
P_FAULT_KIND: Final = 33  # 0 none, 1 translation refused, 2 device (P_OUT_PA tells where), 3 refused to DC or IC,
# 4 the walk of AT refused by stage 2
P_FAULT_GPT_LEVEL: Final = 34

# -- PE block: the last stage 2 walk of this translation, from where the next one may go on ------------------------
P_WALK_IPA: Final = 35  # its IPA, -1 = there was none
P_WALK_DEPTH: Final = 36  # the level of its leaf
P_WALK_TABLE: Final = 36  # plus a level from 1 to 3 that it reached: host address of the table it used there

# -- PE block: engine -------------------------------------------------------------------------------------------
P_UC: Final = 40  # the engine handle
P_UC_REG_READ: Final = 41  # address of uc_reg_read
P_UC_REG_WRITE: Final = 42  # address of uc_reg_write
P_UC_EMU_STOP: Final = 43  # address of uc_emu_stop
P_UC_CTL: Final = 59  # address of uc_ctl
P_FILLS: Final = 44  # TLB fills done
P_BLOCK_PC: Final = 45  # start of the block that was counted last
P_BLOCK_SIZE: Final = 46  # its size in bytes
P_RETIRED: Final = 47  # instructions retired by this PE
P_STOPPED: Final = 48  # 1 = the block hook stopped the engine because the budget was used up
P_TLB_PAGES: Final = 49  # address of one byte per DRAM page: P_TLB_ERA = this PE's TLB may hold a translation to it
P_TLBI_SEEN: Final = 50  # value of M_TLBI when this PE's TLB was last known clean
P_REGIME: Final = 51  # exception level whose regime words (P_SCTLR..P_MAIR) are loaded, -1 = none: load before use
P_COUNTER_HZ: Final = 52  # CNTFRQ_EL0
P_SLICE_END: Final = 53  # clock value at which the PE has to stop whatever the timers say
P_BUDGET: Final = 54  # clock value at which the PE stops: its slice ends, or a timer changes its output
P_LIMIT: Final = 58  # value of M_RETIRED at which the PE stops
P_MAINTAINED: Final = 55  # page << 2 | EL of the last DC or IC by VA that was not refused, -1 = none
P_MAINTAINED_ERA: Final = 56  # P_TLB_ERA of that time
P_TRAPPED_HCR: Final = 57  # with P_FAULT_KIND 3: the engine's HCR_EL2, which now traps DC and IC, as it has to be
P_HAS_PAN: Final = 60  # 1 = the CPU model has FEAT_PAN
P_TLB_ERA: Final = 61  # 1..255, a new one with each flush of the whole TLB
P_ID_TABLE: Final = 62  # address of 64 words: the ID registers with CRm 0 to 7, op2 0 to 7
P_SCRATCH: Final = 64  # 12 words for register transfers
P_VMPIDR: Final = 79  # VMPIDR_EL2 as EL2 in Python set it
P_TLB_CONTROLS: Final = 76  # P_HCR, P_VTCR and P_VTTBR as they were when the EL1&0 TLB was last switched
P_X: Final = 80  # X0..X30, SP, PC, PSTATE while Python has the PE
P_SP: Final = 111
P_PC: Final = 112
P_PSTATE: Final = 113
P_SHADOW: Final = 115  # address of an EL1&0 frame: the registers as the engine holds them, while P_SHADOW_VALID is 1
P_SHADOW_VALID: Final = 116
P_CLREX: Final = 117  # 1 = the engine runs the page at CLREX_VA, and nothing of a guest
P_ON_LOOK: Final = 114  # address of hooks.ON_LOOK
P_HELD: Final = 120  # the same 34 words as the engine holds them: only what differs is written back

# -- PE block: timers and interrupts ------------------------------------------------------------------------------
P_TIMERS: Final = 160  # 2 words each (control, compare value) of CNTV, CNTP, CNTHP and CNTHV
P_CNTV_CTL: Final = 160
P_CNTV_CVAL: Final = 161
P_CNTP_CTL: Final = 162
P_CNTP_CVAL: Final = 163
P_CNTHP_CTL: Final = 164
P_CNTHP_CVAL: Final = 165
P_CNTVOFF: Final = 168
P_CNTHCTL: Final = 169  # CNTHCTL_EL2 {EL1PCEN, EL1PCTEN}
P_TIMER_MASK: Final = 170  # CNTHCTL_EL2.{CNTVMASK, CNTPMASK} as bits 0 and 1: the timer's interrupt is masked
P_TIMER_OUTPUTS: Final = 171  # outputs of the timers as the interrupt controller knows them, bit 0 = CNTV ...
P_SIGNALS: Final = 172  # what asks for an exception: SIGNAL_*
P_SCR: Final = 173  # SCR_EL3 of the security state that runs
P_SERROR: Final = 174  # ISS of the physical SError that SIGNAL_SERROR announces
P_WORDS: Final = 256

# -- the page that holds CLREX, for :meth:`Engine.clear_exclusive` --------------------------------------------------
CLREX_VA: Final = 0x00F0_0000_0000_0000  # no regime translates it; a guest that goes there gets an exception
CLREX_PA: Final = 0xFFFF_FFFF_F000

# -- signals ------------------------------------------------------------------------------------------------------
SIGNAL_G0: Final = 1  # from the interrupt controller: a physical interrupt of Group 0,
SIGNAL_G1S: Final = 2  # Secure Group 1,
SIGNAL_G1NS: Final = 4  # or Non-secure Group 1,
SIGNAL_PHYSICAL: Final = 7  # any of the three,
SIGNAL_VIRQ: Final = 8  # and virtual interrupts of list registers
SIGNAL_VFIQ: Final = 16
SIGNAL_GIC: Final = 31  # all of them
SIGNAL_SERROR: Final = 64  # a physical SError
SIGNAL_ILLEGAL: Final = 128  # an exception return may have set PSTATE.IL: never goes away, so look at every block
