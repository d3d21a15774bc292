# What is installed: the library, its headers, the CMake package, the pkg-config file, and the programs validate and doctor (their
# rules stand in examples/). Test devices and examples are never installed.
include(CMakePackageConfigHelpers)
set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/TinyTorch")

install(TARGETS tinytorch EXPORT TinyTorchTargets
        LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}" INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/core/include/tinytorch" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
        FILES_MATCHING PATTERN "*.h" PATTERN "*.def")
install(EXPORT TinyTorchTargets NAMESPACE tinytorch:: DESTINATION "${package_dir}")

configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/TinyTorchConfig.cmake.in" "${PROJECT_BINARY_DIR}/TinyTorchConfig.cmake"
                              INSTALL_DESTINATION "${package_dir}")
# Until 1.0 a minor version may change the interface.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/TinyTorchConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/TinyTorchConfig.cmake" "${PROJECT_BINARY_DIR}/TinyTorchConfigVersion.cmake"
        DESTINATION "${package_dir}")

# The .pc file finds its prefix from its own place, so that an installed tree can be moved.
file(RELATIVE_PATH pc_prefix "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig" "${CMAKE_INSTALL_PREFIX}")
configure_file("${PROJECT_SOURCE_DIR}/cmake/tinytorch.pc.in" "${PROJECT_BINARY_DIR}/tinytorch.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/tinytorch.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}")
