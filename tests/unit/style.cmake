# Checks of what no compiler checks; exit code 77 means that the tool is not there.
# clang-tidy takes minutes, and clang one: tests/run has them as steps of their own.
foreach(check includes format shellcheck sizes circles duplicates sql docs words metrics modules)
  add_test(NAME style.${check} COMMAND /usr/bin/python3 ${CMAKE_CURRENT_SOURCE_DIR}/style.py ${check})
  set_tests_properties(style.${check} PROPERTIES SKIP_RETURN_CODE 77)
endforeach()
if(NOT (CHECKOUT_SANITIZE OR CHECKOUT_COVER OR CHECKOUT_SEEDED_BUGS)) # where man pages are made
  add_test(NAME install COMMAND /usr/bin/python3 ${CMAKE_CURRENT_SOURCE_DIR}/install.py ${CMAKE_BINARY_DIR}
                                ${PROJECT_VERSION})
endif()
add_test(NAME units COMMAND /usr/bin/python3 ${CMAKE_CURRENT_SOURCE_DIR}/units.py ${CMAKE_BINARY_DIR})
add_test(NAME links COMMAND /usr/bin/python3 ${CMAKE_CURRENT_SOURCE_DIR}/links.py ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
set_tests_properties(links PROPERTIES SKIP_RETURN_CODE 77)
set_tests_properties(units PROPERTIES SKIP_RETURN_CODE 77)
