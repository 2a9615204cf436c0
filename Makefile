# Thin aliases; the work is CMake's, with the presets of CMakePresets.json.
.PHONY: build app run demo test bench lint fuzz clean setup

PRESET ?= release
TIME ?= 30

build: setup
	cmake --preset $(PRESET)
	cmake --build --preset $(PRESET)

# the function app alone, without the tests
app: setup
	cmake --preset $(PRESET)
	cmake --build --preset $(PRESET) --target handler default_app

run: app
	tools/azfn-local/azfn-local start --app-root build/$(PRESET)/app

demo: app
	tools/azfn-local/azfn-local demo --app-root build/$(PRESET)/app

test: build
	ctest --preset $(PRESET) -j 2

# start-up, memory and CPU per request, beside a minimal epoll server
bench:
	tools/setup.sh build bench
	cmake --preset $(PRESET)
	cmake --build --preset $(PRESET) --target handler default_app minimal_server
	python3 tests/bench/startup.py build/$(PRESET)
	python3 tests/bench/throughput.py build/$(PRESET)

lint:
	tools/setup.sh check
	cmake --preset clang
	tools/lint.sh build/clang

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
