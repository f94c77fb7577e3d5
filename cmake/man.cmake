# checkout_man PROGRAM SECTION: its man page, from its --help, with every build that is not for tests alone.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
file(READ ${CMAKE_SOURCE_DIR}/CHANGELOG.md changelog)
string(REGEX MATCH "20[0-9][0-9]-[0-9][0-9]-[0-9][0-9]" CHECKOUT_RELEASE_DATE "${changelog}")

add_custom_target(man)
function(checkout_man program section)
  if(CHECKOUT_SANITIZE OR CHECKOUT_COVER OR CHECKOUT_SEEDED_BUGS OR CHECKOUT_FUZZ)
    return()
  endif()
  set(page ${CMAKE_BINARY_DIR}/man/${program}.${section})
  add_custom_command(
    OUTPUT ${page}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/man
    COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/cmake/man.py $<TARGET_FILE:${program}> ${section}
            "${CHECKOUT_RELEASE_DATE}" ${page}
    DEPENDS ${program} ${CMAKE_SOURCE_DIR}/cmake/man.py
    VERBATIM)
  add_custom_target(man-${program} ALL DEPENDS ${page})
  add_dependencies(man man-${program})
  install(FILES ${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endfunction()

# checkout_completion PROGRAM: what bash completes, from the program itself, with the builds that have man pages.
function(checkout_completion program)
  if(NOT TARGET man-${program})
    return()
  endif()
  set(file ${CMAKE_BINARY_DIR}/completions/${program})
  add_custom_command(
    OUTPUT ${file}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/completions
    COMMAND $<TARGET_FILE:${program}> completion > ${file}
    DEPENDS ${program}
    VERBATIM)
  add_custom_target(completion-${program} ALL DEPENDS ${file})
  add_dependencies(man completion-${program})
  install(FILES ${file} DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
endfunction()
