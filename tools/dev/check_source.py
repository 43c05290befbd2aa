#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks the rules for source text that compilers do not know.

    licence line      every source, script and build file names its licence first
    include guards    every header, unique
    banned calls      by folder, see BANS
    sizes             files at most 700 lines, functions at most 100
    hardware          no product names in code: they belong into data files
    text              no tabs, no trailing blanks, TODO only with an issue number,
                      no absolute paths of somebody's machine

Prints one line a violation, path:line: text, and exits 1 if there is any.
"""
import pathlib
import re
import sys

FILE_LINES = 700
FUNCTION_LINES = 100

C_SUFFIXES = {".c", ".h", ".cpp", ".def"}
HASH_SUFFIXES = {".sh", ".py", ".cmake"}
HASH_NAMES = {"CMakeLists.txt", ".ci/run"}
FOLDERS = ["formats", "simulator", "replay", "tracer", "tools", "traces", "tests", "cmake",
           ".ci"]
LIBRARIES = ("formats/", "simulator/", "replay/", "tracer/")
PRODUCT = LIBRARIES + ("tools/",)

# (folders, files excepted, calls, what to use instead)
BANS = [
    (PRODUCT + ("tests/",), (),
     "strcpy sprintf vsprintf gets strtok atoi atol atoll atof alloca rand srand random",
     "has a checked counterpart"),
    (PRODUCT, (), "localtime gmtime ctime asctime setlocale tmpnam mktemp system popen",
     "not safe with threads, locales or hostile names"),
    (PRODUCT, ("formats/base/memory.c", "tracer/demangle.c"),
     "malloc calloc realloc free reallocarray strdup strndup asprintf vasprintf",
     "allocate through base/memory.h"),
    (LIBRARIES, (), "printf vprintf puts putchar perror exit _exit _Exit abort",
     "a library returns its errors"),
    (("formats/", "simulator/", "replay/"), (), "getenv secure_getenv",
     "a library takes options as arguments"),
]
TO_TERMINAL = re.compile(r"\bv?fprintf\s*\(\s*(stdout|stderr)\b|\bfputs\s*\([^;]*\b(stdout|stderr)\b")

# Names of products; what a device can do stands in simulator/cluster/*.csv.
HARDWARE = re.compile(
    r"\b([AHVPB][1-9]00(SXM|PCIE)?|GH200|GB200|RTX ?\d{4}|GeForce|Quadro|Tesla|Radeon|"
    r"MI\d{3}X?|ConnectX|Xeon|EPYC)\b", re.IGNORECASE)
HARDWARE_FOLDERS = ("formats/", "simulator/", "replay/", "tracer/")

FOREIGN_PATH = re.compile(r"(?<![\w.}$/])/(work|root)/\w")
TODO = re.compile(r"\b(TODO(?!\(#\d+\))|FIXME|XXX)\b")

TOKEN = re.compile(
    r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.DOTALL)


def blank(text, keep_strings):
    """The text with comments (and the inside of strings) as blanks; lines stay where they are."""
    def replace(match):
        token = match.group(0)
        if token[0] in "\"'" and keep_strings:
            return token
        if token[0] in "\"'":
            return token[0] + " " * (len(token) - 2) + token[-1]
        return re.sub(r"[^\n]", " ", token)
    return TOKEN.sub(replace, text)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def check_licence(path, lines, complain):
    if path.endswith(tuple(C_SUFFIXES)):
        good = lines[:1] == ["/* SPDX-License-Identifier: MIT"] or \
               lines[:1] == ["/* SPDX-License-Identifier: MIT */"]
    elif path.endswith(".proto"):
        good = lines[:1] == ["// SPDX-License-Identifier: MIT"]
    else:
        first = 1 if lines and lines[0].startswith("#!") else 0
        good = lines[first:first + 1] == ["# SPDX-License-Identifier: MIT"]
    if not good:
        complain(1, "the first line must be the SPDX licence line")


def check_guard(path, code, guards, complain):
    directives = re.findall(r"^[ \t]*#[ \t]*(\w+)[ \t]*(\w*)", code, re.MULTILINE)
    if len(directives) < 3 or directives[0][0] != "ifndef" or directives[1][0] != "define" or \
            directives[0][1] != directives[1][1] or directives[-1][0] != "endif":
        complain(1, "a header begins with #ifndef, #define and ends with #endif of its guard")
        return
    guard = directives[0][1]
    if not re.fullmatch(r"PS_[A-Z0-9_]+_H", guard):
        complain(1, f"guard {guard} should read PS_..._H")
    if guard in guards:
        complain(1, f"guard {guard} is also that of {guards[guard]}")
    guards[guard] = path


def check_calls(path, code, complain):
    for folders, excepted, calls, reason in BANS:
        if not path.startswith(folders) or path in excepted:
            continue
        pattern = re.compile(r"(?<![\w.>])(" + "|".join(calls.split()) + r")\s*\(")
        for match in pattern.finditer(code):
            complain(line_of(code, match.start()), f"{match.group(1)}: {reason}")
    if path.startswith(LIBRARIES):
        for match in TO_TERMINAL.finditer(code):
            complain(line_of(code, match.start()), "a library does not write to the terminal")


def check_functions(code, complain):
    """A body opens with { and closes with } in the first column."""
    begin = None
    for number, line in enumerate(code.splitlines(), 1):
        if line.startswith("{"):
            begin = number
        elif line.startswith("}") and begin is not None:
            if number - begin + 1 > FUNCTION_LINES:
                complain(begin, f"function of {number - begin + 1} lines, at most {FUNCTION_LINES}")
            begin = None


def check_c(path, text, guards, complain):
    code = blank(text, keep_strings=False)
    if path.endswith(".h"):
        check_guard(path, code, guards, complain)
    check_calls(path, code, complain)
    check_functions(code, complain)
    if path.startswith(HARDWARE_FOLDERS):
        with_strings = blank(text, keep_strings=True)
        for match in HARDWARE.finditer(with_strings):
            complain(line_of(text, match.start()),
                     f"{match.group(0)}: hardware belongs into a data file")


def check_file(root, path, guards, complain):
    text = (root / path).read_text(encoding="utf-8")
    lines = text.splitlines()
    check_licence(path, lines, complain)
    if len(lines) > FILE_LINES:
        complain(FILE_LINES, f"{len(lines)} lines, at most {FILE_LINES}")
    for number, line in enumerate(lines, 1):
        if "\t" in line:
            complain(number, "tab")
        if line != line.rstrip():
            complain(number, "trailing blanks")
        if FOREIGN_PATH.search(line) and path != "tools/dev/check_source.py":
            complain(number, f"a path of somebody's machine: {FOREIGN_PATH.search(line).group(0)}")
        if TODO.search(line) and path != "tools/dev/check_source.py":
            complain(number, "TODO needs an issue: TODO(#12)")
    if text and not text.endswith("\n"):
        complain(len(lines), "no newline at the end")
    if path.endswith(tuple(C_SUFFIXES)):
        check_c(path, text, guards, complain)


def is_source(path):
    name = path.rsplit("/", 1)[-1]
    suffix = pathlib.PurePosixPath(path).suffix
    return suffix in C_SUFFIXES | HASH_SUFFIXES | {".proto"} or name in HASH_NAMES or \
        path in HASH_NAMES


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    complaints = []
    guards = {}
    count = 0
    files = [root / "CMakeLists.txt"]
    for folder in FOLDERS:
        files += sorted((root / folder).rglob("*"))
    for file in files:
        path = file.relative_to(root).as_posix()
        if not file.is_file() or not is_source(path):
            continue
        count += 1
        check_file(root, path, guards,
                   lambda line, text, path=path: complaints.append(f"{path}:{line}: {text}"))
    for complaint in complaints:
        print(complaint)
    print(f"source: {count} files, {len(complaints)} violations")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
