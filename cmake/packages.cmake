# The libraries, all from the distribution; their headers count as system headers.
find_package(PkgConfig REQUIRED)
set(CHECKOUT_MODULES librabbitmq libmicrohttpd libuv libpq hiredis libcurl jansson jose
                     libssl libcrypto libxxhash libsystemd)
add_library(checkout_packages INTERFACE)
foreach(module ${CHECKOUT_MODULES})
  pkg_check_modules(${module} REQUIRED IMPORTED_TARGET ${module})
  target_link_libraries(checkout_packages INTERFACE PkgConfig::${module})
endforeach()

# wslay comes without a pkg-config file.
find_path(WSLAY_INCLUDE wslay/wslay.h REQUIRED)
find_library(WSLAY_LIBRARY wslay REQUIRED)
target_include_directories(checkout_packages SYSTEM INTERFACE ${WSLAY_INCLUDE})
target_link_libraries(checkout_packages INTERFACE ${WSLAY_LIBRARY})
