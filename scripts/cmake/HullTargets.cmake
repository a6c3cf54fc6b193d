# The three kinds of target that hull's folders declare.

# hull_add_library(NAME hull_x SOURCES ... LIBRARIES ...): a static library with hull's warnings.
function(hull_add_library)
  cmake_parse_arguments(ARG "" "NAME" "SOURCES;LIBRARIES" ${ARGN})
  add_library(${ARG_NAME} STATIC ${ARG_SOURCES})
  target_include_directories(${ARG_NAME} PUBLIC "${CMAKE_SOURCE_DIR}")
  target_link_libraries(${ARG_NAME} PUBLIC ${ARG_LIBRARIES} PRIVATE hull_warnings)
endfunction()

# hull_add_program(NAME hull-x SOURCES ... LIBRARIES ...): a program in <build>/bin, linked statically:
# it starts without a dynamic loader, runs in an initramfs, and keeps fewer private pages.
function(hull_add_program)
  cmake_parse_arguments(ARG "" "NAME" "SOURCES;LIBRARIES" ${ARGN})
  add_executable(${ARG_NAME} ${ARG_SOURCES})
  target_include_directories(${ARG_NAME} PRIVATE "${CMAKE_SOURCE_DIR}")
  target_link_libraries(${ARG_NAME} PRIVATE ${ARG_LIBRARIES} hull_warnings)
  if(NOT HULL_SANITIZE)
    target_link_options(${ARG_NAME} PRIVATE -static-pie -Wl,--gc-sections -Wl,-z,relro,-z,now
      $<$<CONFIG:Release>:-s>)
  endif()
  install(TARGETS ${ARG_NAME} RUNTIME DESTINATION bin)
endfunction()

# hull_add_test(NAME x_test SOURCES ... LIBRARIES ...): unit tests, run without KVM, root or network.
function(hull_add_test)
  cmake_parse_arguments(ARG "" "NAME" "SOURCES;LIBRARIES" ${ARGN})
  add_executable(${ARG_NAME} ${ARG_SOURCES})
  set_target_properties(${ARG_NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests/unit")
  target_include_directories(${ARG_NAME} PRIVATE "${CMAKE_SOURCE_DIR}")
  target_link_libraries(${ARG_NAME} PRIVATE ${ARG_LIBRARIES} GTest::gmock GTest::gtest_main hull_warnings)
  add_test(NAME ${ARG_NAME} COMMAND ${ARG_NAME})
  set_tests_properties(${ARG_NAME} PROPERTIES LABELS unit TIMEOUT 120)
endfunction()

# hull_protobuf(NAME hull_x_proto PROTO path/x.proto): lite messages generated into the build tree.
function(hull_protobuf)
  cmake_parse_arguments(ARG "" "NAME;PROTO" "" ${ARGN})
  get_filename_component(stem "${ARG_PROTO}" NAME_WE)
  file(RELATIVE_PATH folder "${CMAKE_SOURCE_DIR}" "${CMAKE_CURRENT_SOURCE_DIR}")
  set(out "${CMAKE_BINARY_DIR}/generated")
  set(base "${out}/${folder}/${stem}.pb")
  file(MAKE_DIRECTORY "${out}")
  add_custom_command(
    OUTPUT "${base}.cc" "${base}.h"
    COMMAND protobuf::protoc --cpp_out=lite:${out} -I${CMAKE_SOURCE_DIR} ${folder}/${ARG_PROTO}
    WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}"
    DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/${ARG_PROTO}" VERBATIM)
  add_library(${ARG_NAME} STATIC "${base}.cc" "${base}.h")
  target_include_directories(${ARG_NAME} SYSTEM PUBLIC "${out}")
  target_link_libraries(${ARG_NAME} PUBLIC hull_dep_protobuf)
endfunction()
