#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A second reader of peakstep's files, written from docs/FORMAT.md alone.

    mini_reader.py FILE TABLE_ID COLUMN_ID:TYPE...

Prints one line a row, the named columns separated by commas. Reads finished
files only and trusts nothing that a checksum covers. It shares no line with
the product: where both agree, the page says enough.
"""
import ctypes
import struct
import sys
import zlib

BITS = {"u8": 8, "u32": 32, "u64": 64, "i64": 64, "str": 32}
MASK = (1 << 64) - 1


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7f) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(data):
    """(number, value) of every field of a protobuf message."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        if tag & 7 == 0:
            value, at = varint(data, at)
        elif tag & 7 == 1:
            value, at = struct.unpack_from("<Q", data, at)[0], at + 8
        elif tag & 7 == 2:
            size, at = varint(data, at)
            value, at = data[at:at + size], at + size
        else:
            raise ValueError(f"wire type {tag & 7}")
        yield tag >> 3, value


def decompress(frame, raw_bytes):
    zstd = ctypes.CDLL("libzstd.so.1")
    zstd.ZSTD_decompress.restype = ctypes.c_size_t
    out = ctypes.create_string_buffer(max(raw_bytes, 1))
    got = zstd.ZSTD_decompress(out, ctypes.c_size_t(raw_bytes), frame,
                               ctypes.c_size_t(len(frame)))
    if got != raw_bytes:
        raise ValueError("a chunk does not decompress to its stated size")
    return out.raw[:raw_bytes]


def chunk_at(data, offset):
    """Kind, raw_bytes and payload of a chunk."""
    magic, kind, raw_bytes, stored, _, crc = struct.unpack_from("<4sIQQII", data, offset)
    if magic != b"PSCK" or zlib.crc32(data[offset:offset + 28]) != crc:
        raise ValueError(f"no chunk at {offset}")
    return kind, raw_bytes, data[offset + 32:offset + 32 + stored]


def data_chunks(data):
    """Every chunk's decompressed payload, by the index."""
    if data[:8] != b"\x89PSK\r\n\x1a\n" or data[8:12] not in (b"TRCE", b"PLAN", b"WORK") or \
            struct.unpack_from("<H", data, 12)[0] != 1 or \
            zlib.crc32(data[:28]) != struct.unpack_from("<I", data, 28)[0]:
        raise ValueError("not a file of version 1")
    offset, count, crc, end = struct.unpack("<QII8s", data[-24:])
    if end != b"PSKDONE\n" or zlib.crc32(data[-24:-12]) != crc:
        raise ValueError("not finished")
    kind, checksum, payload = chunk_at(data, offset)
    entries = [dict(fields(entry)) for _, entry in fields(payload)]
    if kind != 2 or zlib.crc32(payload) != checksum or len(entries) != count:
        raise ValueError("the index is damaged")
    for entry in entries:
        kind, raw_bytes, payload = chunk_at(data, entry[1])
        if kind != 1 or len(payload) != entry[2]:
            raise ValueError("the index does not fit the chunks")
        yield decompress(payload, raw_bytes)


def unzigzag(value):
    return (value >> 1) ^ (-(value & 1) & MASK)


def column_values(column, rows, kind):
    """The rows' values as 64-bit patterns."""
    coding, width, origin = column.get(2, 0), column.get(3, 0), column.get(4, 0)
    planes = column.get(5, b"")
    if len(planes) != rows * width:
        raise ValueError("planes of a wrong size")
    if coding == 0 and width == 0:
        return [origin] * rows
    stored = [sum(planes[byte * rows + row] << (8 * byte) for byte in range(width))
              for row in range(rows)]
    if coding == 0:
        return [unzigzag(value) for value in stored] if kind == "i64" else stored
    values, last = [], origin
    for value in stored:
        last = (last + unzigzag(value)) & MASK
        values.append(last)
    return values


def show(value, kind, strings):
    value &= (1 << BITS[kind]) - 1
    if kind == "str":
        return strings[value]
    return str(value - (1 << 64) if kind == "i64" and value >> 63 else value)


def main():
    path, table_id = sys.argv[1], int(sys.argv[2])
    wanted = [(int(text.split(":")[0]), text.split(":")[1]) for text in sys.argv[3:]]
    with open(path, "rb") as file:
        data = file.read()
    for chunk in data_chunks(data):
        strings = [""]
        for number, value in fields(chunk):
            if number == 1:
                text = dict(fields(value)).get(2, b"")
                strings += text.decode("utf-8").split("\0")[:-1]
        for number, value in fields(chunk):
            table = list(fields(value)) if number == 2 else []
            if dict(table).get(1) != table_id:
                continue
            rows = dict(table)[2]
            columns = {entry[1]: entry for key, part in table if key == 3
                       for entry in [dict(fields(part))]}
            values = [column_values(columns.get(number, {}), rows, kind)
                      for number, kind in wanted]
            for row in range(rows):
                print(",".join(show(values[i][row], wanted[i][1], strings)
                               for i in range(len(wanted))))


if __name__ == "__main__":
    main()
