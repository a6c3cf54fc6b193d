# hull_add_fuzz_target(NAME vm_config SOURCES vm_config_fuzz.cc LIBRARIES hull_api [DICTIONARY x.dict]):
# one target of tests/fuzz. SOURCES define LLVMFuzzerTestOneInput; corpus/<NAME>/ holds its inputs.
#
# In every preset: the test replay_<NAME> runs each input of the corpus, and variations of it that are the
# same in every run, under ctest with label "unit". In preset "fuzz" also: the libFuzzer program fuzz_<NAME>:
#   build/fuzz/tests/fuzz/fuzz_vm_config -max_total_time=60 /tmp/found tests/fuzz/corpus/vm_config
# What it finds goes into the corpus, small and with a name that says what it is.
function(hull_add_fuzz_target)
  cmake_parse_arguments(ARG "" "NAME;DICTIONARY" "SOURCES;LIBRARIES" ${ARGN})
  set(corpus "${CMAKE_CURRENT_SOURCE_DIR}/corpus/${ARG_NAME}")
  set(replay "replay_${ARG_NAME}")
  add_executable(${replay} ${ARG_SOURCES})
  target_link_libraries(${replay} PRIVATE hull_fuzz_replay ${ARG_LIBRARIES} hull_warnings)
  add_test(NAME ${replay} COMMAND ${replay} "${corpus}")
  set_tests_properties(${replay} PROPERTIES LABELS unit TIMEOUT 120)
  set(programs ${replay})
  if(HULL_FUZZ)
    add_executable(fuzz_${ARG_NAME} ${ARG_SOURCES})
    target_link_libraries(fuzz_${ARG_NAME} PRIVATE ${ARG_LIBRARIES} hull_warnings)
    target_link_options(fuzz_${ARG_NAME} PRIVATE -fsanitize=fuzzer)
    list(APPEND programs fuzz_${ARG_NAME})
  endif()
  foreach(program ${programs})
    target_include_directories(${program} PRIVATE "${CMAKE_SOURCE_DIR}")
    set_target_properties(${program} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests/fuzz")
  endforeach()
endfunction()
