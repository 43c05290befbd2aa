#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How well two rules place the segments of real recordings: addresses.py [FOLDER]

FOLDER (default: shared/traces/real beside the checkout) holds PyTorch memory snapshots. Each new
segment is placed by a rule among the segments that were really there, and compared with where the
driver put it. Rules: "below", under everything held; "chunks", that of
simulator/alloc/address_space.h. Exit status 77 without the folder.
"""
import pathlib
import pickle
import sys

MIB = 1 << 20
CHUNK = 32 * MIB


class Plain(pickle.Unpickler):
    """Loads nothing but plain data."""

    def find_class(self, module, name):
        raise pickle.UnpicklingError(f"{module}.{name}")


def round_up(size):
    return (size + 2 * MIB - 1) // (2 * MIB) * (2 * MIB)


def chunks(address, size):
    return range(address // CHUNK, (address + size - 1) // CHUNK + 1)


def start_state(snapshot, device, events):
    """Segments held before the first event: the last ones with all events undone."""
    held = {s["address"]: s["total_size"] for s in snapshot["segments"]
            if s.get("device", 0) == device and not s.get("is_expandable")}
    for event in reversed(events):
        if event["action"] == "segment_alloc":
            held.pop(event["addr"], None)
        else:
            held[event["addr"]] = event["size"]
    return held


def in_rest(held, live, opened, size):
    """The lowest place in the chunk opened last that has room, or None."""
    used = sorted((a, a + round_up(s)) for a, s in held.items())
    for chunk in sorted(live, key=lambda c: -opened.get(c, 0)):
        low, high, place = chunk * CHUNK, (chunk + 1) * CHUNK, chunk * CHUNK
        for begin, end in used:
            if end <= low or begin >= high:
                continue
            if begin - place >= size:
                break
            place = max(place, end)
        if high - place >= size:
            return place
    return None


def in_given_back(live, opened, count):
    """The highest run of chunks that were used and are not, or None."""
    run, before = 0, None
    for chunk in sorted((c for c in opened if c not in live), reverse=True):
        run = run + 1 if before is not None and chunk == before - 1 else 1
        before = chunk
        if run == count:
            return chunk * CHUNK
    return None


def place(rule, held, opened, size):
    live = {c for a, s in held.items() for c in chunks(a, round_up(s))}
    count = (size + CHUNK - 1) // CHUNK
    if rule == "below":
        return (min(live) - count) * CHUNK
    found = in_rest(held, live, opened, size) if size < CHUNK else None
    if found is None:
        found = in_given_back(live, opened, count)
    return found if found is not None else (min(min(live), min(opened)) - count) * CHUNK


def exact(rule, snapshot, device, events):
    held = start_state(snapshot, device, events)
    opened, age, placed, right = {}, 0, 0, 0
    for address in sorted(held, reverse=True):
        age += 1
        for chunk in chunks(address, held[address]):
            opened.setdefault(chunk, age)
    for event in events:
        address, size = event["addr"], round_up(event["size"])
        if event["action"] == "segment_free":
            held.pop(address, None)
            continue
        if held:
            placed += 1
            right += place(rule, held, opened, size) == address
        held[address] = event["size"]
        age += 1
        for chunk in chunks(address, size):
            opened[chunk] = age
    return placed, right


def main():
    root = pathlib.Path(__file__).resolve().parents[2]
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else root / "../shared/traces/real"
    if not folder.is_dir():
        return 77
    for path in sorted(folder.rglob("*.pickle")):
        try:
            snapshot = Plain(path.open("rb")).load()
        except pickle.UnpicklingError:
            continue
        traces = snapshot.get("device_traces", []) if isinstance(snapshot, dict) else []
        for device, trace in enumerate(traces):
            events = [e for e in trace if e["action"] in ("segment_alloc", "segment_free")]
            if sum(e["action"] == "segment_alloc" for e in events) < 2:
                continue
            placed, below = exact("below", snapshot, device, events)
            _, by_chunks = exact("chunks", snapshot, device, events)
            print(f"{placed:4d} placed, exact: below {below:4d}, chunks {by_chunks:4d}  "
                  f"{path.parent.name}/{path.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
