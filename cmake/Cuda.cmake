# Finds the CUDA toolkit and turns the CUDA language on. Afterwards tinytorch_cuda says whether libtinytorch_cuda.so is built: AUTO
# builds it where nvcc of CUDA 13 or newer is found, ON makes its absence an error. No driver and no GPU is needed to build.
set(TINYTORCH_CUDA_ARCHITECTURES 90 CACHE STRING "GPU architectures with machine code; PTX for newer ones comes with each")
set(tinytorch_cuda OFF)
set(tinytorch_cuda_missing "")

if(TINYTORCH_CUDA STREQUAL "OFF" OR NOT TINYTORCH_CUDA)
  set(tinytorch_cuda_missing "not asked for")
elseif(TINYTORCH_SANITIZE)
  set(tinytorch_cuda_missing "not built under sanitizers, which cannot see device code; the kernels run there in their CPU twin")
else()
  if(CMAKE_CUDA_COMPILER)
    set(TINYTORCH_NVCC "${CMAKE_CUDA_COMPILER}")
  elseif(DEFINED ENV{CUDACXX})
    set(TINYTORCH_NVCC "$ENV{CUDACXX}")
  else()
    find_program(TINYTORCH_NVCC nvcc HINTS "$ENV{CUDA_HOME}/bin" "$ENV{CUDA_PATH}/bin" PATHS /usr/local/cuda/bin
                 DOC "The CUDA compiler")
    mark_as_advanced(TINYTORCH_NVCC)
  endif()
  set(nvcc_version "")
  if(TINYTORCH_NVCC)
    execute_process(COMMAND "${TINYTORCH_NVCC}" --version OUTPUT_VARIABLE nvcc_says ERROR_QUIET)
    if(nvcc_says MATCHES "release ([0-9.]+)")
      set(nvcc_version "${CMAKE_MATCH_1}")
    endif()
  endif()
  if(NOT nvcc_version)
    set(tinytorch_cuda_missing "no nvcc on PATH, in CUDA_HOME/bin or in /usr/local/cuda/bin")
  elseif(nvcc_version VERSION_LESS 13)
    set(tinytorch_cuda_missing "${TINYTORCH_NVCC} is of CUDA ${nvcc_version}; 13 or newer is needed")
  else()
    set(tinytorch_cuda ON)
  endif()
endif()

if(tinytorch_cuda)
  set(CMAKE_CUDA_COMPILER "${TINYTORCH_NVCC}" CACHE FILEPATH "The CUDA compiler")
  set(CMAKE_CUDA_ARCHITECTURES "${TINYTORCH_CUDA_ARCHITECTURES}")
  if(CMAKE_CXX_COMPILER_LAUNCHER AND NOT CMAKE_CUDA_COMPILER_LAUNCHER)
    set(CMAKE_CUDA_COMPILER_LAUNCHER "${CMAKE_CXX_COMPILER_LAUNCHER}")
  endif()
  enable_language(CUDA)
  find_package(CUDAToolkit 13 REQUIRED)
  message(STATUS "TinyTorch: CUDA backend by ${TINYTORCH_NVCC} (${nvcc_version}) for sm_${TINYTORCH_CUDA_ARCHITECTURES}")
elseif(NOT TINYTORCH_CUDA STREQUAL "AUTO" AND TINYTORCH_CUDA)
  message(FATAL_ERROR "TINYTORCH_CUDA=${TINYTORCH_CUDA}: ${tinytorch_cuda_missing}. Install the CUDA toolkit, name its compiler with "
                      "CUDACXX or CMAKE_CUDA_COMPILER, or use AUTO or OFF to build for CPU.")
else()
  message(STATUS "TinyTorch: no CUDA backend: ${tinytorch_cuda_missing}")
endif()

# Compile options of .cu files: those of tinytorch_library_options in the words of nvcc.
function(tinytorch_device_options target)
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}" "${PROJECT_SOURCE_DIR}/core/include")
  target_compile_options(${target} PRIVATE -std=c++20 -Xcompiler=-Wall,-Wextra,-Wno-restrict,-fno-plt)
  if(PROJECT_IS_TOP_LEVEL AND TINYTORCH_WERROR)
    target_compile_options(${target} PRIVATE -Werror=all-warnings)
  endif()
  set_target_properties(${target} PROPERTIES
    CUDA_ARCHITECTURES "${TINYTORCH_CUDA_ARCHITECTURES}"
    CUDA_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON
    POSITION_INDEPENDENT_CODE ON)
endfunction()

# What both forms of the backend are linked like: a plugin beside libtinytorch.so that exports what the version script `map` says.
function(tinytorch_cuda_plugin target map)
  target_link_libraries(${target} PRIVATE tinytorch ${CMAKE_DL_LIBS})
  set_target_properties(${target} PROPERTIES
    LINKER_LANGUAGE CXX
    LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib"
    LINK_DEPENDS "${map}")
  target_link_options(${target} PRIVATE "LINKER:--version-script=${map}" LINKER:-Bsymbolic-functions LINKER:-z,now LINKER:--as-needed)
  if(NOT TINYTORCH_SANITIZE)
    target_link_options(${target} PRIVATE LINKER:--no-undefined)
  endif()
endfunction()
