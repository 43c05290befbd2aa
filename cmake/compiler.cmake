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
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra>)
target_compile_definitions(ps_options INTERFACE _POSIX_C_SOURCE=200809L)
if(PS_WERROR)
  target_compile_options(ps_options INTERFACE -Werror)
endif()
if(PS_SANITIZE)
  target_compile_options(ps_options INTERFACE -fsanitize=${PS_SANITIZE} -fno-sanitize-recover=all
    -fno-omit-frame-pointer)
  target_link_options(ps_options INTERFACE -fsanitize=${PS_SANITIZE})
endif()
if(PS_FUZZ)
  target_compile_options(ps_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(PS_COVERAGE)
  target_compile_options(ps_options INTERFACE --coverage)
  target_link_options(ps_options INTERFACE --coverage)
endif()
target_include_directories(ps_options INTERFACE ${PROJECT_SOURCE_DIR}/formats)
