// @NAME@: a payload at Realm EL1.
#include "rsi.h"
#include "runtime.h"

int main(void)
{
    struct smc version = rsi_version(RSI_ABI_1_0);

    printf("Hello from Realm EL1: RSI %lu.%lu\n", version.x[1] >> 16, version.x[1] & 0xffff);
    return 0;           // the exit status of `realmlab run`
}
