// An exception on a console, in words.
// SPDX-License-Identifier: BSD-3-Clause
#include "explain.h"
#include "print.h"

void print_exception(const char *what, u64 esr, u64 elr, u64 far)
{
    print_hex(what, esr);
    print_hex(", ELR ", elr);
    print_hex(", FAR ", far);
    print(": ");
    print(explain_class(esr));
    if (*explain_fault(esr)) {
        print(", ");
        print(explain_fault(esr));
    }
    print("\n");
}
