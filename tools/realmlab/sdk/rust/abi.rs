//! Constants and structures of the interfaces that a payload uses, by the names that they have in C. Written by `make payloads` from the tables in the code.
// SPDX-License-Identifier: BSD-3-Clause
#![allow(dead_code)]

/// RSI 1.0 (DEN0137): what a Realm calls.
pub mod rsi {
    // Functions.
    pub const RSI_VERSION: u64 = 0xc4000190;
    pub const RSI_FEATURES: u64 = 0xc4000191;
    pub const RSI_MEASUREMENT_READ: u64 = 0xc4000192;
    pub const RSI_MEASUREMENT_EXTEND: u64 = 0xc4000193;
    pub const RSI_ATTESTATION_TOKEN_INIT: u64 = 0xc4000194;
    pub const RSI_ATTESTATION_TOKEN_CONTINUE: u64 = 0xc4000195;
    pub const RSI_REALM_CONFIG: u64 = 0xc4000196;
    pub const RSI_IPA_STATE_SET: u64 = 0xc4000197;
    pub const RSI_IPA_STATE_GET: u64 = 0xc4000198;
    pub const RSI_HOST_CALL: u64 = 0xc4000199;

    // The interface that this is.
    pub const RSI_ABI_1_0: u64 = 0x10000;

    // RsiInterfaceVersion.
    pub const RSI_VERSION_MINOR_SHIFT: u32 = 0;
    pub const RSI_VERSION_MINOR_MASK: u64 = 0xffff;
    pub const RSI_VERSION_MAJOR_SHIFT: u32 = 16;
    pub const RSI_VERSION_MAJOR_MASK: u64 = 0x7fff0000;

    // RsiCommandReturnCode: X0 of every function.
    pub const RSI_SUCCESS: u64 = 0x0;
    pub const RSI_ERROR_INPUT: u64 = 0x1;
    pub const RSI_ERROR_STATE: u64 = 0x2;
    pub const RSI_INCOMPLETE: u64 = 0x3;
    pub const RSI_ERROR_UNKNOWN: u64 = 0x4;

    // RsiHashAlgorithm.
    pub const RSI_HASH_SHA_256: u64 = 0x0;
    pub const RSI_HASH_SHA_512: u64 = 0x1;

    // RsiRipas.
    pub const RSI_EMPTY: u64 = 0x0;
    pub const RSI_RAM: u64 = 0x1;
    pub const RSI_DESTROYED: u64 = 0x2;

    // RsiResponse.
    pub const RSI_ACCEPT: u64 = 0x0;
    pub const RSI_REJECT: u64 = 0x1;

    // RsiRipasChangeFlags.
    pub const RSI_CHANGE_DESTROYED: u64 = 0x1;

    // The same without a flag.
    pub const RSI_NO_CHANGE_DESTROYED: u64 = 0x0;

    /// RsiRealmConfig.
    #[repr(C, align(4096))]
    pub struct RsiRealmConfig {
        pub ipa_width: u64,
        pub hash_algo: u8,
        pub pad0: [u8; 0x1f7],
        pub rpv: [u8; 64],
        pub pad1: [u8; 0xdc0],
    }
    const _: () = assert!(core::mem::offset_of!(RsiRealmConfig, ipa_width) == 0x0);
    const _: () = assert!(core::mem::offset_of!(RsiRealmConfig, hash_algo) == 0x8);
    const _: () = assert!(core::mem::offset_of!(RsiRealmConfig, rpv) == 0x200);
    const _: () = assert!(core::mem::size_of::<RsiRealmConfig>() == 0x1000);

    /// RsiHostCall.
    #[repr(C, align(256))]
    pub struct RsiHostCall {
        pub imm: u16,
        pub pad0: [u8; 0x6],
        pub gprs: [u64; 31],
    }
    const _: () = assert!(core::mem::offset_of!(RsiHostCall, imm) == 0x0);
    const _: () = assert!(core::mem::offset_of!(RsiHostCall, gprs) == 0x8);
    const _: () = assert!(core::mem::size_of::<RsiHostCall>() == 0x100);

}

/// Sealing keys, an extension of Realmlab's RMM (realmlab run --extension sealing).
pub mod sealing {
    // Functions.
    pub const SEALING_UID: u64 = 0x8600ff01;
    pub const SEALING_FEATURES: u64 = 0xc6000000;
    pub const SEALING_KEY: u64 = 0xc6000001;

    // SEALING_FEATURES, index 0.
    pub const SEALING_FEATURES_HKDF_SHA_384: u64 = 0x1;

    // What a key depends on: X1 of SEALING_KEY.
    pub const SEALING_KEY_RIM: u64 = 0x1;
    pub const SEALING_KEY_RPV: u64 = 0x2;
    pub const SEALING_KEY_REM0: u64 = 0x4;
    pub const SEALING_KEY_REM1: u64 = 0x8;
    pub const SEALING_KEY_REM2: u64 = 0x10;
    pub const SEALING_KEY_REM3: u64 = 0x20;
    pub const SEALING_KEY_LIFECYCLE: u64 = 0x40;
    pub const SEALING_KEY_IMAGES: u64 = 0x80;

}

/// Paging, an extension of Realmlab's RMM (realmlab run --extension paging).
pub mod paging {
    // Functions.
    pub const PAGING_UID: u64 = 0xb000ff01;
    pub const PAGING_FEATURES: u64 = 0xf0000000;
    pub const PAGE_OUT: u64 = 0xf0000001;
    pub const PAGE_IN: u64 = 0xf0000002;

    // PAGING_FEATURES, index 0.
    pub const PAGING_FEATURES_AES_256_GCM: u64 = 0x1;
    pub const PAGING_FEATURES_VERSION_BITS_SHIFT: u32 = 8;
    pub const PAGING_FEATURES_VERSION_BITS_MASK: u64 = 0x3f00;

    // RmiRttEntryState of a page that is out.
    pub const RMI_SEALED: u64 = 0x80;

}

/// Virtio 1.2: device types, status, split virtqueues, the MMIO transport, block devices.
pub mod virtio {
    // Device types.
    pub const VIRTIO_ID_NETWORK: u64 = 0x1;
    pub const VIRTIO_ID_BLOCK: u64 = 0x2;
    pub const VIRTIO_ID_CONSOLE: u64 = 0x3;
    pub const VIRTIO_ID_ENTROPY: u64 = 0x4;
    pub const VIRTIO_ID_BALLOON: u64 = 0x5;
    pub const VIRTIO_ID_NINE_P: u64 = 0x9;
    pub const VIRTIO_ID_SOCKET: u64 = 0x13;
    pub const VIRTIO_ID_FILE_SYSTEM: u64 = 0x1a;

    // The device status.
    pub const VIRTIO_STATUS_ACKNOWLEDGE: u64 = 0x1;
    pub const VIRTIO_STATUS_DRIVER: u64 = 0x2;
    pub const VIRTIO_STATUS_DRIVER_OK: u64 = 0x4;
    pub const VIRTIO_STATUS_FEATURES_OK: u64 = 0x8;
    pub const VIRTIO_STATUS_NEEDS_RESET: u64 = 0x40;
    pub const VIRTIO_STATUS_FAILED: u64 = 0x80;

    // Bit numbers of the features of every device.
    pub const VIRTIO_F_NOTIFY_ON_EMPTY: u64 = 0x18;
    pub const VIRTIO_F_ANY_LAYOUT: u64 = 0x1b;
    pub const VIRTIO_F_RING_INDIRECT_DESC: u64 = 0x1c;
    pub const VIRTIO_F_RING_EVENT_IDX: u64 = 0x1d;
    pub const VIRTIO_F_VERSION_1: u64 = 0x20;
    pub const VIRTIO_F_ACCESS_PLATFORM: u64 = 0x21;
    pub const VIRTIO_F_RING_PACKED: u64 = 0x22;
    pub const VIRTIO_F_IN_ORDER: u64 = 0x23;
    pub const VIRTIO_F_ORDER_PLATFORM: u64 = 0x24;
    pub const VIRTIO_F_SR_IOV: u64 = 0x25;
    pub const VIRTIO_F_NOTIFICATION_DATA: u64 = 0x26;
    pub const VIRTIO_F_NOTIF_CONFIG_DATA: u64 = 0x27;
    pub const VIRTIO_F_RING_RESET: u64 = 0x28;

    // The interrupt status.
    pub const VIRTIO_INTERRUPT_USED: u64 = 0x1;
    pub const VIRTIO_INTERRUPT_CONFIGURATION: u64 = 0x2;

    // What the first registers read.
    pub const VIRTIO_MMIO_MAGIC: u64 = 0x74726976;
    pub const VIRTIO_MMIO_VERSION_2: u64 = 0x2;

    // Bytes of a frame.
    pub const VIRTIO_MMIO_FRAME_SIZE: u64 = 0x200;

    // Registers of the MMIO transport.
    pub const VIRTIO_MMIO_MAGIC_VALUE: u64 = 0x0;
    pub const VIRTIO_MMIO_VERSION: u64 = 0x4;
    pub const VIRTIO_MMIO_DEVICE_ID: u64 = 0x8;
    pub const VIRTIO_MMIO_VENDOR_ID: u64 = 0xc;
    pub const VIRTIO_MMIO_DEVICE_FEATURES: u64 = 0x10;
    pub const VIRTIO_MMIO_DEVICE_FEATURES_SEL: u64 = 0x14;
    pub const VIRTIO_MMIO_DRIVER_FEATURES: u64 = 0x20;
    pub const VIRTIO_MMIO_DRIVER_FEATURES_SEL: u64 = 0x24;
    pub const VIRTIO_MMIO_QUEUE_SEL: u64 = 0x30;
    pub const VIRTIO_MMIO_QUEUE_NUM_MAX: u64 = 0x34;
    pub const VIRTIO_MMIO_QUEUE_NUM: u64 = 0x38;
    pub const VIRTIO_MMIO_QUEUE_READY: u64 = 0x44;
    pub const VIRTIO_MMIO_QUEUE_NOTIFY: u64 = 0x50;
    pub const VIRTIO_MMIO_INTERRUPT_STATUS: u64 = 0x60;
    pub const VIRTIO_MMIO_INTERRUPT_ACK: u64 = 0x64;
    pub const VIRTIO_MMIO_STATUS: u64 = 0x70;
    pub const VIRTIO_MMIO_QUEUE_DESC_LOW: u64 = 0x80;
    pub const VIRTIO_MMIO_QUEUE_DESC_HIGH: u64 = 0x84;
    pub const VIRTIO_MMIO_QUEUE_DRIVER_LOW: u64 = 0x90;
    pub const VIRTIO_MMIO_QUEUE_DRIVER_HIGH: u64 = 0x94;
    pub const VIRTIO_MMIO_QUEUE_DEVICE_LOW: u64 = 0xa0;
    pub const VIRTIO_MMIO_QUEUE_DEVICE_HIGH: u64 = 0xa4;
    pub const VIRTIO_MMIO_SHM_SEL: u64 = 0xac;
    pub const VIRTIO_MMIO_SHM_LEN_LOW: u64 = 0xb0;
    pub const VIRTIO_MMIO_SHM_LEN_HIGH: u64 = 0xb4;
    pub const VIRTIO_MMIO_SHM_BASE_LOW: u64 = 0xb8;
    pub const VIRTIO_MMIO_SHM_BASE_HIGH: u64 = 0xbc;
    pub const VIRTIO_MMIO_QUEUE_RESET: u64 = 0xc0;
    pub const VIRTIO_MMIO_CONFIG_GENERATION: u64 = 0xfc;
    pub const VIRTIO_MMIO_CONFIG: u64 = 0x100;

    /// VirtqDesc.
    #[repr(C, align(16))]
    pub struct VirtqDesc {
        pub addr: u64,
        pub len: u32,
        pub flags: u16,
        pub next: u16,
    }
    const _: () = assert!(core::mem::offset_of!(VirtqDesc, addr) == 0x0);
    const _: () = assert!(core::mem::offset_of!(VirtqDesc, len) == 0x8);
    const _: () = assert!(core::mem::offset_of!(VirtqDesc, flags) == 0xc);
    const _: () = assert!(core::mem::offset_of!(VirtqDesc, next) == 0xe);
    const _: () = assert!(core::mem::size_of::<VirtqDesc>() == 0x10);

    // VirtqDesc.flags.
    pub const VIRTQ_DESC_NEXT: u64 = 0x1;
    pub const VIRTQ_DESC_WRITE: u64 = 0x2;
    pub const VIRTQ_DESC_INDIRECT: u64 = 0x4;

    /// VirtqUsedElem.
    #[repr(C, align(8))]
    pub struct VirtqUsedElem {
        pub id: u32,
        pub len: u32,
    }
    const _: () = assert!(core::mem::offset_of!(VirtqUsedElem, id) == 0x0);
    const _: () = assert!(core::mem::offset_of!(VirtqUsedElem, len) == 0x4);
    const _: () = assert!(core::mem::size_of::<VirtqUsedElem>() == 0x8);

    // VirtioBlkReq.type.
    pub const VIRTIO_BLK_T_IN: u64 = 0x0;
    pub const VIRTIO_BLK_T_OUT: u64 = 0x1;
    pub const VIRTIO_BLK_T_FLUSH: u64 = 0x4;
    pub const VIRTIO_BLK_T_GET_ID: u64 = 0x8;
    pub const VIRTIO_BLK_T_GET_LIFETIME: u64 = 0xa;
    pub const VIRTIO_BLK_T_DISCARD: u64 = 0xb;
    pub const VIRTIO_BLK_T_WRITE_ZEROES: u64 = 0xd;
    pub const VIRTIO_BLK_T_SECURE_ERASE: u64 = 0xe;

    // The last byte of a request.
    pub const VIRTIO_BLK_S_OK: u64 = 0x0;
    pub const VIRTIO_BLK_S_IOERR: u64 = 0x1;
    pub const VIRTIO_BLK_S_UNSUPP: u64 = 0x2;

    // Bytes of a sector.
    pub const VIRTIO_BLK_SECTOR: u64 = 0x200;

    /// VirtioBlkReq.
    #[repr(C, align(16))]
    pub struct VirtioBlkReq {
        pub r#type: u32,
        pub pad0: [u8; 0x4],
        pub sector: u64,
    }
    const _: () = assert!(core::mem::offset_of!(VirtioBlkReq, r#type) == 0x0);
    const _: () = assert!(core::mem::offset_of!(VirtioBlkReq, sector) == 0x8);
    const _: () = assert!(core::mem::size_of::<VirtioBlkReq>() == 0x10);

    /// VirtioBalloonConfig.
    #[repr(C, align(8))]
    pub struct VirtioBalloonConfig {
        pub num_pages: u32,
        pub actual: u32,
    }
    const _: () = assert!(core::mem::offset_of!(VirtioBalloonConfig, num_pages) == 0x0);
    const _: () = assert!(core::mem::offset_of!(VirtioBalloonConfig, actual) == 0x4);
    const _: () = assert!(core::mem::size_of::<VirtioBalloonConfig>() == 0x8);

}

/// RMI 1.0 (DEN0137): what the Host calls.
pub mod rmi {
    // Functions.
    pub const RMI_VERSION: u64 = 0xc4000150;
    pub const RMI_GRANULE_DELEGATE: u64 = 0xc4000151;
    pub const RMI_GRANULE_UNDELEGATE: u64 = 0xc4000152;
    pub const RMI_DATA_CREATE: u64 = 0xc4000153;
    pub const RMI_DATA_CREATE_UNKNOWN: u64 = 0xc4000154;
    pub const RMI_DATA_DESTROY: u64 = 0xc4000155;
    pub const RMI_REALM_ACTIVATE: u64 = 0xc4000157;
    pub const RMI_REALM_CREATE: u64 = 0xc4000158;
    pub const RMI_REALM_DESTROY: u64 = 0xc4000159;
    pub const RMI_REC_CREATE: u64 = 0xc400015a;
    pub const RMI_REC_DESTROY: u64 = 0xc400015b;
    pub const RMI_REC_ENTER: u64 = 0xc400015c;
    pub const RMI_RTT_CREATE: u64 = 0xc400015d;
    pub const RMI_RTT_DESTROY: u64 = 0xc400015e;
    pub const RMI_RTT_MAP_UNPROTECTED: u64 = 0xc400015f;
    pub const RMI_RTT_READ_ENTRY: u64 = 0xc4000161;
    pub const RMI_RTT_UNMAP_UNPROTECTED: u64 = 0xc4000162;
    pub const RMI_PSCI_COMPLETE: u64 = 0xc4000164;
    pub const RMI_FEATURES: u64 = 0xc4000165;
    pub const RMI_RTT_FOLD: u64 = 0xc4000166;
    pub const RMI_REC_AUX_COUNT: u64 = 0xc4000167;
    pub const RMI_RTT_INIT_RIPAS: u64 = 0xc4000168;
    pub const RMI_RTT_SET_RIPAS: u64 = 0xc4000169;

    // The interface that this is.
    pub const RMI_ABI_1_0: u64 = 0x10000;

    // RmiInterfaceVersion.
    pub const RMI_VERSION_MINOR_SHIFT: u32 = 0;
    pub const RMI_VERSION_MINOR_MASK: u64 = 0xffff;
    pub const RMI_VERSION_MAJOR_SHIFT: u32 = 16;
    pub const RMI_VERSION_MAJOR_MASK: u64 = 0x7fff0000;

    // RmiCommandReturnCode: X0 of every function.
    pub const RMI_RETURN_STATUS_SHIFT: u32 = 0;
    pub const RMI_RETURN_STATUS_MASK: u64 = 0xff;
    pub const RMI_RETURN_INDEX_SHIFT: u32 = 8;
    pub const RMI_RETURN_INDEX_MASK: u64 = 0xff00;

    // RmiStatusCode.
    pub const RMI_SUCCESS: u64 = 0x0;
    pub const RMI_ERROR_INPUT: u64 = 0x1;
    pub const RMI_ERROR_REALM: u64 = 0x2;
    pub const RMI_ERROR_REC: u64 = 0x3;
    pub const RMI_ERROR_RTT: u64 = 0x4;

    // RmiFeatureRegister0.
    pub const RMI_FEATURE_REGISTER_0_S2SZ_SHIFT: u32 = 0;
    pub const RMI_FEATURE_REGISTER_0_S2SZ_MASK: u64 = 0xff;
    pub const RMI_FEATURE_REGISTER_0_LPA2: u64 = 0x100;
    pub const RMI_FEATURE_REGISTER_0_SVE_EN: u64 = 0x200;
    pub const RMI_FEATURE_REGISTER_0_SVE_VL_SHIFT: u32 = 10;
    pub const RMI_FEATURE_REGISTER_0_SVE_VL_MASK: u64 = 0x3c00;
    pub const RMI_FEATURE_REGISTER_0_NUM_BPS_SHIFT: u32 = 14;
    pub const RMI_FEATURE_REGISTER_0_NUM_BPS_MASK: u64 = 0xfc000;
    pub const RMI_FEATURE_REGISTER_0_NUM_WPS_SHIFT: u32 = 20;
    pub const RMI_FEATURE_REGISTER_0_NUM_WPS_MASK: u64 = 0x3f00000;
    pub const RMI_FEATURE_REGISTER_0_PMU_EN: u64 = 0x4000000;
    pub const RMI_FEATURE_REGISTER_0_PMU_NUM_CTRS_SHIFT: u32 = 27;
    pub const RMI_FEATURE_REGISTER_0_PMU_NUM_CTRS_MASK: u64 = 0xf8000000;
    pub const RMI_FEATURE_REGISTER_0_HASH_SHA_256: u64 = 0x100000000;
    pub const RMI_FEATURE_REGISTER_0_HASH_SHA_512: u64 = 0x200000000;
    pub const RMI_FEATURE_REGISTER_0_GICV3_NUM_LRS_SHIFT: u32 = 34;
    pub const RMI_FEATURE_REGISTER_0_GICV3_NUM_LRS_MASK: u64 = 0x3c00000000;
    pub const RMI_FEATURE_REGISTER_0_MAX_RECS_ORDER_SHIFT: u32 = 38;
    pub const RMI_FEATURE_REGISTER_0_MAX_RECS_ORDER_MASK: u64 = 0x3c000000000;

    // RmiHashAlgorithm.
    pub const RMI_HASH_SHA_256: u64 = 0x0;
    pub const RMI_HASH_SHA_512: u64 = 0x1;

    // RmiRecExitReason.
    pub const RMI_EXIT_SYNC: u64 = 0x0;
    pub const RMI_EXIT_IRQ: u64 = 0x1;
    pub const RMI_EXIT_FIQ: u64 = 0x2;
    pub const RMI_EXIT_PSCI: u64 = 0x3;
    pub const RMI_EXIT_RIPAS_CHANGE: u64 = 0x4;
    pub const RMI_EXIT_HOST_CALL: u64 = 0x5;
    pub const RMI_EXIT_SERROR: u64 = 0x6;

    // RmiRttEntryState.
    pub const RMI_UNASSIGNED: u64 = 0x0;
    pub const RMI_ASSIGNED: u64 = 0x1;
    pub const RMI_TABLE: u64 = 0x2;

    // RmiRipas.
    pub const RMI_EMPTY: u64 = 0x0;
    pub const RMI_RAM: u64 = 0x1;
    pub const RMI_DESTROYED: u64 = 0x2;

    // RmiResponse.
    pub const RMI_ACCEPT: u64 = 0x0;
    pub const RMI_REJECT: u64 = 0x1;

    // RmiPmuOverflowStatus.
    pub const RMI_PMU_OVERFLOW_NOT_ACTIVE: u64 = 0x0;
    pub const RMI_PMU_OVERFLOW_ACTIVE: u64 = 0x1;

    // RmiRealmFlags.
    pub const RMI_REALM_FLAG_LPA2: u64 = 0x1;
    pub const RMI_REALM_FLAG_SVE: u64 = 0x2;
    pub const RMI_REALM_FLAG_PMU: u64 = 0x4;

    // RmiDataFlags.
    pub const RMI_DATA_FLAG_MEASURE: u64 = 0x1;

    // RmiRecCreateFlags.
    pub const RMI_REC_FLAG_RUNNABLE: u64 = 0x1;

    // RmiRecEnterFlags.
    pub const RMI_ENTER_EMUL_MMIO: u64 = 0x1;
    pub const RMI_ENTER_INJECT_SEA: u64 = 0x2;
    pub const RMI_ENTER_TRAP_WFI: u64 = 0x4;
    pub const RMI_ENTER_TRAP_WFE: u64 = 0x8;
    pub const RMI_ENTER_RIPAS_RESPONSE: u64 = 0x10;

    // RmiRecMpidr.
    pub const RMI_MPIDR_AFF0_SHIFT: u32 = 0;
    pub const RMI_MPIDR_AFF0_MASK: u64 = 0xf;
    pub const RMI_MPIDR_AFF1_SHIFT: u32 = 8;
    pub const RMI_MPIDR_AFF1_MASK: u64 = 0xff00;
    pub const RMI_MPIDR_AFF2_SHIFT: u32 = 16;
    pub const RMI_MPIDR_AFF2_MASK: u64 = 0xff0000;
    pub const RMI_MPIDR_AFF3_SHIFT: u32 = 24;
    pub const RMI_MPIDR_AFF3_MASK: u64 = 0xff000000;

    /// RmiRealmParams.
    #[repr(C, align(4096))]
    pub struct RmiRealmParams {
        pub flags: u64,
        pub s2sz: u8,
        pub pad0: [u8; 0x7],
        pub sve_vl: u8,
        pub pad1: [u8; 0x7],
        pub num_bps: u8,
        pub pad2: [u8; 0x7],
        pub num_wps: u8,
        pub pad3: [u8; 0x7],
        pub pmu_num_ctrs: u8,
        pub pad4: [u8; 0x7],
        pub hash_algo: u8,
        pub pad5: [u8; 0x3cf],
        pub rpv: [u8; 64],
        pub pad6: [u8; 0x3c0],
        pub vmid: u16,
        pub pad7: [u8; 0x6],
        pub rtt_base: u64,
        pub rtt_level_start: i64,
        pub rtt_num_start: u32,
        pub pad8: [u8; 0x7e4],
    }
    const _: () = assert!(core::mem::offset_of!(RmiRealmParams, flags) == 0x0);
    const _: () = assert!(core::mem::offset_of!(RmiRealmParams, s2sz) == 0x8);
    const _: () = assert!(core::mem::offset_of!(RmiRealmParams, sve_vl) == 0x10);
    const _: () = assert!(core::mem::offset_of!(RmiRealmParams, num_bps) == 0x18);
    const _: () = assert!(core::mem::offset_of!(RmiRealmParams, num_wps) == 0x20);
    const _: () = assert!(core::mem::offset_of!(RmiRealmParams, pmu_num_ctrs) == 0x28);
    const _: () = assert!(core::mem::offset_of!(RmiRealmParams, hash_algo) == 0x30);
    const _: () = assert!(core::mem::offset_of!(RmiRealmParams, rpv) == 0x400);
    const _: () = assert!(core::mem::offset_of!(RmiRealmParams, vmid) == 0x800);
    const _: () = assert!(core::mem::offset_of!(RmiRealmParams, rtt_base) == 0x808);
    const _: () = assert!(core::mem::offset_of!(RmiRealmParams, rtt_level_start) == 0x810);
    const _: () = assert!(core::mem::offset_of!(RmiRealmParams, rtt_num_start) == 0x818);
    const _: () = assert!(core::mem::size_of::<RmiRealmParams>() == 0x1000);

    /// RmiRecParams.
    #[repr(C, align(4096))]
    pub struct RmiRecParams {
        pub flags: u64,
        pub pad0: [u8; 0xf8],
        pub mpidr: u64,
        pub pad1: [u8; 0xf8],
        pub pc: u64,
        pub pad2: [u8; 0xf8],
        pub gprs: [u64; 8],
        pub pad3: [u8; 0x4c0],
        pub num_aux: u64,
        pub aux: [u64; 16],
        pub pad4: [u8; 0x778],
    }
    const _: () = assert!(core::mem::offset_of!(RmiRecParams, flags) == 0x0);
    const _: () = assert!(core::mem::offset_of!(RmiRecParams, mpidr) == 0x100);
    const _: () = assert!(core::mem::offset_of!(RmiRecParams, pc) == 0x200);
    const _: () = assert!(core::mem::offset_of!(RmiRecParams, gprs) == 0x300);
    const _: () = assert!(core::mem::offset_of!(RmiRecParams, num_aux) == 0x800);
    const _: () = assert!(core::mem::offset_of!(RmiRecParams, aux) == 0x808);
    const _: () = assert!(core::mem::size_of::<RmiRecParams>() == 0x1000);

    /// RmiRecEnter.
    #[repr(C, align(2048))]
    pub struct RmiRecEnter {
        pub flags: u64,
        pub pad0: [u8; 0x1f8],
        pub gprs: [u64; 31],
        pub pad1: [u8; 0x8],
        pub gicv3_hcr: u64,
        pub gicv3_lrs: [u64; 16],
        pub pad2: [u8; 0x478],
    }
    const _: () = assert!(core::mem::offset_of!(RmiRecEnter, flags) == 0x0);
    const _: () = assert!(core::mem::offset_of!(RmiRecEnter, gprs) == 0x200);
    const _: () = assert!(core::mem::offset_of!(RmiRecEnter, gicv3_hcr) == 0x300);
    const _: () = assert!(core::mem::offset_of!(RmiRecEnter, gicv3_lrs) == 0x308);
    const _: () = assert!(core::mem::size_of::<RmiRecEnter>() == 0x800);

    /// RmiRecExit.
    #[repr(C, align(2048))]
    pub struct RmiRecExit {
        pub exit_reason: u8,
        pub pad0: [u8; 0xff],
        pub esr: u64,
        pub far: u64,
        pub hpfar: u64,
        pub pad1: [u8; 0xe8],
        pub gprs: [u64; 31],
        pub pad2: [u8; 0x8],
        pub gicv3_hcr: u64,
        pub gicv3_lrs: [u64; 16],
        pub gicv3_misr: u64,
        pub gicv3_vmcr: u64,
        pub pad3: [u8; 0x68],
        pub cntp_ctl: u64,
        pub cntp_cval: u64,
        pub cntv_ctl: u64,
        pub cntv_cval: u64,
        pub pad4: [u8; 0xe0],
        pub ripas_base: u64,
        pub ripas_top: u64,
        pub ripas_value: u8,
        pub pad5: [u8; 0xef],
        pub imm: u16,
        pub pad6: [u8; 0xfe],
        pub pmu_ovf_status: u8,
        pub pad7: [u8; 0xff],
    }
    const _: () = assert!(core::mem::offset_of!(RmiRecExit, exit_reason) == 0x0);
    const _: () = assert!(core::mem::offset_of!(RmiRecExit, esr) == 0x100);
    const _: () = assert!(core::mem::offset_of!(RmiRecExit, far) == 0x108);
    const _: () = assert!(core::mem::offset_of!(RmiRecExit, hpfar) == 0x110);
    const _: () = assert!(core::mem::offset_of!(RmiRecExit, gprs) == 0x200);
    const _: () = assert!(core::mem::offset_of!(RmiRecExit, gicv3_hcr) == 0x300);
    const _: () = assert!(core::mem::offset_of!(RmiRecExit, gicv3_lrs) == 0x308);
    const _: () = assert!(core::mem::offset_of!(RmiRecExit, gicv3_misr) == 0x388);
    const _: () = assert!(core::mem::offset_of!(RmiRecExit, gicv3_vmcr) == 0x390);
    const _: () = assert!(core::mem::offset_of!(RmiRecExit, cntp_ctl) == 0x400);
    const _: () = assert!(core::mem::offset_of!(RmiRecExit, cntp_cval) == 0x408);
    const _: () = assert!(core::mem::offset_of!(RmiRecExit, cntv_ctl) == 0x410);
    const _: () = assert!(core::mem::offset_of!(RmiRecExit, cntv_cval) == 0x418);
    const _: () = assert!(core::mem::offset_of!(RmiRecExit, ripas_base) == 0x500);
    const _: () = assert!(core::mem::offset_of!(RmiRecExit, ripas_top) == 0x508);
    const _: () = assert!(core::mem::offset_of!(RmiRecExit, ripas_value) == 0x510);
    const _: () = assert!(core::mem::offset_of!(RmiRecExit, imm) == 0x600);
    const _: () = assert!(core::mem::offset_of!(RmiRecExit, pmu_ovf_status) == 0x700);
    const _: () = assert!(core::mem::size_of::<RmiRecExit>() == 0x800);

    /// RmiRecRun.
    #[repr(C, align(4096))]
    pub struct RmiRecRun {
        pub enter: RmiRecEnter,
        pub exit: RmiRecExit,
    }
    const _: () = assert!(core::mem::offset_of!(RmiRecRun, enter) == 0x0);
    const _: () = assert!(core::mem::offset_of!(RmiRecRun, exit) == 0x800);
    const _: () = assert!(core::mem::size_of::<RmiRecRun>() == 0x1000);

}

/// PSCI 1.1 (DEN0022): power control, by the firmware for a machine and by the RMM for a Realm.
pub mod psci {
    // Functions.
    pub const PSCI_VERSION: u64 = 0x84000000;
    pub const PSCI_CPU_SUSPEND: u64 = 0x84000001;
    pub const PSCI_CPU_OFF: u64 = 0x84000002;
    pub const PSCI_CPU_ON: u64 = 0x84000003;
    pub const PSCI_AFFINITY_INFO: u64 = 0x84000004;
    pub const PSCI_MIGRATE: u64 = 0x84000005;
    pub const PSCI_MIGRATE_INFO_TYPE: u64 = 0x84000006;
    pub const PSCI_MIGRATE_INFO_UP_CPU: u64 = 0x84000007;
    pub const PSCI_SYSTEM_OFF: u64 = 0x84000008;
    pub const PSCI_SYSTEM_RESET: u64 = 0x84000009;
    pub const PSCI_FEATURES: u64 = 0x8400000a;
    pub const PSCI_NODE_HW_STATE: u64 = 0x8400000d;
    pub const PSCI_SYSTEM_SUSPEND: u64 = 0x8400000e;
    pub const PSCI_SET_SUSPEND_MODE: u64 = 0x8400000f;
    pub const PSCI_STAT_RESIDENCY: u64 = 0x84000010;
    pub const PSCI_STAT_COUNT: u64 = 0x84000011;
    pub const PSCI_SYSTEM_RESET2: u64 = 0x84000012;
    pub const PSCI_MEM_PROTECT: u64 = 0x84000013;
    pub const PSCI_MEM_PROTECT_CHECK_RANGE: u64 = 0x84000014;
    pub const PSCI_CPU_SUSPEND_64: u64 = 0xc4000001;
    pub const PSCI_CPU_ON_64: u64 = 0xc4000003;
    pub const PSCI_AFFINITY_INFO_64: u64 = 0xc4000004;
    pub const PSCI_MIGRATE_64: u64 = 0xc4000005;
    pub const PSCI_MIGRATE_INFO_UP_CPU_64: u64 = 0xc4000007;
    pub const PSCI_NODE_HW_STATE_64: u64 = 0xc400000d;
    pub const PSCI_SYSTEM_SUSPEND_64: u64 = 0xc400000e;
    pub const PSCI_STAT_RESIDENCY_64: u64 = 0xc4000010;
    pub const PSCI_STAT_COUNT_64: u64 = 0xc4000011;
    pub const PSCI_SYSTEM_RESET2_64: u64 = 0xc4000012;
    pub const PSCI_MEM_PROTECT_CHECK_RANGE_64: u64 = 0xc4000014;

    // The interface that this is.
    pub const PSCI_1_1: u64 = 0x10001;

    // X0 of a function.
    pub const PSCI_SUCCESS: u64 = 0x0;
    pub const PSCI_NOT_SUPPORTED: i64 = -1;
    pub const PSCI_INVALID_PARAMETERS: i64 = -2;
    pub const PSCI_DENIED: i64 = -3;
    pub const PSCI_ALREADY_ON: i64 = -4;
    pub const PSCI_ON_PENDING: i64 = -5;
    pub const PSCI_INTERNAL_FAILURE: i64 = -6;
    pub const PSCI_NOT_PRESENT: i64 = -7;
    pub const PSCI_DISABLED: i64 = -8;
    pub const PSCI_INVALID_ADDRESS: i64 = -9;

    // X0 of AFFINITY_INFO.
    pub const PSCI_AFFINITY_ON: u64 = 0x0;
    pub const PSCI_AFFINITY_OFF: u64 = 0x1;
    pub const PSCI_AFFINITY_ON_PENDING: u64 = 0x2;

    // power_state of CPU_SUSPEND.
    pub const PSCI_POWER_STATE_STATE_ID_SHIFT: u32 = 0;
    pub const PSCI_POWER_STATE_STATE_ID_MASK: u64 = 0xffff;
    pub const PSCI_POWER_STATE_POWER_DOWN: u64 = 0x10000;
    pub const PSCI_POWER_STATE_LEVEL_SHIFT: u32 = 24;
    pub const PSCI_POWER_STATE_LEVEL_MASK: u64 = 0x3000000;

    // power_state of CPU_SUSPEND, extended.
    pub const PSCI_POWER_STATE_EXTENDED_STATE_ID_SHIFT: u32 = 0;
    pub const PSCI_POWER_STATE_EXTENDED_STATE_ID_MASK: u64 = 0xfffffff;
    pub const PSCI_POWER_STATE_EXTENDED_POWER_DOWN: u64 = 0x40000000;

}

/// The SMC Calling Convention (DEN0028).
pub mod smccc {
    // Functions of the architecture.
    pub const SMCCC_VERSION: u64 = 0x80000000;
    pub const SMCCC_ARCH_FEATURES: u64 = 0x80000001;
    pub const SMCCC_ARCH_SOC_ID: u64 = 0x80000002;
    pub const SMCCC_ARCH_WORKAROUND_1: u64 = 0x80008000;

    // X0 of a function that is not there.
    pub const SMCCC_NOT_SUPPORTED: i64 = -1;

    // A function identifier.
    pub const SMCCC_FID_FAST: u64 = 0x80000000;
    pub const SMCCC_FID_SMC64: u64 = 0x40000000;
    pub const SMCCC_FID_OWNER_SHIFT: u32 = 24;
    pub const SMCCC_FID_OWNER_MASK: u64 = 0x3f000000;
    pub const SMCCC_FID_ZERO_SHIFT: u32 = 17;
    pub const SMCCC_FID_ZERO_MASK: u64 = 0xfe0000;
    pub const SMCCC_FID_SVE_HINT: u64 = 0x10000;
    pub const SMCCC_FID_NUMBER_SHIFT: u32 = 0;
    pub const SMCCC_FID_NUMBER_MASK: u64 = 0xffff;

}

/// Exception syndromes (DDI 0487, ESR_ELx).
pub mod esr {
    // Exception classes; _SAME is taken from the level that takes it.
    pub const EC_UNKNOWN: u64 = 0x0;
    pub const EC_WFX: u64 = 0x1;
    pub const EC_FP_ASIMD: u64 = 0x7;
    pub const EC_PAC: u64 = 0x9;
    pub const EC_ILLEGAL_STATE: u64 = 0xe;
    pub const EC_SVC: u64 = 0x15;
    pub const EC_HVC: u64 = 0x16;
    pub const EC_SMC: u64 = 0x17;
    pub const EC_SYSREG: u64 = 0x18;
    pub const EC_SVE: u64 = 0x19;
    pub const EC_ERET: u64 = 0x1a;
    pub const EC_SME: u64 = 0x1d;
    pub const EC_GPC: u64 = 0x1e;
    pub const EC_INSTRUCTION_ABORT: u64 = 0x20;
    pub const EC_INSTRUCTION_ABORT_SAME: u64 = 0x21;
    pub const EC_PC_ALIGNMENT: u64 = 0x22;
    pub const EC_DATA_ABORT: u64 = 0x24;
    pub const EC_DATA_ABORT_SAME: u64 = 0x25;
    pub const EC_SP_ALIGNMENT: u64 = 0x26;
    pub const EC_SERROR: u64 = 0x2f;
    pub const EC_BREAKPOINT: u64 = 0x30;
    pub const EC_BREAKPOINT_SAME: u64 = 0x31;
    pub const EC_SOFTWARE_STEP: u64 = 0x32;
    pub const EC_SOFTWARE_STEP_SAME: u64 = 0x33;
    pub const EC_WATCHPOINT: u64 = 0x34;
    pub const EC_WATCHPOINT_SAME: u64 = 0x35;
    pub const EC_BRK: u64 = 0x3c;

    // Fault status codes; for a table walk, add the level.
    pub const FSC_ADDRESS_SIZE: u64 = 0x0;
    pub const FSC_TRANSLATION: u64 = 0x4;
    pub const FSC_ACCESS_FLAG: u64 = 0x8;
    pub const FSC_PERMISSION: u64 = 0xc;
    pub const FSC_EXTERNAL: u64 = 0x10;
    pub const FSC_ASYNCHRONOUS: u64 = 0x11;
    pub const FSC_EXTERNAL_WALK: u64 = 0x14;
    pub const FSC_ALIGNMENT: u64 = 0x21;
    pub const FSC_DEBUG: u64 = 0x22;
    pub const FSC_GPF_WALK: u64 = 0x24;
    pub const FSC_GPF: u64 = 0x28;
    pub const FSC_UNSUPPORTED_EXCLUSIVE: u64 = 0x35;

    // Aborts.
    pub const ESR_EC_SHIFT: u32 = 26;
    pub const ESR_EC_MASK: u64 = 0xfc000000;
    pub const ESR_IL: u64 = 0x2000000;
    pub const ESR_ISS_SHIFT: u32 = 0;
    pub const ESR_ISS_MASK: u64 = 0x1ffffff;
    pub const ESR_SET_SHIFT: u32 = 11;
    pub const ESR_SET_MASK: u64 = 0x1800;
    pub const ESR_FNV: u64 = 0x400;
    pub const ESR_EA: u64 = 0x200;
    pub const ESR_S1PTW: u64 = 0x80;
    pub const ESR_FSC_SHIFT: u32 = 0;
    pub const ESR_FSC_MASK: u64 = 0x3f;
    pub const ESR_ISV: u64 = 0x1000000;
    pub const ESR_SAS_SHIFT: u32 = 22;
    pub const ESR_SAS_MASK: u64 = 0xc00000;
    pub const ESR_SSE: u64 = 0x200000;
    pub const ESR_SRT_SHIFT: u32 = 16;
    pub const ESR_SRT_MASK: u64 = 0x1f0000;
    pub const ESR_SF: u64 = 0x8000;
    pub const ESR_AR: u64 = 0x4000;
    pub const ESR_VNCR: u64 = 0x2000;
    pub const ESR_CM: u64 = 0x100;
    pub const ESR_WNR: u64 = 0x40;

    // SVC, HVC, SMC and BRK.
    pub const ESR_IMM16_SHIFT: u32 = 0;
    pub const ESR_IMM16_MASK: u64 = 0xffff;

    // A trapped MSR, MRS or SYS.
    pub const ESR_SYS_OP0_SHIFT: u32 = 20;
    pub const ESR_SYS_OP0_MASK: u64 = 0x300000;
    pub const ESR_SYS_OP2_SHIFT: u32 = 17;
    pub const ESR_SYS_OP2_MASK: u64 = 0xe0000;
    pub const ESR_SYS_OP1_SHIFT: u32 = 14;
    pub const ESR_SYS_OP1_MASK: u64 = 0x1c000;
    pub const ESR_SYS_CRN_SHIFT: u32 = 10;
    pub const ESR_SYS_CRN_MASK: u64 = 0x3c00;
    pub const ESR_SYS_RT_SHIFT: u32 = 5;
    pub const ESR_SYS_RT_MASK: u64 = 0x3e0;
    pub const ESR_SYS_CRM_SHIFT: u32 = 1;
    pub const ESR_SYS_CRM_MASK: u64 = 0x1e;
    pub const ESR_SYS_DIRECTION: u64 = 0x1;

    // A trapped WFI or WFE.
    pub const ESR_WFX_CV: u64 = 0x1000000;
    pub const ESR_WFX_COND_SHIFT: u32 = 20;
    pub const ESR_WFX_COND_MASK: u64 = 0xf00000;
    pub const ESR_WFX_RN_SHIFT: u32 = 5;
    pub const ESR_WFX_RN_MASK: u64 = 0x3e0;
    pub const ESR_WFX_RV: u64 = 0x4;
    pub const ESR_WFX_TI_SHIFT: u32 = 0;
    pub const ESR_WFX_TI_MASK: u64 = 0x3;

    // An SError.
    pub const ESR_SERROR_IDS: u64 = 0x1000000;
    pub const ESR_SERROR_AET_SHIFT: u32 = 10;
    pub const ESR_SERROR_AET_MASK: u64 = 0x1c00;
    pub const ESR_SERROR_EA: u64 = 0x200;
    pub const ESR_SERROR_DFSC_SHIFT: u32 = 0;
    pub const ESR_SERROR_DFSC_MASK: u64 = 0x3f;

}

/// GICv3 (IHI 0069): interrupt IDs, frames and the CPU interface.
pub mod gic {
    // Private interrupts of the Base System Architecture.
    pub const INTID_PMU: u64 = 0x17;
    pub const INTID_MAINTENANCE: u64 = 0x19;
    pub const INTID_CNTHP: u64 = 0x1a;
    pub const INTID_CNTV: u64 = 0x1b;
    pub const INTID_CNTHV: u64 = 0x1c;
    pub const INTID_CNTPS: u64 = 0x1d;
    pub const INTID_CNTP: u64 = 0x1e;

    // Where the kinds of interrupts begin, and the INTID that says there is none.
    pub const INTID_SPI: u64 = 0x20;
    pub const INTID_SPECIAL: u64 = 0x3fc;
    pub const INTID_SPURIOUS: u64 = 0x3ff;
    pub const INTID_LPI: u64 = 0x2000;

    // The distributor's frame.
    pub const GICD_CTLR: u64 = 0x0;
    pub const GICD_TYPER: u64 = 0x4;
    pub const GICD_IIDR: u64 = 0x8;
    pub const GICD_SETSPI_NSR: u64 = 0x40;
    pub const GICD_CLRSPI_NSR: u64 = 0x48;
    pub const GICD_SETSPI_SR: u64 = 0x50;
    pub const GICD_CLRSPI_SR: u64 = 0x58;
    pub const GICD_IGROUPR: u64 = 0x80;
    pub const GICD_ISENABLER: u64 = 0x100;
    pub const GICD_ICENABLER: u64 = 0x180;
    pub const GICD_ISPENDR: u64 = 0x200;
    pub const GICD_ICPENDR: u64 = 0x280;
    pub const GICD_ISACTIVER: u64 = 0x300;
    pub const GICD_ICACTIVER: u64 = 0x380;
    pub const GICD_IPRIORITYR: u64 = 0x400;
    pub const GICD_ICFGR: u64 = 0xc00;
    pub const GICD_IGRPMODR: u64 = 0xd00;
    pub const GICD_NSACR: u64 = 0xe00;
    pub const GICD_IROUTER: u64 = 0x6000;
    pub const GICD_PIDR2: u64 = 0xffe8;

    // GICD_CTLR, as Non-secure accesses and a Realm see it.
    pub const GICD_CTLR_ENABLEGRP1: u64 = 0x1;
    pub const GICD_CTLR_ENABLEGRP1A: u64 = 0x2;
    pub const GICD_CTLR_ARE_NS: u64 = 0x10;
    pub const GICD_CTLR_DS: u64 = 0x40;
    pub const GICD_CTLR_RWP: u64 = 0x80000000;

    // GICD_TYPER.
    pub const GICD_TYPER_ITLINESNUMBER_SHIFT: u32 = 0;
    pub const GICD_TYPER_ITLINESNUMBER_MASK: u64 = 0x1f;
    pub const GICD_TYPER_CPUNUMBER_SHIFT: u32 = 5;
    pub const GICD_TYPER_CPUNUMBER_MASK: u64 = 0xe0;
    pub const GICD_TYPER_SECURITYEXTN: u64 = 0x400;
    pub const GICD_TYPER_MBIS: u64 = 0x10000;
    pub const GICD_TYPER_LPIS: u64 = 0x20000;
    pub const GICD_TYPER_DVIS: u64 = 0x40000;
    pub const GICD_TYPER_IDBITS_SHIFT: u32 = 19;
    pub const GICD_TYPER_IDBITS_MASK: u64 = 0xf80000;
    pub const GICD_TYPER_A3V: u64 = 0x1000000;
    pub const GICD_TYPER_NO1N: u64 = 0x2000000;
    pub const GICD_TYPER_RSS: u64 = 0x4000000;

    // GICD_IROUTER.
    pub const GICD_IROUTER_AFF0_SHIFT: u32 = 0;
    pub const GICD_IROUTER_AFF0_MASK: u64 = 0xff;
    pub const GICD_IROUTER_AFF1_SHIFT: u32 = 8;
    pub const GICD_IROUTER_AFF1_MASK: u64 = 0xff00;
    pub const GICD_IROUTER_AFF2_SHIFT: u32 = 16;
    pub const GICD_IROUTER_AFF2_MASK: u64 = 0xff0000;
    pub const GICD_IROUTER_IRM: u64 = 0x80000000;
    pub const GICD_IROUTER_AFF3_SHIFT: u32 = 32;
    pub const GICD_IROUTER_AFF3_MASK: u64 = 0xff00000000;

    // A redistributor's first frame.
    pub const GICR_CTLR: u64 = 0x0;
    pub const GICR_IIDR: u64 = 0x4;
    pub const GICR_TYPER: u64 = 0x8;
    pub const GICR_WAKER: u64 = 0x14;
    pub const GICR_PIDR2: u64 = 0xffe8;

    // Its second one has the distributor's registers for SGIs and PPIs; then comes the next redistributor.
    pub const GICR_SGI: u64 = 0x10000;
    pub const GICR_STRIDE: u64 = 0x20000;

    // GICR_TYPER.
    pub const GICR_TYPER_PLPIS: u64 = 0x1;
    pub const GICR_TYPER_LAST: u64 = 0x10;
    pub const GICR_TYPER_PROCESSOR_NUMBER_SHIFT: u32 = 8;
    pub const GICR_TYPER_PROCESSOR_NUMBER_MASK: u64 = 0xffff00;
    pub const GICR_TYPER_AFFINITY_VALUE_SHIFT: u32 = 32;
    pub const GICR_TYPER_AFFINITY_VALUE_MASK: u64 = 0xffffffff00000000;

    // GICR_WAKER.
    pub const GICR_WAKER_PROCESSORSLEEP: u64 = 0x2;
    pub const GICR_WAKER_CHILDRENASLEEP: u64 = 0x4;

    // ICC_SGI1R_EL1.
    pub const ICC_SGI1R_TARGETLIST_SHIFT: u32 = 0;
    pub const ICC_SGI1R_TARGETLIST_MASK: u64 = 0xffff;
    pub const ICC_SGI1R_AFF1_SHIFT: u32 = 16;
    pub const ICC_SGI1R_AFF1_MASK: u64 = 0xff0000;
    pub const ICC_SGI1R_INTID_SHIFT: u32 = 24;
    pub const ICC_SGI1R_INTID_MASK: u64 = 0xf000000;
    pub const ICC_SGI1R_AFF2_SHIFT: u32 = 32;
    pub const ICC_SGI1R_AFF2_MASK: u64 = 0xff00000000;
    pub const ICC_SGI1R_IRM: u64 = 0x10000000000;
    pub const ICC_SGI1R_RS_SHIFT: u32 = 44;
    pub const ICC_SGI1R_RS_MASK: u64 = 0xf00000000000;
    pub const ICC_SGI1R_AFF3_SHIFT: u32 = 48;
    pub const ICC_SGI1R_AFF3_MASK: u64 = 0xff000000000000;

    // ICH_LR<n>_EL2, RmiRecRun.gicv3_lrs.
    pub const ICH_LR_VINTID_SHIFT: u32 = 0;
    pub const ICH_LR_VINTID_MASK: u64 = 0xffffffff;
    pub const ICH_LR_PINTID_SHIFT: u32 = 32;
    pub const ICH_LR_PINTID_MASK: u64 = 0x1fff00000000;
    pub const ICH_LR_EOI: u64 = 0x20000000000;
    pub const ICH_LR_PRIORITY_SHIFT: u32 = 48;
    pub const ICH_LR_PRIORITY_MASK: u64 = 0xff000000000000;
    pub const ICH_LR_GROUP: u64 = 0x1000000000000000;
    pub const ICH_LR_HW: u64 = 0x2000000000000000;
    pub const ICH_LR_STATE_SHIFT: u32 = 62;
    pub const ICH_LR_STATE_MASK: u64 = 0xc000000000000000;

    // Its state.
    pub const ICH_LR_STATE_INVALID: u64 = 0x0;
    pub const ICH_LR_STATE_PENDING: u64 = 0x1;
    pub const ICH_LR_STATE_ACTIVE: u64 = 0x2;
    pub const ICH_LR_STATE_PENDING_ACTIVE: u64 = 0x3;

    // ICH_HCR_EL2, RmiRecRun.gicv3_hcr.
    pub const ICH_HCR_EN: u64 = 0x1;
    pub const ICH_HCR_UIE: u64 = 0x2;
    pub const ICH_HCR_LRENPIE: u64 = 0x4;
    pub const ICH_HCR_NPIE: u64 = 0x8;
    pub const ICH_HCR_VGRP0EIE: u64 = 0x10;
    pub const ICH_HCR_VGRP0DIE: u64 = 0x20;
    pub const ICH_HCR_VGRP1EIE: u64 = 0x40;
    pub const ICH_HCR_VGRP1DIE: u64 = 0x80;
    pub const ICH_HCR_TC: u64 = 0x400;
    pub const ICH_HCR_TALL0: u64 = 0x800;
    pub const ICH_HCR_TALL1: u64 = 0x1000;
    pub const ICH_HCR_TSEI: u64 = 0x2000;
    pub const ICH_HCR_TDIR: u64 = 0x4000;
    pub const ICH_HCR_EOICOUNT_SHIFT: u32 = 27;
    pub const ICH_HCR_EOICOUNT_MASK: u64 = 0xf8000000;

    // ICH_MISR_EL2, RmiRecRun.gicv3_misr.
    pub const ICH_MISR_EOI: u64 = 0x1;
    pub const ICH_MISR_U: u64 = 0x2;
    pub const ICH_MISR_LRENP: u64 = 0x4;
    pub const ICH_MISR_NP: u64 = 0x8;
    pub const ICH_MISR_VGRP0E: u64 = 0x10;
    pub const ICH_MISR_VGRP0D: u64 = 0x20;
    pub const ICH_MISR_VGRP1E: u64 = 0x40;
    pub const ICH_MISR_VGRP1D: u64 = 0x80;

    // ICH_VMCR_EL2, RmiRecRun.gicv3_vmcr.
    pub const ICH_VMCR_VENG0: u64 = 0x1;
    pub const ICH_VMCR_VENG1: u64 = 0x2;
    pub const ICH_VMCR_VACKCTL: u64 = 0x4;
    pub const ICH_VMCR_VFIQEN: u64 = 0x8;
    pub const ICH_VMCR_VCBPR: u64 = 0x10;
    pub const ICH_VMCR_VEOIM: u64 = 0x200;
    pub const ICH_VMCR_VBPR1_SHIFT: u32 = 18;
    pub const ICH_VMCR_VBPR1_MASK: u64 = 0x1c0000;
    pub const ICH_VMCR_VBPR0_SHIFT: u32 = 21;
    pub const ICH_VMCR_VBPR0_MASK: u64 = 0xe00000;
    pub const ICH_VMCR_VPMR_SHIFT: u32 = 24;
    pub const ICH_VMCR_VPMR_MASK: u64 = 0xff000000;

}

/// System registers (DDI 0487, D24) and stage 1 descriptors (D8.3): their fields.
pub mod sysreg {
    // SCTLR_EL1, and SCTLR_EL2 where it has the field.
    pub const SCTLR_M: u64 = 0x1;
    pub const SCTLR_A: u64 = 0x2;
    pub const SCTLR_C: u64 = 0x4;
    pub const SCTLR_SA: u64 = 0x8;
    pub const SCTLR_SA0: u64 = 0x10;
    pub const SCTLR_NAA: u64 = 0x40;
    pub const SCTLR_UMA: u64 = 0x200;
    pub const SCTLR_ENRCTX: u64 = 0x400;
    pub const SCTLR_EOS: u64 = 0x800;
    pub const SCTLR_I: u64 = 0x1000;
    pub const SCTLR_ENDB: u64 = 0x2000;
    pub const SCTLR_DZE: u64 = 0x4000;
    pub const SCTLR_UCT: u64 = 0x8000;
    pub const SCTLR_NTWI: u64 = 0x10000;
    pub const SCTLR_NTWE: u64 = 0x40000;
    pub const SCTLR_WXN: u64 = 0x80000;
    pub const SCTLR_IESB: u64 = 0x200000;
    pub const SCTLR_EIS: u64 = 0x400000;
    pub const SCTLR_SPAN: u64 = 0x800000;
    pub const SCTLR_E0E: u64 = 0x1000000;
    pub const SCTLR_EE: u64 = 0x2000000;
    pub const SCTLR_UCI: u64 = 0x4000000;
    pub const SCTLR_ENDA: u64 = 0x8000000;
    pub const SCTLR_ENIB: u64 = 0x40000000;
    pub const SCTLR_ENIA: u64 = 0x80000000;
    pub const SCTLR_DSSBS: u64 = 0x100000000000;

    // TCR_EL1.
    pub const TCR_T0SZ_SHIFT: u32 = 0;
    pub const TCR_T0SZ_MASK: u64 = 0x3f;
    pub const TCR_EPD0: u64 = 0x80;
    pub const TCR_IRGN0_SHIFT: u32 = 8;
    pub const TCR_IRGN0_MASK: u64 = 0x300;
    pub const TCR_ORGN0_SHIFT: u32 = 10;
    pub const TCR_ORGN0_MASK: u64 = 0xc00;
    pub const TCR_SH0_SHIFT: u32 = 12;
    pub const TCR_SH0_MASK: u64 = 0x3000;
    pub const TCR_TG0_SHIFT: u32 = 14;
    pub const TCR_TG0_MASK: u64 = 0xc000;
    pub const TCR_T1SZ_SHIFT: u32 = 16;
    pub const TCR_T1SZ_MASK: u64 = 0x3f0000;
    pub const TCR_A1: u64 = 0x400000;
    pub const TCR_EPD1: u64 = 0x800000;
    pub const TCR_IRGN1_SHIFT: u32 = 24;
    pub const TCR_IRGN1_MASK: u64 = 0x3000000;
    pub const TCR_ORGN1_SHIFT: u32 = 26;
    pub const TCR_ORGN1_MASK: u64 = 0xc000000;
    pub const TCR_SH1_SHIFT: u32 = 28;
    pub const TCR_SH1_MASK: u64 = 0x30000000;
    pub const TCR_TG1_SHIFT: u32 = 30;
    pub const TCR_TG1_MASK: u64 = 0xc0000000;
    pub const TCR_IPS_SHIFT: u32 = 32;
    pub const TCR_IPS_MASK: u64 = 0x700000000;
    pub const TCR_AS: u64 = 0x1000000000;
    pub const TCR_TBI0: u64 = 0x2000000000;
    pub const TCR_TBI1: u64 = 0x4000000000;
    pub const TCR_HA: u64 = 0x8000000000;
    pub const TCR_HD: u64 = 0x10000000000;
    pub const TCR_HPD0: u64 = 0x20000000000;
    pub const TCR_HPD1: u64 = 0x40000000000;
    pub const TCR_TBID0: u64 = 0x8000000000000;
    pub const TCR_TBID1: u64 = 0x10000000000000;
    pub const TCR_E0PD0: u64 = 0x80000000000000;
    pub const TCR_E0PD1: u64 = 0x100000000000000;

    // TCR_EL2.
    pub const TCR_EL2_T0SZ_SHIFT: u32 = 0;
    pub const TCR_EL2_T0SZ_MASK: u64 = 0x3f;
    pub const TCR_EL2_IRGN0_SHIFT: u32 = 8;
    pub const TCR_EL2_IRGN0_MASK: u64 = 0x300;
    pub const TCR_EL2_ORGN0_SHIFT: u32 = 10;
    pub const TCR_EL2_ORGN0_MASK: u64 = 0xc00;
    pub const TCR_EL2_SH0_SHIFT: u32 = 12;
    pub const TCR_EL2_SH0_MASK: u64 = 0x3000;
    pub const TCR_EL2_TG0_SHIFT: u32 = 14;
    pub const TCR_EL2_TG0_MASK: u64 = 0xc000;
    pub const TCR_EL2_PS_SHIFT: u32 = 16;
    pub const TCR_EL2_PS_MASK: u64 = 0x70000;
    pub const TCR_EL2_TBI: u64 = 0x100000;
    pub const TCR_EL2_HA: u64 = 0x200000;
    pub const TCR_EL2_HD: u64 = 0x400000;
    pub const TCR_EL2_RES1_23: u64 = 0x800000;
    pub const TCR_EL2_HPD: u64 = 0x1000000;
    pub const TCR_EL2_TBID: u64 = 0x20000000;
    pub const TCR_EL2_RES1_31: u64 = 0x80000000;

    // HCR_EL2.
    pub const HCR_VM: u64 = 0x1;
    pub const HCR_SWIO: u64 = 0x2;
    pub const HCR_PTW: u64 = 0x4;
    pub const HCR_FMO: u64 = 0x8;
    pub const HCR_IMO: u64 = 0x10;
    pub const HCR_AMO: u64 = 0x20;
    pub const HCR_VF: u64 = 0x40;
    pub const HCR_VI: u64 = 0x80;
    pub const HCR_VSE: u64 = 0x100;
    pub const HCR_FB: u64 = 0x200;
    pub const HCR_BSU_SHIFT: u32 = 10;
    pub const HCR_BSU_MASK: u64 = 0xc00;
    pub const HCR_DC: u64 = 0x1000;
    pub const HCR_TWI: u64 = 0x2000;
    pub const HCR_TWE: u64 = 0x4000;
    pub const HCR_TID0: u64 = 0x8000;
    pub const HCR_TID1: u64 = 0x10000;
    pub const HCR_TID2: u64 = 0x20000;
    pub const HCR_TID3: u64 = 0x40000;
    pub const HCR_TSC: u64 = 0x80000;
    pub const HCR_TIDCP: u64 = 0x100000;
    pub const HCR_TACR: u64 = 0x200000;
    pub const HCR_TSW: u64 = 0x400000;
    pub const HCR_TPCP: u64 = 0x800000;
    pub const HCR_TPU: u64 = 0x1000000;
    pub const HCR_TTLB: u64 = 0x2000000;
    pub const HCR_TVM: u64 = 0x4000000;
    pub const HCR_TGE: u64 = 0x8000000;
    pub const HCR_TDZ: u64 = 0x10000000;
    pub const HCR_HCD: u64 = 0x20000000;
    pub const HCR_TRVM: u64 = 0x40000000;
    pub const HCR_RW: u64 = 0x80000000;
    pub const HCR_CD: u64 = 0x100000000;
    pub const HCR_ID: u64 = 0x200000000;
    pub const HCR_E2H: u64 = 0x400000000;
    pub const HCR_TLOR: u64 = 0x800000000;
    pub const HCR_TERR: u64 = 0x1000000000;
    pub const HCR_TEA: u64 = 0x2000000000;
    pub const HCR_APK: u64 = 0x10000000000;
    pub const HCR_API: u64 = 0x20000000000;
    pub const HCR_NV: u64 = 0x40000000000;
    pub const HCR_NV1: u64 = 0x80000000000;
    pub const HCR_AT: u64 = 0x100000000000;
    pub const HCR_NV2: u64 = 0x200000000000;
    pub const HCR_FWB: u64 = 0x400000000000;
    pub const HCR_FIEN: u64 = 0x800000000000;
    pub const HCR_GPF: u64 = 0x1000000000000;
    pub const HCR_TID4: u64 = 0x2000000000000;
    pub const HCR_TICAB: u64 = 0x4000000000000;
    pub const HCR_AMVOFFEN: u64 = 0x8000000000000;
    pub const HCR_TOCU: u64 = 0x10000000000000;
    pub const HCR_ENSCXT: u64 = 0x20000000000000;
    pub const HCR_TTLBIS: u64 = 0x40000000000000;
    pub const HCR_TTLBOS: u64 = 0x80000000000000;
    pub const HCR_ATA: u64 = 0x100000000000000;
    pub const HCR_DCT: u64 = 0x200000000000000;
    pub const HCR_TID5: u64 = 0x400000000000000;
    pub const HCR_TWEDEN: u64 = 0x800000000000000;
    pub const HCR_TWEDEL_SHIFT: u32 = 60;
    pub const HCR_TWEDEL_MASK: u64 = 0xf000000000000000;

    // CPACR_EL1.
    pub const CPACR_ZEN_SHIFT: u32 = 16;
    pub const CPACR_ZEN_MASK: u64 = 0x30000;
    pub const CPACR_FPEN_SHIFT: u32 = 20;
    pub const CPACR_FPEN_MASK: u64 = 0x300000;
    pub const CPACR_TTA: u64 = 0x10000000;

    // PSTATE in SPSR_ELx.
    pub const PSTATE_MODE_SHIFT: u32 = 0;
    pub const PSTATE_MODE_MASK: u64 = 0xf;
    pub const PSTATE_SP: u64 = 0x1;
    pub const PSTATE_EL_SHIFT: u32 = 2;
    pub const PSTATE_EL_MASK: u64 = 0xc;
    pub const PSTATE_AARCH32: u64 = 0x10;
    pub const PSTATE_F: u64 = 0x40;
    pub const PSTATE_I: u64 = 0x80;
    pub const PSTATE_A: u64 = 0x100;
    pub const PSTATE_D: u64 = 0x200;
    pub const PSTATE_DAIF_SHIFT: u32 = 6;
    pub const PSTATE_DAIF_MASK: u64 = 0x3c0;
    pub const PSTATE_BTYPE_SHIFT: u32 = 10;
    pub const PSTATE_BTYPE_MASK: u64 = 0xc00;
    pub const PSTATE_SSBS: u64 = 0x1000;
    pub const PSTATE_IL: u64 = 0x100000;
    pub const PSTATE_SS: u64 = 0x200000;
    pub const PSTATE_PAN: u64 = 0x400000;
    pub const PSTATE_UAO: u64 = 0x800000;
    pub const PSTATE_DIT: u64 = 0x1000000;
    pub const PSTATE_V: u64 = 0x10000000;
    pub const PSTATE_C: u64 = 0x20000000;
    pub const PSTATE_Z: u64 = 0x40000000;
    pub const PSTATE_N: u64 = 0x80000000;
    pub const PSTATE_NZCV_SHIFT: u32 = 28;
    pub const PSTATE_NZCV_MASK: u64 = 0xf0000000;

    // PSTATE of code that starts, interrupts masked.
    pub const PSTATE_EL1H_MASKED: u64 = 0x3c5;
    pub const PSTATE_EL2H_MASKED: u64 = 0x3c9;

    // MPIDR_EL1.
    pub const MPIDR_AFF0_SHIFT: u32 = 0;
    pub const MPIDR_AFF0_MASK: u64 = 0xff;
    pub const MPIDR_AFF1_SHIFT: u32 = 8;
    pub const MPIDR_AFF1_MASK: u64 = 0xff00;
    pub const MPIDR_AFF2_SHIFT: u32 = 16;
    pub const MPIDR_AFF2_MASK: u64 = 0xff0000;
    pub const MPIDR_MT: u64 = 0x1000000;
    pub const MPIDR_U: u64 = 0x40000000;
    pub const MPIDR_RES1: u64 = 0x80000000;
    pub const MPIDR_AFF3_SHIFT: u32 = 32;
    pub const MPIDR_AFF3_MASK: u64 = 0xff00000000;

    // Aff3 to Aff0.
    pub const MPIDR_AFFINITY: u64 = 0xff00ffffff;

    // CNTV_CTL_EL0, CNTP_CTL_EL0, CNTHP_CTL_EL2, CNTHV_CTL_EL2.
    pub const CNT_CTL_ENABLE: u64 = 0x1;
    pub const CNT_CTL_IMASK: u64 = 0x2;
    pub const CNT_CTL_ISTATUS: u64 = 0x4;

    // PAR_EL1 after an AT that succeeded.
    pub const PAR_F: u64 = 0x1;
    pub const PAR_SH_SHIFT: u32 = 7;
    pub const PAR_SH_MASK: u64 = 0x180;
    pub const PAR_NS: u64 = 0x200;
    pub const PAR_RES1: u64 = 0x800;
    pub const PAR_PA_SHIFT: u32 = 12;
    pub const PAR_PA_MASK: u64 = 0xfffffffff000;
    pub const PAR_ATTR_SHIFT: u32 = 56;
    pub const PAR_ATTR_MASK: u64 = 0xff00000000000000;

    // Types of stage 1 descriptors.
    pub const S1_BLOCK: u64 = 0x1;
    pub const S1_PAGE: u64 = 0x3;
    pub const S1_TABLE: u64 = 0x3;

    // A page or block descriptor of stage 1.
    pub const S1_TYPE_SHIFT: u32 = 0;
    pub const S1_TYPE_MASK: u64 = 0x3;
    pub const S1_ATTRINDX_SHIFT: u32 = 2;
    pub const S1_ATTRINDX_MASK: u64 = 0x1c;
    pub const S1_NS: u64 = 0x20;
    pub const S1_AP_SHIFT: u32 = 6;
    pub const S1_AP_MASK: u64 = 0xc0;
    pub const S1_USER: u64 = 0x40;
    pub const S1_READ_ONLY: u64 = 0x80;
    pub const S1_SH_SHIFT: u32 = 8;
    pub const S1_SH_MASK: u64 = 0x300;
    pub const S1_AF: u64 = 0x400;
    pub const S1_NG: u64 = 0x800;
    pub const S1_ADDRESS_SHIFT: u32 = 12;
    pub const S1_ADDRESS_MASK: u64 = 0xfffffffff000;
    pub const S1_DBM: u64 = 0x8000000000000;
    pub const S1_CONTIGUOUS: u64 = 0x10000000000000;
    pub const S1_PXN: u64 = 0x20000000000000;
    pub const S1_UXN: u64 = 0x40000000000000;

}

/// FF-A 1.1 (DEN0077A).
pub mod ffa {
    // Functions.
    pub const FFA_ERROR: u64 = 0x84000060;
    pub const FFA_SUCCESS: u64 = 0x84000061;
    pub const FFA_INTERRUPT: u64 = 0x84000062;
    pub const FFA_VERSION: u64 = 0x84000063;
    pub const FFA_FEATURES: u64 = 0x84000064;
    pub const FFA_PARTITION_INFO_GET: u64 = 0x84000068;
    pub const FFA_ID_GET: u64 = 0x84000069;
    pub const FFA_MSG_WAIT: u64 = 0x8400006b;
    pub const FFA_RUN: u64 = 0x8400006d;
    pub const FFA_MSG_SEND_DIRECT_REQ: u64 = 0x8400006f;
    pub const FFA_MSG_SEND_DIRECT_RESP: u64 = 0x84000070;
    pub const FFA_SPM_ID_GET: u64 = 0x84000085;
    pub const FFA_SUCCESS_64: u64 = 0xc4000061;
    pub const FFA_MSG_SEND_DIRECT_REQ_64: u64 = 0xc400006f;
    pub const FFA_MSG_SEND_DIRECT_RESP_64: u64 = 0xc4000070;
    pub const FFA_PARTITION_INFO_GET_REGS_64: u64 = 0xc400008b;

    // The interface that this is.
    pub const FFA_1_1: u64 = 0x10001;

    // W2 of FFA_ERROR.
    pub const FFA_NOT_SUPPORTED: u64 = 0xffffffff;
    pub const FFA_INVALID_PARAMETERS: u64 = 0xfffffffe;
    pub const FFA_NO_MEMORY: u64 = 0xfffffffd;
    pub const FFA_BUSY: u64 = 0xfffffffc;
    pub const FFA_INTERRUPTED: u64 = 0xfffffffb;
    pub const FFA_DENIED: u64 = 0xfffffffa;
    pub const FFA_RETRY: u64 = 0xfffffff9;
    pub const FFA_ABORTED: u64 = 0xfffffff8;

    // The partition manager, and the Secure payload.
    pub const FFA_ID_SPMC: u64 = 0x8000;
    pub const FFA_ID_PARTITION: u64 = 0x8001;

}

/// The calls of a Secure payload to EL3, which are those of TF-A's dispatcher for its test payload.
pub mod tsp {
    // Functions: what has been done.
    pub const TSP_ENTRY_DONE: u64 = 0xf2000000;
    pub const TSP_ON_DONE: u64 = 0xf2000001;
    pub const TSP_OFF_DONE: u64 = 0xf2000002;
    pub const TSP_SUSPEND_DONE: u64 = 0xf2000003;
    pub const TSP_RESUME_DONE: u64 = 0xf2000004;
    pub const TSP_PREEMPTED: u64 = 0xf2000005;
    pub const TSP_HANDLED_S_EL1_INTR: u64 = 0xf2000006;
    pub const TSP_ABORT_DONE: u64 = 0xf2000007;
    pub const TSP_SYSTEM_OFF_DONE: u64 = 0xf2000008;
    pub const TSP_SYSTEM_RESET_DONE: u64 = 0xf2000009;
    pub const TSP_GET_ARGS: u64 = 0xf2001000;

    // Calls of Non-secure software about a preempted call, and what they return.
    pub const TSP_RESUME: u64 = 0x32003000;
    pub const TSP_ABORT: u64 = 0xb2003001;
    pub const TSP_IS_PREEMPTED: i64 = -2;

}

/// Realmlab's host: its functions behind RSI_HOST_CALL, and its map of a Realm.
pub mod host {
    // The immediate.
    pub const HOST_CALL_IMM: u64 = 0x524c;

    // gprs[0]; the result comes back there.
    pub const HOST_CONSOLE_WRITE: u64 = 0x1;
    pub const HOST_EXIT: u64 = 0x2;
    pub const HOST_GET_TICKS: u64 = 0x3;
    pub const HOST_GIVE_UP: u64 = 0x4;

    // The most bytes of a CONSOLE_WRITE.
    pub const HOST_CONSOLE_MAX: u64 = 0xe8;

    // IPAs. Devices are in the shared half: set the highest bit of the IPA width.
    pub const REALM_RAM: u64 = 0x80000000;
    pub const REALM_UART: u64 = 0x1000000;
    pub const REALM_RTC: u64 = 0x1010000;
    pub const REALM_GICD: u64 = 0x3fff0000;

    // Interrupts of the devices: INTIDs.
    pub const REALM_UART_INTID: u64 = 0x20;
    pub const REALM_RTC_INTID: u64 = 0x21;

}
