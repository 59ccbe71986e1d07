"""A run is believed only when it says itself that it ended well, and nothing damaged is ever believed."""

import dataclasses
import gzip
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sisso_sal.errors import InputError
from sisso_sal.oracle.engines import aims_verdict
from sisso_sal.oracle.engines.aims_verdict import judge_run

SAMPLES = Path(__file__).parents[3].parent / "shared" / "aims_samples"
needs_samples = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason="the FHI-aims sample outputs are not beside the repository"
)

# verdict, energy (eV), gap (eV), atoms, version
EXPECTED = {
    "01_MgMn2O4_afm_relax/aims.out.gz": ("finished", -153874.396793522, 1.04737675, 14, "240507"),
    "02_MgMn2O4_afm_static/aims.out": ("finished", -153874.396793502, 1.04737612, 14, "240507"),
    "04_Si_double_relax_light/aims.out": ("finished", -15800.2255448853, 0.83783433, 2, "230813"),
    "06_O2_relax_nonspin/aims.out": ("finished", -4092.08150090721, 7e-08, 2, "220309"),
    "07_Si_static_bands/aims.out": ("finished", -15802.6474520444, 0.64065312, 2, "230522"),
    "08_HSE06_SOC_2D_killed/aims.out": ("interrupted", -1072219.54763892, 1.19816948, 6, "221103"),
    "15_preamble_fail/preamble_fail.out": ("failed", None, None, 0, None),
    "16_derived_failures/relax_abort_nice.out.gz": (
        "relaxation_not_converged",
        -15800.2255448853,
        0.83783433,
        2,
        "230813",
    ),
    "16_derived_failures/relax_cut_in_scf_step3.out.gz": ("interrupted", -153874.395352921, 1.03004259, 14, "240507"),
    "16_derived_failures/scf_notconv_nice.out.gz": ("scf_not_converged", -15800.099740991, 0.62301319, 2, "230813"),
    "16_derived_failures/scf_notconv_nonice.out.gz": ("scf_not_converged", -15800.099740991, 0.62301319, 2, "230813"),
}

HEAD = """\
------------------------------------------------------------
          Invoking FHI-aims ...
  FHI-aims version      : 240920
  Parsing control.in (first pass over file, find array dimensions only).
{control}
  | Number of atoms                   :       13
  {requested}
"""
CYCLE = """\
          Begin self-consistency loop: Initialization.
          Begin self-consistency iteration #    1
  ESTIMATED overall HOMO-LUMO gap:      1.25000000 eV between HOMO at k-point 1 and LUMO at k-point 4
{outcome}
  | Total energy uncorrected      :         {energy} eV
  | Electronic free energy        :         -0.1000E+03 eV
"""
NICE = """\
  Final output of selected total energy values:

          Have a nice day.
------------------------------------------------------------
"""
REACHED = "  Self-consistency cycle converged."
MISSED = "  * WARNING! SELF-CONSISTENCY CYCLE DID NOT CONVERGE"
NOT_ASKED = "Geometry relaxation not requested: no relaxation will be performed."
ASKED = "Geometry relaxation: Modified BFGS - TRM (trust radius method) for lattice optimization."


def head(control="xc pbe", requested=NOT_ASKED):
    return HEAD.format(control=control, requested=requested)


def cycle(outcome=REACHED, energy="-0.123456789012345E+03"):
    return CYCLE.format(outcome=outcome, energy=energy)


STATIC = head() + cycle() + NICE
RELAXED = (
    head("  relax_geometry bfgs 1e-2", ASKED)
    + cycle()
    + "  Present geometry is not yet converged.\n"
    + cycle(energy="-0.124E+03")
    + "  Present geometry is converged.\n"
    + NICE
)


def judged(folder, content):
    path = folder / "aims.out"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return judge_run(path)


@needs_samples
@pytest.mark.parametrize("name", EXPECTED)
def test_samples_are_judged_as_they_were_by_hand(name):
    verdict, energy, gap, n_atoms, version = EXPECTED[name]
    found = judge_run(SAMPLES / name)
    assert found.verdict == verdict
    assert found.energy_eV == (None if energy is None else pytest.approx(energy, rel=1e-14))
    assert (found.gap_eV, found.n_atoms, found.version) == (gap, n_atoms, version)


@needs_samples
@pytest.mark.parametrize("name", [name for name in EXPECTED if EXPECTED[name][0] == "finished"])
def test_a_sample_that_lost_its_end_is_not_believed(tmp_path, name):
    raw = (SAMPLES / name).read_bytes()
    lines = (gzip.decompress(raw) if name.endswith(".gz") else raw).splitlines(keepends=True)
    closing = max(i for i, line in enumerate(lines) if b"Have a nice day." in line)
    cuts = [*range(0, closing, max(1, closing // 12)), closing]
    for cut in cuts:
        found = judged(tmp_path, b"".join(lines[:cut]))
        assert found.verdict in ({"interrupted", "failed"} if cut < 3 else {"interrupted"}), cut


@needs_samples
@pytest.mark.parametrize("name", ["02_MgMn2O4_afm_static/aims.out", "08_HSE06_SOC_2D_killed/aims.out"])
def test_an_output_that_lost_its_head_is_judged_by_what_it_holds(tmp_path, name):
    """A wrapper that keeps the last lines takes the banner: the same verdict and energy, as long as a cycle is there."""
    lines = (SAMPLES / name).read_bytes().splitlines(keepends=True)
    cycle = max(i for i, line in enumerate(lines) if b"Begin self-consistency loop" in line)
    whole = judge_run(SAMPLES / name)
    for cut in (1, 10, cycle // 2, cycle):
        found = judged(tmp_path, b"".join(lines[cut:]))
        assert (found.verdict, found.energy_eV, found.gap_eV) == (whole.verdict, whole.energy_eV, whole.gap_eV), cut
    energy = max(i for i, line in enumerate(lines) if b"Total energy uncorrected" in line)
    assert judged(tmp_path, b"".join(lines[energy + 1 :])).reason == "needs an FHI-aims output, found other content"


def test_without_banner_a_run_is_judged_as_with_it(tmp_path):
    bare = "".join(line for line in STATIC.splitlines(keepends=True) if "FHI-aims" not in line)
    assert judged(tmp_path, bare).verdict == "finished"
    assert judged(tmp_path, bare.replace("Self-consistency cycle converged", "")).verdict == "scf_not_converged"
    assert judged(tmp_path, "Have a nice day.\n").verdict == "failed"


def test_a_static_run_is_finished_and_tells_its_numbers(tmp_path):
    found = judged(tmp_path, STATIC)
    assert found.as_dict() == {
        "verdict": "finished",
        "reason": "the run ended with a converged self-consistency cycle",
        "energy_eV": -123.456789012345,
        "gap_eV": 1.25,
        "n_atoms": 13,
        "version": "240920",
        "energy_definition": "total energy uncorrected",
        "n_tasks": 1,
        "n_cycles": 1,
    }
    assert json.loads(json.dumps(found.as_dict())) == found.as_dict()
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.verdict = "failed"


def test_a_relaxation_is_finished_with_the_energy_of_its_last_step(tmp_path):
    found = judged(tmp_path, RELAXED)
    assert (found.verdict, found.energy_eV) == ("finished", -124.0)
    assert "converged geometry" in found.reason


RUNS = {
    "unconverged with a nice day": (
        head() + cycle(MISSED) + NICE,
        "scf_not_converged",
        "self-consistency cycle 1 did not converge",
    ),
    "unconverged and stopped": (
        head() + cycle("") + "*** scf_solver: SCF cycle not converged.\n",
        "scf_not_converged",
        "did not converge, and the run did not end with",
    ),
    "nice day inside a cycle": (
        head() + cycle("") + NICE,
        "scf_not_converged",
        "no line says that cycle 1 converged",
    ),
    "only the last cycle counts": (head() + cycle(MISSED) + cycle() + NICE, "finished", "the run ended"),
    "relaxation given up": (
        RELAXED.replace("is converged.", "is not yet converged.\n  Aborting optimization."),
        "relaxation_not_converged",
        "given up in step 2",
    ),
    "relaxation without a last word": (
        RELAXED.replace("  Present geometry is converged.\n", ""),
        "relaxation_not_converged",
        "no line says that the present geometry is converged",
    ),
    "relaxation asked for in the echo only": (
        head("relax_geometry bfgs 1e-2", "") + cycle() + NICE,
        "relaxation_not_converged",
        "no line says",
    ),
    "relaxation commented out": (head("# relax_geometry bfgs 1e-2", "") + cycle() + NICE, "finished", "the run ended"),
    "relaxation of kind none": (head("relax_geometry none", "") + cycle() + NICE, "finished", "the run ended"),
    "not a number": (
        head() + cycle(energy="NaN") + NICE,
        "failed",
        "the last cycle needs a finite total energy uncorrected, found 'NaN'",
    ),
    "overflow": (head() + cycle(energy="*********") + NICE, "failed", "found '*********'"),
    "energy of an earlier cycle only": (
        RELAXED.replace("  | Total energy uncorrected      :         -0.124E+03 eV\n", ""),
        "failed",
        "needs a finite total energy uncorrected, found none",
    ),
    "no cycle at all": (head() + NICE, "failed", "the run ended without a self-consistency cycle"),
    "killed": (
        head() + cycle() + "=   KILLED BY SIGNAL: 9 (Killed)\n=====\n",
        "interrupted",
        "(KILLED BY SIGNAL: 9 (Killed))",
    ),
    "out of time": (
        head() + cycle("") + "slurmstepd: error: *** JOB 1 CANCELLED AT 2026-01-01 DUE TO TIME LIMIT ***\n",
        "interrupted",
        "in self-consistency cycle 1, without 'Have a nice day.' (slurmstepd: error: *** JOB 1 CANCELLED",
    ),
    "crash of the program": (
        head() + cycle("") + "forrtl: severe (174): SIGSEGV, segmentation fault occurred\nImage PC\n",
        "failed",
        "the run stopped with: forrtl: severe (174)",
    ),
    "stopped by its own check": (
        head() + "*** check_for_close_encounters: atoms 1 and 2 coincide\n",
        "failed",
        "the run stopped with: *** check_for_close_encounters",
    ),
    "a last warning is no error": (
        head() + "*** Warning: band gap may exist\n",
        "interrupted",
        "before the first self",
    ),
    "an earlier good run in the same file": (STATIC + head() + cycle(""), "interrupted", "in self-consistency cycle 1"),
    "an earlier bad run in the same file": (head() + cycle(MISSED) + STATIC, "finished", "the run ended"),
    "only the good wish": ("          Have a nice day.\n", "failed", "needs an FHI-aims output, found other content"),
    "empty": ("", "failed", "needs an FHI-aims output, found nothing"),
    "binary": (bytes(range(256)) * 40, "failed", "needs an FHI-aims output, found other content"),
    "no line end": (b"x" * 1_000_000, "failed", "needs an FHI-aims output, found nothing"),
    "broken gzip": (b"\x1f\x8b" + b"\x00" * 50, "failed", "needs an FHI-aims output, found a damaged file"),
}


@pytest.mark.parametrize("case", RUNS)
def test_every_kind_of_end_has_its_verdict_and_reason(tmp_path, case):
    content, verdict, reason = RUNS[case]
    found = judged(tmp_path, content)
    assert found.verdict == verdict
    assert reason in found.reason
    assert "\n" not in found.reason


@pytest.mark.parametrize("whole", [STATIC, RELAXED], ids=["static", "relaxed"])
def test_a_run_cut_anywhere_before_its_last_words_is_not_finished(tmp_path, whole):
    last_words = whole.index("Have a nice day.") + len("Have a nice day.")
    for cut in range(len(whole)):
        found = judged(tmp_path, whole[:cut])
        assert (found.verdict == "finished") == (cut >= last_words)
        assert found.energy_eV in {None, -123.456789012345, -124.0}
        assert found.gap_eV in {None, 1.25}
        assert found.n_atoms in {0, 13}


@pytest.mark.parametrize("whole", [STATIC, RELAXED], ids=["static", "relaxed"])
def test_a_compressed_run_cut_anywhere_is_not_finished(tmp_path, whole):
    raw = gzip.compress(whole.encode(), mtime=0)
    assert judged(tmp_path, raw).verdict == "finished"
    for cut in range(len(raw)):
        assert judged(tmp_path, raw[:cut]).verdict in {"failed", "interrupted", "relaxation_not_converged"}


def test_a_run_that_lost_any_one_line_is_judged_without_fault(tmp_path):
    lines = RELAXED.splitlines(keepends=True)
    needed = ("cycle converged", "Total energy uncorrected", "geometry is converged", "nice day")
    last = {max(i for i, line in enumerate(lines) if word in line) for word in needed}
    for lost in range(len(lines)):
        found = judged(tmp_path, "".join(lines[:lost] + lines[lost + 1 :]))
        if lost in last:
            assert found.verdict != "finished", lines[lost]


@given(st.lists(st.one_of(st.sampled_from(RELAXED.splitlines(keepends=True)), st.text(max_size=8)), max_size=30))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_shuffled_lines_have_a_verdict(tmp_path, lines):
    found = judged(tmp_path, "".join(lines).encode("utf-8", errors="replace"))
    if found.verdict == "finished":
        assert found.energy_eV is not None
    assert found.reason


def test_what_is_no_file_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match=r"nowhere.out: there is no such file"):
        judge_run(tmp_path / "nowhere.out")
    with pytest.raises(InputError, match="found a folder; name the file in it"):
        judge_run(tmp_path)
    with pytest.raises(InputError, match="found a device or pipe"):
        judge_run("/dev/null")
    with pytest.raises(InputError, match="cannot be read: embedded null byte"):
        judge_run("a\0b")


def test_a_disk_that_fails_is_an_oracle_error(tmp_path, monkeypatch):
    path = tmp_path / "aims.out"
    path.write_text(STATIC)

    def failing(*args, **options):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(aims_verdict, "open", failing, raising=False)
    with pytest.raises(aims_verdict.OracleError, match=r"aims.out: cannot be read: Input/output error"):
        judge_run(path)
