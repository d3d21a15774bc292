#!/usr/bin/env python3
"""Checks that code compiled for one instruction set cannot be called by code compiled for another.

usage: check_isa_symbols.py NAMESPACE OBJECT_LIST [NM]     OBJECT_LIST: a file with one object file a line
       check_isa_symbols.py --self-test CXX [NM]
A weak symbol (an inline function, a std template) may be defined in several objects and the linker keeps any one of them; compiled
with AVX-512 it would crash an older processor. So every global symbol of such objects must name the instruction set's namespace.
"""
import os
import subprocess
import sys
import tempfile

# Data or trampolines of the compiler without vector code.
HARMLESS = ("DW.ref.__gxx_personality_v0", "__clang_call_terminate")


def violations(namespace, objects, nm):
    found = []
    for path in objects:
        listing = subprocess.run([nm, "-C", "--defined-only", "--extern-only", "--format=posix", path],
                                 check=True, capture_output=True, text=True).stdout
        for line in listing.splitlines():
            # "name type value size"; a demangled name contains blanks, the other three columns do not (size may be missing)
            fields = line.split(" ")
            kind = next(i for i in range(len(fields) - 1, 0, -1) if len(fields[i]) == 1 and fields[i].isalpha())
            name = " ".join(fields[:kind])
            if f"tinytorch::{namespace}::" not in name and name not in HARMLESS:
                found.append(f"{path}: {fields[kind]} {name}")
    return found


def self_test(compiler, nm):
    with tempfile.TemporaryDirectory() as folder:
        def compiled(name, text):
            source = os.path.join(folder, name + ".cpp")
            with open(source, "w", encoding="utf-8") as f:
                f.write(text)
            subprocess.run([compiler, "-std=c++20", "-O2", "-c", source, "-o", source + ".o"], check=True)
            return [source + ".o"]

        inside = "namespace tinytorch::cpu::avx512 { void row(float*, int) {} inline void own() {} void (*f)() = &own; }"
        shared = "inline int twice(int x) { return 2 * x; } namespace tinytorch::cpu::avx512 { int (*f)(int) = &twice; }"
        clean = violations("cpu::avx512", compiled("clean", inside), nm)
        planted = violations("cpu::avx512", compiled("planted", shared), nm)
    if clean or len(planted) != 1 or "twice(int)" not in planted[0]:
        print(f"self-test failed: clean {clean}, planted {planted}")
        return 1
    print("self-test: an inline function outside the namespace is caught")
    return 0


def main():
    if sys.argv[1] == "--self-test":
        return self_test(sys.argv[2], (sys.argv[3:] or ["nm"])[0])
    namespace, object_list = sys.argv[1:3]
    with open(object_list, encoding="utf-8") as f:
        objects = [line for line in f.read().splitlines() if line]
    found = violations(namespace, objects, (sys.argv[3:] or ["nm"])[0])
    for violation in found:
        print(violation)
    print(f"check_isa_symbols {namespace}: {len(objects)} objects, {len(found)} symbols outside the namespace")
    return 1 if found or not objects else 0


if __name__ == "__main__":
    sys.exit(main())
