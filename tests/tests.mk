# Test targets; included by the top Makefile.
.PHONY: check check-unit
check-unit: $(UNIT_BIN) ## unit tests, no root needed (T=name for one)
	$(Q)tests/unit/run $(if $(T),$(filter %$(T)%,$(UNIT_BIN)),$(UNIT_BIN))
