#!/usr/bin/env bash
# Says of a job, by its number, what Snakemake asks: running (or waiting), success or failed.
# Without it, a job that the scheduler ends would be waited for without end.
state=$(squeue --noheader --states=all --format=%T --jobs="$1" 2>&1) || {
    case $state in
        *"Invalid job id"*) state=$(sacct -X --noheader --parsable2 --format=State --jobs="$1" 2>/dev/null || echo UNKNOWN) ;;
        *) state=UNREACHABLE ;; # ask again
    esac
}
case $state in
    COMPLETED*) echo success ;;
    PENDING* | CONFIGURING* | RUNNING* | SUSPENDED* | COMPLETING* | REQUEUE* | RESIZING* | SIGNALING* | STAGE_OUT* | STOPPED* | UNREACHABLE) echo running ;;
    *) echo failed ;;
esac
