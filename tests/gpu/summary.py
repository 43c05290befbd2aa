# SPDX-License-Identifier: MIT
"""The one table that a person reads at the end, and what was to be shown."""
import re

GIB = 1 << 30


def figures(rows, part, case):
    return {row["metric"]: row["value"] for row in rows
            if row["part"] == part and row["case"] == case}


def cases(rows, part):
    return list(dict.fromkeys(row["case"] for row in rows if row["part"] == part))


def number(value, form="{:.2f}", otherwise="-"):
    return form.format(value) if isinstance(value, (int, float)) else otherwise


def gib(value):
    return number(value / GIB, "{:.3f}") if isinstance(value, (int, float)) else "-"


def difference(value):
    if not isinstance(value, (int, float)):
        return "-"
    if value == 0:
        return "exact"
    if abs(value) < 1 << 20:
        return f"{value:+d} B"
    return f"{value / (1 << 20):+.1f} MiB"


def table(title, heads, lines):
    """Columns as wide as needed, the first to the left, the others to the right."""
    if not lines:
        return []
    widths = [max(len(str(line[i])) for line in [heads, *lines]) for i in range(len(heads))]

    def row(cells):
        first = str(cells[0]).ljust(widths[0])
        return "  ".join([first, *(str(c).rjust(w) for c, w in zip(cells[1:], widths[1:]))])
    return ["", title, row(heads).rstrip(), *(row(line).rstrip() for line in lines)]


def remark(found):
    return str(found.get("failed") or found.get("skipped") or "")[:70]


def runs(rows):
    lines = []
    for part in ("reference", "snapshot", "profiler", "record"):
        for case in cases(rows, part):
            found = figures(rows, part, case)
            sound = {0: "no", 1: "yes"}.get(found.get("check_passes"), "-")
            lines.append((
                f"{part:<9} {case}", number(found.get("step")),
                number(found.get("step_error"), "{:+.2f} %"), gib(found.get("peak_allocated")),
                difference(found.get("peak_allocated_difference")),
                gib(found.get("peak_reserved")),
                difference(found.get("peak_reserved_difference")),
                gib(found.get("nvml_used_highest")), sound, remark(found)))
    heads = ("run", "step ms", "simulated", "allocated", "simulated", "reserved", "simulated",
             "NVML", "sound", "")
    return table("Runs: measured (GiB), and how far the simulation is from it", heads, lines)


def overheads(rows):
    lines = []
    for case in cases(rows, "overhead"):
        found = figures(rows, "overhead", case)
        cells = [case, number(found.get("rounds"), "{}"), number(found.get("step_bare"))]
        for way in ("profiler", "peakstep"):
            middle, low, high = (found.get(f"overhead_{way}{end}") for end in ("", "_low", "_high"))
            cells.append("-" if middle is None else f"{middle:+.2f} % [{low:+.2f}, {high:+.2f}]")
        lines.append((*cells, remark(found)))
    return table("Overhead on the step: median of rounds [95 % of resampled medians]",
                 ("case", "rounds", "bare ms", "PyTorch profiler", "peakstep", ""), lines)


def allocators(rows):
    lines = []
    for case in cases(rows, "allocator"):
        found = figures(rows, "allocator", case)
        lines.append((
            case, gib(found.get("default_peak_reserved")), gib(found.get("other_peak_reserved")),
            difference(found.get("default_as_other_peak_reserved_difference")),
            difference(found.get("other_as_default_peak_reserved_difference")), remark(found)))
    heads = ("case", "default GiB", "other GiB", "default as other", "other as default", "")
    return table("Allocator: peak reserved, and one recording simulated as the other", heads, lines)


def replays(rows):
    lines = []
    for case in cases(rows, "replay"):
        found = figures(rows, "replay", case)
        lines.append((case, found.get("backend", "-"),
                      number(found.get("makespan")),
                      number(found.get("makespan_against_simulated"), "{:+.2f} %"),
                      number(found.get("order_violations"), "{}"), remark(found)))
    heads = ("case", "backend", "makespan ms", "against simulated", "violations", "")
    return table("Replay", heads, lines)


def quantity(value, unit):
    if not isinstance(value, (int, float)):
        return str(value)[:60]
    if unit == "bytes":
        return f"{value / (1 << 20):.1f} MiB"
    return f"{value:.3g} {unit}" if isinstance(value, float) else f"{value} {unit}"


SIZED = re.compile(r"(.+?)_(\d+(?:B|[KMG]iB))(_rate|_rate_each)?")


def answers(rows):
    """What was measured for several sizes is one line."""
    found = {}
    for row in rows:
        if row["part"] != "questions":
            continue
        sized = SIZED.fullmatch(row["metric"])
        what = sized[1] + (sized[3] or "") if sized else row["metric"]
        text = quantity(row["value"], row["unit"])
        found.setdefault((row["case"], what), []).append(f"{sized[2]}: {text}" if sized else text)
    lines = [f"  {case:<20} {what:<38} {',  '.join(texts)}"
             for (case, what), texts in found.items()]
    return ["", "Questions", *lines] if lines else []


class Goal:
    """Counts the figures of one kind and how many are as they should be."""

    def __init__(self, text, rows, parts, metrics, holds):
        self.text = text
        values = [row["value"] for row in rows if row["part"] in parts and row["metric"] in metrics]
        self.values = [value for value in values if isinstance(value, (int, float))]
        self.good = sum(holds(value) for value in self.values)

    def holds(self):
        return self.good == len(self.values)

    def line(self):
        if not self.values:
            return f"  -     {self.text}: not measured"
        word = "ok  " if self.holds() else "OFF "
        return f"  {word}  {self.text}: {self.good} of {len(self.values)}"


def goals(rows, times_count):
    exact, whole = (lambda value: value == 0), ("snapshot", "record")
    found = [
        Goal("peak allocated in the trace is PyTorch's counter", rows, whole,
             ("recorded_peak_allocated_difference",), exact),
        Goal("peak reserved in the trace is PyTorch's counter", rows, whole,
             ("recorded_peak_reserved_difference",), exact),
        Goal("simulated peak allocated is PyTorch's counter", rows, whole,
             ("peak_allocated_difference",), exact),
        Goal("simulated peak reserved is PyTorch's counter", rows, whole,
             ("peak_reserved_difference",), exact),
        Goal("traces are sound", rows, (*whole, "profiler"), ("check_passes",), bool),
        Goal("segments are what the driver gave", rows, ("record",),
             ("segment_alloc_unseen_by_driver", "segment_free_unseen_by_driver",
              "segment_map_difference", "segment_unmap_difference"), exact),
        Goal("reserved of the other allocator setting is predicted to the byte", rows,
             ("allocator",), ("default_as_other_peak_reserved_difference",
                              "other_as_default_peak_reserved_difference"), exact),
    ]
    if times_count:
        found += [
            Goal("identity simulation within 1 % of the measured step", rows,
                 ("record", "profiler"), ("step_error",), lambda value: abs(value) <= 1),
            Goal("recording costs at most 3 % of the step", rows, ("overhead",),
                 ("overhead_peakstep",), lambda value: value <= 3),
        ]
    return found


def of_metric(rows, metric):
    return [row for row in rows if row["metric"] == metric]


def write(rows, head, remaining, times_count):
    """Returns the text and whether everything is as it should be."""
    aims = goals(rows, times_count)
    lines = [head]
    for section in (answers, runs, allocators, overheads, replays):
        lines += section(rows)
    lines += ["", "What was to be shown"]
    lines += [goal.line() for goal in aims]
    if not times_count:
        lines.append("  -     times mean nothing here: nothing was computed on a GPU")
    lines += [f"  -     {row['part']} {row['case']}: {row['value']}"
              for row in of_metric(rows, "skipped")]
    broken = of_metric(rows, "failed")
    lines += [f"  FAIL  {row['part']} {row['case']}: {row['value']}" for row in broken]
    if remaining:
        lines.append(f"  {len(remaining)} lines of the matrix remain; run again with the same state"
                     f" folder: {', '.join(remaining[:6])}{', ...' if len(remaining) > 6 else ''}")
    good = not broken and all(goal.holds() for goal in aims)
    return "\n".join(lines) + "\n", good
