"""Running a REC: entry, exit, virtual interrupts, syndromes."""
