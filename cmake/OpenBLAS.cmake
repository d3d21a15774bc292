# The serial OpenBLAS that the CPU backend opens at run time as a private copy (it is not linked: a host program may have a BLAS of
# its own). Sets TINYTORCH_OPENBLAS to its full path.
find_file(TINYTORCH_OPENBLAS
  NAMES libopenblas.so.0
  PATHS "/usr/lib/${CMAKE_LIBRARY_ARCHITECTURE}/openblas-serial"
  NO_DEFAULT_PATH
  DOC "Serial OpenBLAS, opened at run time by the CPU backend")
if(TINYTORCH_OPENBLAS)
  message(STATUS "TinyTorch: OpenBLAS is ${TINYTORCH_OPENBLAS}")
else()
  message(WARNING "TinyTorch: no serial OpenBLAS found (Debian and Ubuntu: libopenblas0-serial). The library builds, and matrix "
                  "products run on its own slower code. Another copy can be given with -DTINYTORCH_OPENBLAS=/path/libopenblas.so.0")
endif()
