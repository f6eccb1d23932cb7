"""A job asks itself to stop when its driver is gone."""

import signal
import subprocess
import sys

JOB = """
import sys, time
from flexifed.system import interruption
interruption.end_with(int(sys.argv[1]))
with interruption.noticed() as request:
    print("begun", flush=True)
    while not request.name:
        time.sleep(0.05)
print(request.name)
"""
SECONDS = 60


def test_a_job_is_asked_to_stop_when_its_driver_is_killed() -> None:
    with subprocess.Popen(["sleep", str(SECONDS)]) as driver:
        command = [sys.executable, "-c", JOB, str(driver.pid)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as job:
            assert job.stdout and job.stdout.readline() == "begun\n"
            driver.send_signal(signal.SIGKILL)
            driver.wait()
            assert job.communicate(timeout=SECONDS)[0] == "SIGTERM\n"
