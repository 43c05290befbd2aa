#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks every #include edge against the dependency law (docs/ARCHITECTURE.md).

Prints one line a violation, path:line: text, and exits 1 if there is any.
"""
import pathlib
import re
import sys

# The law: a unit may include itself and the units named here. A unit is the
# longest of these prefixes that a file's path begins with.
LAW = {
    "formats/base": [],
    "formats/trace": ["formats/base"],
    "formats/plan": ["formats/base", "formats/trace"],
    "formats/workload": ["formats/base", "formats/trace", "formats/plan"],
    "formats/result": ["formats/base", "formats/plan"],
    "formats/import": ["formats/base", "formats/trace"],
    "formats/export": ["formats/base", "formats/trace", "formats/plan", "formats/workload",
                       "formats/result"],
    "simulator": ["formats"],
    "simulator/engine": ["formats/base"],
    "replay": ["formats"],
    "tracer": ["formats"],
    "tools": ["formats", "simulator", "replay", "tracer"],
    "traces": [],
    "tests": ["formats", "simulator", "replay", "tracer", "tools"],
}

# Parts of a folder that know nothing of these matters. The words are refused
# in its files, comments included.
FORBIDDEN_WORDS = {
    "simulator/engine": re.compile(r"\b(gpus?|cuda)\b", re.IGNORECASE),
}

# Headers made from formats/proto at build time: no file in the tree.
GENERATED = re.compile(r"^\w+\.pb-c\.h$")
GENERATED_USERS = ["formats/base"]

INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"')
SUFFIXES = {".c", ".h", ".cpp", ".def"}


def unit_of(path):
    """The unit a file belongs to; a file without one is a violation in itself."""
    candidates = [unit for unit in LAW if path.startswith(unit + "/")]
    return max(candidates, key=len, default=None)


def is_allowed(user, used):
    """True when unit `user` may include a file of unit `used`."""
    if user == used:
        return True
    permitted = LAW[user] if "/" in user else LAW[user] + [user]
    return any(used == unit or used.startswith(unit + "/") for unit in permitted)


def resolve(root, path, name):
    """Path of an included file relative to the root, or None."""
    folder = path.split("/", 1)[0]
    for base in (pathlib.PurePosixPath(path).parent.as_posix(), folder, "formats", "."):
        candidate = root / base / name
        if candidate.is_file():
            return candidate.resolve().relative_to(root).as_posix()
    # a tool or a test sees every library's folder
    for base in ("simulator", "replay", "tracer", "tools", "tests"):
        if (root / base / name).is_file():
            return f"{base}/{name}"
    if (root / name).is_file():
        return name
    return None


def check_edge(root, path, name):
    """(included file or None, complaint or None) of one include line."""
    if GENERATED.match(name):
        allowed = unit_of(path) in GENERATED_USERS or path.startswith("tests/")
        return None, None if allowed else f"generated {name} is for {GENERATED_USERS[0]} alone"
    target = resolve(root, path, name)
    if target is None:
        return None, f"{name} is not in the tree"
    if ".." in name:
        return target, f"{name}: name files from the folder of their library"
    user, used = unit_of(path), unit_of(target)
    if used is None:
        return target, f"{target} belongs to no unit of the law"
    if not is_allowed(user, used):
        return target, f"{user} must not include {target}"
    return target, None


def read_file(root, path, complain):
    """Checks one file; returns the files it includes."""
    edges = []
    unit = unit_of(path)
    words = FORBIDDEN_WORDS.get(unit)
    for number, line in enumerate((root / path).read_text(encoding="utf-8").splitlines(), 1):
        if words is not None and words.search(line):
            complain(f"{path}:{number}: {unit} must not know \"{words.search(line).group(0)}\"")
        match = INCLUDE.match(line)
        if match is None:
            continue
        target, complaint = check_edge(root, path, match.group(1))
        if complaint is not None:
            complain(f"{path}:{number}: {complaint}")
        if target is not None:
            edges.append(target)
    return edges


def find_cycles(graph, complain):
    """Reports every file that includes itself through others, once a cycle."""
    state = {}
    for start in sorted(graph):
        if start in state:
            continue
        stack = [(start, iter(graph[start]))]
        state[start] = "open"
        while stack:
            path, rest = stack[-1]
            following = next(rest, None)
            if following is None:
                state[path] = "done"
                stack.pop()
            elif state.get(following) == "open":
                trail = [entry[0] for entry in stack]
                ring = trail[trail.index(following):] + [following]
                complain(f"{following}:1: include cycle: {' -> '.join(ring)}")
            elif following not in state:
                state[following] = "open"
                stack.append((following, iter(graph.get(following, []))))


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    complaints = []
    graph = {}
    for folder in sorted({unit.split("/")[0] for unit in LAW}):
        for file in sorted((root / folder).rglob("*")):
            path = file.relative_to(root).as_posix()
            if file.suffix not in SUFFIXES or not file.is_file():
                continue
            if unit_of(path) is None:
                complaints.append(f"{path}:1: belongs to no unit of the law")
                continue
            graph[path] = read_file(root, path, complaints.append)
    find_cycles(graph, complaints.append)
    for complaint in complaints:
        print(complaint)
    edges = sum(len(targets) for targets in graph.values())
    print(f"includes: {len(graph)} files, {edges} edges, {len(complaints)} violations")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
