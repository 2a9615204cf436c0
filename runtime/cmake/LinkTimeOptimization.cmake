# azfn_link_time_optimization(target...): optimised builds of these are optimised once more as a whole. Objects stay
# usable without it ("fat"), so that the archive links anywhere, and tests link as fast as before.
include(CheckIPOSupported)
check_ipo_supported(RESULT azfn_has_ipo LANGUAGES C OUTPUT ignored)

function(azfn_link_time_optimization)
  if(NOT azfn_has_ipo OR NOT CMAKE_C_COMPILER_ID STREQUAL "GNU" OR AZFN_SANITIZE)
    return()
  endif()
  foreach(target IN LISTS ARGN)
    set_target_properties(${target} PROPERTIES INTERPROCEDURAL_OPTIMIZATION_RELWITHDEBINFO ON
                                               INTERPROCEDURAL_OPTIMIZATION_RELEASE ON)
    target_compile_options(${target} PRIVATE "$<$<NOT:$<CONFIG:Debug>>:-ffat-lto-objects>")
    target_link_options(${target} PRIVATE -ffile-prefix-map=${PROJECT_SOURCE_DIR}/=)
  endforeach()
endfunction()
