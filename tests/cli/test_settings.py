"""What is set for all commands: by variables and files of dask's configuration."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from astropy.io import fits
from helpers import run
from night import Night, stack, write_stack
from programs import document

from pulsar_dask.cli import settings
from pulsar_dask.tools.commands import tools


@pytest.fixture
def frames(tmp_path):
    write_stack(tmp_path / "b", "b", stack(1, 4, 300), "Bias Frame", 0.0)
    (tmp_path / "dask").mkdir()
    return tmp_path


def written(folder, text, name="pulsar-dask.yaml"):
    """A file of settings, and the variables by which it is found."""
    (folder / "dask").mkdir(exist_ok=True)
    (folder / "dask" / name).write_text(text)
    return {"DASK_CONFIG": str(folder / "dask")}


def method(path):
    return fits.getheader(path)["COMBMETH"]


def test_the_command_line_wins_then_variables_then_files(frames):
    words = ("med", "b", "m.fit")
    run(*words, cwd=frames)
    assert method(frames / "m.fit") == "median"
    file = written(frames, "pulsar-dask:\n  combine: mean\n  planes: [count]\n")
    found, _ = document(*words, cwd=frames, variables=file)
    assert method(frames / "m.fit") == "mean"
    where = str(frames / "dask" / "pulsar-dask.yaml")
    assert found["settings"] == [
        {"name": "combine", "value": "mean", "source": where},
        {"name": "planes", "value": "count", "source": where},
    ]
    variables = {**file, "DASK_PULSAR_DASK__COMBINE": "median", "DASK_PULSAR_DASK__PLANES": "none"}
    found, _ = document(*words, cwd=frames, variables=variables)
    assert method(frames / "m.fit") == "median"
    assert [one["source"] for one in found["settings"]] == ["DASK_PULSAR_DASK__COMBINE"]
    assert not (frames / "m.planes.fit").exists()
    found, _ = document(*words, "--combine", "mean", cwd=frames, variables=variables)
    assert method(frames / "m.fit") == "mean"
    assert found["settings"] == []


def test_of_one_tool_alone(tmp_path):
    Night(tmp_path)
    text = "pulsar_dask:\n  combine: mean\n  makeflat: {combine: median, output_dir: out}\n"
    file = written(tmp_path, text, "any.yml")
    variables = {**file, "DASK_PULSAR_DASK__MAKEDARK__HOT_PIXELS": "7"}
    found, _ = document("makedark", "darks", cwd=tmp_path, variables=variables)
    assert [p["pixels"] for p in found["products"] if p["what"] == "list"] == [7, 7]
    assert method(tmp_path / "dark120s.fit") == "mean"
    run("makeflat", "flats", cwd=tmp_path, variables=variables)
    assert method(tmp_path / "out" / "flat_l.fit") == "median"
    _, err = document("med", "bias*.fit", "m.fit", "-v", cwd=tmp_path, variables=variables)
    assert f"combine mean, set by dask{os.sep}any.yml\n" in err


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("MEMORY", "lots", "give gigabytes as a number"),
        ("MEMORY", "-1", "give gigabytes"),
        ("THREADS", "1.5", "whole number"),
        ("COMBINE", "average", "is not one of"),
        ("MIX", "gian", "is no setting"),
        ("STRICT", "perhaps", "not a valid boolean"),
        ("SCHEDULER", "x", "neither tcp://"),
        ("PATIENCE", "long", "give seconds as a number"),
        ("MEMROY", "4", "no setting memroy; did you mean memory?"),
        ("OVERWRITE", "true", "no setting overwrite"),
        ("MAKEDRAK__COMBINE", "mean", "settings of one command are those of med"),
        ("MED__MEMORY", "x", "give gigabytes"),
        ("MEMORY", "{'a': 1}", "memory is one value"),
    ],
)
def test_wrong_values_are_told_with_their_source(frames, variable, value, says):
    name = f"DASK_PULSAR_DASK__{variable}"
    for words in (("med", "b", "m.fit"), ("config",)):
        done = run(*words, cwd=frames, status=2, variables={name: value})
        assert says in done.stderr
        assert name in done.stderr
    assert not (frames / "m.fit").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("pulsar-dask: {memory: 4", "malformed"),
        ("pulsar-dask: 4\n", "no settings below it"),
        ("- pulsar-dask\n", "malformed"),
        ("pulsar-dask:\n  Memory: 4\n", "no setting Memory"),
    ],
)
def test_wrong_files_are_told_by_name(frames, text, says):
    done = run("config", cwd=frames, status=2, variables=written(frames, text))
    assert says in done.stderr
    assert "pulsar-dask.yaml" in done.stderr
    run("med", "--help", cwd=frames, variables=written(frames, text))  # tells it all the same


def test_config_lists_each_with_its_source(frames):
    file = written(frames, "pulsar-dask:\n  mix: [gain, offset]\n  med: {memory: 2}\n")
    variables = {**file, "DASK_PULSAR_DASK__STRICT": "True"}
    found, err = document("config", cwd=frames, variables=variables)
    listed = {one["name"]: (one["value"], one["source"]) for one in found["settings"]}
    where = str(frames / "dask" / "pulsar-dask.yaml")
    assert set(settings.NAMES) <= set(listed)
    assert listed["mix"] == ("gain,offset", where)
    assert listed["med.memory"] == ("2", where)
    assert listed["strict"] == ("true", "DASK_PULSAR_DASK__STRICT")
    assert listed["combine"] == ("median", None)
    assert listed["patience"] == ("30", None)
    assert listed["hot-pixels"] == ("10000", None)
    assert "mix                 gain,offset" in err
    assert f"dask{os.sep}pulsar-dask.yaml" in err


def test_each_setting_is_an_option_of_some_tool():
    known = set().union(*map(settings.options_of, tools.commands.values()))
    assert known == set(settings.NAMES)
    assert set(settings.TOOLS) <= set(tools.commands)


def test_files_are_looked_for_where_dask_does():
    script = (
        "from pulsar_dask.cli import settings; import sys; found = settings.folders();"
        "assert settings.settings() == {}; assert 'dask' not in sys.modules;"
        "import dask.config; assert found == dask.config.paths, (found, dask.config.paths)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
