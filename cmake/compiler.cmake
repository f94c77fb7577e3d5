# Language, warnings, hardening, sanitizers.
set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON) # __VA_OPT__, POSIX and Linux calls
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

option(CHECKOUT_TESTS "Build the tests and the bench too; OFF: a package can be made of the programs" ON)
option(CHECKOUT_WERROR "Warnings are errors: the presets of CMakePresets.json say so" OFF)
set(CHECKOUT_SANITIZE "" CACHE STRING "Sanitizers, e.g. address,undefined or thread")

add_compile_definitions(_GNU_SOURCE)
option(CHECKOUT_SEEDED_BUGS "Take seeded bugs (common/testing/seeded_bug.h); never for use" OFF)
if(CHECKOUT_SEEDED_BUGS)
  add_compile_definitions(CHECKOUT_SEEDED_BUGS)
endif()
option(CHECKOUT_FUZZ "Build the fuzz targets, and nothing else" OFF)
add_compile_options(
  -Wall -Wextra -Wformat=2 -Wconversion -Wsign-conversion -Wshadow -Wstrict-prototypes
  -Wmissing-prototypes -Wvla -Wnull-dereference -Wimplicit-fallthrough -Wswitch-enum
  -Wno-error=null-dereference)
if(CHECKOUT_WERROR)
  add_compile_options(-Werror)
endif()

# The hardening flags of the OpenSSF guide that gcc 12 takes.
add_compile_options(-fstack-protector-strong -fstack-clash-protection -fcf-protection
                    -fno-delete-null-pointer-checks)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU") # what is not set is to be found when clang's sanitizers look
  add_compile_options(-ftrivial-auto-var-init=zero)
endif()
option(CHECKOUT_COVER "Count which branches run (tests/cover)" OFF)
if(CHECKOUT_COVER)
  add_compile_options(--coverage -fprofile-update=atomic)
  add_link_options(--coverage)
endif()
add_link_options(-Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed) # no library that a program does not call
include(CheckPIESupported)
check_pie_supported(LANGUAGES C)

if(CHECKOUT_SANITIZE)
  add_compile_options(-fsanitize=${CHECKOUT_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${CHECKOUT_SANITIZE})
elseif(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
  add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
endif()
