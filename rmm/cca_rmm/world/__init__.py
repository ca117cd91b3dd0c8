"""The Realm world: entry, exit, virtual interrupts, syndromes."""
