# What Debian's policy asks of the tree that CPack has staged: compressed pages and change log, the
# copyright file, the file of settings in /etc.
set(root ${CPACK_TEMPORARY_INSTALL_DIRECTORY})
set(doc ${root}/usr/share/doc/checkout)
file(STRINGS ${doc}/CHANGELOG.md released REGEX "^## ." LIMIT_COUNT 1) # the newest: a date, or none yet
string(REGEX MATCH "20[0-9-]+" released "${released}")
execute_process(COMMAND date -u -R -d "${released} 00:00" OUTPUT_VARIABLE day OUTPUT_STRIP_TRAILING_WHITESPACE
                COMMAND_ERROR_IS_FATAL ANY)
file(MAKE_DIRECTORY ${root}/etc/checkout)
file(COPY_FILE ${doc}/examples/checkout.env ${root}/etc/checkout/checkout.env)
file(RENAME ${doc}/LICENSE ${doc}/copyright)
file(WRITE ${doc}/changelog "checkout (${CPACK_PACKAGE_VERSION}) stable; urgency=medium

  * CHANGELOG.md in this directory tells what changed.

 -- ${CPACK_PACKAGE_CONTACT}  ${day}
")
file(COPY ${CMAKE_CURRENT_LIST_DIR}/lintian-overrides DESTINATION ${root}/usr/share/lintian/overrides)
file(RENAME ${root}/usr/share/lintian/overrides/lintian-overrides ${root}/usr/share/lintian/overrides/checkout)
file(GLOB pages ${root}/usr/share/man/man*/*.[0-9])
execute_process(COMMAND gzip -9n ${pages} ${doc}/changelog COMMAND_ERROR_IS_FATAL ANY)
