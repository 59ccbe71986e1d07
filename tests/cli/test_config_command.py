"""`sisso-sal config`: the settings with where they come from, and the published schema."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from sisso_sal.cli import cli
from sisso_sal.settings.campaign import CampaignSettings, known_settings, load_settings
from sisso_sal.settings.layers import user_file

SCHEMA = Path(__file__).parents[2] / "docs" / "settings.schema.json"


def run(*arguments, code=0, **environment):
    done = CliRunner().invoke(cli, [str(a) for a in arguments], env=environment)
    assert done.exit_code == code, done.output
    return done


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "campaign.toml"
    path.write_text('goal = "max"\n[model]\nrung = 1\n')
    return path


def test_config_show_prints_a_settings_file_that_means_the_same(config, tmp_path):
    shown = run("config", "show", "--config", config, SISSO_SAL_OPERATORS="add,div", SISSO_SAL_GOAL="<=0.3")
    (tmp_path / "again.toml").write_text(shown.stdout)
    again = load_settings(tmp_path / "again.toml", {})
    assert (again.goal, again.model.rung, again.model.operators) == ("<=0.3", 1, ("add", "div"))
    assert (again.model.dim, again.model.n_sis) == (3, 20)  # the defaults of an ensemble, filled in
    assert shown.stderr.splitlines()[0].startswith(f"note: your own settings file is {user_file()}")
    assert shown.stderr.splitlines()[-1].startswith("Next: ")
    assert run("config", "show", "--quiet").stderr == ""


def test_config_show_tells_origins_as_text_and_as_json(config):
    lines = run("config", "show", "--origin", "--config", config, SISSO_SAL_BATCH="4").stdout.splitlines()
    told = {line.split(" = ")[0]: line.rpartition("  # ")[2] for line in lines if " = " in line}
    assert told["batch"] == "environment SISSO_SAL_BATCH"
    assert told["rung"] == f"campaign {config}"
    assert told["members"] == "default"
    done = run("config", "show", "--origin", "--config", config, "--json", SISSO_SAL_BATCH="4")
    document = json.loads(done.stdout)
    assert done.stderr == ""
    assert document["origins"].keys() == known_settings().keys()
    assert document["origins"]["batch"] == {"value": 4, "kind": "environment", "place": "SISSO_SAL_BATCH"}
    assert document["settings"]["goal"] == document["origins"]["goal"]["value"] == "max"
    assert "origins" not in json.loads(run("config", "show", "--json").stdout)


def test_the_published_schema_is_the_one_that_the_command_prints_and_describes_every_setting():
    document = json.loads(run("config", "schema").stdout)
    assert document == json.loads(SCHEMA.read_text(encoding="utf-8"))
    assert document["properties"]["goal"]["description"].startswith("min, max")
    sections = {
        key: value["$ref"].rpartition("/")[2] for key, value in document["properties"].items() if "$ref" in value
    }
    for name in known_settings():
        section, _, key = name.rpartition(".")
        entry = (document["$defs"][sections[section]] if section else document)["properties"][key]
        assert entry["description"], name
    assert CampaignSettings().batch == document["properties"]["batch"]["default"]
