"""What the RMM keeps in Realm memory: granules, Realms, RECs, RTTs, measurements."""
