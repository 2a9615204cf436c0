# azfn_assemble_app(<target> <folder> <source folder> <files below it> <files for its top>): copies what the
# host reads into the folder that holds the executable.
function(azfn_assemble_app target folder source_folder relative_files top_files)
  set(outputs)
  foreach(file IN LISTS relative_files)
    add_custom_command(OUTPUT ${folder}/${file}
      COMMAND ${CMAKE_COMMAND} -E copy ${source_folder}/${file} ${folder}/${file}
      DEPENDS ${source_folder}/${file} VERBATIM)
    list(APPEND outputs ${folder}/${file})
  endforeach()
  foreach(file IN LISTS top_files)
    cmake_path(GET file FILENAME name)
    add_custom_command(OUTPUT ${folder}/${name}
      COMMAND ${CMAKE_COMMAND} -E copy ${file} ${folder}/${name}
      DEPENDS ${file} VERBATIM)
    list(APPEND outputs ${folder}/${name})
  endforeach()
  add_custom_target(${target} ALL DEPENDS ${outputs})
  azfn_add_https_module_to(${target} ${folder})
endfunction()

# azfn_add_https_module_to(<target> <folder>): azfn-https.so belongs beside the executable. As target is built.
function(azfn_add_https_module_to target folder)
  add_custom_target(${target}_https
    COMMAND ${CMAKE_COMMAND} -E make_directory ${folder}
    COMMAND ${CMAKE_COMMAND} -E copy_if_different $<TARGET_FILE:azfn-https> ${folder}/azfn-https.so
    DEPENDS azfn-https VERBATIM)
  add_dependencies(${target} ${target}_https)
endfunction()
