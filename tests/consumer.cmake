# Installs the package into the build tree and uses it as others would: find_package, pkg-config, the example of a backend outside of
# the tree, and the source tree as a part of another project. The last one compiles the library again, for one instruction set; ccache
# knows most of it from the build itself (scripts/test.sh).
set(installed "${CMAKE_CURRENT_BINARY_DIR}/installed")
set(consumer "${CMAKE_CURRENT_SOURCE_DIR}/consumer")

function(consumer_test name)
  add_test(NAME consumer.${name} COMMAND ${ARGN})
  set_tests_properties(consumer.${name} PROPERTIES LABELS "consumer;slow" TIMEOUT 1500)
endfunction()
# consumer_project(name folder test_command option...): configures, builds and tests another CMake project.
function(consumer_project name folder test_command)
  set(options "-DCMAKE_BUILD_TYPE=Release" "-DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER}"
              "-DCMAKE_CXX_COMPILER_LAUNCHER=${CMAKE_CXX_COMPILER_LAUNCHER}")
  consumer_test(${name} ${CMAKE_CTEST_COMMAND}
    --build-and-test "${folder}" "${CMAKE_CURRENT_BINARY_DIR}/consumer_${name}"
    --build-generator "${CMAKE_GENERATOR}" --build-makeprogram "${CMAKE_MAKE_PROGRAM}" --build-options ${options} ${ARGN}
    --test-command "${test_command}")
endfunction()

consumer_test(install ${CMAKE_COMMAND} --install "${PROJECT_BINARY_DIR}" --prefix "${installed}")
set_tests_properties(consumer.install PROPERTIES FIXTURES_SETUP installed)

consumer_project(find_package "${consumer}" consumer "-DCMAKE_PREFIX_PATH=${installed}")
consumer_project(own_backend "${PROJECT_SOURCE_DIR}/examples/07_own_backend" "${CMAKE_CTEST_COMMAND}" "-DCMAKE_PREFIX_PATH=${installed}")
consumer_test(pkg_config "${consumer}/pkg_config.sh" "${CMAKE_CXX_COMPILER}" "${installed}" "${CMAKE_INSTALL_LIBDIR}"
              "${CMAKE_CURRENT_BINARY_DIR}/consumer_pkg_config")
set_tests_properties(consumer.find_package consumer.own_backend consumer.pkg_config PROPERTIES FIXTURES_REQUIRED installed)

consumer_project(fetch_content "${consumer}" consumer "-DCONSUMER_FETCH=${PROJECT_SOURCE_DIR}" -DTINYTORCH_CPU_LEVELS=baseline -DTINYTORCH_CUDA=OFF)
