# SPDX-License-Identifier: MIT
# cmake -DOUTPUT=FILE.c -DFILES=a.csv|b.csv -P embed.cmake: text files as C arrays.
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
  "#include \"cluster/builtin.h\"\n\n${arrays}"
  "const ps_builtin_file ps_builtin_files[] = {\n${table}};\n"
  "const size_t ps_builtin_file_count = sizeof ps_builtin_files / sizeof ps_builtin_files[0];\n")
