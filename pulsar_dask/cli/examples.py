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
    "frames": (("pulsar-dask frames darks/ --verbose", "and from which card"),),
    "config": (
        ("pulsar-dask config", "all settings"),
        ("pulsar-dask config --json", "for programs"),
    ),
    "library": (
        ("pulsar-dask library masters/", "what there is, and what is stale"),
        ("pulsar-dask library masters/ --json", "for programs"),
    ),
    "cube": (("pulsar-dask cube darks/ darks.zarr", "then: makedark darks.zarr"),),
    "report": (("pulsar-dask report dark300s.fit -o dark.html", "to look at, and to keep"),),
    "verify": (
        ("pulsar-dask verify dark300s.fit", "whether it can be trusted"),
        ("pulsar-dask verify . --all", "all masters here, every pixel"),
    ),
}
