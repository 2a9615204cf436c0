# azfn_hardening: the warnings and the hardening of every target of ours, as one interface library.
include(CheckCCompilerFlag)
include(CheckLinkerFlag)

add_library(azfn_hardening INTERFACE)
target_compile_definitions(azfn_hardening INTERFACE _GNU_SOURCE)
target_compile_options(azfn_hardening INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes
  -Wold-style-definition -Wpointer-arith -Wcast-align -Wwrite-strings -Wvla -Wformat=2 -Wundef
  -Wimplicit-fallthrough -Wnull-dereference -Wdouble-promotion)

# what the compiler has of it: control flow is protected in one way on x86-64 and in another one on ARM
set(azfn_hardening_options)
foreach(option -fstack-protector-strong -fstack-clash-protection -fcf-protection=full -mbranch-protection=standard
               -ftrivial-auto-var-init=zero -fno-strict-overflow -fno-plt)
  string(MAKE_C_IDENTIFIER "HAS${option}" known)
  check_c_compiler_flag(${option} ${known})
  if(${known})
    list(APPEND azfn_hardening_options ${option})
  endif()
endforeach()
target_compile_options(azfn_hardening INTERFACE ${azfn_hardening_options})

if(AZFN_BUILD_FUZZERS)
  target_compile_options(azfn_hardening INTERFACE -fsanitize=fuzzer-no-link)
endif()

if(AZFN_SANITIZE)
  target_compile_options(azfn_hardening INTERFACE -fsanitize=${AZFN_SANITIZE} -fno-omit-frame-pointer
                                                  -fno-sanitize-recover=all)
  target_link_options(azfn_hardening INTERFACE -fsanitize=${AZFN_SANITIZE})
  target_compile_definitions(azfn_hardening INTERFACE AZFN_SANITIZE="${AZFN_SANITIZE}")
else()
  # FORTIFY needs optimisation; level 3 where the compiler has it, 2 otherwise
  include(CheckCSourceCompiles)
  set(CMAKE_REQUIRED_FLAGS "-O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -Werror")
  check_c_source_compiles("#include <string.h>\nint main(void) { return 0; }" HAS_FORTIFY_3)
  unset(CMAKE_REQUIRED_FLAGS)
  set(fortify_level $<IF:$<BOOL:${HAS_FORTIFY_3}>,3,2>)
  target_compile_options(azfn_hardening INTERFACE
    "$<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE;-D_FORTIFY_SOURCE=${fortify_level}>")
endif()

target_compile_options(azfn_hardening INTERFACE -ffile-prefix-map=${PROJECT_SOURCE_DIR}/=)
target_link_options(azfn_hardening INTERFACE -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,-z,separate-code
                                             -Wl,--as-needed)
