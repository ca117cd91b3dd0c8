// RMI 1.0 (DEN0137): what the Host calls. Written by `make payloads` from the tables in the code.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef ABI_RMI_H
#define ABI_RMI_H

#include "abi/number.h"

// Functions.
#define RMI_VERSION U64(0xc4000150)
#define RMI_GRANULE_DELEGATE U64(0xc4000151)
#define RMI_GRANULE_UNDELEGATE U64(0xc4000152)
#define RMI_DATA_CREATE U64(0xc4000153)
#define RMI_DATA_CREATE_UNKNOWN U64(0xc4000154)
#define RMI_DATA_DESTROY U64(0xc4000155)
#define RMI_REALM_ACTIVATE U64(0xc4000157)
#define RMI_REALM_CREATE U64(0xc4000158)
#define RMI_REALM_DESTROY U64(0xc4000159)
#define RMI_REC_CREATE U64(0xc400015a)
#define RMI_REC_DESTROY U64(0xc400015b)
#define RMI_REC_ENTER U64(0xc400015c)
#define RMI_RTT_CREATE U64(0xc400015d)
#define RMI_RTT_DESTROY U64(0xc400015e)
#define RMI_RTT_MAP_UNPROTECTED U64(0xc400015f)
#define RMI_RTT_READ_ENTRY U64(0xc4000161)
#define RMI_RTT_UNMAP_UNPROTECTED U64(0xc4000162)
#define RMI_PSCI_COMPLETE U64(0xc4000164)
#define RMI_FEATURES U64(0xc4000165)
#define RMI_RTT_FOLD U64(0xc4000166)
#define RMI_REC_AUX_COUNT U64(0xc4000167)
#define RMI_RTT_INIT_RIPAS U64(0xc4000168)
#define RMI_RTT_SET_RIPAS U64(0xc4000169)

// The interface that this is.
#define RMI_ABI_1_0 U64(0x10000)

// RmiInterfaceVersion.
#define RMI_VERSION_MINOR_SHIFT 0
#define RMI_VERSION_MINOR_MASK U64(0xffff)
#define RMI_VERSION_MINOR(word) (((word) >> 0) & 0xffff)
#define RMI_VERSION_MAJOR_SHIFT 16
#define RMI_VERSION_MAJOR_MASK U64(0x7fff0000)
#define RMI_VERSION_MAJOR(word) (((word) >> 16) & 0x7fff)

// RmiCommandReturnCode: X0 of every function.
#define RMI_RETURN_STATUS_SHIFT 0
#define RMI_RETURN_STATUS_MASK U64(0xff)
#define RMI_RETURN_STATUS(word) (((word) >> 0) & 0xff)
#define RMI_RETURN_INDEX_SHIFT 8
#define RMI_RETURN_INDEX_MASK U64(0xff00)
#define RMI_RETURN_INDEX(word) (((word) >> 8) & 0xff)

// RmiStatusCode.
#define RMI_SUCCESS 0
#define RMI_ERROR_INPUT 1
#define RMI_ERROR_REALM 2
#define RMI_ERROR_REC 3
#define RMI_ERROR_RTT 4

// RmiFeatureRegister0.
#define RMI_FEATURE_REGISTER_0_S2SZ_SHIFT 0
#define RMI_FEATURE_REGISTER_0_S2SZ_MASK U64(0xff)
#define RMI_FEATURE_REGISTER_0_S2SZ(word) (((word) >> 0) & 0xff)
#define RMI_FEATURE_REGISTER_0_LPA2 U64(0x100)
#define RMI_FEATURE_REGISTER_0_SVE_EN U64(0x200)
#define RMI_FEATURE_REGISTER_0_SVE_VL_SHIFT 10
#define RMI_FEATURE_REGISTER_0_SVE_VL_MASK U64(0x3c00)
#define RMI_FEATURE_REGISTER_0_SVE_VL(word) (((word) >> 10) & 0xf)
#define RMI_FEATURE_REGISTER_0_NUM_BPS_SHIFT 14
#define RMI_FEATURE_REGISTER_0_NUM_BPS_MASK U64(0xfc000)
#define RMI_FEATURE_REGISTER_0_NUM_BPS(word) (((word) >> 14) & 0x3f)
#define RMI_FEATURE_REGISTER_0_NUM_WPS_SHIFT 20
#define RMI_FEATURE_REGISTER_0_NUM_WPS_MASK U64(0x3f00000)
#define RMI_FEATURE_REGISTER_0_NUM_WPS(word) (((word) >> 20) & 0x3f)
#define RMI_FEATURE_REGISTER_0_PMU_EN U64(0x4000000)
#define RMI_FEATURE_REGISTER_0_PMU_NUM_CTRS_SHIFT 27
#define RMI_FEATURE_REGISTER_0_PMU_NUM_CTRS_MASK U64(0xf8000000)
#define RMI_FEATURE_REGISTER_0_PMU_NUM_CTRS(word) (((word) >> 27) & 0x1f)
#define RMI_FEATURE_REGISTER_0_HASH_SHA_256 U64(0x100000000)
#define RMI_FEATURE_REGISTER_0_HASH_SHA_512 U64(0x200000000)
#define RMI_FEATURE_REGISTER_0_GICV3_NUM_LRS_SHIFT 34
#define RMI_FEATURE_REGISTER_0_GICV3_NUM_LRS_MASK U64(0x3c00000000)
#define RMI_FEATURE_REGISTER_0_GICV3_NUM_LRS(word) (((word) >> 34) & 0xf)
#define RMI_FEATURE_REGISTER_0_MAX_RECS_ORDER_SHIFT 38
#define RMI_FEATURE_REGISTER_0_MAX_RECS_ORDER_MASK U64(0x3c000000000)
#define RMI_FEATURE_REGISTER_0_MAX_RECS_ORDER(word) (((word) >> 38) & 0xf)

// RmiHashAlgorithm.
#define RMI_HASH_SHA_256 0
#define RMI_HASH_SHA_512 1

// RmiRecExitReason.
#define RMI_EXIT_SYNC 0
#define RMI_EXIT_IRQ 1
#define RMI_EXIT_FIQ 2
#define RMI_EXIT_PSCI 3
#define RMI_EXIT_RIPAS_CHANGE 4
#define RMI_EXIT_HOST_CALL 5
#define RMI_EXIT_SERROR 6

// RmiRttEntryState.
#define RMI_UNASSIGNED 0
#define RMI_ASSIGNED 1
#define RMI_TABLE 2

// RmiRipas.
#define RMI_EMPTY 0
#define RMI_RAM 1
#define RMI_DESTROYED 2

// RmiResponse.
#define RMI_ACCEPT 0
#define RMI_REJECT 1

// RmiPmuOverflowStatus.
#define RMI_PMU_OVERFLOW_NOT_ACTIVE 0
#define RMI_PMU_OVERFLOW_ACTIVE 1

// RmiRealmFlags.
#define RMI_REALM_FLAG_LPA2 U64(0x1)
#define RMI_REALM_FLAG_SVE U64(0x2)
#define RMI_REALM_FLAG_PMU U64(0x4)

// RmiDataFlags.
#define RMI_DATA_FLAG_MEASURE U64(0x1)

// RmiRecCreateFlags.
#define RMI_REC_FLAG_RUNNABLE U64(0x1)

// RmiRecEnterFlags.
#define RMI_ENTER_EMUL_MMIO U64(0x1)
#define RMI_ENTER_INJECT_SEA U64(0x2)
#define RMI_ENTER_TRAP_WFI U64(0x4)
#define RMI_ENTER_TRAP_WFE U64(0x8)
#define RMI_ENTER_RIPAS_RESPONSE U64(0x10)

// RmiRecMpidr.
#define RMI_MPIDR_AFF0_SHIFT 0
#define RMI_MPIDR_AFF0_MASK U64(0xf)
#define RMI_MPIDR_AFF0(word) (((word) >> 0) & 0xf)
#define RMI_MPIDR_AFF1_SHIFT 8
#define RMI_MPIDR_AFF1_MASK U64(0xff00)
#define RMI_MPIDR_AFF1(word) (((word) >> 8) & 0xff)
#define RMI_MPIDR_AFF2_SHIFT 16
#define RMI_MPIDR_AFF2_MASK U64(0xff0000)
#define RMI_MPIDR_AFF2(word) (((word) >> 16) & 0xff)
#define RMI_MPIDR_AFF3_SHIFT 24
#define RMI_MPIDR_AFF3_MASK U64(0xff000000)
#define RMI_MPIDR_AFF3(word) (((word) >> 24) & 0xff)

#ifndef __ASSEMBLER__

// RmiRealmParams.
struct rmi_realm_params {
    u64 flags;
    u8 s2sz;
    u8 pad0[0x7];
    u8 sve_vl;
    u8 pad1[0x7];
    u8 num_bps;
    u8 pad2[0x7];
    u8 num_wps;
    u8 pad3[0x7];
    u8 pmu_num_ctrs;
    u8 pad4[0x7];
    u8 hash_algo;
    u8 pad5[0x3cf];
    u8 rpv[64];
    u8 pad6[0x3c0];
    u16 vmid;
    u8 pad7[0x6];
    u64 rtt_base;
    s64 rtt_level_start;
    u32 rtt_num_start;
    u8 pad8[0x7e4];
} __attribute__((aligned(4096)));
_Static_assert(__builtin_offsetof(struct rmi_realm_params, flags) == 0x0, "RmiRealmParams.flags");
_Static_assert(__builtin_offsetof(struct rmi_realm_params, s2sz) == 0x8, "RmiRealmParams.s2sz");
_Static_assert(__builtin_offsetof(struct rmi_realm_params, sve_vl) == 0x10, "RmiRealmParams.sve_vl");
_Static_assert(__builtin_offsetof(struct rmi_realm_params, num_bps) == 0x18, "RmiRealmParams.num_bps");
_Static_assert(__builtin_offsetof(struct rmi_realm_params, num_wps) == 0x20, "RmiRealmParams.num_wps");
_Static_assert(__builtin_offsetof(struct rmi_realm_params, pmu_num_ctrs) == 0x28, "RmiRealmParams.pmu_num_ctrs");
_Static_assert(__builtin_offsetof(struct rmi_realm_params, hash_algo) == 0x30, "RmiRealmParams.hash_algo");
_Static_assert(__builtin_offsetof(struct rmi_realm_params, rpv) == 0x400, "RmiRealmParams.rpv");
_Static_assert(__builtin_offsetof(struct rmi_realm_params, vmid) == 0x800, "RmiRealmParams.vmid");
_Static_assert(__builtin_offsetof(struct rmi_realm_params, rtt_base) == 0x808, "RmiRealmParams.rtt_base");
_Static_assert(__builtin_offsetof(struct rmi_realm_params, rtt_level_start) == 0x810, "RmiRealmParams.rtt_level_start");
_Static_assert(__builtin_offsetof(struct rmi_realm_params, rtt_num_start) == 0x818, "RmiRealmParams.rtt_num_start");
_Static_assert(sizeof(struct rmi_realm_params) == 0x1000, "RmiRealmParams");

// RmiRecParams.
struct rmi_rec_params {
    u64 flags;
    u8 pad0[0xf8];
    u64 mpidr;
    u8 pad1[0xf8];
    u64 pc;
    u8 pad2[0xf8];
    u64 gprs[8];
    u8 pad3[0x4c0];
    u64 num_aux;
    u64 aux[16];
    u8 pad4[0x778];
} __attribute__((aligned(4096)));
_Static_assert(__builtin_offsetof(struct rmi_rec_params, flags) == 0x0, "RmiRecParams.flags");
_Static_assert(__builtin_offsetof(struct rmi_rec_params, mpidr) == 0x100, "RmiRecParams.mpidr");
_Static_assert(__builtin_offsetof(struct rmi_rec_params, pc) == 0x200, "RmiRecParams.pc");
_Static_assert(__builtin_offsetof(struct rmi_rec_params, gprs) == 0x300, "RmiRecParams.gprs");
_Static_assert(__builtin_offsetof(struct rmi_rec_params, num_aux) == 0x800, "RmiRecParams.num_aux");
_Static_assert(__builtin_offsetof(struct rmi_rec_params, aux) == 0x808, "RmiRecParams.aux");
_Static_assert(sizeof(struct rmi_rec_params) == 0x1000, "RmiRecParams");

// RmiRecEnter.
struct rmi_rec_enter {
    u64 flags;
    u8 pad0[0x1f8];
    u64 gprs[31];
    u8 pad1[0x8];
    u64 gicv3_hcr;
    u64 gicv3_lrs[16];
    u8 pad2[0x478];
} __attribute__((aligned(2048)));
_Static_assert(__builtin_offsetof(struct rmi_rec_enter, flags) == 0x0, "RmiRecEnter.flags");
_Static_assert(__builtin_offsetof(struct rmi_rec_enter, gprs) == 0x200, "RmiRecEnter.gprs");
_Static_assert(__builtin_offsetof(struct rmi_rec_enter, gicv3_hcr) == 0x300, "RmiRecEnter.gicv3_hcr");
_Static_assert(__builtin_offsetof(struct rmi_rec_enter, gicv3_lrs) == 0x308, "RmiRecEnter.gicv3_lrs");
_Static_assert(sizeof(struct rmi_rec_enter) == 0x800, "RmiRecEnter");

// RmiRecExit.
struct rmi_rec_exit {
    u8 exit_reason;
    u8 pad0[0xff];
    u64 esr;
    u64 far;
    u64 hpfar;
    u8 pad1[0xe8];
    u64 gprs[31];
    u8 pad2[0x8];
    u64 gicv3_hcr;
    u64 gicv3_lrs[16];
    u64 gicv3_misr;
    u64 gicv3_vmcr;
    u8 pad3[0x68];
    u64 cntp_ctl;
    u64 cntp_cval;
    u64 cntv_ctl;
    u64 cntv_cval;
    u8 pad4[0xe0];
    u64 ripas_base;
    u64 ripas_top;
    u8 ripas_value;
    u8 pad5[0xef];
    u16 imm;
    u8 pad6[0xfe];
    u8 pmu_ovf_status;
    u8 pad7[0xff];
} __attribute__((aligned(2048)));
_Static_assert(__builtin_offsetof(struct rmi_rec_exit, exit_reason) == 0x0, "RmiRecExit.exit_reason");
_Static_assert(__builtin_offsetof(struct rmi_rec_exit, esr) == 0x100, "RmiRecExit.esr");
_Static_assert(__builtin_offsetof(struct rmi_rec_exit, far) == 0x108, "RmiRecExit.far");
_Static_assert(__builtin_offsetof(struct rmi_rec_exit, hpfar) == 0x110, "RmiRecExit.hpfar");
_Static_assert(__builtin_offsetof(struct rmi_rec_exit, gprs) == 0x200, "RmiRecExit.gprs");
_Static_assert(__builtin_offsetof(struct rmi_rec_exit, gicv3_hcr) == 0x300, "RmiRecExit.gicv3_hcr");
_Static_assert(__builtin_offsetof(struct rmi_rec_exit, gicv3_lrs) == 0x308, "RmiRecExit.gicv3_lrs");
_Static_assert(__builtin_offsetof(struct rmi_rec_exit, gicv3_misr) == 0x388, "RmiRecExit.gicv3_misr");
_Static_assert(__builtin_offsetof(struct rmi_rec_exit, gicv3_vmcr) == 0x390, "RmiRecExit.gicv3_vmcr");
_Static_assert(__builtin_offsetof(struct rmi_rec_exit, cntp_ctl) == 0x400, "RmiRecExit.cntp_ctl");
_Static_assert(__builtin_offsetof(struct rmi_rec_exit, cntp_cval) == 0x408, "RmiRecExit.cntp_cval");
_Static_assert(__builtin_offsetof(struct rmi_rec_exit, cntv_ctl) == 0x410, "RmiRecExit.cntv_ctl");
_Static_assert(__builtin_offsetof(struct rmi_rec_exit, cntv_cval) == 0x418, "RmiRecExit.cntv_cval");
_Static_assert(__builtin_offsetof(struct rmi_rec_exit, ripas_base) == 0x500, "RmiRecExit.ripas_base");
_Static_assert(__builtin_offsetof(struct rmi_rec_exit, ripas_top) == 0x508, "RmiRecExit.ripas_top");
_Static_assert(__builtin_offsetof(struct rmi_rec_exit, ripas_value) == 0x510, "RmiRecExit.ripas_value");
_Static_assert(__builtin_offsetof(struct rmi_rec_exit, imm) == 0x600, "RmiRecExit.imm");
_Static_assert(__builtin_offsetof(struct rmi_rec_exit, pmu_ovf_status) == 0x700, "RmiRecExit.pmu_ovf_status");
_Static_assert(sizeof(struct rmi_rec_exit) == 0x800, "RmiRecExit");

// RmiRecRun.
struct rmi_rec_run {
    struct rmi_rec_enter enter;
    struct rmi_rec_exit exit;
} __attribute__((aligned(4096)));
_Static_assert(__builtin_offsetof(struct rmi_rec_run, enter) == 0x0, "RmiRecRun.enter");
_Static_assert(__builtin_offsetof(struct rmi_rec_run, exit) == 0x800, "RmiRecRun.exit");
_Static_assert(sizeof(struct rmi_rec_run) == 0x1000, "RmiRecRun");

#endif

#endif
