# What hull stands on: all of it from Debian 12's main archive (scripts/setup installs it).
# The programs are linked statically, so the static archives are asked for by name.

find_package(Boost 1.81 REQUIRED COMPONENTS json)
find_package(Protobuf REQUIRED)
find_package(GTest REQUIRED)
find_package(Threads REQUIRED)

find_path(HULL_EXPECTED_INCLUDE tl/expected.hpp REQUIRED)

# hull_static_dependency(NAME target ARCHIVES a.a b.a): an interface target over static archives.
function(hull_static_dependency)
  cmake_parse_arguments(ARG "" "NAME" "ARCHIVES" ${ARGN})
  add_library(${ARG_NAME} INTERFACE)
  foreach(archive ${ARG_ARCHIVES})
    find_library(HULL_LIB_${archive} ${archive} REQUIRED)
    target_link_libraries(${ARG_NAME} INTERFACE ${HULL_LIB_${archive}})
  endforeach()
endfunction()

hull_static_dependency(NAME hull_dep_fdt ARCHIVES libfdt.a)
hull_static_dependency(NAME hull_dep_uring ARCHIVES liburing.a)
hull_static_dependency(NAME hull_dep_protobuf ARCHIVES libprotobuf-lite.a)
hull_static_dependency(NAME hull_dep_json ARCHIVES libboost_json.a libboost_container.a)
# Debian ships spdlog and {fmt} as shared libraries only: spdlog is used header-only (in vmm/base/log.cc
# alone), {fmt} is compiled once (vmm/base/fmt_library.cc).
add_library(hull_dep_spdlog INTERFACE)
target_compile_definitions(hull_dep_spdlog INTERFACE SPDLOG_HEADER_ONLY SPDLOG_FMT_EXTERNAL)
target_link_libraries(hull_dep_spdlog INTERFACE Threads::Threads)

# Asio is used header-only, without Boost.System's library and without exceptions crossing hull's functions.
add_library(hull_dep_asio INTERFACE)
target_compile_definitions(hull_dep_asio INTERFACE
  BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_DISABLE_BOOST_COROUTINE BOOST_ERROR_CODE_HEADER_ONLY)
target_link_libraries(hull_dep_asio INTERFACE Threads::Threads)
