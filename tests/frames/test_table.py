"""A user's own table of keywords on top of the program's."""

from __future__ import annotations

import pytest

from pulsar_dask.errors import PulsarError
from pulsar_dask.frames.keywords import about
from pulsar_dask.frames.table import own_table, using, with_users


def table(tmp_path, text):
    path = tmp_path / "keywords.toml"
    path.write_text(text, encoding="utf-8")
    return with_users(path)


def test_words_and_keywords_of_a_user(tmp_path):
    mine = table(
        tmp_path,
        """
        [kind.words]
        dark = ["oscuro", "sky flat"]
        [exposure.keywords]
        inttime = { unit = "ms", by = "our camera" }
        [filter.words]
        h = ["H alpha 7nm"]
        [settings.camera]
        CHIP = { name = "chip{}" }
        """,
    )
    cards = {"IMAGETYP": "Oscuro", "EXPTIME": 5.0, "INTTIME": 2500, "CHIP": 3}
    with using(mine):
        found = about(cards)
        assert (found.kind, found.exposure) == ("dark", 2.5)
        assert found.setting("CHIP") == 3
        assert about({"IMAGETYP": "Sky Flat"}).kind == "dark"  # its meaning is the user's
        assert about({"IMAGETYP": "Dark"}).kind == "dark"
    found = about(cards)
    assert (found.kind, found.exposure, found.setting("CHIP")) == ("other", 5.0, None)
    words = [s.keyword for s in mine.settings if s.word == "camera"]
    assert words[0] == "INSTRUME"
    assert words[-1] == "CHIP"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[kinds]\n", "there is no section [kinds]"),
        ("[kind.words]\ndrak = ['x']\n", "there is no 'drak'"),
        ("[kind.words]\ndark = 'x'\n", "is not a list of texts"),
        ("[kind.wrods]\ndark = ['x']\n", "has no wrods"),
        ("[settings.camera]\nCHIP = { nmae = 'x' }\n", "has no nmae"),
        ("[settings.camera]\nCHIP = { name = 'x' }\n", "no {} for the value"),
        ("[settings.camera]\nCHIP = { name = '{x}{}' }\n", "other braces"),
        ("[settings.camera]\nCHIP = { name = 3 }\n", "camera.CHIP.name is not a text"),
        ("[settings.gain]\nGAIN = { also = 'ISO' }\n", "is not a list of texts"),
        ("[settings.gain]\nGAIN = { within = '1 %' }\n", "gain.GAIN.within is not a number"),
        ("[settings.temperature]\nX = {}\n", "settings.temperature is not read"),
        ("[settings.Chip]\nX = {}\n", "'Chip' has more than small letters"),
        ("[settings]\ngain = 3\n", "settings.gain is not a table"),
        ("[exposure.keywords]\nX = { unti = 'ms' }\n", "exposure.X has no unti, but by, unit"),
        ("[exposure.keywords]\nX = { unit = 'days' }\n", "there is no 'days'"),
        ("[exposure]\nunits = 3\n", "exposure.units is not a table"),
        ("[exposure.units]\nday = '86400'\n", "exposure.units.day is not a number"),
        ("[exposure.units]\nday = 0\n", "exposure.units.day is not above 0"),
        ("[temperature.keywords]\nX = { unit = 'K' }\n", "temperature.X has no unit, but by"),
        ("[kind.keywords]\nX = { words = { 1 = 'drak' } }\n", "there is no 'drak'"),
        ("[master]\nhistory = ['(']\n", "'(' is no pattern"),
        ("[names]\nexposure = '[0-9]+s'\n", "has not two groups"),
        ("[filter.words]\n'a/b' = ['x']\n", "'a/b' has more than small letters"),
        ("[settings.camera]\nCHIP = 3\n", "is not a table"),
        ("kind = 3\n", "kind is not a table"),
        ("[kind\n", "not a table of keywords in TOML"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, text, says):
    with pytest.raises(PulsarError) as error:
        table(tmp_path, text)
    assert says in error.value.text
    assert "keywords.toml" in error.value.text


def test_what_is_not_given_stays(tmp_path):
    mine = table(
        tmp_path,
        """
        [kind.keywords]
        "HIERARCH shutter" = { words = { "Ganz zu" = "dark" } }
        [exposure.keywords]
        EXPOINUS = { by = "ours" }
        [settings.gain]
        GAIN = { also = ["KGAIN"] }
        [master]
        history = ['^our pipeline']
        [calibrated]
        not_done = ["nein"]
        [names]
        filler = ['kuppel']
        """,
    )
    (gain,) = (s for s in mine.settings if s.keyword == "GAIN")
    assert (gain.name, gain.also) == ("gain{}", ("KGAIN",))
    with using(mine):
        found = about({"SHUTTER": "ganz_zu", "EXPOINUS": 2e6, "DARKCOR": "Nein"})
        assert (found.kind, found.exposure, found.calibrated) == ("dark", 2.0, None)
        assert about({"HISTORY": ["our pipeline, 3 frames"]}).master is not None
        assert about({"HISTORY": ["median combined from 3 frames"]}).master is not None
        assert about({}, "/n/flat_Kuppel_001.fit").kind == "flat"


def test_a_table_that_is_not_there(tmp_path):
    with pytest.raises(PulsarError, match="No such file"):
        with_users(tmp_path / "none.toml")


def test_every_keyword_says_who_writes_it():
    data = own_table().data
    for section in data.values():
        for keyword, known in section.get("keywords", {}).items():
            assert known["by"], keyword
    for setting in own_table().settings:
        assert setting.by or setting.word == "size", setting
        assert "{}" in setting.name
