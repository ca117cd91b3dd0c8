//! What stands between the Realm and its program: calls by SMC, the console, the end, and exceptions.
// SPDX-License-Identifier: BSD-3-Clause
#![allow(dead_code)]

use crate::abi::{esr, host, psci, rsi};
use core::arch::{asm, global_asm};
use core::fmt::{self, Write};

global_asm!(include_str!("start.s"));

/// SMC #0 with X0 to X7; returns X0 to X7.
pub fn smc(mut x: [u64; 8]) -> [u64; 8] {
    // SAFETY: the RMM preserves every other register; a call that has effects on memory is the caller's.
    unsafe {
        asm!(".inst 0xd4000003", // smc #0, which not every target lets the assembler name
             inout("x0") x[0], inout("x1") x[1], inout("x2") x[2], inout("x3") x[3],
             inout("x4") x[4], inout("x5") x[5], inout("x6") x[6], inout("x7") x[7],
             out("x8") _, out("x9") _, out("x10") _, out("x11") _, out("x12") _, out("x13") _,
             out("x14") _, out("x15") _, out("x16") _, out("x17") _);
    }
    x
}

/// A call of Realmlab's host: function, argument, and bytes from gprs[2] on. Returns gprs[0] of the answer.
pub fn host_function(function: u64, argument: u64, bytes: &[u8]) -> u64 {
    let mut call = rsi::RsiHostCall { imm: host::HOST_CALL_IMM as u16, pad0: [0; 6], gprs: [0; 31] };
    call.gprs[0] = function;
    call.gprs[1] = argument;
    for (at, byte) in bytes.iter().enumerate() {
        call.gprs[2 + at / 8] |= u64::from(*byte) << (8 * (at % 8));
    }
    let status = smc([rsi::RSI_HOST_CALL, &mut call as *mut _ as u64, 0, 0, 0, 0, 0, 0])[0];
    // SAFETY: the host has written to it meanwhile.
    if status == rsi::RSI_SUCCESS { unsafe { core::ptr::read_volatile(&call.gprs[0]) } } else { u64::MAX }
}

/// The Realm's console.
pub struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.as_bytes().chunks(host::HOST_CONSOLE_MAX as usize) {
            host_function(host::HOST_CONSOLE_WRITE, part.len() as u64, part);
        }
        Ok(())
    }
}

/// Prints a line on the console.
#[macro_export]
macro_rules! println {
    ($($argument:tt)*) => {{
        use core::fmt::Write;
        let _ = writeln!($crate::runtime::Console, $($argument)*);
    }};
}

/// Ends the run with a status.
pub fn exit(status: u8) -> ! {
    leave(host::HOST_EXIT, status)
}

fn leave(function: u64, status: u8) -> ! {
    host_function(function, u64::from(status), &[]);
    smc([psci::PSCI_SYSTEM_OFF, 0, 0, 0, 0, 0, 0, 0]);
    loop {}
}

/// Called by start.s.
#[no_mangle]
extern "C" fn payload_main(device_tree: u64) -> ! {
    exit(crate::main(device_tree))
}

/// Called by start.s for every exception.
#[no_mangle]
extern "C" fn exception(vector: u64, esr: u64, elr: u64, far: u64) -> ! {
    let class = (esr & esr::ESR_EC_MASK) >> esr::ESR_EC_SHIFT;
    println!("exception at vector {vector}: class {class:#x}, ESR {esr:#x}, ELR {elr:#x}, FAR {far:#x}");
    leave(host::HOST_GIVE_UP, 3)
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    println!("{info}");
    exit(3)
}
