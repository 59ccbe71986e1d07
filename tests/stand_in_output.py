"""The output of the stand-in for FHI-aims, in the format of version 240507: aims.out, geometry.in.next_step, band files."""

import time
from pathlib import Path

import numpy as np
from ase.data import atomic_numbers

HARTREE = 27.211384500
XC = {
    "pbe": "Using PBE gradient-corrected functionals.",
    "pbesol": "Using PBEsol gradient-corrected functionals.",
    "hse06": "Using HSE-functional with OMEGA =  0.1100E+00 <units>.",
    "pbe0": "Using hybrid-PBE0 functionals.",
    "pw-lda": "Using Perdew-Wang parametrisation of Ceperley-Alder LDA.",
    "r2scan": "Using r2SCAN meta-GGA.",
}


def say(text=""):
    print(text, flush=True)


def preamble():
    """What the program says before it reads anything."""
    say("-" * 60 + "\n          Invoking FHI-aims ...\n\n          (a stand-in for tests)\n\n" + "-" * 60 + "\n\n")
    say(f"  Date     :  {time.strftime('%Y%m%d')}, Time     :  {time.strftime('%H%M%S')}.000")
    say(
        "  Time zero on CPU 1             :   0.100000000000000E+00  s.\n  Internal wall clock time zero  :           500000000.000  s.\n"
    )
    say("  FHI-aims created a unique identifier for this run for later identification")
    say("  aims_uuid : 00000000-0000-4000-8000-000000000000\n")
    say("  Build configuration of the current instance of FHI-aims")
    say("  " + "-" * 55)
    say("  FHI-aims version      : 240507\n  Commit number         : 000000000\n  Using MPI\n")
    say("  Using        1 parallel tasks.\n  Task        0 on host stand-in reporting.\n")


def head(control, geometry, settings, lattice, symbols, places):
    """The echo of the inputs and what was understood of them."""
    kinds = list(dict.fromkeys(symbols))
    electrons = sum(atomic_numbers[s] for s in symbols)
    say("  Obtaining array dimensions for all initial allocations:\n")
    for name, text in (("control.in", control), ("geometry.in", geometry)):
        say(f"  {'-' * 71}\n  Parsing {name} (first pass over file, find array dimensions only).")
        say(
            f"  The contents of {name} will be repeated verbatim below\n  unless switched off by setting 'verbatim_writeout .false.' ."
        )
        say(f"  in the first line of {name} .\n  {'-' * 71}\n")
        say("\n".join(f"  {line}" for line in text.splitlines()))
        say(f"\n  {'-' * 71}\n  Completed first pass over input file {name} .\n  {'-' * 71}\n\n")
    say("  Basic array size parameters:")
    say(
        f"  | Number of species                 : {len(kinds):8d}\n  | Number of atoms                   : {len(symbols):8d}"
    )
    if lattice is not None:
        say("  | Number of lattice vectors         :        3")
    say(f"  | Number of spin channels           : {channels(settings):8d}\n")
    say("-" * 60 + "\n          Reading file control.in.\n" + "-" * 60)
    say(f"  XC: {XC[settings['xc'][0]]}")
    say("  Scalar relativistic treatment of kinetic energy: on-site free-atom approximation to ZORA.")
    if settings.get("relax_geometry", ["none"])[0] == "none":
        say("  Geometry relaxation not requested: no relaxation will be performed.")
    else:
        say("  Geometry relaxation: Modified BFGS - TRM (trust radius method) for lattice optimization.")
        say(f"  Convergence accuracy for geometry relaxation: Maximum force <   {tolerance_of(settings):12.6E} eV/A.")
    for kind in kinds:
        say(
            f"\n  Reading configuration options for species {kind:20s}.\n  | Found nuclear charge : {atomic_numbers[kind]:8.4f}"
        )
    say("\n  Finished reading input file 'control.in'.\n\n" + "-" * 60 + "\n\n")
    say("-" * 60 + "\n          Reading geometry description geometry.in.\n" + "-" * 60)
    say("  Input structure read successfully.")
    say(
        f"  The structure contains {len(symbols):8d} atoms,  and a total of {electrons:14.3f} electrons.\n\n  Input geometry:"
    )
    if lattice is None:
        say("  | No unit cell requested.")
    else:
        say("  | Unit cell:")
        for vector in lattice:
            say("  | " + "".join(f"{x:18.8f}" for x in vector))
    say("  | Atomic structure:\n  |       Atom                x [A]            y [A]            z [A]")
    for k, (symbol, place) in enumerate(zip(symbols, places, strict=True), 1):
        say(f"  |{k:5d}: Species {symbol:10s}" + "".join(f"{x:18.8f}" for x in place))
    say("\n\n  Finished reading input file 'geometry.in'.\n\n")
    say("  Consistency checks for stacksize environment parameter are next.\n")
    say("  No occupation type (smearing scheme) given. Defaulting to Gaussian broadening, width =  0.1000E-01 eV.")
    say(f"  | Number of Kohn-Sham states (occupied + empty): {electrons // 2 + 8:8d}")
    say(f"{'-' * 60}\n\n{'-' * 60}\n          Preparing all fixed parts of the calculation.\n{'-' * 60}")
    if lattice is not None:
        say("  Initializing the k-points\n  Using symmetry for reducing the k-points")
        say("  | k-points reduced from:        8 to        8")
        say("  | Number of k-points                             :         8\n")
    say("  | Total number of basis functions :       20")
    say(f"  | Formal number of electrons (from input files) : {electrons:17.10f}\n")


def channels(settings):
    return 2 if settings.get("spin", ["none"])[0] == "collinear" else 1


def tolerance_of(settings):
    return float(settings["relax_geometry"][1]) if len(settings["relax_geometry"]) > 1 else 1e-2


def cycle(number, settings, state, symbols, moments, gap, converges, with_forces):
    """One self-consistency cycle: blocks as FHI-aims prints them."""
    _, lattice, value, gradient, by_cell = state
    kind = "Initialization" if number == 1 else "Re-initialization"
    say(
        f"\n{'-' * 60}\n          Begin self-consistency loop: {kind}.\n\n          Date     :  20260101, Time     :  000000.000\n{'-' * 60}"
    )
    limit = int(settings.get("sc_iter_limit", ["200"])[0])
    n_iterations = 4 if converges else min(limit, 12)
    occupied = sum(atomic_numbers[s] for s in symbols) // 2
    for iteration in range(n_iterations + 1):
        off = 0.5 * 0.1**iteration if converges or iteration < 3 else 0.3
        if iteration:
            say(
                f"\n{'-' * 60}\n          Begin self-consistency iteration # {iteration:4d}\n\n  Date     :  20260101, Time     :  000000.000\n{'-' * 60}"
            )
            say("  Pulay mixing of updated and previous charge densities.")
            say(f"\n  | Chemical potential (Fermi level): {-6.0 + gap / 2:15.8f} eV")
        levels(occupied, gap, channels(settings), lattice is not None)
        say("\n  Total energy components:")
        for label in (
            "Total energy                  ",
            "Total energy, T -> 0          ",
            "Electronic free energy        ",
        ):
            tail = "  <-- do not rely on this value for anything but (periodic) metals" if "T ->" in label else ""
            say(f"  | {label}:{(value + off) / HARTREE:20.8f} Ha{value + off:20.8f} eV{tail}")
        say(
            f"\n  Derived energy quantities:\n  | Electronic free energy per atom                       : {(value + off) / len(symbols):18.8f} eV"
        )
        if not iteration:
            say("\n  End scf initialization - timings             :  max(cpu_time)    wall_clock(cpu1)")
            say("  | Time for scf. initialization                :        0.010 s           0.010 s")
            memory("Peak value for overall tracked memory usage")
            continue
        say("\n  Self-consistency convergence accuracy:")
        say(
            f"  | Change of charge density      : {off * 1e-4:11.4E}\n  | Change of sum of eigenvalues  : {off:11.4E} eV"
        )
        say(f"  | Change of total energy        : {off * 1e-2:11.4E} eV\n")
        if converges and iteration == n_iterations:
            say("  Self-consistency cycle converged.\n")
        say(
            f"\n{'-' * 60}\n  End self-consistency iteration # {iteration:5d}       :  max(cpu_time)    wall_clock(cpu1)"
        )
        say("  | Time for this iteration                     :        0.010 s           0.010 s")
        memory("Peak value for overall tracked memory usage")
    if not converges:
        say("\n  * WARNING! SELF-CONSISTENCY CYCLE DID NOT CONVERGE")
        say("  * USING YOUR SELECTED ACCURACY CRITERIA.\n  * PLEASE CHECK THE RESULT CAREFULLY.\n")
    if channels(settings) == 2:
        say(
            f"  Current spin moment of the entire structure :\n  | N = N_up - N_down (sum over all k points): {sum(moments):15.5f}"
        )
        say(f"  | S (sum over all k points)                : {sum(moments) / 2:15.5f}\n")
    say("  Energy and forces in a compact form:")
    for label in ("Total energy uncorrected      ", "Total energy corrected        ", "Electronic free energy        "):
        tail = "  <-- do not rely on this value for anything but (periodic) metals" if "y corr" in label else ""
        say(f"  | {label}: {fortran(value)} eV{tail}")
    if with_forces:
        say("  Total atomic forces (unitary forces cleaned) [eV/Ang]:")
        for k, force in enumerate(-gradient, 1):
            say(f"  |{k:5d}" + "".join(f" {fortran(x, 30)}" for x in force))
        say()
        if lattice is not None:
            stress_block(by_cell, lattice)


def memory(title, indent="  "):
    say(f"\n{indent}Partial memory accounting:\n{indent}| Current value for overall tracked memory usage:")
    for block in ("", f"{indent}| {title}:\n"):
        say(
            block
            + "\n".join(
                f"{indent}|   {name}:        1.000 MB (on task 0)" for name in ("Minimum", "Maximum", "Average")
            )
        )
    say("-" * 60)


def fortran(x, width=30):
    """A number as Fortran prints it: 0.d...E+dd."""
    if x == 0:
        return f"{'0.000000000000000E+00':>{width}s}"
    exponent = int(np.floor(np.log10(abs(x)))) + 1
    return f"{x / 10.0**exponent:.15f}E{exponent:+03d}".rjust(width)


def levels(occupied, gap, n_spins, periodic):
    """Eigenvalues at the first k-point, and the estimate of the gap."""
    top, bottom, full = -6.0, -6.0 + gap, 2.0 / n_spins
    energies = [
        *np.linspace(-25.0 - 2 * occupied, top - 8, max(occupied - 3, 0)),
        *([top] * min(3, occupied)),
        *np.linspace(bottom, bottom + 9, 8),
    ]
    say("  Writing Kohn-Sham eigenvalues.")
    for spin in range(n_spins):
        if n_spins == 2:
            say(f"\n  Spin-{('up', 'down')[spin]} eigenvalues:")
        if periodic:
            say("  K-point:       1 at    0.000000    0.000000    0.000000 (in units of recip. lattice)\n")
        say("  State    Occupation    Eigenvalue [Ha]    Eigenvalue [eV]")
        for k, e in enumerate(energies):
            say(f"  {k + 1:5d}{full if k < occupied else 0.0:14.5f}{e / HARTREE:20.6f}{e:18.5f}")
        say()
    at = "K-point:       1 at    0.000000    0.000000    0.000000 (in units of recip. lattice)"
    say("  What follows are estimated values for band gap, HOMO, LUMO, etc.")
    say("  | They are estimated on a discrete k-point grid and not necessarily exact.")
    for name, e, occupation in (
        ("Highest occupied state (VBM)", top, full),
        ("Lowest unoccupied state (CBM)", bottom, 0.0),
    ):
        say(f"\n  {name} at {e:16.8f} eV (relative to internal zero)\n  | Occupation number: {occupation:15.8f}")
        if periodic:
            say(f"  | {at}")
        if n_spins == 2:
            say("  | Spin channel:        1")
    where = " between HOMO at k-point 1 and LUMO at k-point 1" if periodic else "."
    say(f"\n  ESTIMATED overall HOMO-LUMO gap: {gap:15.8f} eV{where}")


def stress_block(by_cell, lattice):
    stress = lattice.T @ by_cell / abs(np.linalg.det(lattice))
    stress = (stress + stress.T) / 2
    bar = "  +" + "-" * 67 + "+"
    say(
        f"{bar}\n  |              Analytical stress tensor - Symmetrized               |\n  |                  Cartesian components [eV/A**3]                   |\n{bar}"
    )
    say(
        "  |                x                y                z                |\n  |                                                                   |"
    )
    for axis, row in zip("xyz", stress, strict=True):
        say(f"  |  {axis}  " + "".join(f"{x:17.8f}" for x in row) + "           |")
    say("  |                                                                   |")
    say(f"  |  Pressure: {-np.trace(stress) / 3:16.8f}   [eV/A**3]                           |\n{bar}\n")


def structure_block(title, symbols, places, lattice):
    say(f"  {title} atomic structure:\n                         x [A]             y [A]             z [A]")
    for vector in [] if lattice is None else lattice:
        say("  lattice_vector " + "".join(f"{x:18.8f}" for x in vector))
    say()
    for symbol, place in zip(symbols, places, strict=True):
        say("            atom " + "".join(f"{x:18.8f}" for x in place) + f"  {symbol}")
    say()


def write_next_step(symbols, places, lattice):
    lines = ["#", "# This is the geometry file that corresponds to the current relaxation step.", "#"]
    lines += ["lattice_vector " + "".join(f"{x:16.8f}" for x in v) for v in ([] if lattice is None else lattice)]
    if lattice is None:
        lines += ["atom " + "".join(f"{x:16.8f}" for x in p) + f" {s}" for s, p in zip(symbols, places, strict=True)]
    else:
        inside = places @ np.linalg.inv(lattice)
        lines += [
            "atom_frac " + "".join(f"{x:16.8f}" for x in p) + f" {s}" for s, p in zip(symbols, inside, strict=True)
        ]
    Path("geometry.in.next_step").write_text("\n".join([*lines, "#", "trust_radius             0.2000000030", ""]))


def write_bands(bands, symbols, gap, n_spins):
    """Cosine bands whose edges are at the zone centre."""
    occupied = sum(atomic_numbers[s] for s in symbols) // 2
    say("\n  Writing the requested band structure output (LAPACK version):\n  " + "-" * 67 + "\n")
    for number, (start, end, points, _) in enumerate(bands, 1):
        say(f"  Treating all {points:4d} k-points in band plot segment # {number:3d}:\n")
        for spin in range(n_spins):
            rows = []
            for k, t in enumerate(np.linspace(0, 1, points), 1):
                at = start + t * (end - start)
                bend = float(np.sum(1 - np.cos(2 * np.pi * at)))
                values = [-30.0] * max(occupied - 3, 0) + [-0.2 * n * bend for n in (4, 3, 2)][-occupied:]
                values += [gap + 0.3 * n * bend + 0.5 * (n - 1) for n in (1, 2, 3, 4)]
                pairs = "".join(
                    f"{2 / n_spins if m < occupied else 0.0:12.5f}{e - 6.0:19.5f}" for m, e in enumerate(values)
                )
                rows.append(f"{k:4d}" + "".join(f"{x:15.7f}" for x in at) + pairs)
            Path(f"band{spin + 1}{number:03d}.out").write_text("\n".join(rows) + "\n")


def mulliken(spins):
    """The analysis of a run with two spin channels; charges are those of neutral atoms."""
    say(f"  {'-' * 60}\n                   Starting Mulliken Analysis\n  {'-' * 60}\n")
    say(
        "  Performing Mulliken charge analysis on all atoms.\n  Full analysis will be written to separate file 'Mulliken.out'."
    )
    say("  Summary of the per-atom charge analysis:\n  |")
    say("  |  atom       electrons          charge             l=0             l=1")
    for k, _ in enumerate(spins, 1):
        say(f"  |{k:6d}" + "".join(f"{x:16.6f}" for x in (8.0, 0.0, 4.0, 4.0)))
    say("  |\n  | Total " + f"{8.0 * len(spins):16.6f}{0.0:16.6f}\n ")
    say("  Summary of the per-atom spin analysis:\n  |\n  |  atom   spin      l=0         l=1")
    for k, spin in enumerate(spins, 1):
        say(f"  |{k:6d}" + "".join(f"{x:12.6f}" for x in (spin, 0.0, spin)))
    say(f"  |\n  | Total {sum(spins):12.6f}\n \n  Writing Mulliken decomposition to disk ...\n")


def final(value):
    say("-" * 78 + "\n  Final output of selected total energy values:\n")
    say(f"  | Total energy of the DFT / Hartree-Fock s.c.f. calculation      : {value:26.9f} eV")
    say(f"  | Final zero-broadening corrected energy (caution - metals only) : {value:26.9f} eV")
    say("  | For reference only, the value of 1 Hartree used in FHI-aims is :             27.211384500 eV\n" + "-" * 78)
    say("-" * 60 + "\n          Leaving FHI-aims.\n          Date     :  20260101, Time     :  000001.000\n")
    say("          Computational steps:\n          | Number of self-consistency cycles          :            4")
    say("          | Number of SCF (re)initializations          :            1")
    say("\n          Detailed time accounting                     :  max(cpu_time)    wall_clock(cpu1)")
    say("          | Total time                                  :        0.100 s           0.100 s\n")
    memory("Peak values for overall tracked memory usage", " " * 10)
    say("          Have a nice day.\n" + "-" * 60)
