"""Species files for the stand-in: the keywords that FHI-aims needs, with a basis that nobody should use."""

from pathlib import Path

from ase.data import atomic_masses, atomic_numbers

TEMPLATE = """\
  species        {symbol}
    nucleus             {number}
    mass                {mass:.4f}
    l_hartree           4
    cut_pot             3.5  1.5  1.0
    basis_dep_cutoff    1e-4
    radial_base         40 5.0
    radial_multiplier   1
    angular_grids       specified
      division   0.5   50
      outer_grid  302
    valence      1  s   1.
    ion_occ      1  s   0.5
     hydro 2 p 1.4
"""


def write_species(folder, symbols, sets=("light",)):
    """A folder of species as FHI-aims ships it: species_defaults/defaults_2020/light/12_Mg_default."""
    for name in sets:
        place = Path(folder, "defaults_2020", name)
        place.mkdir(parents=True, exist_ok=True)
        for symbol in symbols:
            number = atomic_numbers[symbol]
            text = TEMPLATE.format(symbol=symbol, number=number, mass=atomic_masses[number])
            (place / f"{number:02d}_{symbol}_default").write_text(text)
    return str(folder)
