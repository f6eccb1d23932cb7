"""What data sets ask: one file per task; its name is what a data set file's `TASK` says, if not classification.

A task file has `METRIC`, the metric of tables and curves, `TITLE`, its name there, and `TASK`, which is a
`flexifed.training.task.Task`: the loss that is trained, and what is measured of a model on test samples.
"""
