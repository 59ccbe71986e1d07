"""What the stand-in for FHI-aims prints after self-consistency: quasi-particle energies, and the total energy by RPA."""

from stand_in_output import HARTREE, say

RPA_SHIFT = 3.5
"""RPA total energy less that of the functional, in eV."""
TOP = -6.0


def quasi_particle_edges(gap):
    """Highest occupied and lowest unoccupied level, in eV: below and above those of the functional."""
    return TOP - 0.75 - 0.1 * gap, TOP + gap + 0.5 + 0.2 * gap


def beyond(settings, value, gap, n_spins, periodic, with_bands):
    if "qpe_calc" in settings:
        quasi_particles(gap, n_spins, periodic, with_bands)
    if settings.get("total_energy_method", [""])[0] == "rpa":
        rpa(value)


def quasi_particles(gap, n_spins, periodic, with_bands):
    vbm, cbm = quasi_particle_edges(gap)
    levels = [(TOP - 20, vbm - 21), (TOP - 1, vbm - 1.5), (TOP, vbm), (TOP + gap, cbm), (TOP + gap + 2, cbm + 2.5)]
    if periodic:
        say("  Initializing LVL tricoefficents in reciprocal space for GW ...")
    say(f"\n{'-' * 92}\n               GW quasi-particle energy levels\n")
    say("               e_qp = e_gs + e_x^ex - e_xc^gs + e_c^nloc\n")
    say("  state     occ_num        e_gs        e_x^ex        e_xc^gs        e_c^nloc        e_qp")
    say("-" * 102)
    for spin in range(n_spins):
        if n_spins == 2:
            say(f"\n               Spin {('up', 'down')[spin]}\n")
        for number, (start, level) in enumerate(levels, 1):
            occupation = 2.0 / n_spins if number <= 3 else 0.0
            say(
                f"  {number:4d}  {occupation:10.4f}{start:14.4f}{-20.0:14.4f}{-18.0:14.4f}{level - start + 2.0:14.4f}{level:14.4f}"
            )
    say("-" * 102 + "\n")
    if not periodic:
        say(f"   DFT/Hartree-Fock HOMO level (eV): {TOP:10.4f}{TOP:10.4f}\n")
        say(f"   Quasiparticle HOMO level (eV):    {vbm:10.4f}{vbm:10.4f}")
        return
    for place, name, edge in (("Valence", "maximum (VBM)", vbm), ("Conduction", "mininum (CBM)", cbm)):
        say(f"  {place} band {name} from the GW calculation is {edge:15.8f} eV (relative to internal zero)")
        say("          at the k point   0.0000  0.0000  0.0000\n")
    if with_bands:
        say('  "GW Band gap" of total set of bands:')
        say(f"  | Lowest unoccupied state: {cbm - 0.125:15.8f} eV")
        say(f"  | Highest occupied state : {vbm + 0.125:15.8f} eV")
        say(f"  | Energy difference      : {cbm - vbm - 0.25:15.8f} eV\n")


def rpa(value):
    say(f"   RPA correlation energy :  {-1.5:18.8f}  Ha, {-1.5 * HARTREE:19.8f}  eV\n\n {'-' * 68}")
    for name, energy in (
        ("DFT/HF total energy          ", value),
        ("Exchange-only total energy   ", value - 40.0),
        ("RPA total energy             ", value + RPA_SHIFT),
        ("RPA+SE total energy          ", value + RPA_SHIFT - 1.0),
    ):
        say(f"    {name}: {energy / HARTREE:21.8f} Ha,{energy:21.8f} eV")
