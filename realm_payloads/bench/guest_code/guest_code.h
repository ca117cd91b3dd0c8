// What the files of guest_code share: a loop counts with X19, X20 points to its data, X27 is its device, and X28 where it
// goes in the end. `repeat` closes it.
// SPDX-License-Identifier: BSD-3-Clause
        .macro  repeat label
        subs    x19, x19, #1
        b.ne    \label
        ret     x28
        .endm
