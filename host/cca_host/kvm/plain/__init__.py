"""Plain VMs: guests at Non-secure EL1, whose stage 2, interrupts and calls are the host's alone."""
