#!/usr/bin/env python3
"""A stand-in for FHI-aims in tests: reads control.in and geometry.in as strictly, and writes outputs in the same format.

The energy is an analytic pair potential (Morse, smoothly cut off) on top of constants for the atoms, relaxed with its exact
derivatives; the gap is a function of the composition and the functional. A static run of opposite moments is lower by 0.05 eV for
each. Nothing else of the physics is right.

``STAND_IN_FAULTS`` asks for trouble: comma-separated ``MODE[:FORMULA[:TIMES]]`` with any formula of the composition. TIMES counts
attempts by the number in the name of the folder, ``attempt-N``. Modes: crash, hang, kill, disk, scf (until mixing is slow), smear
(until occupations are broad), relax (until more steps are allowed), bands (a crash after the energy, where bands are asked for),
orphan (the parent process dies, then the program), queue (the same after one step of a relaxation), beyond (a nice day without the
results of GW or RPA).
``STAND_IN_SECONDS`` is how long each run sleeps first.
"""

import math
import os
import re
import signal
import sys
import time
from pathlib import Path

import numpy as np
from stand_in_beyond import beyond
from stand_in_energy import energy, gap_of, relax
from stand_in_output import (
    XC,
    channels,
    cycle,
    final,
    head,
    mulliken,
    preamble,
    say,
    structure_block,
    tolerance_of,
    write_bands,
    write_next_step,
)

KEYWORDS = {
    *(
        "xc",
        "hse_unit",
        "hybrid_xc_coeff",
        "relativistic",
        "spin",
        "k_grid",
        "k_grid_density",
        "sc_iter_limit",
        "output",
    ),
    *("charge_mix_param", "occupation_type", "relax_geometry", "relax_unit_cell", "max_relaxation_steps"),
    *("exx_band_structure_version", "sc_accuracy_rho", "sc_accuracy_etot", "sc_accuracy_forces", "compute_forces"),
    *("qpe_calc", "total_energy_method", "anacon_type", "freq_grid_type", "frequency_points", "n_anacon_par"),
    *("charge", "mixer", "n_max_pulay", "default_initial_moment", "include_spin_orbit", "override_illconditioning"),
}
SPECIES_KEYWORDS = {
    *(
        "nucleus",
        "mass",
        "l_hartree",
        "cut_pot",
        "basis_dep_cutoff",
        "radial_base",
        "radial_multiplier",
        "angular_grids",
    ),
    *("division", "outer_grid", "valence", "ion_occ", "hydro", "ionic", "basis_acc", "angular_min", "cite_reference"),
}
SPECIES_NEEDED = ("nucleus", "mass", "l_hartree", "cut_pot", "radial_base", "valence")


class Stop(Exception):
    """The program ends itself with a message, as aims_stop does."""


def read_control(text):
    """Settings, band segments and species of a control.in; raises Stop where FHI-aims would."""
    settings, bands, species, block = {}, [], {}, None
    for raw in text.splitlines():
        words = raw.partition("#")[0].split()
        if not words:
            continue
        key, values = words[0], words[1:]
        if key == "species":
            block = species.setdefault(values[0], {})
        elif block is not None and key in SPECIES_KEYWORDS:
            block[key] = values
        elif block is not None and key not in KEYWORDS:
            raise Stop(f"*** Species-related keyword '{key}' in control.in is unknown.")
        elif key not in KEYWORDS:
            raise Stop(f"*** Unknown keyword {key} in input file control.in.")
        elif key == "output":
            if values[0] == "mulliken":
                settings["mulliken"] = values
                continue
            if values[0] != "band":
                raise Stop(f"*** Unknown output type {values[0]} in input file control.in.")
            bands.append((np.array(values[1:4], float), np.array(values[4:7], float), int(values[7]), values[8:]))
        elif not values:
            raise Stop(f"*** Syntax error reading keyword {key}: no value.")
        else:
            settings[key] = values
    check_control(settings, species)
    return settings, bands, species


def check_control(settings, species):
    if "xc" not in settings or settings["xc"][0] not in XC:
        raise Stop("*** No valid exchange-correlation functional in control.in.")
    if settings["xc"][0] == "hse06" and (len(settings["xc"]) < 2 or "hse_unit" not in settings):
        raise Stop("*** xc hse06 needs a screening parameter and hse_unit.")
    if "relativistic" not in settings:
        raise Stop("*** No treatment of relativity given in control.in.")
    for name, block in species.items():
        missing = [key for key in SPECIES_NEEDED if key not in block]
        if missing:
            raise Stop(f"*** Species {name}: missing {', '.join(missing)}.")


def read_geometry(text):
    lattice, symbols, places, moments = [], [], [], []
    for raw in text.splitlines():
        words = raw.partition("#")[0].split()
        if not words:
            continue
        if words[0] == "lattice_vector":
            lattice.append([float(x) for x in words[1:4]])
        elif words[0] in ("atom", "atom_frac"):
            place = np.array(words[1:4], float)
            places.append(place @ np.array(lattice) if words[0] == "atom_frac" else place)
            symbols.append(words[4])
            moments.append(0.0)
        elif words[0] == "initial_moment":
            moments[-1] = float(words[1])
        elif words[0] not in ("trust_radius", "hessian_file", "initial_charge", "constrain_relaxation"):
            raise Stop(f"*** Unknown keyword {words[0]} in input file geometry.in.")
    if len(lattice) not in (0, 3) or not symbols:
        raise Stop("*** geometry.in: needs atoms, and no or three lattice vectors.")
    return np.array(lattice) if lattice else None, symbols, np.array(places), moments


def check_together(settings, species, lattice, symbols, places, moments):
    if settings.get("spin") == ["collinear"] and not any(moments) and "default_initial_moment" not in settings:
        raise Stop("*** Spin-polarised run, but neither initial_moment nor default_initial_moment.")
    for symbol in dict.fromkeys(symbols):
        if symbol not in species:
            raise Stop(f"*** Species {symbol} in geometry.in is not defined in control.in.")
    if lattice is not None and not {"k_grid", "k_grid_density"} & settings.keys():
        raise Stop("*** Periodic geometry, but no k_grid in control.in.")
    if lattice is None and {"k_grid", "k_grid_density", "relax_unit_cell"} & settings.keys():
        raise Stop("*** k_grid and relax_unit_cell need a periodic geometry.")
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)[np.triu_indices(len(places), 1)]
    if len(apart) and apart.min() < 0.2:
        raise Stop("*** check_for_close_encounters: two atoms are closer than 0.2 AA.")


def fault(symbols):
    """The mode that is asked for here and now, or nothing."""
    attempt = int(re.sub(r"attempt-", "", Path.cwd().name)) if Path.cwd().name.startswith("attempt-") else 1
    for word in filter(None, os.environ.get("STAND_IN_FAULTS", "").split(",")):
        mode, which, times = (*word.split(":"), "", "")[:3]
        if (not which or reduced(re.findall(r"([A-Z][a-z]?)(\d*)", which)) == reduced((s, 1) for s in symbols)) and (
            attempt <= int(times or 10**9)
        ):
            return mode
    return ""


def reduced(amounts):
    """Element -> atoms in the smallest formula."""
    counts = {}
    for symbol, n in amounts:
        counts[symbol] = counts.get(symbol, 0) + int(n or 1)
    return {symbol: n // math.gcd(*counts.values()) for symbol, n in counts.items()}


def ruin(mode):
    """End as the mode says, in the middle of a cycle."""
    say(f"\n{'-' * 60}\n          Begin self-consistency loop: Initialization.\n{'-' * 60}")
    if mode in ("orphan", "queue"):
        os.kill(os.getppid(), signal.SIGKILL)
    if mode in ("kill", "orphan", "queue"):
        os.kill(os.getpid(), signal.SIGKILL)
    if mode == "hang":
        time.sleep(3600)
    if mode == "disk":
        print(
            "forrtl: No space left on device\nforrtl: severe (38): error during write, unit 6, file aims.out",
            file=sys.stderr,
        )
        sys.exit(38)
    print("forrtl: severe (174): SIGSEGV, segmentation fault occurred", file=sys.stderr)
    sys.exit(174)


def main():
    time.sleep(float(os.environ.get("STAND_IN_SECONDS", "0")))
    preamble()
    control, geometry = Path("control.in").read_text(), Path("geometry.in").read_text()
    lattice, symbols, places, moments = read_geometry(geometry)
    settings, bands, species = read_control(control)
    check_together(settings, species, lattice, symbols, places, moments)
    head(control, geometry, settings, lattice, symbols, places)
    mode = fault(symbols)
    if mode and mode not in ("scf", "smear", "relax", "queue", "bands", "beyond"):
        ruin(mode)
    converges = mode != "scf" or float(settings.get("charge_mix_param", ["0.2"])[0]) <= 0.05
    if mode == "smear":
        converges = float(settings.get("occupation_type", ["gaussian", "0.01"])[1]) >= 0.05
    gap = gap_of(symbols, settings["xc"][0])
    if converges and settings.get("relax_geometry", ["none"])[0] != "none":
        value = relaxation(settings, symbols, places, lattice, moments, gap, mode)
    else:
        state = (places, lattice, *energy(symbols, places, lattice))
        state = (*state[:2], state[2] + exchange(moments), *state[3:])
        cycle(1, settings, state, symbols, moments, gap, converges, with_forces=False)
        value = state[2]
    if bands and mode == "bands":
        ruin("crash")
    if "mulliken" in settings and channels(settings) == 2:
        mulliken([0.9 * moment for moment in moments])
    if bands and converges:
        write_bands(bands, symbols, gap, channels(settings))
    if converges and mode != "beyond":
        beyond(settings, value, gap, channels(settings), lattice is not None, bool(bands))
    final(value)


def relaxation(settings, symbols, places, lattice, moments, gap, mode):
    """Print a relaxation, keep its geometry after each step, and give its last energy."""
    most = int(settings.get("max_relaxation_steps", ["1000"])[0])
    stuck = mode == "relax" and most <= 100
    moves_cell = lattice is not None and settings.get("relax_unit_cell", ["none"])[0] != "none"
    path, reached = relax(symbols, places, lattice, moves_cell, tolerance_of(settings), 1 if stuck else most)
    reached = reached and not stuck
    for number, state in enumerate(path, 1):
        cycle(number, settings, state, symbols, moments, gap, converges=True, with_forces=True)
        largest = max(np.abs(state[3]).max(), np.abs(state[4]).max() if moves_cell else 0.0)
        say("  Geometry optimization: Attempting to predict improved coordinates.\n")
        say(f"  Maximum force component is  {largest:12.6E} eV/A.")
        last = number == len(path)
        say(f"  Present geometry is {'converged' if last and reached else 'not yet converged'}.\n")
        write_next_step(symbols, state[0], state[1])
        if mode == "queue" and number == 2:
            ruin(mode)
        if not last:
            say(f"  Relaxation step number {number:6d}: Predicting new coordinates.\n")
            structure_block("Updated", symbols, *path[number][:2])
            say(f'{"-" * 60}\n  Writing the current geometry to file "geometry.in.next_step".')
    if not reached:
        say("  Aborting optimization.\n")
    say("-" * 60)
    structure_block("Final", symbols, *path[-1][:2])
    say("-" * 60)
    return path[-1][2]


def exchange(moments):
    """Energy of the moments, in eV: opposite ones are lower by 0.05 eV an atom that has one."""
    magnetic = [moment for moment in moments if moment]
    return -0.05 * len(magnetic) if min(magnetic, default=0) < 0 < max(magnetic, default=0) else 0.0


if __name__ == "__main__":
    try:
        main()
    except Stop as stop:
        say(f"\n  {stop}\n")
        sys.exit(1)
