# SPDX-License-Identifier: MIT
# One interface target carries the compiler settings of every target here.
add_library(ps_options INTERFACE)
target_compile_options(ps_options INTERFACE
  -ffp-contract=off # same bytes on every compiler and level
  -fvisibility=hidden
  $<$<COMPILE_LANGUAGE:C>:-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion
    -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wundef -Wdouble-promotion
    -Wformat=2 -Wswitch-enum -Wvla -Wcast-qual -Wcast-align -Wpointer-arith -Wwrite-strings
    -Wimplicit-fallthrough -Wdate-time>
  $<$<COMPILE_LANG_AND_ID:C,GNU>:-Wlogical-op -Wduplicated-cond -Wduplicated-branches>
  # clang wants it on functions that pass a va_list on, too; gcc checks the calls
  $<$<COMPILE_LANG_AND_ID:C,Clang>:-Wno-format-nonliteral>
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra>)
target_compile_definitions(ps_options INTERFACE _POSIX_C_SOURCE=200809L)
if(PS_WERROR)
  target_compile_options(ps_options INTERFACE -Werror)
endif()
# Instrumentation holds for every target, generated code included.
if(PS_SANITIZE)
  add_compile_options(-fsanitize=${PS_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${PS_SANITIZE})
endif()
if(PS_FUZZ)
  if(NOT CMAKE_C_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "PS_FUZZ needs clang: libFuzzer is part of it")
  endif()
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
if(PS_COVERAGE)
  add_compile_options(--coverage)
  add_link_options(--coverage)
endif()
# For the files that are simdjson's templates to the compiler: it neither throws nor asks for types, and
# unoptimised, calls of a line each are most of an import (clang's -O0 of the determinism check stays).
set(PS_SIMDJSON_OPTIONS -fno-exceptions -fno-rtti $<$<CONFIG:Debug>:-O1>)
# Some two hundred test programs: where lld is installed it links those that carry the most debug
# information in a fraction of the time. Optimised builds keep the distribution's linker.
if(PS_SANITIZE OR CMAKE_BUILD_TYPE STREQUAL "Debug")
  find_program(PS_LLD ld.lld)
  mark_as_advanced(PS_LLD)
  if(PS_LLD)
    add_link_options(-fuse-ld=lld)
  endif()
endif()
target_include_directories(ps_options INTERFACE ${PROJECT_SOURCE_DIR}/formats)
