"""One file per data set; its name is the registered name.

A data set file has `KIND`, `ARCHIVES`, `FOLDER` and `FILES` (the official layout), `TRANSFORM`, and

    prepare(source: Path | None, workers: Workers, *, option=default, ...) -> Prepared

which reads the official layout under `source` and returns both splits; `workers` share the work and show progress.
Keyword-only parameters are the options that a study may set.
"""
