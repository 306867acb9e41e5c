"""Runs one attempt of a task, outlives the server, and leaves a record of how it ended.

`python -I -S supervise.py` is asked for attempts on standard input, forks a process for each, and answers with its id:
that is some ten times less work than to start an interpreter, and with hundreds of short tasks it is what they cost.
Each is in a session and process group of its own, with the task's log as stdout and stderr, and works in FOLDER, by
which it can be told from others. It imports nothing that is not in the interpreter already: less is quicker to fork,
hence `_signal`, and a server begins with it.

    request          marshalled (FOLDER, log file)
    answer           the process id in decimal and a line's end; a negative number is an errno

    FOLDER/plan      marshalled dict: header, runnables [(argv, environment, ignore_failure, always)], cwd,
                     end_after (seconds, or None), end_code, grace (seconds)
    FOLDER/started   "PID TIME", made once: whoever makes it first (this program, or a server that gave the attempt
                     up) decides whether the attempt runs at all
    FOLDER/ended     "EXIT_CODE TIME", renamed into place; its last act after that is to kill its own group

SIGTERM ends the attempt early with exit code 50000, the plan's time limit with `end_code`: every process of the group
gets SIGTERM, and SIGKILL after the grace.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]
import marshal
import os
import sys
import time

STOPPED = 50000
# Signals that this program handles, and those that Python ignores: a command is to find them as a shell gives them.
CHANGED = (signal.SIGTERM, signal.SIGALRM, signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ)
NOT_FOUND, NOT_EXECUTABLE = 127, 126  # as a shell has them


class End(BaseException):
    """Raised by a signal's handler, wherever the program is."""

    def __init__(self, code: int) -> None:
        self.code = code


def serve() -> None:
    """Ends with its standard input, which is the server's life. The attempts live on."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # a server may block what is to end its tasks
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them here
    while True:
        try:
            folder, log = marshal.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            pid = os.fork()
        except OSError as error:
            pid = -(error.errno or 1)
        if pid == 0:
            begin(folder, log)
        os.write(1, b"%d\n" % pid)


def begin(folder: str, log: str) -> None:
    """In the new process, which never returns from here."""
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), 1)
        os.dup2(1, 2)
        os.closerange(3, 5)  # the two that were opened
        main(folder)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(1)


def main(folder: str) -> None:
    os.chdir(folder)
    if not claim(folder):
        return
    with open(f"{folder}/plan", "rb") as file:  # noqa: PTH123
        plan = marshal.load(file)
    code = run(plan)
    write(f"{folder}/ended.part", code)
    os.rename(f"{folder}/ended.part", f"{folder}/ended")  # noqa: PTH104
    os.killpg(0, signal.SIGKILL)


def claim(folder: str) -> bool:
    """Makes `started` with its content in one step, or finds that this attempt has been given up."""
    write(f"{folder}/started.part", os.getpid())
    try:
        os.link(f"{folder}/started.part", f"{folder}/started")
    except FileExistsError:
        return False
    return True


def write(path: str, value: int) -> None:
    with open(path, "w") as file:  # noqa: PTH123
        file.write(f"{value} {time.time():.6f}\n")


def run(plan: dict) -> int:  # type: ignore[type-arg]
    say(plan["header"])
    os.chdir(plan["cwd"])
    try:
        raise_on(signal.SIGTERM, STOPPED)
        raise_on(signal.SIGALRM, plan["end_code"])
        if plan["end_after"] is not None:
            signal.setitimer(signal.ITIMER_REAL, max(plan["end_after"], 0.000001))
        code = run_all(plan["runnables"])
        hush()
        return code
    except End as end:
        end_group(plan["grace"])
        return end.code


def raise_on(number: int, code: int) -> None:
    def handler(_number: int, _frame: object) -> None:
        hush()
        raise End(code)

    signal.signal(number, handler)


def hush() -> None:
    """The attempt has ended, one way: nothing may end it once more before that is on record."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, lambda _number, _frame: None)


def run_all(runnables: list) -> int:  # type: ignore[type-arg]
    """The exit code of the first runnable that failed; after it only those run that always do."""
    failure = 0
    for argv, environment, ignore_failure, always in runnables:
        if failure and not always:
            continue
        code = run_one(argv, environment)
        if code and not ignore_failure:
            failure = failure or code
    return failure


def run_one(argv: list[str], environment: dict[str, str]) -> int:
    os.environ["PATH"] = environment["PATH"]  # where posix_spawnp looks
    try:
        child = os.posix_spawnp(argv[0], argv, environment, setsigdef=CHANGED)
    except (OSError, ValueError) as error:  # ValueError: a NUL in an argument
        say(f"{argv[0]}: {error}")
        return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
    status = os.waitpid(child, 0)[1]
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def end_group(grace: float) -> None:
    """SIGTERM to every process of the group but this one, which waits for its children, at most for the grace."""
    try:
        raise_on(signal.SIGALRM, STOPPED)
        signal.setitimer(signal.ITIMER_REAL, grace)
        os.killpg(0, signal.SIGTERM)
        wait_for_children()
        hush()
    except End:
        pass


def wait_for_children() -> None:
    try:
        while True:
            os.wait()
    except ChildProcessError:
        pass


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


if __name__ == "__main__":
    serve()
