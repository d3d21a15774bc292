#!/usr/bin/env python3
"""Checks the built libtinytorch.so, or a plugin: what it needs, what it exports, how large it is.

usage: check_libraries.py [--plugin] LIBRARY READELF NM STRIP
It may need the C and C++ run time and zlib, and nothing else: no CUDA, no BLAS (opened at run time). It exports only names of
namespace tinytorch and tinytorch_*. Stripped it is at most 5 MB. A plugin needs libtinytorch.so besides, exports its one object, and is
at most 40 MB.
"""
import os
import re
import subprocess
import sys
import tempfile

NEEDED = re.compile(r"(libstdc\+\+|libm|libgcc_s|libc|libdl|libpthread|librt|libz|ld-linux[-\w]*|libc\+\+|libc\+\+abi)\.so\.\d+$")
EXPORTED = re.compile(r"((vtable|VTT|typeinfo|typeinfo name) for |guard variable for |(non-)?virtual thunk to |"
                      r"TLS (init|wrapper) function for )?tinytorch::|tinytorch_\w+$")
# Template functions carry their return type in front of their name.
TEMPLATE = re.compile(r"\S.* tinytorch::[\w:~]+<")
MAX_BYTES = 5_000_000
CORE = re.compile(r"libtinytorch\.so\.\d+\.\d+$")
PLUGIN_EXPORTS = re.compile(r"tinytorch_backend_plugin$")
MAX_PLUGIN_BYTES = 40_000_000


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main():
    plugin = sys.argv[1] == "--plugin"
    library, readelf, nm, strip = sys.argv[2 if plugin else 1:]
    limit = MAX_PLUGIN_BYTES if plugin else MAX_BYTES
    problems = []
    dynamic = output(readelf, "-d", library)
    needed = re.findall(r"\(NEEDED\)\s+Shared library: \[(.*?)\]", dynamic)
    problems += [f"needs {name}" for name in needed if not (NEEDED.match(name) or plugin and CORE.match(name))]
    soname = re.search(r"\(SONAME\)\s+Library soname: \[(.*?)\]", dynamic)
    if not plugin and not (soname and CORE.match(soname.group(1))):
        problems.append("its soname has no version")
    exported = [line.split(" ", 2) for line in output(nm, "-DC", "--defined-only", library).splitlines()]
    names = [fields[-1] for fields in exported]
    if plugin and "STATIC_TLS" in dynamic:
        problems.append("has thread-locals of the initial-exec model: a program that is running may have no room for them")
    if plugin:
        problems += [f"exports {name}" for name in names if not PLUGIN_EXPORTS.match(name)] + ([] if names else ["exports nothing"])
    else:
        problems += [f"exports {name}" for name in names if not EXPORTED.match(name) and not TEMPLATE.match(name)]
    with tempfile.TemporaryDirectory() as folder:
        stripped = os.path.join(folder, "stripped.so")
        output(strip, "-o", stripped, library)
        size = os.path.getsize(stripped)
    if size > limit:
        problems.append(f"is {size} bytes stripped; the limit is {limit}")
    for problem in problems:
        print(f"{library}: {problem}")
    print(f"needs {', '.join(needed)}; exports {len(names)} names; {size / 1e6:.2f} MB stripped; {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
