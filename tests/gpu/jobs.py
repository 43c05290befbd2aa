# SPDX-License-Identifier: MIT
"""Starts what check.py needs: fine-tuning jobs, questions, and peakstep itself."""
import json
import os
import pathlib
import select
import shlex
import signal
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent


class TimeUp(Exception):
    """The time box ended while something ran."""


class Skipped(Exception):
    """Something the part needs is not there yet; it is tried again the next time."""


class Failed(Exception):
    """A job ended otherwise than it should; the text says how."""


def slug(text):
    return "".join(c if c.isalnum() or c in ".-" else "_" for c in text)


class Runner:
    """Everything here stops when the time box ends. Files go below `work`."""

    def __init__(self, settings):
        self.settings = settings
        self.work = settings.work
        self.work.mkdir(parents=True, exist_ok=True)
        self.log = settings.out / "log.txt"
        self.environment = dict(os.environ, PYTHONUNBUFFERED="1")
        for name in ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"):
            self.environment.pop(name, None)
        self.job_environment = dict(self.environment)
        if settings.stand_in:
            # CUPTI before PyTorch brings its own, which finds no driver
            cupti = sorted((settings.stand_in.parent / "cupti").glob("libcupti.so.13"))
            libraries = [str(settings.stand_in), *map(str, cupti)]
            self.job_environment["LD_PRELOAD"] = " ".join(libraries)
        self.server = None

    def left(self):
        return self.settings.deadline - time.monotonic()

    def note(self, text):
        with open(self.log, "a", encoding="utf-8") as log:
            log.write(f"\n{text}\n")

    def run(self, command, environment, stdout):
        """Runs to the end or to the end of the time box; returns status and seconds."""
        begun = time.monotonic()
        self.note("$ " + self.shown(command))
        with open(self.log, "ab") as log:
            process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL,
                                       stdout=stdout or log, stderr=log, start_new_session=True)
            try:
                process.wait(timeout=max(self.left(), 0.1))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise TimeUp from None
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        return process.returncode, time.monotonic() - begun

    # peakstep ------------------------------------------------------------------------------------

    def peakstep(self, *arguments):
        """Status and what came on standard output."""
        path = self.work / "peakstep.out"
        with open(path, "wb") as out:
            command = [str(self.settings.peakstep), *map(str, arguments)]
            status, _ = self.run(command, self.environment, out)
        return status, path.read_text(encoding="utf-8", errors="replace")

    def peakstep_json(self, *arguments, allowed=(0, 1)):
        status, text = self.peakstep(*arguments)
        if status not in allowed:
            raise Failed(f"peakstep {arguments[0]} ended with {status}")
        try:
            return json.loads(text)
        except ValueError:
            raise Failed(f"peakstep {arguments[0]} wrote no JSON") from None

    def knows(self, verb, word=""):
        status, text = self.peakstep("help", verb)
        return status == 0 and word in text

    # jobs ----------------------------------------------------------------------------------------

    def finetune_arguments(self, case, **options):
        arguments = case.finetune_arguments()
        if self.settings.stand_in:
            arguments += ["--attention", "flash"]
        for name, value in options.items():
            flag = "--" + name.replace("_", "-")
            arguments += [flag] if value is True else [flag, str(value)]
        return arguments

    def finetune(self, case, name, fresh=False, prefix=(), **options):
        """Runs a job; returns its report and the command as a person would type it."""
        report = self.work / f"{slug(case.name)}.{name}.json"
        report.unlink(missing_ok=True)
        arguments = self.finetune_arguments(case, json=report, **options)
        own = {"PYTORCH_ALLOC_CONF": case.conf} if case.conf else {}
        command = [*map(str, prefix), self.settings.python, str(HERE / "finetune.py"), *arguments]
        if fresh or prefix:
            status, _ = self.run(command, dict(self.job_environment, **own), None)
        else:
            status = self.served(arguments, own)
        if not report.exists():
            raise Failed(f"the job ended with {status} and no report")
        found = json.loads(report.read_text(encoding="utf-8"))
        if found["error"]:
            raise Failed(found["error"])
        shown = [f"{key}={value}" for key, value in own.items()]
        return found, " ".join([*shown, self.shown(command)])

    def served(self, arguments, environment):
        if not self.server:
            self.server = Server(self)
        self.note("$ finetune.py " + self.shown(arguments))
        order = {"argv": arguments, "environment": environment, "log": str(self.log),
                 "timeout": max(self.left(), 0.1)}
        answer = self.server.ask(order, self.left() + 5)
        if answer["timed_out"]:
            raise TimeUp
        return answer["status"]

    def question(self, name):
        path = self.work / f"question.{name}.json"
        path.unlink(missing_ok=True)
        command = [self.settings.python, str(HERE / "questions.py"), name, "--json", str(path)]
        if self.settings.probe:
            command += ["--probe", str(self.settings.probe)]
        status, _ = self.run(command, self.job_environment, None)
        if not path.exists():
            raise Failed(f"the question ended with {status} and no answer")
        rows = json.loads(path.read_text(encoding="utf-8"))
        if status not in (0, 1):
            rows.append({"metric": "ended_with_status", "value": status, "unit": "number"})
        return rows, self.shown(command)

    def shown(self, command):
        """The command without what differs from machine to machine."""
        words, skip = [], False
        is_ours = any(str(word).startswith(str(HERE)) for word in command)
        for word in command:
            word = str(word)
            if skip or word in ("--json", "--probe") and is_ours:
                skip = not skip
                continue
            if word == str(self.settings.peakstep):
                word = "peakstep"
            elif word == self.settings.python:
                word = "python3"
            elif word.startswith("/"):
                word = word.replace(str(HERE), "tests/gpu").replace(str(self.work) + "/", "")
            words.append(shlex.quote(word))
        return " ".join(words)

    def close(self):
        if self.server:
            self.server.close()


class Server:
    """A process that has PyTorch imported and forks a job for each order."""

    def __init__(self, runner):
        self.log = open(runner.log, "ab")
        self.process = subprocess.Popen(
            [runner.settings.python, str(HERE / "finetune.py"), "--serve"],
            env=runner.job_environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self.log, text=True, bufsize=1, start_new_session=True)
        try:
            self.answer(runner.left())
        except BaseException:
            self.close()
            raise

    def answer(self, seconds):
        ready, _, _ = select.select([self.process.stdout], [], [], max(seconds, 0.1))
        if not ready:
            raise TimeUp
        line = self.process.stdout.readline()
        if not line:
            raise Failed("the server of jobs ended")
        return json.loads(line)

    def ask(self, order, seconds):
        self.process.stdin.write(json.dumps(order) + "\n")
        return self.answer(seconds)

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.log.close()
