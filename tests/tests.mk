# Test targets; included by the top Makefile. T=name picks tests by a part of their name.
SAN_ENV := LXM_BUILD=$(B) T='$(T)'

.PHONY: check check-unit check-system check-security check-fault check-nesting check-compat check-vm check-asan check-tsan check-san test-bins fuzz fuzz-bins bench bench-fleet bench-hundred
check:       ## everything but vm and bench, as root; installs what it needs; ends with "N passed, N failed"
	$(Q)$(MAKE) --no-print-directory deps-test
	$(Q)$(MAKE) --no-print-directory test-bins
	$(Q)$(SAN_ENV) tests/check lint unit pytest:tests/system,tests/security,tests/fault

check-unit: $(UNIT_BIN) ## unit tests, no root needed (T=name for one)
	$(Q)$(SAN_ENV) tests/check unit

check-system: test-bins ## real containers through REST, lxmc and lxc (root)
	$(Q)$(SAN_ENV) tests/check system

check-security: test-bins ## replays of attacks and the guarantees inside a container (root)
	$(Q)$(SAN_ENV) tests/check security

check-fault: test-bins ## kill -9, full disks, failing calls (root)
	$(Q)$(SAN_ENV) tests/check fault

check-nesting: test-bins ## Docker, Podman and lxm inside an instance (root; builds a Debian image once)
	$(Q)$(SAN_ENV) tests/check pytest:tests/nesting

# one lane against LXD: a host has room for one
check-compat: all ## Debian's lxc and incus, pylxd, Ansible and lxd-benchmark against lxmd; LXM_COMPAT=lxd: against LXD (root)
	$(Q)packaging/install-packages $(call pkgs,compat)
	$(Q)tests/compat/incus-client build/cache/incus
	$(Q)$(SAN_ENV) $(if $(filter lxd,$(LXM_COMPAT)),LXM_LANES=1 )tests/check compat

# The image is made anew when the list of packages or the recipe changes.
VM_PKGS   = $(filter-out clang libclang% mmdebstrap,$(call pkgs,build|run|test|vm))
VM_IMAGE  = build/cache/vm-$(shell cat packaging/packages.txt tests/vm/image | sha256sum | cut -c1-12)
check-vm: test-bins ## unit, system, security and fault suites in VMs: Debian's kernel, cgroup v2 alone, AppArmor (root, qemu)
	$(Q)packaging/install-packages $(call pkgs,qemu) mmdebstrap e2fsprogs
	$(Q)[ -d $(VM_IMAGE) ] || tests/vm/image $(VM_IMAGE) $(VM_PKGS)
	$(Q)T='$(T)' tests/vm/run $(VM_IMAGE) $(SUITES)

check-asan:  ## unit and system suites with ASan and UBSan in every binary (root)
	$(Q)$(MAKE) --no-print-directory SAN=address check-san

check-tsan:  ## unit and system suites with TSan (root)
	$(Q)$(MAKE) --no-print-directory SAN=thread check-san

check-san: test-bins
	$(Q)LXM_QUICK=1 $(SAN_ENV) tests/check unit pytest:tests/system,tests/security,tests/fault

test-bins: $(BINS) $(UNIT_BIN)
$(UNIT_BIN:$(B)/unit/%=$(B)/obj/tests/unit/%.o): | cunit
.PHONY: cunit
cunit:
	$(if $(shell pkg-config --exists cunit && echo y),,$(error CUnit is missing: run make deps-test))
# named here, they count as there when a rule is chosen: with SAN=thread nothing else names the monitor's
.SECONDARY: $(patsubst %.c,$(B)/obj/%.o,$(UNIT_SRC)) $(MON_OBJ)

# ---- fuzzing: tests/fuzz/fuzz_NAME.c has LLVMFuzzerTestOneInput; its seeds lie in tests/fuzz/seeds/NAME
FUZZ_S   ?= 10
FUZZ_B   := build/fuzz
FUZZ_BIN := $(patsubst tests/fuzz/%.c,$(FUZZ_B)/%,$(FUZZ_SRC))
FUZZ_CF   = $(filter-out -O2 -Werror,$(CFLAGS)) -O1 -g -Wno-missing-field-initializers -Wno-unused-but-set-variable -fsanitize=address,undefined -fno-sanitize-recover=undefined
FUZZ_LIB := $(patsubst %.c,$(FUZZ_B)/obj/%.o,$(filter-out %/main.c,$(call srcs,$(LXMD_ROOMS) lxmd/fetch db $(LIB_ROOMS))))

$(FUZZ_B)/obj/%.o: %.c
	$(call say,FUZZCC,$<)
	@mkdir -p $(@D)
	$(Q)clang $(CPPFLAGS) $(CFLAGS_D) $(FUZZ_CF) -fsanitize=fuzzer-no-link -MMD -MP -c $< -o $@
$(filter $(FUZZ_B)/obj/db/%,$(FUZZ_LIB)): | $(SQL_H)

$(FUZZ_B)/rooms.a: $(FUZZ_LIB)
	$(Q)rm -f $@ && ar rcs $@ $^

$(FUZZ_B)/fuzz_%: $(FUZZ_B)/obj/tests/fuzz/fuzz_%.o $(FUZZ_B)/rooms.a
	$(call say,LD,$@)
	$(Q)clang $(FUZZ_CF) -fsanitize=fuzzer -pthread -Wl,--gc-sections $^ $(LIBS_D) -o $@
-include $(shell find $(FUZZ_B)/obj -name '*.d' 2>/dev/null)

fuzz-bins: $(FUZZ_BIN)
.SECONDARY: $(FUZZ_LIB) $(patsubst %.c,$(FUZZ_B)/obj/%.o,$(FUZZ_SRC))
fuzz: fuzz-bins ## each decoder of foreign bytes for FUZZ_S seconds (clang; T=name for one)
	$(Q)tests/fuzz/run $(FUZZ_S) $(foreach f,$(FUZZ_BIN),$(if $(findstring $(or $(T),fuzz_),$(notdir $(f))),$(f)))

# ---- measuring
bench: all   ## the table of doc/design.md section 6, beside LXD where installed (root; ARGS=...)
	$(Q)/usr/bin/python3 -B tests/bench/bench.py $(ARGS)

bench-hundred: all ## a hundred Debian systems at once, none with a failed unit (root; COUNT=n)
	$(Q)/usr/bin/python3 -B tests/bench/hundred.py

bench-fleet: all ## ten lxmd, 20 ms away, by one lxmc --on (root; HOSTS=n)
	$(Q)tests/bench/fleet.py
