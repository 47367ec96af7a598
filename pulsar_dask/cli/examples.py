"""What stands at the end of a tool's help: command lines, and what each is for."""

EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    "med": (
        ('med "bias*.fit" master_bias.fit', "a master bias"),
        ("med @list.txt stack.fit --combine mean", "of the files that a list names"),
    ),
    "makedark": (
        ("makedark darks/ master_bias.fit", "dark120s.fit, cosme120s.lst, …"),
        ("makedark darks/ --bias 300 --output-dir masters", "a number as the bias"),
        ("makedark darks/ --json --log night.log", "from cron"),
    ),
    "makeflat": (
        ("makeflat flats/", "with the dark that lies here"),
        ("makeflat flats/ 20000 --dark dark120s.fit", "scaled to 20000, with this dark"),
    ),
    "make_cosme": (
        ("make_cosme dark300s.fit hottest.lst --hot-pixels 500", "the 500 hottest pixels"),
    ),
    "calibrate": (
        ("calibrate lights/ calibrated/ -d dark120s.fit -f flat_l.fit", "dark and flat"),
        ("calibrate lights/ more/ -d dark120s.fit -c cosme120s.lst --dry-run", "what it would do"),
    ),
    "darkopt": (
        ("darkopt lights/ m31.fit dark300s.fit -b master_bias.fit", "scaled by its hot pixels"),
    ),
    "autocalibrate": (
        ("autocalibrate lights/ calibrated/ masters/ masters/", "what serves each is found"),
        ("autocalibrate lights/ calibrated/ masters/ masters/ --dry-run", "what would be taken"),
    ),
    "cosme": (("cosme lights/ fixed0001.fit cosme120s.lst", "of several: fixed0001.fit and on"),),
    "newflat": (
        ('newflat --camera QHY600 --log flats.csv --comment "new filters"', "from now on"),
        ("newflat --camera QHY600 --log flats.csv --list", "since when flats are the same"),
    ),
    "frames": (("pulsar-dask frames darks/ --verbose", "and from which card"),),
    "config": (
        ("pulsar-dask config", "all settings"),
        ("pulsar-dask config --json", "for programs"),
    ),
    "library": (
        ("pulsar-dask library masters/", "what there is, and what is stale"),
        ("pulsar-dask library masters/ --json", "for programs"),
        ("pulsar-dask library masters/ --for lights/", "what serves them, what they lack"),
    ),
    "cube": (("pulsar-dask cube darks/ darks.zarr", "then: makedark darks.zarr"),),
    "report": (("pulsar-dask report dark300s.fit -o dark.html", "to look at, and to keep"),),
    "verify": (
        ("pulsar-dask verify dark300s.fit", "whether it can be trusted"),
        ("pulsar-dask verify . --all", "all masters here, every pixel"),
    ),
}
