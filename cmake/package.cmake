# The .deb, made by CPack: deploy/package builds it.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME checkout)
set(CPACK_PACKAGE_CONTACT "The Checkout maintainers <maintainers@checkout.example>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "sells limited items to a crowd, each once")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION "Checkout takes orders over HTTP, serves each item's line in order from
RabbitMQ, reserves stock in PostgreSQL, charges the card, and tells the
buyer by websocket. Nothing of it starts by itself: the page operations in
the documentation says how to set it up.")
# Another version for each release: so an upgrade of the host brings the package that is made for it.
file(STRINGS /etc/os-release release REGEX "^VERSION_ID=")
if(release MATCHES "([0-9.]+)")
  set(CPACK_DEBIAN_PACKAGE_VERSION "${PROJECT_VERSION}+deb${CMAKE_MATCH_1}")
endif()
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "systemd | systemd-standalone-sysusers | systemd-sysusers")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "ca-certificates")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "rabbitmq-server, postgresql, redis-server")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE
                                                WORLD_READ WORLD_EXECUTE)
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_SOURCE_DIR}/deploy/debian/finish.cmake)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
    ${CMAKE_SOURCE_DIR}/deploy/debian/postinst ${CMAKE_SOURCE_DIR}/deploy/debian/prerm
    ${CMAKE_SOURCE_DIR}/deploy/debian/postrm ${CMAKE_SOURCE_DIR}/deploy/debian/conffiles)
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON) # the programs, not the tests
include(CPack)
