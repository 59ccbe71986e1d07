"""Labels from computed energies: Pourbaix decomposition, formation, hull, gap."""
