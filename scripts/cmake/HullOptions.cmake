# Language, warnings and build kinds, the same for every target.

set(HULL_SANITIZE "" CACHE STRING "Sanitizers for -fsanitize=, for example address,undefined")
option(HULL_FUZZ "Build the libFuzzer targets (needs clang)" OFF)
option(HULL_WERROR "Warnings are errors" ON)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")

find_program(HULL_CCACHE ccache)
if(HULL_CCACHE)
  # Paths below the checkout are made relative before they are hashed: a fresh clone in another folder
  # finds what the last one compiled.
  if(DEFINED ENV{XDG_CACHE_HOME})
    set(hull_cache "$ENV{XDG_CACHE_HOME}/hull")
  else()
    set(hull_cache "$ENV{HOME}/.cache/hull")
  endif()
  set(hull_launcher ${CMAKE_COMMAND} -E env "CCACHE_BASEDIR=${CMAKE_SOURCE_DIR}" CCACHE_NOHASHDIR=1
    "CCACHE_DIR=${hull_cache}/ccache" "${HULL_CCACHE}")
  set(CMAKE_C_COMPILER_LAUNCHER ${hull_launcher})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${hull_launcher})
endif()

# One name for the checkout whatever folder it is in: keeps the compiler cache warm across clones and
# keeps this machine's paths out of the binaries.
add_compile_options(-ffile-prefix-map=${CMAKE_SOURCE_DIR}=.)

add_library(hull_warnings INTERFACE)
target_compile_options(hull_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wold-style-cast -Wcast-qual
  -Wformat=2 -Wnon-virtual-dtor -Woverloaded-virtual -Wundef -Wunused -Wimplicit-fallthrough
  $<$<BOOL:${HULL_WERROR}>:-Werror>)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(hull_warnings INTERFACE -Wduplicated-cond -Wlogical-op)
endif()

add_compile_options(-fstack-protector-strong -fno-plt)
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -D_FORTIFY_SOURCE=2 -ffunction-sections -fdata-sections")
set(CMAKE_C_FLAGS_RELEASE "${CMAKE_CXX_FLAGS_RELEASE}")
set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g1 -D_GLIBCXX_ASSERTIONS")
set(CMAKE_C_FLAGS_DEBUG "-O1 -g1")

if(HULL_SANITIZE)
  add_compile_options(-fsanitize=${HULL_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${HULL_SANITIZE})
endif()
if(HULL_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
