# Compile options of our own code. Nothing here reaches a user of the library: he gets an include folder and C++20, no flags.

# For code whose speed does not matter. (GCC at -O1 does not see that the entries of a Shape beyond its rank are copied but never
# read.)
set(tinytorch_quick_to_compile -O1 -Wno-maybe-uninitialized)

# Warnings, sanitizers and the include root of the tree ("core/runtime/launch.h"), for every target of ours.
function(tinytorch_compile_options target)
  target_compile_features(${target} PRIVATE cxx_std_20)
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}")
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 14)
    target_compile_options(${target} PRIVATE -Wno-restrict)  # false alarms inside std::string (GCC bug 105651)
  endif()
  if(PROJECT_IS_TOP_LEVEL AND TINYTORCH_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
  target_compile_definitions(${target} PRIVATE $<$<CONFIG:Debug>:_GLIBCXX_ASSERTIONS>)
  if(TINYTORCH_SANITIZE STREQUAL "address")
    set(sanitize -fsanitize=address,undefined -fno-sanitize-recover=undefined)
  elseif(TINYTORCH_SANITIZE STREQUAL "thread")
    set(sanitize -fsanitize=thread)
  endif()
  if(sanitize)
    target_compile_options(${target} PRIVATE ${sanitize} -fno-omit-frame-pointer -g1 ${tinytorch_quick_to_compile})
    target_link_options(${target} PRIVATE ${sanitize})
  endif()
endfunction()

# The same for tests, which are compiled more often than they run.
function(tinytorch_test_options target)
  tinytorch_compile_options(${target})
  target_compile_options(${target} PRIVATE ${tinytorch_quick_to_compile})
  if(TINYTORCH_SANITIZE)
    # Undefined behaviour is looked for in the library. Looking for it in tests, or optimising them, would double the time to compile.
    target_compile_options(${target} PRIVATE -fno-sanitize=undefined -O0)
  endif()
endfunction()

# The same as tinytorch_compile_options, and what code inside libtinytorch.so or a plugin needs besides: hidden symbols, and thread-locals and calls to other
# libraries without a detour (an op costs tens of nanoseconds; each detour would show).
function(tinytorch_library_options target)
  tinytorch_compile_options(${target})
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/core/include")
  target_compile_options(${target} PRIVATE -fno-plt -ftls-model=initial-exec -fno-semantic-interposition)
  set_target_properties(${target} PROPERTIES
    POSITION_INDEPENDENT_CODE ON
    CXX_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON
    INTERPROCEDURAL_OPTIMIZATION OFF)
endfunction()
