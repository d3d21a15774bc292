#!/usr/bin/env python3
"""Compares what the kernels of libtinytorch_cuda.so cost, as the compiler left it, with the committed table.

usage: kernel_budgets.py LIBRARY TABLE [--update]     --update writes the table anew
A row is a kernel with all its template instances: how many there are, registers of a thread, bytes of stack, static shared bytes of a block,
instructions that touch local memory (spilled registers do; so stack 0 means that nothing spills), and the widest load from and store to
global memory in bytes. `least-most` where instances differ. A kernel with a stack or local memory fails, unless the table says
so already; every other difference fails too, if the library was made by the compiler that the table names.
It reads the machine code itself (of sm_90), so that it needs neither cuobjdump nor a GPU.
"""
import collections
import csv
import io
import os
import re
import struct
import subprocess
import sys

ARCHITECTURE = 90
FATBIN, ELF_IMAGE, COMPRESSED = 0xBA55ED50, 2, 0xA000
REGISTERS, FRAME = 0x2F, 0x11  # attributes of .nv.info: (symbol, value) each
# Low 12 bits of an instruction of sm_90, without its predicate; bits 73 to 75 hold the size of a memory access.
LOADS, STORES, LOCAL = {0x381, 0x981, 0x980}, {0x386, 0x986, 0x385, 0x985}, {0x983, 0x387}
RESERVED = 1024  # bytes of shared memory that every block of sm_90 has besides
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 8, 6: 16}
COLUMNS = ("instances", "registers", "stack", "shared", "local", "load", "store")


class Elf:
    """Sections of a 64-bit little-endian ELF image."""

    def __init__(self, data):
        self.data = data
        offset, = struct.unpack_from("<Q", data, 0x28)
        size, count, names = struct.unpack_from("<HHH", data, 0x3A)
        headers = [struct.unpack_from("<IIQQQQIIQQ", data, offset + i * size) for i in range(count)]
        table = headers[names]
        # name, type, bytes in the file, size, link, info
        self.sections = [(self.text(table[4] + h[0]), h[1], data[h[4]:h[4] + h[5]] if h[1] != 8 else b"", h[5], h[6], h[7])
                         for h in headers]

    def text(self, at):
        return self.data[at:self.data.index(b"\0", at)].decode()

    def named(self, name):
        return next((s for s in self.sections if s[0] == name), None)

    def symbols(self):
        table = self.named(".symtab")
        names = self.sections[table[4]][2]
        for at in range(0, len(table[2]), 24):
            start = struct.unpack_from("<I", table[2], at)[0]
            yield names[start:names.index(b"\0", start)].decode()


def images(library):
    """The cubins for ARCHITECTURE."""
    with open(library, "rb") as f:
        section = Elf(f.read()).named(".nv_fatbin")
    data = section[2] if section else b""
    at = 0
    while at + 16 <= len(data):
        magic, _, header, size = struct.unpack_from("<IHHQ", data, at)
        if magic != FATBIN:
            at += 8  # padding
            continue
        entry, end = at + header, at + header + size
        while entry < end:
            kind, _, length, payload = struct.unpack_from("<HHIQ", data, entry)
            architecture, = struct.unpack_from("<I", data, entry + 0x1C)
            flags, = struct.unpack_from("<Q", data, entry + 0x28)
            if kind == ELF_IMAGE and architecture == ARCHITECTURE:
                if flags & COMPRESSED:
                    sys.exit(f"{library}: its machine code is compressed; build without a -compress-mode")
                yield data[entry + length:entry + length + payload]
            entry += length + payload
        at = end


def attributes(section):
    """(attribute, symbol, value) of a .nv.info section."""
    data, at = section[2], 0
    while at + 4 <= len(data):
        form, attribute, size = struct.unpack_from("<BBH", data, at)
        at += 4
        if form == 4:
            if size == 8:
                yield (attribute, *struct.unpack_from("<II", data, at))
            at += size


def accesses(code):
    """Widest global load and store in bytes, and how many instructions touch local memory."""
    load = store = local = 0
    for at in range(0, len(code) - 15, 16):
        low, high = struct.unpack_from("<QQ", code, at)
        opcode, size = low & 0xFFF, SIZES.get(high >> 9 & 7, 0)
        if opcode in LOADS:
            load = max(load, size)
        elif opcode in STORES:
            store = max(store, size)
        elif opcode in LOCAL:
            local += 1
    return load, store, local


def kernels(library):
    """-> ({mangled name: {column: value}}, compiler)"""
    found, compiler = {}, "unknown"
    for image in images(library):
        elf = Elf(image)
        note = elf.named(".note.nv.tkinfo")
        release = re.search(rb"V(\d+\.\d+\.\d+)", note[2]) if note else None
        compiler = release.group(1).decode() if release else compiler
        names = list(elf.symbols())
        facts = {(attribute, names[symbol]): value for attribute, symbol, value in attributes(elf.named(".nv.info"))}
        for name, _, code, _, _, _ in elf.sections:
            if not name.startswith(".text."):
                continue
            kernel = name[len(".text."):]
            if (REGISTERS, kernel) not in facts:
                continue
            shared = elf.named(".nv.shared." + kernel)
            load, store, local = accesses(code)
            found[kernel] = {"registers": facts[REGISTERS, kernel], "stack": facts.get((FRAME, kernel), 0),
                             "shared": shared[3] - RESERVED if shared else 0, "local": local, "load": load, "store": store}
    return found, compiler


def short(demangled):
    """tinytorch::cuda::(anonymous namespace)::add_kernel<float>(float*) -> add_kernel"""
    name = re.sub(r"\(anonymous namespace\)::|tinytorch::cuda::", "", demangled)
    name = re.split(r"[<(]", re.sub(r"^void ", "", name))[0]
    return name.strip()


def rows(library):
    """-> ({kernel: {column: text}}, compiler)"""
    found, compiler = kernels(library)
    names = subprocess.run(["c++filt"], input="\n".join(found), check=True, capture_output=True, text=True).stdout.splitlines()
    groups = collections.defaultdict(list)
    for facts, name in zip(found.values(), names):
        groups[short(name)].append(facts)
    table = {}
    for name, instances in sorted(groups.items()):
        table[name] = {"instances": str(len(instances))}
        for column in COLUMNS[1:]:
            values = sorted(i[column] for i in instances)
            table[name][column] = str(values[0]) if values[0] == values[-1] else f"{values[0]}-{values[-1]}"
    return table, compiler


def read_table(path):
    if not os.path.exists(path):
        return {}, ""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    compiler = re.search(r"nvcc (\S+)", text)
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {row.pop("kernel"): row for row in csv.DictReader(io.StringIO("\n".join(lines)))}, compiler.group(1) if compiler else ""


def write_table(path, table, compiler):
    with open(path, "w", encoding="utf-8") as f:
        f.write(f"# What the kernels cost, by nvcc {compiler} for sm_{ARCHITECTURE}. Written by scripts/kernel_budgets.py --update,\n"
                "# whose first lines say what the columns mean.\n")
        out = csv.writer(f, lineterminator="\n")
        out.writerow(("kernel",) + COLUMNS)
        out.writerows([name] + [row[c] for c in COLUMNS] for name, row in table.items())


def main():
    arguments = [a for a in sys.argv[1:] if a != "--update"]
    if len(arguments) != 2:
        sys.exit(__doc__)
    library, path = arguments
    table, compiler = rows(library)
    total = sum(int(row["instances"]) for row in table.values())
    print(f"{library}: {len(table)} kernels, {total} instances, by nvcc {compiler}")
    if not table:
        print(f"no kernels for sm_{ARCHITECTURE} found")
        return 1
    if "--update" in sys.argv[1:]:
        write_table(path, table, compiler)
        return 0
    wanted, wanted_compiler = read_table(path)
    problems = []
    for name, row in table.items():
        for column in ("stack", "local"):
            if row[column] != "0" and row[column] != wanted.get(name, {}).get(column):
                problems.append(f"{name}: {column} is {row[column]}: registers spill, or an array is indexed at run time")
    if compiler == wanted_compiler:
        problems += [f"{name}: not in the table" for name in table.keys() - wanted.keys()]
        problems += [f"{name}: in the table only" for name in wanted.keys() - table.keys()]
        problems += [f"{name}: {c} is {table[name][c]}, the table says {wanted[name][c]}"
                     for name in table.keys() & wanted.keys() for c in COLUMNS if table[name][c] != wanted[name][c]]
    else:
        print(f"{path} is of nvcc {wanted_compiler or '(there is no table)'}: only stacks and local memory are compared")
    print("\n".join(sorted(set(problems))))
    if problems:
        print(f"{len(problems)} differences. If they are meant: scripts/kernel_budgets.py {library} {path} --update, and look at the diff")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
