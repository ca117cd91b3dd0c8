// Finds the words for a syndrome in the tables of abi/words.h.
// SPDX-License-Identifier: BSD-3-Clause
#include "explain.h"
#include "abi/words.h"
#include "esr.h"

struct words {
    u8 number;
    const char *words;
};
#define ROW(number, words) {number, words},

static const struct words classes[] = {EC_WORDS(ROW)}, faults[] = {FSC_WORDS(ROW)};

static const char *find(const struct words *table, size_t size, u64 number, const char *otherwise)
{
    for (size_t i = 0; i < size; i++)
        if (table[i].number == number)
            return table[i].words;
    return otherwise;
}

const char *explain_class(u64 esr) { return find(classes, ARRAY_SIZE(classes), ESR_EC(esr), "exception"); }

const char *explain_fault(u64 esr)
{
    switch (ESR_EC(esr)) {
    case EC_INSTRUCTION_ABORT:
    case EC_INSTRUCTION_ABORT_SAME:
    case EC_DATA_ABORT:
    case EC_DATA_ABORT_SAME:
        return find(faults, ARRAY_SIZE(faults), ESR_FSC(esr), "fault");
    default:
        return "";
    }
}
