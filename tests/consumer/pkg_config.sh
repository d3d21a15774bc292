#!/usr/bin/env bash
# Builds and runs main.cpp with nothing but a compiler and pkg-config, after moving the installed tree: its files find their prefix
# from their own place.      pkg_config.sh COMPILER INSTALLED_TREE LIBDIR WORK_FOLDER
set -euo pipefail
compiler=$1 installed=$2 libdir=$3 work=$4
rm -rf "$work"
mkdir -p "$work"
cp -a "$installed" "$work/moved"
export PKG_CONFIG_PATH=$work/moved/$libdir/pkgconfig
read -ra flags <<<"$(pkg-config --cflags --libs tinytorch)"
"$compiler" -std=c++20 -Wall -Wextra -Wpedantic -Werror "$(dirname "$0")/main.cpp" "${flags[@]}" -o "$work/consumer"
LD_LIBRARY_PATH=$work/moved/$libdir "$work/consumer"
LD_LIBRARY_PATH=$work/moved/$libdir "$work/moved/bin/doctor" >/dev/null
