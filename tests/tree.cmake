# Checks of the source tree and of the built files. Sanitizers add symbols and libraries of their own, so that only the first
# check is made under them.
function(tree_test name)
  add_test(NAME tree.${name} COMMAND Python3::Interpreter ${ARGN})
  set_tests_properties(tree.${name} PROPERTIES LABELS tree TIMEOUT 120)
endfunction()

tree_test(layers "${CMAKE_CURRENT_SOURCE_DIR}/check_layers.py" "${PROJECT_SOURCE_DIR}")
tree_test(layers_self_test "${CMAKE_CURRENT_SOURCE_DIR}/check_layers.py" --self-test)
tree_test(compare "${CMAKE_CURRENT_SOURCE_DIR}/check_compare.py")

if(NOT TINYTORCH_SANITIZE)
  tree_test(libraries "${CMAKE_CURRENT_SOURCE_DIR}/check_libraries.py" "$<TARGET_FILE:tinytorch>"
            "${CMAKE_READELF}" "${CMAKE_NM}" "${CMAKE_STRIP}")
  if(tinytorch_cuda)
    tree_test(libraries_cuda "${CMAKE_CURRENT_SOURCE_DIR}/check_libraries.py" --plugin "$<TARGET_FILE:tinytorch_cuda>"
              "${CMAKE_READELF}" "${CMAKE_NM}" "${CMAKE_STRIP}")
    tree_test(kernel_budgets "${PROJECT_SOURCE_DIR}/scripts/kernel_budgets.py" "$<TARGET_FILE:tinytorch_cuda>"
              "${CMAKE_CURRENT_SOURCE_DIR}/cuda_budgets.csv")
  endif()
  foreach(level avx2 avx512)
    if(TARGET kernels_cpu_${level})
      set(objects "${CMAKE_CURRENT_BINARY_DIR}/objects_${level}.txt")
      file(GENERATE OUTPUT "${objects}" CONTENT "$<JOIN:$<TARGET_OBJECTS:kernels_cpu_${level}>,\n>\n")
      tree_test(isa_symbols_${level} "${CMAKE_CURRENT_SOURCE_DIR}/check_isa_symbols.py" cpu::${level} "${objects}" "${CMAKE_NM}")
    endif()
  endforeach()
  tree_test(isa_symbols_self_test "${CMAKE_CURRENT_SOURCE_DIR}/check_isa_symbols.py" --self-test "${CMAKE_CXX_COMPILER}" "${CMAKE_NM}")
endif()
