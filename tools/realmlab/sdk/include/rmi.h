// RMI 1.0 (DEN0137), seen from the Host: functions, results and structures.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef RMI_H
#define RMI_H

#include "types.h"

enum {
    RMI_VERSION = 0xc4000150, RMI_GRANULE_DELEGATE = 0xc4000151, RMI_GRANULE_UNDELEGATE = 0xc4000152,
    RMI_DATA_CREATE = 0xc4000153, RMI_DATA_CREATE_UNKNOWN = 0xc4000154, RMI_DATA_DESTROY = 0xc4000155,
    RMI_REALM_ACTIVATE = 0xc4000157, RMI_REALM_CREATE = 0xc4000158, RMI_REALM_DESTROY = 0xc4000159,
    RMI_REC_CREATE = 0xc400015a, RMI_REC_DESTROY = 0xc400015b, RMI_REC_ENTER = 0xc400015c,
    RMI_RTT_CREATE = 0xc400015d, RMI_RTT_DESTROY = 0xc400015e, RMI_RTT_MAP_UNPROTECTED = 0xc400015f,
    RMI_RTT_READ_ENTRY = 0xc4000161, RMI_RTT_UNMAP_UNPROTECTED = 0xc4000162, RMI_PSCI_COMPLETE = 0xc4000164,
    RMI_FEATURES = 0xc4000165, RMI_RTT_FOLD = 0xc4000166, RMI_REC_AUX_COUNT = 0xc4000167,
    RMI_RTT_INIT_RIPAS = 0xc4000168, RMI_RTT_SET_RIPAS = 0xc4000169,
};

// RmiCommandReturnCode: status in bits 7:0, index in bits 15:8.
enum { RMI_SUCCESS, RMI_ERROR_INPUT, RMI_ERROR_REALM, RMI_ERROR_REC, RMI_ERROR_RTT };
#define STATUS(code, index) ((u64)(code) | (u64)(index) << 8)
#define RTT(level) STATUS(RMI_ERROR_RTT, level)

enum { RMI_EXIT_SYNC, RMI_EXIT_IRQ, RMI_EXIT_FIQ, RMI_EXIT_PSCI, RMI_EXIT_RIPAS_CHANGE, RMI_EXIT_HOST_CALL, RMI_EXIT_SERROR };
enum { RMI_UNASSIGNED, RMI_ASSIGNED, RMI_TABLE };
enum { RMI_EMPTY, RMI_RAM, RMI_DESTROYED };
enum { RMI_EMUL_MMIO = 1, RMI_INJECT_SEA = 2, RMI_TRAP_WFI = 4, RMI_TRAP_WFE = 8, RMI_REJECT = 16 };
#define RMI_ABI_1_0 0x10000ul
#define LEVEL_SIZE(level) (1ul << (12 + 9 * (3 - (level))))      // what an entry of a table at that level maps
#define RMI_RUNNABLE 1ul
#define RMI_MEASURE 1ul

#define AT(type, field, offset) _Static_assert(offsetof(struct type, field) == (offset), #type "." #field)

struct rmi_realm_params {
    u64 flags;
    u64 s2sz, sve_vl, num_bps, num_wps, pmu_num_ctrs, hash_algo;        // a byte each, padded
    u8 pad0[0x3c8];
    u8 rpv[64];
    u8 pad1[0x3c0];
    u64 vmid, rtt_base;
    s64 rtt_level_start;
    u64 rtt_num_start;
    u8 pad2[0x7e0];
};
AT(rmi_realm_params, hash_algo, 0x30);
AT(rmi_realm_params, rpv, 0x400);
AT(rmi_realm_params, vmid, 0x800);
AT(rmi_realm_params, rtt_num_start, 0x818);
_Static_assert(sizeof(struct rmi_realm_params) == 4096, "RmiRealmParams is one page");

struct rmi_rec_params {
    u64 flags;
    u8 pad0[0xf8];
    u64 mpidr;
    u8 pad1[0xf8];
    u64 pc;
    u8 pad2[0xf8];
    u64 gprs[8];
    u8 pad3[0x4c0];
    u64 num_aux, aux[16];
    u8 pad4[0x778];
};
AT(rmi_rec_params, mpidr, 0x100);
AT(rmi_rec_params, pc, 0x200);
AT(rmi_rec_params, gprs, 0x300);
AT(rmi_rec_params, num_aux, 0x800);
_Static_assert(sizeof(struct rmi_rec_params) == 4096, "RmiRecParams is one page");

struct rmi_rec_run {
    u64 flags;                          // enter, 0x000
    u8 pad0[0x1f8];
    u64 gprs[31];
    u8 pad1[8];
    u64 gicv3_hcr, gicv3_lrs[16];
    u8 pad2[0x478];
    u64 exit_reason;                    // exit, 0x800
    u8 pad3[0xf8];
    u64 esr, far, hpfar;
    u8 pad4[0xe8];
    u64 exit_gprs[31];
    u8 pad5[8];
    u64 exit_hcr, exit_lrs[16], exit_misr, exit_vmcr;
    u8 pad6[0x68];
    u64 cntp_ctl, cntp_cval, cntv_ctl, cntv_cval;
    u8 pad7[0xe0];
    u64 ripas_base, ripas_top, ripas_value;
    u8 pad8[0xe8];
    u64 imm;
    u8 pad9[0xf8];
    u64 pmu_ovf_status;
    u8 pad10[0xf8];
};
AT(rmi_rec_run, gprs, 0x200);
AT(rmi_rec_run, gicv3_hcr, 0x300);
AT(rmi_rec_run, exit_reason, 0x800);
AT(rmi_rec_run, esr, 0x900);
AT(rmi_rec_run, exit_gprs, 0xa00);
AT(rmi_rec_run, exit_hcr, 0xb00);
AT(rmi_rec_run, exit_vmcr, 0xb90);
AT(rmi_rec_run, cntp_ctl, 0xc00);
AT(rmi_rec_run, ripas_base, 0xd00);
AT(rmi_rec_run, imm, 0xe00);
AT(rmi_rec_run, pmu_ovf_status, 0xf00);
_Static_assert(sizeof(struct rmi_rec_run) == 4096, "RmiRecRun is one page");

#endif
