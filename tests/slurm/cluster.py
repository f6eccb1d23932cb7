"""A real SLURM cluster of one node on this machine, with two pretend GPUs, that lives in a folder of its own.

The daemons are Debian's (`slurm-wlm munge`) and run as root without systemd. Nothing is left outside the folder but two
links in /etc/slurm, which the commands of a job need to find the cluster; they are removed again.
"""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, TypeVar

ETC = Path("/etc/slurm")
LINKED = ("slurm.conf", "gres.conf")
PREFIX = "slurm-"
"""Of the folder of a cluster, in the folder for temporary files."""
PROGRAMS = ("munged", "mungekey", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "setpriv")
GPUS = 2
GPU_MODEL = "pretend"

CONFIG = """\
ClusterName=pretend
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=15
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=1
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
ReturnToService=2
DefMemPerCPU=500
MinJobAge=600
KillWait=5
InactiveLimit=0
SlurmctldTimeout=10
SlurmdTimeout=6
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=64000 Gres=gpu:{model}:{gpus} State=UNKNOWN
PartitionName=gpu Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""
GRES = """\
AutoDetect=off
Name=gpu Type={model} File={folder}/nvidia[0-{last}]
"""

T = TypeVar("T")


def obstacle() -> str | None:
    """Why no cluster can be started here, or None."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        return f"needs {', '.join(missing)}; on Debian or Ubuntu: apt-get install slurm-wlm munge"
    if getpass.getuser() != "root":
        return "needs root, to make the devices of the pretend GPUs"
    _remove_leftovers()
    taken = [str(ETC / name) for name in LINKED if (ETC / name).exists()]
    if taken:
        return f"this machine has a SLURM configuration of its own: {', '.join(taken)}"
    return None


def _remove_leftovers() -> None:
    """Links of an earlier run that was killed: into a folder of a cluster of ours whose controller has gone with it."""
    links = [ETC / name for name in LINKED if (ETC / name).is_symlink()]
    running = subprocess.run(["pgrep", "-x", "slurmctld"], capture_output=True).returncode == 0
    for link in links:
        if not running and link.readlink().parent.name.startswith(PREFIX):
            link.unlink()


def until(condition: Callable[[], T], what: str, seconds: float = 60) -> T:
    """Wait until the condition holds (is true); returns its value.

    Raises:
        TimeoutError: it does not within the given time.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.05)
    raise TimeoutError(f"not within {seconds:.0f} s: {what}")


@dataclass(frozen=True)
class Job:
    """One line of squeue: a job `12` or a task of an array `12_3`. Times are as SLURM writes them."""

    id: str
    state: str
    time_limit: str
    start: str
    end: str
    gpus: str
    restarts: int

    FIELDS: ClassVar = ("JobArrayID", "State", "TimeLimit", "StartTime", "EndTime", "tres-per-job", "RestartCnt")


@dataclass
class Cluster:
    """The daemons of a running cluster and the folder with their files."""

    folder: Path
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start_daemon(self, *command: str) -> None:
        """Start a daemon in the foreground of a session of its own; it ends when this process is killed."""
        with (self.folder / f"{command[0]}.out").open("ab") as log:
            self.daemons[command[0]] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def run(self, *command: str) -> str:
        """Run a SLURM command; returns what it printed.

        Raises:
            CalledProcessError: it failed.
        """
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def jobs(self, *states: str) -> list[Job]:
        """The jobs that the controller knows, oldest first, in one of the given states (default: any)."""
        form = ",".join(f"{name}:|" for name in Job.FIELDS)
        lines = self.run("squeue", "--noheader", "--array", "--states=all", f"--Format={form}").splitlines()
        rows = [line.split("|") for line in lines]
        found = sorted((Job(*row[:6], restarts=int(row[6])) for row in rows), key=lambda job: int(job.id.split("_")[0]))
        return [job for job in found if not states or job.state in states]

    def node_state(self) -> str:
        """For example `idle` or `down*`."""
        return self.run("sinfo", "--noheader", "--format=%t").strip()

    def step_daemons(self) -> list[int]:
        """Process ids of the daemons that hold this cluster's running jobs."""
        listed = subprocess.run(["pgrep", "-x", "slurmstepd"], capture_output=True, text=True).stdout
        return [pid for pid in map(int, listed.split()) if self.folder / "slurmd.log" in _open_files(pid)]

    def kill_slurmd(self) -> None:
        """Kill the node's daemon and nothing else."""
        self.daemons["slurmd"].kill()
        self.daemons["slurmd"].wait()

    def crash_node(self) -> None:
        """End slurmd and all that runs on the node at once, as a power cut does."""
        daemons = [self.daemons["slurmd"].pid, *self.step_daemons()]
        for daemon in daemons:  # none of them may tell the controller what becomes of the others
            _send(daemon, signal.SIGSTOP)
        for victim in {pid for daemon in daemons for pid in (daemon, *_descendants(daemon))}:
            _send(victim, signal.SIGKILL)
        self.daemons["slurmd"].wait()

    def start_slurmd(self) -> None:
        """Start the node's daemon and wait until the controller uses the node."""
        self.start_daemon("slurmd", "-D", "-f", str(self.folder / "slurm.conf"))
        until(lambda: self.node_state() in ("idle", "mix", "alloc"), "the node is up")

    def reset(self) -> None:
        """Cancel every job and bring the node back, for the next test."""
        if self.daemons["slurmd"].poll() is not None:
            self.start_slurmd()
        for job in self.jobs("PENDING", "RUNNING", "COMPLETING"):
            subprocess.run(["scancel", job.id])
        until(lambda: not self.jobs("PENDING", "RUNNING", "COMPLETING"), "no job is left")


def _open_files(pid: int) -> list[Path]:
    found = []
    with suppress(OSError):  # it has ended meanwhile
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):  # it has been closed meanwhile
                found.append(descriptor.readlink())
    return found


def _descendants(pid: int) -> list[int]:
    listed = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout
    return [d for child in map(int, listed.split()) for d in (child, *_descendants(child))]


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _free_ports(n: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def _write_files(folder: Path) -> None:
    host = socket.gethostname().split(".")[0]
    settings = {
        "host": host,
        "ports": _free_ports(2),
        "folder": folder,
        "gpus": GPUS,
        "model": GPU_MODEL,
        "last": GPUS - 1,
    }
    (folder / "slurm.conf").write_text(CONFIG.format(**settings))
    (folder / "gres.conf").write_text(GRES.format(**settings))
    for name in ("state", "spool"):
        (folder / name).mkdir()
    for number in range(GPUS):  # a device like /dev/null: enough for SLURM to hand it out
        os.mknod(folder / f"nvidia{number}", 0o20666, os.makedev(1, 3))
    subprocess.run(["mungekey", "--create", "--keyfile", str(folder / "munge.key")], check=True)


def _start(cluster: Cluster) -> None:
    folder = cluster.folder
    munge = {"key-file": "munge.key", "socket": "munge.socket", "pid-file": "munged.pid", "seed-file": "munge.seed"}
    cluster.start_daemon(
        *("munged", "--foreground", "--force"),
        *(f"--{option}={folder / name}" for option, name in munge.items()),
    )
    until(lambda: (folder / "munge.socket").exists(), "munged answers", 10)
    cluster.start_daemon("slurmctld", "-D", "-f", str(folder / "slurm.conf"))
    cluster.start_slurmd()


def _stop(cluster: Cluster) -> None:
    if "slurmd" in cluster.daemons:
        cluster.crash_node()
    for daemon in reversed(list(cluster.daemons.values())):
        daemon.kill()
        daemon.wait()


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@contextmanager
def _terminable() -> Iterator[None]:
    """While the block runs, SIGTERM ends it as Ctrl-C does: with everything put in order."""
    if threading.current_thread() is not threading.main_thread():  # where Python allows no handlers
        yield
        return
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def running() -> Iterator[Cluster]:
    """A cluster while the block runs; whatever happens in it, nothing of the cluster is left afterwards.

    Raises:
        RuntimeError: it does not come up; the message holds the daemons' last words.
    """
    made_etc = not ETC.exists()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    cluster = Cluster(folder)
    made: list[Path] = []
    try:
        folder.chmod(0o755)
        _write_files(folder)
        ETC.mkdir(exist_ok=True)
        for link in (ETC / name for name in LINKED):
            link.unlink(missing_ok=True)  # what a killed run left points to nothing, see `obstacle`
            link.symlink_to(folder / link.name)
            made.append(link)
        try:
            _start(cluster)
        except (TimeoutError, subprocess.CalledProcessError) as error:
            raise RuntimeError(f"the cluster did not start: {error}\n{_last_words(folder)}") from error
        with _terminable():
            yield cluster
    finally:
        _stop(cluster)
        for link in made:
            link.unlink()
        if made_etc:
            ETC.rmdir()
        shutil.rmtree(folder)


def _last_words(folder: Path) -> str:
    logs = [*folder.glob("*.log"), *folder.glob("*.out")]
    return "\n".join(f"--- {log.name}\n" + "\n".join(log.read_text().splitlines()[-15:]) for log in logs)
