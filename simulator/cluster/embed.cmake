# SPDX-License-Identifier: MIT
# cmake -DOUTPUT=FILE.c -DFILES=a.csv|b.csv [-DHEADER=a/b.h -DNAME=ps_thing] -P embed.cmake:
# text files as C arrays, NAMEs and NAME_count, which HEADER declares.
if(NOT DEFINED NAME)
  set(NAME ps_builtin_file)
endif()
if(NOT DEFINED HEADER)
  set(HEADER cluster/builtin.h)
endif()
string(REPLACE "|" ";" FILES "${FILES}")
set(arrays "")
set(table "")
set(number 0)
foreach(file IN LISTS FILES)
  get_filename_component(name ${file} NAME)
  file(READ ${file} hex HEX)
  string(REGEX REPLACE "(................................)" "\\1\n    " hex "${hex}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(APPEND arrays "static const unsigned char bytes_${number}[] = {\n    ${bytes}\n};\n\n")
  string(APPEND table "    {\"${name}\", bytes_${number}, sizeof bytes_${number}},\n")
  math(EXPR number "${number} + 1")
endforeach()
file(WRITE ${OUTPUT}
  "#include \"${HEADER}\"\n\n${arrays}"
  "const ps_builtin_file ${NAME}s[] = {\n${table}};\n"
  "const size_t ${NAME}_count = sizeof ${NAME}s / sizeof ${NAME}s[0];\n")
