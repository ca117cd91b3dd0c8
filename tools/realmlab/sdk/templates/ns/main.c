// @NAME@: a payload at Non-secure EL2, where a hypervisor would be.
#include "ns.h"
#include "pe.h"
#include "rmi.h"
#include "smc.h"

int main(void)
{
    struct smc version = SMC(RMI_VERSION, RMI_ABI_1_0);

    mmu_tables();
    mmu_on();
    pe_setup(&pes[0]);
    print("Hello from Non-secure EL2: RMI ");
    print_number(version.x[1] >> 16, 10);
    print(".");
    print_number(version.x[1] & 0xffff, 10);
    print("\n");
    return 0;           // turns the machine off
}
