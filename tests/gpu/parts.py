# SPDX-License-Identifier: MIT
"""The parts of check.py: each runs one line of the matrix and puts its figures into rows.

A part gets the runner, the case and a function put(metric, value, unit, command). It raises Failed
when the case cannot be done, which keeps what it has put; Skipped when something is not built, and
TimeUp when the time box ended, both of which leave the case to be done another time.
"""
import json
import random
import shutil
import statistics

from jobs import Failed, Skipped, TimeUp, slug

PEAKS = ("allocated", "reserved")


def percent(predicted, measured):
    return 100.0 * (predicted - measured) / measured if measured else None


def put_truth(put, report, command):
    """What the job measured of itself."""
    put("step", report["step_ms"], "ms", command)
    put("step_lower_quartile", report["step_ms_lower_quartile"], "ms", command)
    put("step_upper_quartile", report["step_ms_upper_quartile"], "ms", command)
    put("step_by_host_clock", report["host_step_ms"], "ms", command)
    put("parameters", report["parameters"], "count", command)
    put("trained_parameters", report["trained_parameters"], "count", command)
    for key in ("peak_allocated_bytes", "peak_reserved_bytes", "peak_requested_bytes",
                "nvml_used_before_context_bytes", "nvml_used_after_context_bytes",
                "nvml_used_highest_bytes", "device_used_at_end_bytes"):
        if report.get(key) is not None:
            put(key.removesuffix("_bytes"), report[key], "bytes", command)
    if report.get("device_used_at_end_bytes") is not None:
        outside = report["device_used_at_end_bytes"] - report["reserved_at_end_bytes"]
        put("outside_allocator_at_end", outside, "bytes", command)
        stats = report["memory_stats"]
        put("segments_at_end", stats["segment.all.current"], "count", command)
        put("alloc_retries", stats["num_alloc_retries"], "count", command)
    put("job", report["job_seconds"], "s", command)


def median_step_ms(result, count):
    """Of the last `count` steps; none where the recording marks fewer."""
    times = [step["time_ns"] for step in result["steps"]][-count:]
    return statistics.median(times) / 1e6 if len(times) == count else None


def first_device(result):
    for device in result["devices"]:
        if device["ordinal"] == 0:
            return device
    raise Failed("the result has no device")


def put_memory(put, result, report, prefix, command):
    """What the trace says and what the simulation says, against PyTorch's counters."""
    device = first_device(result)
    for what in PEAKS:
        key = f"peak_{what}_bytes"
        measured, recorded = report.get(prefix + key), result["recorded"][key]
        put(f"predicted_peak_{what}", device[key], "bytes", command)
        if measured is not None:
            put(f"peak_{what}_difference", device[key] - measured, "bytes", command)
            if recorded is not None:
                put(f"recorded_peak_{what}_difference", recorded - measured, "bytes", command)
    used = report.get("nvml_used_highest_bytes")
    if used is not None and not prefix:
        # what others use of the device is not ours to predict
        before = report.get("nvml_used_before_context_bytes") or 0
        put("predicted_device", device["peak_device_bytes"], "bytes", command)
        put("device_error", percent(device["peak_device_bytes"], used - before), "%", command)


def analyse(runner, recording, put):
    """Imports (unless it is a trace), checks and simulates; returns trace, result and command."""
    trace = recording
    if recording.suffix != ".pstrace":
        trace = recording.with_name(recording.name.split(".pickle")[0].split(".json")[0]
                                    + ".pstrace")
        status, _ = runner.peakstep("import", recording, "-o", trace, "-q")
        if status != 0:
            raise Failed(f"peakstep import ended with {status}")
    command = f"peakstep check {trace.name}"
    checked = runner.peakstep_json("check", trace, "--json", "-q")
    put("check_passes", int(checked["passes"]), "0/1", command)
    known = runner.peakstep_json("info", trace, "--json", "-q")
    command = f"peakstep info {trace.name}"
    put("recording_size", recording.stat().st_size, "bytes", command)
    put("trace_size", trace.stat().st_size, "bytes", command)
    put("events", known["event_count"], "count", command)
    put("lost", sum(loss.get("count", 0) for loss in known["losses"]), "count", command)
    for key, value in known["facts"].items():
        if key.startswith("torch-peak-"):
            put("fact_" + key, value, "bytes", command)
    result = runner.peakstep_json("simulate", trace, "--json", "-q")
    result["recorded"] = known["recorded"]
    return trace, result, f"peakstep simulate {trace.name} --json"


def put_step(put, result, report, key, count, command):
    put("steps_marked", len(result["steps"]), "count", command)
    predicted = median_step_ms(result, count)
    if predicted is None or not report.get(key):
        return
    put("predicted_step", predicted, "ms", command)
    put("step_error", percent(predicted, report[key]), "%", command)


# One line of the matrix each ---------------------------------------------------------------------

def reference(runner, case, put):
    report, command = runner.finetune(case, "reference", step_peaks=True)
    put_truth(put, report, command)


def snapshot(runner, case, put):
    path = runner.work / f"{slug(case.name)}.snapshot.pickle.gz"
    report, command = runner.finetune(case, "snapshot", snapshot=path)
    put_truth(put, report, command)
    runner.settings.keep(path, case)
    _, result, command = analyse(runner, path, put)
    put_memory(put, result, report, "", command)


def profiler(runner, case, put):
    path = runner.work / f"{slug(case.name)}.profiler.json.gz"
    report, command = runner.finetune(case, "profiler", profiler=path)
    put_truth(put, report, command)
    put("profiled_step", report["profiled_step_ms"], "ms", command)
    runner.settings.keep(path, case)
    _, result, command = analyse(runner, path, put)
    put_memory(put, result, report, "profiled_", command)
    put_step(put, result, report, "profiled_step_ms", report["profiled_steps"], command)


def recorded(runner, case, name):
    """A job under `peakstep record`: its report, the command, the trace."""
    if not runner.knows("record"):
        raise Skipped("record: not built")
    trace = runner.work / f"{slug(case.name)}.{name}.pstrace"
    for old in runner.work.glob(trace.stem + "*.pstrace"):
        old.unlink()
    prefix = [runner.settings.peakstep, "record", "-o", trace, "--"]
    report, command = runner.finetune(case, name, prefix=prefix)
    found = sorted(runner.work.glob(trace.stem + "*.pstrace"), key=lambda p: p.stat().st_size)
    if not found:
        raise Failed("record: no trace")
    return report, command, found[-1]


def record(runner, case, put):
    report, command, trace = recorded(runner, case, "record")
    put_truth(put, report, command)
    runner.settings.keep(trace, case)
    _, result, command = analyse(runner, trace, put)
    put_memory(put, result, report, "", command)
    put_step(put, result, report, "step_ms", len(report["steps"]) - report["warmup"], command)
    put_segments(runner, trace, put)


def rows_of(runner, trace, table):
    status, text = runner.peakstep("dump", trace, "-t", table, "-f", "jsonl", "-q")
    return [json.loads(line) for line in text.splitlines()] if status == 0 else []


def put_segments(runner, trace, put):
    """The allocator's segments as the framework tells them against what the driver gave."""
    command = f"peakstep dump {trace.name} -t driver_memory"
    given = [row for row in rows_of(runner, trace, "driver_memory")
             if row["kind"] == "device"]
    if not given:
        put("segments", "no rows of driver memory", "text", command)
        return
    memory = [row for row in rows_of(runner, trace, "memory") if row["device_kind"] == "cuda"]
    pairs = (("segment-alloc", "alloc"), ("segment-free", "free"))
    for ours, theirs in pairs:
        taken = count_by_place(memory, ours, ours == "segment-alloc")
        seen = count_by_place(given, theirs, ours == "segment-alloc")
        missing = sum(max(count - seen.get(place, 0), 0) for place, count in taken.items())
        put(ours.replace("-", "_") + "_events", sum(taken.values()), "count", command)
        put(ours.replace("-", "_") + "_unseen_by_driver", missing, "count", command)
    for ours, theirs in (("segment-map", "map"), ("segment-unmap", "unmap")):
        taken = sum(row["bytes"] for row in memory if row["action"] == ours)
        seen = sum(row["bytes"] for row in given if row["action"] == theirs)
        if taken or seen:
            put(ours.replace("-", "_") + "_difference", seen - taken, "bytes", command)
    outside = (sum(row["bytes"] for row in given if row["action"] == "alloc")
               - sum(row["bytes"] for row in memory if row["action"] == "segment-alloc"))
    put("driver_gave_others", outside, "bytes", command)


def count_by_place(rows, action, with_size):
    counts = {}
    for row in rows:
        if row["action"] == action:
            place = (row["addr"], row["bytes"] if with_size else 0)
            counts[place] = counts.get(place, 0) + 1
    return counts


def overhead(runner, case, put):
    """Bare, profiler, peakstep, bare, ...: a ratio a round, the median of them, its interval."""
    ways = ["bare", "profiler"] + (["peakstep"] if runner.knows("record") else [])
    if "peakstep" not in ways:
        put("skipped", "record: not built", "text", "peakstep help record")
    steps, commands = {way: [] for way in ways}, {}
    for number in range(runner.settings.rounds):
        try:
            for way in ways if number % 2 == 0 else reversed(ways):
                report, commands[way] = overhead_job(runner, case, way)
                steps[way].append(report["step_ms"])
        except TimeUp:
            if min(map(len, steps.values())) < 3:
                raise
            break
    rounds = min(map(len, steps.values()))
    put("rounds", rounds, "count", "")
    for way in ways:
        put(f"step_{way}", statistics.median(steps[way][:rounds]), "ms", commands[way])
    for way in ways[1:]:
        pairs = zip(steps[way][:rounds], steps["bare"][:rounds])
        ratios = [step / bare for step, bare in pairs if bare]
        if not ratios:
            continue
        low, high = interval(ratios)
        put(f"overhead_{way}", 100 * (statistics.median(ratios) - 1), "%", commands[way])
        put(f"overhead_{way}_low", 100 * (low - 1), "%", commands[way])
        put(f"overhead_{way}_high", 100 * (high - 1), "%", commands[way])


def overhead_job(runner, case, way):
    if way == "peakstep":
        report, command, trace = recorded(runner, case, "overhead")
        trace.unlink()
        return report, command
    if way == "profiler":
        path = runner.work / "overhead.json.gz"
        report, command = runner.finetune(case, "overhead", fresh=True, profiler=path,
                                          profile_steps=case.steps)
        path.unlink(missing_ok=True)
        return report, command
    return runner.finetune(case, "overhead", fresh=True)


def interval(values, draws=4000):
    """95 % of the medians of draws from the rounds, the same at every run."""
    chance = random.Random(1)
    medians = sorted(statistics.median(chance.choices(values, k=len(values)))
                     for _ in range(draws))
    return medians[int(0.025 * draws)], medians[int(0.975 * draws)]


def questions(runner, case, put):
    rows, command = runner.question(case.case)
    for row in rows:
        put(row["metric"], row["value"], row["unit"], command)


def allocator(runner, case, put):
    """The same job under PyTorch's defaults and under another setting, each simulated as the other.

    A recording from the very start of a process begins with an empty cache, and so does the
    what-if."""
    settings = {"default": "", "other": case.conf}
    traces, reports = {}, {}
    for name, conf in settings.items():
        one = case.under(conf)
        path = runner.work / f"{slug(one.name)}.allocator.pickle.gz"
        reports[name], command = runner.finetune(one, "allocator", snapshot=path)
        runner.settings.keep(path, case)
        for what in PEAKS:
            key = f"peak_{what}_bytes"
            put(f"{name}_peak_{what}", reports[name][key], "bytes", command)

        def put_named(metric, value, unit, command, name=name):
            put(f"{name}_{metric}", value, unit, command)
        traces[name], result, command = analyse(runner, path, put_named)
        put_memory(put_named, result, reports[name], "", command)
    for name, target in (("default", "other"), ("other", "default")):
        conf = settings[target]
        result = runner.peakstep_json("simulate", traces[name], "--cache", "empty",
                                      "--allocator-conf", conf, "--json", "-q")
        command = (f"peakstep simulate {traces[name].name} --cache empty --allocator-conf "
                   f"'{conf}' --json")
        device = first_device(result)
        for what in PEAKS:
            predicted = device[f"peak_{what}_bytes"]
            measured = reports[target][f"peak_{what}_bytes"]
            put(f"{name}_as_{target}_peak_{what}", predicted, "bytes", command)
            put(f"{name}_as_{target}_peak_{what}_difference", predicted - measured, "bytes",
                command)


def replay(runner, case, put):
    """Executes the recording of an earlier part, on the device where a backend can."""
    traces = [runner.work / f"{slug(case.name)}.{name}.pstrace" for name in ("record", "profiler")]
    trace = next((path for path in traces if path.exists()), None)
    if not trace:
        path = runner.work / f"{slug(case.name)}.profiler.json.gz"
        runner.finetune(case, "profiler", profiler=path)
        trace = analyse(runner, path, lambda *row: None)[0]
    on_device = not runner.settings.stand_in and runner.knows("replay", "|cuda")
    options = ["--backend", "cuda" if on_device else "host"]
    if not on_device:
        options += ["--memory-scale", "256"]
    result = runner.peakstep_json("replay", trace, *options, "--json", "-q")
    command = " ".join(["peakstep replay", trace.name, *options, "--json"])
    put("backend", result["backend"], "text", command)
    put("makespan", result["makespan_ns"] / 1e6, "ms", command)
    error = percent(result["makespan_ns"], result["simulated_makespan_ns"])
    put("makespan_against_simulated", error, "%", command)
    steps = [step for step in result["steps"] if step["simulated_ns"]]
    if steps:
        error = statistics.median(percent(s["measured_ns"], s["simulated_ns"]) for s in steps)
        put("step_against_simulated", error, "%", command)
    put("order_violations", result["obeyed"]["violations"], "count", command)
    for device in result["devices"]:
        difference = device["peak_live_bytes"] - device["simulated_peak_live_bytes"]
        put("peak_live_difference", difference, "bytes", command)


PARTS = {function.__name__: function for function in (
    reference, snapshot, profiler, record, overhead, questions, allocator, replay)}

# about what a line takes on a GPU, so that none is begun that cannot end
GUESS_SECONDS = {"reference": 12, "snapshot": 15, "profiler": 20, "record": 30, "overhead": 150,
                 "questions": 12, "allocator": 30, "replay": 15}


def copy_within(path, folder, room):
    """Copies a file where it still fits; says whether it did."""
    size = path.stat().st_size
    if size > room:
        return False
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, folder / path.name)
    return True
