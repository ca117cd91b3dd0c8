"""The words that native hooks and Python share: one block for the machine, one per PE.

A block is an array of int64; the address of word ``W`` is ``block + 8 * W``. Everything that a hook needs is in one
of the two, so that a hook contains no process-specific constant and its compiled form can be cached on disk. A PE word
with a name to save it by is state; the machine's words are saved by the components that own them.
"""

from typing import Final

from cca_platform.native.layout import Layout

__all__: list[str] = []

M_WORDS: Final = 192
P_WORDS: Final = 384
R_WORDS: Final = 84
MACHINE: Final = Layout(M_WORDS)
PE: Final = Layout(P_WORDS, kept=112)
RECENT: Final = Layout(R_WORDS)

# -- machine block -----------------------------------------------------------------------------------------------
M_RETIRED: Final = MACHINE.word("instructions that all PEs have retired")
M_BUDGET: Final = MACHINE.word("the value of M_RETIRED at which the running PE has to look whether it must stop")
M_SKIPPED: Final = MACHINE.word("ticks of idle time: the system counter is M_SKIPPED + M_RETIRED // M_PER_TICK")
M_PER_TICK: Final = MACHINE.word("instructions that take one tick of the system counter")
M_BANKS: Final = MACHINE.word("number of DRAM banks (at most 4)")
M_BANK: Final = MACHINE.words(16, "per bank 4: base PA, size, host address, index of its first page in the page maps")
M_GPTBR: Final = MACHINE.word("GPTBR_EL3, the same in every PE")
M_GPCCR: Final = MACHINE.word("GPCCR_EL3, the same in every PE")
M_PPS_BITS: Final = MACHINE.word("width in bits of the protected physical space (from GPCCR_EL3.PPS)")
M_L0GPTSZ_BITS: Final = MACHINE.word("bits resolved by one L0 entry: 30, 34, 36 or 39")
M_DIRTY: Final = MACHINE.word("address of one byte per DRAM page: 1 = written since the last snapshot")
M_EXECUTED: Final = MACHINE.word(
    "address of one byte per DRAM page: EXECUTED = some PE may hold translated code of it; SEARCHED, HAS_SITES"
)
EXECUTED: Final = 1
SEARCHED: Final = 2  # for the instructions of engine.sites,
HAS_SITES: Final = 4  # of which there are some
REWRITTEN: Final = 8  # since some PE has translated it: the page is among M_DROPPED
M_SHADOW: Final = MACHINE.word("address of the pre-image area, 4096 bytes a page in the order of the maps, 0 = none")
M_LOG: Final = MACHINE.word("address of a log of the pages whose M_DIRTY was set: their number, then the first LOGGED")
LOGGED: Final = 1024
M_CODE_WRITTEN: Final = MACHINE.word("1 = another PE or Python wrote a page with M_EXECUTED: drop translations")
M_PA_BITS: Final = MACHINE.word("PARange of the PEs in bits: 48 unless the board says less")
M_TAKEN: Final = MACHINE.word("counts the synchronous exceptions that all PEs have taken to real code")
M_TLBI: Final = MACHINE.word("counts broadcast TLB invalidations (TLBI ...IS); a PE whose P_TLBI_SEEN differs flushes")
M_PES: Final = MACHINE.word("address of the addresses of the PE blocks")
M_PES_COUNT: Final = MACHINE.word("number of PEs")
M_PES_USED: Final = MACHINE.word("number of PEs that ever ran real code: with one, no broadcast is needed")
M_DROPS: Final = MACHINE.word(
    "counts the pages whose translated code every PE has to drop: it was written, or IC IVAU came with several PEs"
)
M_DEVICES: Final = MACHINE.word("address of DEVICES rows: engine.devices.key of a page, address of what is known there")
DEVICES: Final = 64
M_PROGRAMS: Final = MACHINE.word("the exception levels that are Python: bit 4 times SecurityState + level")
M_TRAPS: Final = MACHINE.word("address of TRAPS rows: an instruction, the bits of HCR_EL2 that trap it at EL1, ESR_EL2")
TRAPS: Final = 64
M_DROPPED: Final = MACHINE.words(64, "the physical addresses of the last of them, number n in n modulo DROPS")
DROPS: Final = 64
M_MIXED_COUNT: Final = MACHINE.word("number of M_MIXED in use, more than MIXED = there were too many")
M_MIXED: Final = MACHINE.words(
    32, "the physical addresses of pages that may have been writable when they were first fetched: IC IALLU drops them"
)
MIXED: Final = 32

# -- PE block: inputs of a translation ---------------------------------------------------------------------------
P_MACHINE: Final = PE.word("address of the machine block")
P_SECURITY: Final = PE.word("SecurityState of the PE: 0 Secure, 1 Non-secure, 3 Realm", "security")
P_EL: Final = PE.word("exception level of the access: 0, 1 or 2 (an unprivileged LDTR/STTR at EL1 counts as 0)")
P_PAN: Final = PE.word("PSTATE.PAN, 1 = set (0 for an unprivileged access)")
P_SCTLR: Final = PE.word("SCTLR_EL1 or SCTLR_EL2 of the regime in use")
P_TCR: Final = PE.word("TCR of that regime")
P_TTBR0: Final = PE.word("TTBR0 of that regime")
P_TTBR1: Final = PE.word("TTBR1 of that regime")
P_MAIR: Final = PE.word("MAIR of that regime")
P_HCR: Final = PE.word("HCR_EL2 as the EL2 software set it (Unicorn's own copy drops FWB and GPF)", "hcr")
P_VTCR: Final = PE.word("VTCR_EL2", "vtcr")
P_VTTBR: Final = PE.word("VTTBR_EL2", "vttbr")
P_VSTTBR: Final = PE.word("Secure stage 2 base; unused until S-EL2 exists", "vsttbr")

# -- PE block: result of a translation ---------------------------------------------------------------------------
P_OUT_PA: Final = PE.word("the physical address of the access (page offset included)")
P_OUT_PAS: Final = PE.word("Pas of the access")
P_OUT_PROT: Final = PE.word("what the translation permits at this EL: 1 read, 2 write, 4 execute")
P_OUT_ATTR: Final = PE.word("resulting memory type: MAIR-style byte (0x00..0x0C device, 0x44 NC, 0xFF WB)")
P_OUT_IPA: Final = PE.word("the intermediate physical address (equals the PA without stage 2)")
P_OUT_NG: Final = PE.word("nG of the stage 1 leaf")
P_OUT_SH: Final = PE.word("shareability of the access: 0 none, 2 outer, 3 inner")
P_OUT_DEVICE: Final = PE.word("0 = not Device for stage 1, 1 = Device as stage 1 is off, 2 = by its descriptor")

# -- PE block: why a translation failed --------------------------------------------------------------------------
P_FAULT_FSC: Final = PE.word("DFSC/IFSC, 6 bits")
P_FAULT_STAGE: Final = PE.word("1 or 2: which stage reports it")
P_FAULT_S1PTW: Final = PE.word("1 = stage 2 fault on a stage 1 table walk")
P_FAULT_IPA: Final = PE.word("stage 2: the faulting IPA (page of the access, or address of the stage 1 descriptor)")
P_FAULT_PA: Final = PE.word("GPF and address size: the physical address")
P_FAULT_PAS: Final = PE.word("GPF: the PAS of the refused access")
P_FAULT_GPF: Final = PE.word("gpc.GPC_* >> 8: 1 = GPF (FSC 0x23..0x28), more = of a GPT: goes to EL3")
P_FAULT_VA: Final = PE.word("the virtual address")
P_FAULT_ACCESS: Final = PE.word("Access of the refused access")
P_FAULT_KIND: Final = PE.word(
    "0 none, 1 translation refused, 2 device (P_OUT_PA tells where), 3 refused to DC or IC, "
    "4 the walk of AT refused by stage 2"
)
P_FAULT_GPT_LEVEL: Final = PE.word("GPF: the level of the GPT entry")

# -- PE block: the last stage 2 walk of this translation, from where the next one may go on ------------------------
P_WALK_IPA: Final = PE.word("its IPA, -1 = there was none")
P_WALK_DEPTH: Final = PE.word("the level of its leaf")
P_WALK_TABLE: Final = PE.words(4, "plus a level from 1 to 3 that it reached: host address of the table it used there")

# -- PE block: engine -------------------------------------------------------------------------------------------
P_UC: Final = PE.word("the engine handle")
P_UC_REG_READ: Final = PE.word("address of uc_reg_read")
P_UC_REG_WRITE: Final = PE.word("address of uc_reg_write")
P_UC_REG_BATCH: Final = PE.word("address of uc_reg_write_batch")
P_UC_EMU_STOP: Final = PE.word("address of uc_emu_stop")
P_UC_CTL: Final = PE.word("address of uc_ctl")
P_UC_HOOK_ADD: Final = PE.word("address of uc_hook_add")
P_ON_SITE: Final = PE.word("address of sites.ON_SITE")
P_SITES: Final = PE.word("address of 2 words for each hook of engine.sites: virtual address, handle")
P_SITES_USED: Final = PE.word("number of these hooks; more than SITES = there was no room for one")
SITES: Final = 1024  # as many as a page can have
P_SITE_PAGE: Final = PE.word("the page of the last instruction that had such a hook, and the exception level,")
P_SITE_ERA: Final = PE.word("P_TLB_ERA of that time, 0 = to be translated again,")
P_SITE_HOST: Final = PE.word("and its host address")
P_AT_SITE: Final = PE.word("the engine has stopped before 1 a WFE, 2 an ordered access that is not aligned; 0 no")
P_ORDERED: Final = PE.word("address of the addresses of ordered accesses, one word each")
P_ORDERED_USED: Final = PE.word("number of them; more than ORDERED = none is checked any more")
ORDERED: Final = 64
P_ON_LOOK: Final = PE.word("address of hooks.ON_LOOK")
P_ON_INTERRUPT: Final = PE.word("address of the interrupt hook in Python")
P_ON_TIME: Final = PE.word("address of what lets the host's time in, called like the former; 0 = time is virtual")
P_ON_GIC: Final = PE.word("address of the part of the hooks of GIC registers that is in Python")
P_GIC_VALUES: Final = PE.word("address of gic.cpu.CpuInterface.values: 2 words each, engine.icc.key and the value")
P_GIC_VALUE: Final = PE.word("what Python has read from a GIC register")
P_TRACED: Final = PE.word("1 = the trace is on, so that every exception is for Python")
P_DIRECT: Final = PE.word("1 = native code may do what refused accesses come to")
P_RESUMED: Final = PE.word("1 = it has, and the code goes on at P_PC")
P_SERVED: Final = PE.word("1 + P_RETIRED when it last did so, 0 = Python has accounted for that")
P_SERVINGS: Final = PE.word("how often it did so with this P_RETIRED")
P_FILLS: Final = PE.word("TLB fills done")
P_BLOCK_PC: Final = PE.word("start of the block that was counted last", "block_pc")
P_BLOCK_SIZE: Final = PE.word("its size in bytes", "block_size")
P_RETIRED: Final = PE.word("instructions retired by this PE", "retired")
P_BLOCK_END: Final = PE.word("end of the block in whose middle the PE has stopped, 0 = it is between two", "block_end")
P_BUILT: Final = PE.word("1 = a built engine: it counts blocks itself, in M_RETIRED, P_RETIRED, P_BLOCK_PC and _SIZE")
P_STOPPED: Final = PE.word("1 = the block hook stopped the engine because the budget was used up")
P_TLB_PAGES: Final = PE.word("address of one byte per DRAM page: P_TLB_ERA = the TLB may hold a translation to it")
P_EL1_FILLED: Final = PE.word("1 = the TLB may hold a translation of the EL1&0 regime")
P_TLB_ERA: Final = PE.word("1..255, a new one with each flush of the whole TLB")
P_TLBI_SEEN: Final = PE.word("value of M_TLBI when this PE's TLB was last known clean")
P_TLB_CONTROLS: Final = PE.words(
    3, "P_HCR, P_VTCR and P_VTTBR as they were when the EL1&0 TLB was last switched", "tlb_hcr tlb_vtcr tlb_vttbr"
)
P_REGIME: Final = PE.word("mmu.regime whose controls P_SCTLR to P_MAIR are, -1 = none: to be loaded before use")
P_COUNTER_HZ: Final = PE.word("CNTFRQ_EL0")
P_SLICE_END: Final = PE.word("clock value at which the PE has to stop whatever the timers say")
P_BUDGET: Final = PE.word("clock value at which the PE stops: its slice ends, or a timer changes its output")
P_LIMIT: Final = PE.word("value of M_RETIRED at which the PE stops")
P_MAINTAINED: Final = PE.word(
    "page << 3 | 4 if it writes | EL of the last DC or IC by VA that was not refused, -1 = none"
)
P_MAINTAINED_PA: Final = PE.word("the physical address of that page")
P_MAINTAINED_ERA: Final = PE.word("P_TLB_ERA of that time")
P_TRAPPED_HCR: Final = PE.word("with P_FAULT_KIND 3: the engine's HCR_EL2, which now traps DC and IC, as it has to be")
P_TRAPPED_PSTATE: Final = PE.word("likewise its PSTATE: EL2 has no traps, so it traps as EL1")
P_DROPS_SEEN: Final = PE.word("value of M_DROPS up to which this PE has dropped code")
P_FEATURES: Final = PE.word("what the CPU model has: HAS_*")
P_SOFT_EL: Final = PE.word("the level when PSTATE was last written with its mark: see engine.general")
P_ID_TABLE: Final = PE.word("address of 64 words: the ID registers with CRm 0 to 7, op2 0 to 7")
P_SCRATCH: Final = PE.words(12, "for register transfers")
P_VMPIDR: Final = PE.word("VMPIDR_EL2 as EL2 in Python set it")
P_SHADOW: Final = PE.word("address of an EL1&0 frame: the registers as the engine holds them, if P_SHADOW_VALID is 1")
P_SHADOW_VALID: Final = PE.word("see P_SHADOW")
P_FETCHED: Final = PE.word("address of the page that any fetch gets, 0 = as it is translated: CLREX_VA, DROP_VA")

# -- PE block: general registers while Python has the PE ----------------------------------------------------------
P_X: Final = PE.words(31, "X0 to X30", "x")
P_SP: Final = PE.word("the SP that PSTATE selects", "sp")
P_PC: Final = PE.word("PC", "pc")
P_PSTATE: Final = PE.word("PSTATE", "pstate")
P_HELD: Final = PE.words(34, "the same 34 as the engine holds them: only what differs is written back")

# -- PE block: timers and interrupts ------------------------------------------------------------------------------
P_TIMERS: Final = PE.words(
    10,
    "2 words each (control, compare value) of CNTV, CNTP, CNTHP, CNTHV and CNTPS",
    "cntv_ctl cntv_cval cntp_ctl cntp_cval cnthp_ctl cnthp_cval cnthv_ctl cnthv_cval cntps_ctl cntps_cval",
)
P_CNTV_CTL: Final = P_TIMERS
P_CNTV_CVAL: Final = P_TIMERS + 1
P_CNTP_CTL: Final = P_TIMERS + 2
P_CNTP_CVAL: Final = P_TIMERS + 3
P_CNTHP_CTL: Final = P_TIMERS + 4
P_CNTHP_CVAL: Final = P_TIMERS + 5
P_CONTROLS: Final = PE.words(
    14, "2 words for each register of unmodelled.CONTROLS: the bits that are kept as written, and those that are 1"
)
P_CNTVOFF: Final = PE.word("CNTVOFF_EL2", "cntvoff")
P_CNTHCTL: Final = PE.word("CNTHCTL_EL2 {EL1PCEN, EL1PCTEN}", "cnthctl")
P_TIMER_MASK: Final = PE.word(
    "CNTHCTL_EL2.{CNTVMASK, CNTPMASK} as bits 0 and 1: the timer's interrupt is masked", "timer_mask"
)
P_TIMER_OUTPUTS: Final = PE.word(
    "outputs of the timers as the interrupt controller knows them, bit 0 = CNTV ...", "timer_outputs"
)
P_SIGNALS: Final = PE.word("what asks for an exception: SIGNAL_*", "signals")
P_SCR: Final = PE.word("SCR_EL3 of the security state that runs", "scr")
P_TAKEN: Final = PE.word("P_RETIRED when a synchronous exception was last taken to real code", "taken")
P_NESTED: Final = PE.word(
    "such exceptions in a row, each soon after the one before; from NESTED_SUSPECT on those without a return before",
    "nested",
)
NESTED_SUSPECT: Final = 200
NESTED_LIMIT: Final = 2_000  # exceptions without end
P_OWNER: Final = PE.word("VTTBR_EL2 ^ VMPIDR_EL2 << 1 of the vCPU that EL2 in Python let run last", "owner")
P_RECENT: Final = PE.word("address of the RECENT block: the exceptions of this row")
P_EVENT: Final = PE.word("the event register", "event")
P_EVENT_TAKEN: Final = PE.word("clock value up to which events of the timers' streams are taken", "event_taken")
P_UNKNOWN: Final = PE.word("the last undefined instruction that is of a feature which the CPU model lacks", "unknown")
P_UNKNOWN_PC: Final = PE.word("its address", "unknown_pc")
P_SERROR: Final = PE.word("ISS of the physical SError that SIGNAL_SERROR announces", "serror")
P_VSERROR: Final = PE.word("ISS of the virtual SError that HCR_EL2.VSE announces", "vserror")

# -- the recent exceptions of a PE: of the row that P_NESTED counts, those like one just before counted with it -------
R_USED: Final = RECENT.word("how many of them have been noted: number n is in n modulo RECORDS")
R_STILL: Final = RECENT.word("1 = none can have returned since the one before: nothing retired, or a suspect row")
R_FOLDED: Final = RECENT.word("how many like one just before have come since, while R_STILL: the trace folds them")
RECORDS: Final = 8  # a power of two
RECORD: Final = 10  # words each
ALIKE: Final = 4  # of the last ones that another may be like
R_RECORDS: Final = RECENT.words(
    RECORDS * RECORD, "each PC, PSTATE, ESR, FAR, SP, X30, P_RETIRED, VBAR, level that takes it; how many there were"
)
T_PC, T_PSTATE, T_ESR, T_FAR, T_SP, T_LR, T_RETIRED, T_VBAR, T_TARGET, T_COUNT = range(RECORD)

# -- PE block: a plain access to a device, while it is done -------------------------------------------------------
P_ACCESS: Final = PE.word("its instruction")
P_ACCESS_PA: Final = PE.word("its physical address")
P_ACCESS_VALUE: Final = PE.word("what it writes, or has read")
P_ACCESS_AT: Final = PE.word("of a load or store that engine.forms has decoded: its virtual address,")
P_ACCESS_SIZE: Final = PE.word("the bytes of an element,")
P_ACCESS_TOTAL: Final = PE.word("and of all;")
P_ACCESS_WRITES: Final = PE.word("1 = it is a store;")
P_ACCESS_DESCRIBED: Final = PE.word("1 = the syndrome of a stage 2 abort describes its register")
P_KEPT: Final = PE.words(32, "the words of its translation while its instruction is fetched")

# -- PE block: performance monitors -------------------------------------------------------------------------------
P_PMU: Final = PE.words(
    8,
    "PMCR_EL0 {E, DP, LP}, PMCNTENSET_EL0, PMINTENSET_EL1, PMOVSSET_EL0, PMSELR_EL0, PMUSERENR_EL0, PMCCFILTR_EL0 "
    "and PMCCNTR_EL0",
    "pmcr pmcnten pminten pmovs pmselr pmuserenr pmccfiltr pmccntr",
)
P_PMCR: Final = P_PMU
P_PMCNTEN: Final = P_PMU + 1
P_PMINTEN: Final = P_PMU + 2
P_PMOVS: Final = P_PMU + 3
P_PMSELR: Final = P_PMU + 4
P_PMUSERENR: Final = P_PMU + 5
P_PMCCFILTR: Final = P_PMU + 6
P_PMCCNTR: Final = P_PMU + 7
P_PMEVCNTR: Final = PE.words(6, "PMEVCNTR<n>_EL0", "pmevcntr")
P_PMEVTYPER: Final = PE.words(6, "PMEVTYPER<n>_EL0", "pmevtyper")
P_MDCR: Final = PE.word("MDCR_EL2 as the EL2 software set it", "mdcr")
P_PMU_OUTPUT: Final = PE.word("the overflow interrupt as the interrupt controller knows it", "pmu_output")
P_PMU_COUNTS: Final = PE.word("the counters that count what is retired from P_PMU_SINCE on: a bit each")
P_PMU_SINCE: Final = PE.word("P_RETIRED up to which the counters have counted")
P_PMU_EL: Final = PE.word("the level of that code")
P_PMU_LOOK: Final = PE.word("1 = other counters count at a lower level: look at each block whether it has changed")
P_PMU_DUE: Final = PE.word("P_RETIRED at which a counter overflows whose interrupt is enabled, 0 = none will")

# -- virtual addresses that no regime translates: a guest that goes there gets an exception ------------------------
CLREX_VA: Final = 0x00F0_0000_0000_0000  # the page that holds CLREX, for :meth:`Engine.clear_exclusive`
DROP_VA: Final = 0x00F0_0000_0000_1000  # a page whose translated code is dropped, and nothing once that is done
CLREX_PA: Final = 0xFFFF_FFFF_F000

# -- features of CPU models that native code asks for ---------------------------------------------------------------
HAS_PAN: Final = 1  # FEAT_PAN2
HAS_PAUTH: Final = 2  # FEAT_PAuth: keys, and the controls of HCR_EL2 and SCR_EL3
HAS_LOR: Final = 4  # FEAT_LOR
HAS_DPB: Final = 8  # FEAT_DPB2
HAS_RCPC: Final = 32  # FEAT_LRCPC2
HAS_SOFT: Final = 16  # FEAT_DIT and FEAT_SSBS2, which the engine does not know

# -- signals ------------------------------------------------------------------------------------------------------
SIGNAL_G0: Final = 1  # from the interrupt controller: a physical interrupt of Group 0,
SIGNAL_G1S: Final = 2  # Secure Group 1,
SIGNAL_G1NS: Final = 4  # or Non-secure Group 1,
SIGNAL_PHYSICAL: Final = 7  # any of the three,
SIGNAL_VIRQ: Final = 8  # and virtual interrupts of list registers
SIGNAL_VFIQ: Final = 16
SIGNAL_GIC: Final = 31  # all of them
SIGNAL_SERROR: Final = 64  # a physical SError
SIGNAL_RETURN: Final = 256  # an exception return of EL2 or EL1 has to be noticed: see engine.general
SIGNAL_ILLEGAL: Final = 128  # an exception return may have set PSTATE.IL: never goes away, so look at every block
