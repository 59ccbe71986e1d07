"""Programs that compute energies: FHI-aims, and any calculator of ASE."""
