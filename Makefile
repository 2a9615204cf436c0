# Thin aliases; the work is CMake's, with the presets of CMakePresets.json.
.PHONY: build run demo test lint fuzz clean setup

PRESET ?= release
TIME ?= 30

build: setup
	cmake --preset $(PRESET)
	cmake --build --preset $(PRESET)

run: build
	tools/azfn-local/azfn-local start --app-root build/$(PRESET)/app

demo: build
	tools/azfn-local/azfn-local demo --app-root build/$(PRESET)/app

test: build
	ctest --preset $(PRESET) -j 2

lint: build
	tools/lint.sh build/$(PRESET)

# TIME seconds for each target
fuzz:
	tools/setup.sh fuzz
	cmake --preset fuzz
	cmake --build --preset fuzz
	tools/fuzz.sh build/fuzz $(TIME)

clean:
	rm -rf build

setup:
	tools/setup.sh
