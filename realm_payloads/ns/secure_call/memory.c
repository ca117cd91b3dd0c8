// Suite `memory`: Secure memory is out of reach here, and `secure` reads and writes Non-secure memory only.
// SPDX-License-Identifier: BSD-3-Clause
#include "secure_call.h"
#include "pe.h"
#include "platform.h"
#include "rmi.h"
#include "smc.h"

#define TEXT "what Non-secure software wants to have signed"

static u8 buffer[PAGE_SIZE] __attribute__((aligned(4096)));
static u8 granule[PAGE_SIZE] __attribute__((aligned(4096)));
static u64 macs[3][SECURE_MAC_SIZE / 8];

static void fault_on(const char *how, u64 ec, struct fault *fault)
{
    want(how, fault->taken == 1 && ESR_EC(fault->esr) == ec && ESR_FSC(fault->esr) == FSC_GPF, true);
}

void suite_memory(void)
{
    const u64 size = sizeof(TEXT) - 1;
    struct fault fault;

    suite("memory");
    CATCH(fault)
        (void)*(volatile u64 *)SECURE_MEMORY;
    fault_on("a load from Secure memory is a GPF", EC_DATA_ABORT_SAME, &fault);
    CATCH(fault)
        *(volatile u64 *)SECURE_MEMORY = 0;
    fault_on("a store to it is a GPF", EC_DATA_ABORT_SAME, &fault);
    CATCH(fault)
        ((void (*)(void))SECURE_MEMORY)();
    fault_on("a fetch from it is a GPF", EC_INSTRUCTION_ABORT_SAME, &fault);
    for (u64 i = 0; i < size; i++)
        buffer[i] = (u8)TEXT[i];
    want("a MAC of Non-secure memory", call(SECURE_MAC, (u64)buffer, size, (u64)macs[0], 0)[0], 0);
    want("another one", call(SECURE_MAC, (u64)buffer, size, (u64)macs[1], 0)[0], 0);
    want("is the same", macs[0][0] == macs[1][0] && macs[0][3] == macs[1][3], true);
    want("of a byte less", call(SECURE_MAC, (u64)buffer, size - 1, (u64)macs[2], 0)[0], 0);
    want("is not", macs[0][0] == macs[2][0], false);
    want("a MAC of Secure memory", call(SECURE_MAC, SECURE_MEMORY, size, (u64)macs[2], 0)[0], SECURE_FAULT);
    want("a MAC into it", call(SECURE_MAC, (u64)buffer, size, SECURE_MEMORY, 0)[0], SECURE_FAULT);
    want("a granule becomes Realm", SMC(RMI_GRANULE_DELEGATE, (u64)granule).x[0], 0);
    want("a MAC of Realm memory", call(SECURE_MAC, (u64)granule, size, (u64)macs[2], 0)[0], SECURE_FAULT);
    want("a MAC into it", call(SECURE_MAC, (u64)buffer, size, (u64)granule, 0)[0], SECURE_FAULT);
    want("the granule comes back", SMC(RMI_GRANULE_UNDELEGATE, (u64)granule).x[0], 0);
    want("and serves again", call(SECURE_MAC, (u64)granule, size, (u64)macs[2], 0)[0], 0);
    want("Secure memory cannot be delegated", SMC(RMI_GRANULE_DELEGATE, SECURE_MEMORY).x[0] & 0xff, 1);
}
