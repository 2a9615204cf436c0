# The libraries azfn stands on, as imported targets azfn_dep::<name>. Static archives are taken where the
# distribution has them: one file to deploy, and less to load at start.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

function(azfn_find_dependency name pkg_config_name header archive)
  pkg_check_modules(${name} REQUIRED QUIET ${pkg_config_name})
  find_library(${name}_ARCHIVE NAMES ${archive} HINTS ${${name}_LIBRARY_DIRS})
  find_path(${name}_HEADER_DIR NAMES ${header} HINTS ${${name}_INCLUDE_DIRS} REQUIRED)
  add_library(azfn_dep_${name} INTERFACE)
  target_include_directories(azfn_dep_${name} SYSTEM INTERFACE ${${name}_HEADER_DIR})
  if(${name}_ARCHIVE AND NOT AZFN_SANITIZE)
    target_link_libraries(azfn_dep_${name} INTERFACE ${${name}_ARCHIVE})
    set(kind "static")
  else()
    target_link_libraries(azfn_dep_${name} INTERFACE ${${name}_LINK_LIBRARIES})
    set(kind "shared")
  endif()
  message(STATUS "${pkg_config_name} ${${name}_VERSION} (${kind})")
endfunction()

azfn_find_dependency(uv libuv uv.h libuv_a.a)
azfn_find_dependency(cjson libcjson cjson/cJSON.h libcjson.a)
azfn_find_dependency(sodium libsodium sodium.h libsodium.a)
azfn_find_dependency(seccomp libseccomp seccomp.h libseccomp.a)
target_link_libraries(azfn_dep_uv INTERFACE Threads::Threads ${CMAKE_DL_LIBS} rt)

# Debian 12 has no libllhttp: its package node-llhttp installs the C sources instead.
pkg_check_modules(llhttp QUIET libllhttp)
add_library(azfn_dep_llhttp INTERFACE)
if(llhttp_FOUND)
  target_include_directories(azfn_dep_llhttp SYSTEM INTERFACE ${llhttp_INCLUDE_DIRS})
  target_link_libraries(azfn_dep_llhttp INTERFACE ${llhttp_LINK_LIBRARIES})
  message(STATUS "libllhttp ${llhttp_VERSION}")
else()
  find_path(llhttp_SOURCE_DIR NAMES llhttp.c PATHS /usr/share/llhttp REQUIRED)
  find_path(llhttp_HEADER_DIR NAMES llhttp.h PATHS /usr/share/include/llhttp REQUIRED)
  add_library(azfn_llhttp OBJECT ${llhttp_SOURCE_DIR}/llhttp.c ${llhttp_SOURCE_DIR}/http.c
                                 ${llhttp_SOURCE_DIR}/api.c)
  azfn_link_time_optimization(azfn_llhttp)
  target_include_directories(azfn_llhttp SYSTEM PUBLIC ${llhttp_HEADER_DIR})
  target_compile_definitions(azfn_llhttp PUBLIC LLHTTP_STRICT_MODE=1)
  target_compile_options(azfn_llhttp PRIVATE -O2 ${azfn_hardening_options}
                                             -ffile-prefix-map=${PROJECT_SOURCE_DIR}/=)
  target_include_directories(azfn_dep_llhttp SYSTEM INTERFACE ${llhttp_HEADER_DIR})
  target_compile_definitions(azfn_dep_llhttp INTERFACE LLHTTP_STRICT_MODE=1)
  target_sources(azfn_dep_llhttp INTERFACE $<TARGET_OBJECTS:azfn_llhttp>)
  message(STATUS "llhttp from the sources in ${llhttp_SOURCE_DIR}")
endif()

# What only azfn-https.so is linked with: always shared, as the distribution updates these.
pkg_check_modules(https REQUIRED QUIET IMPORTED_TARGET libcurl>=7.88 openssl>=3.0)
message(STATUS "libcurl ${https_libcurl_VERSION}, openssl ${https_openssl_VERSION} (the module's)")
