"""The processing element: levels, exceptions, interrupts, timers, traps."""
