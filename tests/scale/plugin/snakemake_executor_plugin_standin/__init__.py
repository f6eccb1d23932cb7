"""A Snakemake executor that stands in for a cluster: a job has touched its files and is done when it is looked at.

It takes the way of every remote executor (command line, submission, status checks), so that what is measured is the
driver. Found by Snakemake through its name, where this folder is on the path: `snakemake --executor standin`.
"""

from collections.abc import AsyncGenerator
from pathlib import Path

from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.jobs import JobExecutorInterface
from snakemake_interface_executor_plugins.settings import CommonSettings

common_settings = CommonSettings(non_local_exec=True, implies_no_shared_fs=False, job_deploy_sources=False)


class Executor(RemoteExecutor):
    """Every job succeeds."""

    def __post_init__(self) -> None:
        """Nothing to set up."""

    def run_job(self, job: JobExecutorInterface) -> None:
        """Make the command that a cluster would be given, and the files that it would leave."""
        self.format_job_exec(job)
        for path in (*job.output, *job.log, *([job.benchmark] if job.benchmark else [])):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).touch()
        self.report_job_submission(SubmittedJobInfo(job, external_jobid=job.jobid))

    async def check_active_jobs(self, active_jobs: list[SubmittedJobInfo]) -> AsyncGenerator[SubmittedJobInfo]:
        """All of them are done."""
        for info in active_jobs:
            self.report_job_success(info)
        return
        yield

    def cancel_jobs(self, active_jobs: list[SubmittedJobInfo]) -> None:
        """They are done."""
