//! @NAME@: a payload at Realm EL1.
#![no_std]
#![no_main]

mod abi;
mod runtime;

use abi::rsi;

/// Called with the MMU off and interrupts masked; the result is the exit status of `realmlab run`.
fn main(_device_tree: u64) -> u8 {
    let version = runtime::smc([rsi::RSI_VERSION, rsi::RSI_ABI_1_0, 0, 0, 0, 0, 0, 0])[1];

    println!("Hello from Realm EL1: RSI {}.{}", version >> 16, version & 0xffff);
    0
}
