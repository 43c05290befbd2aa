#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes a long Kineto recording of a short one: make_input.py IN.json[.gz] EVENTS OUT.json

Copies follow each other in time: times, correlations and the other numbers
that name things move by one period a copy. The text of each event is kept as
it is, so that the parser meets what a profiler writes.
"""
import gzip
import json
import re
import sys

# keys whose numbers must not meet those of another copy
MOVED = re.compile(
    rb'"(ts|correlation|External id|external id|Record function id|Ev Idx|id|Sequence number)"'
    rb'(\s*:\s*)(\d+)')


def load(path):
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rb") as file:
        return file.read()


def split(text):
    """The document before the first event, the events, and the rest."""
    begin = re.search(rb'"traceEvents"\s*:\s*\[', text).end()
    _, end = json.JSONDecoder().raw_decode(text.decode("utf-8")[begin - 1:])
    # the decoder counts characters; recordings here are ASCII
    end = begin - 1 + end - 1
    if text[end:end + 1] != b"]":
        raise SystemExit("the recording is not ASCII")
    return text[:begin], text[begin:end], text[end:]


def main():
    source, wanted, target = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    head, events, tail = split(load(source))
    parsed = json.loads(b"[" + events + b"]")
    # what a trace holds; arrows between rows and metadata are not events
    count = sum(event.get("ph") in ("X", "i") for event in parsed)
    times = [float(event["ts"]) for event in parsed if event.get("ph") == "X"]
    period = {b"ts": int(max(times) - min(times)) + 1_000_000}
    for match in MOVED.finditer(events):
        key, number = match.group(1), int(match.group(3))
        if key != b"ts" and number < 1 << 40:
            period[key] = max(period.get(key, 0), number + 1)
    copies = -(-wanted // count)

    def moved(copy):
        def replace(match):
            key, gap, number = match.group(1), match.group(2), int(match.group(3))
            if key != b"ts" and (number == 0 or number >= 1 << 40):
                return match.group(0)
            return b'"%s"%s%d' % (key, gap, number + copy * period[key])
        return MOVED.sub(replace, events)

    with open(target, "wb") as file:
        file.write(head)
        for copy in range(copies):
            file.write(b"," if copy > 0 else b"")
            file.write(moved(copy))
        file.write(tail)
    print(f"{copies} copies of {count} events")


if __name__ == "__main__":
    main()
