"""Figures about templates and clones, for ci/bench. Every figure is a ratio, or a time, of runs that take turns."""
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import time

HEADER = "#!/bin/bash\n## kola:\n##   description: {name}\n##   exclusive: true\n\n{body}\n"


class Bench:
    """Runs kolea on an image with a cache directory of its own."""

    def __init__(self, kolea, image, work, log):
        self.kolea, self.image, self.work, self.log = kolea, image, work, log
        self.cache = work / "cache"

    def tree(self, name, bodies):
        """A test tree with these tests; its directory."""
        tests = self.work / name / "tests/kola"
        tests.mkdir(parents=True, exist_ok=True)
        for test, body in bodies.items():
            path = tests / test
            path.write_text(HEADER.format(name=test, body=body))
            path.chmod(0o755)
        return self.work / name

    def forget_templates(self):
        """What earlier runs measured stays: only templates are gone."""
        shutil.rmtree(self.cache / "kolea/templates", ignore_errors=True)

    def command(self, tree, jobs, *flags, patterns=("ext.*",), kolea=None):
        out = self.work / "out"
        return [kolea or self.kolea, "run", "--qemu-image", self.image, "-E", tree, "-j", str(jobs), "--output-dir", out, *flags, *patterns], out

    def environment(self):
        return {**os.environ, "XDG_CACHE_HOME": str(self.cache), "TMPDIR": str(self.work)}

    def run(self, tree, jobs, *flags, **options):
        """Wall seconds of a run that has to pass, and its events."""
        command, out = self.command(tree, jobs, *flags, **options)
        started = time.monotonic()
        done = subprocess.run(command, env=self.environment(), stdout=subprocess.PIPE, text=True, check=False)
        seconds = time.monotonic() - started
        if done.returncode != 0:
            sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}")
        return seconds, events_of(out)

    def memory_at_rest(self, tree, count, *flags):
        """PSS in MiB of `count` machines, once all of their tests run."""
        command, out = self.command(tree, count, *flags)
        shutil.rmtree(out, ignore_errors=True)
        kolea = subprocess.Popen(command, env=self.environment(), stdout=subprocess.DEVNULL)
        try:
            while True:
                if kolea.poll() is not None:
                    sys.exit(f"{' '.join(map(str, command))} ended with {kolea.returncode}")
                events = events_of(out) if (out / "events.jsonl").exists() else []
                running = [event for event in events if event.get("phase") == "running"]
                if len(running) == count:
                    break
                time.sleep(0.2)
            time.sleep(5)
            return sum(pss_mib(pid) for pid in children(kolea.pid))
        finally:
            for _ in range(2):
                kolea.send_signal(signal.SIGINT)
                time.sleep(0.5)
            kolea.wait()


def events_of(out):
    events = []
    for line in (out / "events.jsonl").read_text().splitlines():
        try:
            events.append(json.loads(line))
        except json.JSONDecodeError:
            pass  # the last line of a run that goes on
    return events


def children(pid):
    text = pathlib.Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for path in text for child in path.read_text().split()]


def pss_mib(pid):
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0


def spread(values):
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def ratio_row(what, limit, pairs):
    """Medians of both sides, and of the rounds' ratios."""
    ratio = statistics.median(one / other for one, other in pairs)
    ones, others = zip(*pairs)
    return (what, f"{spread(ones)} / {spread(others)} = {ratio:.3f}, n={len(pairs)}", f"{limit:.3f}", ratio <= limit)


def cached(bench, rounds):
    tree = bench.tree("one", {"trivial": "true"})
    pairs = []
    bench.run(tree, 1)
    for number in range(1, rounds + 1):
        warm, _ = bench.run(tree, 1)
        cold, _ = bench.run(tree, 1, "--no-templates")
        pairs.append((warm, cold))
        bench.log(f"one cached, round {number}: {warm:.2f} s against {cold:.1f} s")
    wall = statistics.median(warm for warm, _ in pairs)
    return [
        ("one trivial test, template cached: wall", f"{spread([warm for warm, _ in pairs])} s", "3 s", wall <= 3),
        ratio_row("the same over its cold run, s", 1 / 12, pairs),
    ]


def steps(events, name):
    return [event["seconds"] for event in events if event["event"] == "machine-step" and event["step"] == name]


def forty(bench, rounds):
    tree = bench.tree("forty", {f"trivial-{number:02}": "true" for number in range(40)})
    pairs, saves, starts = [], [], []
    for number in range(1, rounds + 1):
        bench.forget_templates()
        clones, events = bench.run(tree, 2)
        saves += [event["save_seconds"] for event in events if event["event"] == "template-ready"]
        starts += [sum(parts) for parts in zip(steps(events, "overlay"), steps(events, "start"), steps(events, "load"))]
        cold, _ = bench.run(tree, 2, "--no-templates")
        pairs.append((clones, cold))
        bench.log(f"forty, round {number}: {clones:.1f} s against {cold:.1f} s = {clones / cold:.3f}")
    return [
        ratio_row("40 trivial tests, -j 2, nothing cached, over --no-templates, s", 1 / 8, pairs),
        ("save of a template", f"{spread(saves)} s", "0.2 s", statistics.median(saves) <= 0.2),
        ("start of a clone until it executes", f"{spread(starts)} s", "0.4 s", statistics.median(starts) <= 0.4),
    ]


def memory(bench, rounds):
    tree = bench.tree("eight", {f"rest-{number}": "sleep 600" for number in range(8)})
    pairs = []
    for number in range(1, rounds + 1):
        clones = bench.memory_at_rest(tree, 8)
        cold = bench.memory_at_rest(tree, 8, "--no-templates")
        pairs.append((clones, cold))
        bench.log(f"memory, round {number}: {clones:.0f} MiB against {cold:.0f} MiB = {clones / cold:.3f}")
    return [ratio_row("PSS of 8 clones at rest over 8 booted machines, MiB", 1 / 3, pairs)]


def efficiency(bench, rounds):
    # Short ones, long ones that wait, and some that compute.
    bodies = {}
    for number in range(60):
        bodies[f"mixed-{number:02}"] = ["true", "sleep 1", "sleep 4", "for i in {1..20000}; do :; done", "sync; sleep 2"][number % 5]
    tree = bench.tree("mixed", bodies)
    bench.run(tree, 2)
    values = []
    for number in range(1, rounds + 1):
        bench.forget_templates()
        _, events = bench.run(tree, 2)
        end = events[-1]
        values.append(end["lower_bound_seconds"] / end["seconds"])
        bench.log(f"efficiency, round {number}: {values[-1]:.3f}")
    return [("scheduler efficiency, 60 mixed tests, -j 2", spread(values), "0.90", statistics.median(values) >= 0.9)]


def core(bench, rounds, root, before):
    pairs = []
    flags = [] if before else ["--no-templates"]
    for number in range(1, rounds + 1):
        bench.forget_templates()
        now, _ = bench.run(root / "tests-external/core", 2, patterns=())
        then, _ = bench.run(root / "tests-external/core", 2, *flags, patterns=(), kolea=before)
        pairs.append((now, then))
        bench.log(f"core, round {number}: {now:.1f} s against {then:.1f} s = {now / then:.3f}")
    against = "an earlier kolea" if before else "--no-templates"
    return [ratio_row(f"all of tests-external/core, -j 2, nothing cached, over {against}, s", 1 / 3, pairs)]
