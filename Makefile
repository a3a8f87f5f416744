# The server side: two libraries and the extension's SQL. `make && make install && make installcheck`, as PGXN clients
# expect. The sidecar is built by CMake (`make sidecar`). `make test` and `make demo` do everything on a private copy of
# the server, in a directory that is removed afterwards; they install what the machine lacks and change nothing else.
EXTENSION    = anabranch
EXTVERSION   = $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" $(EXTENSION).control)
MODULE_big   = $(EXTENSION)
# The rule how a value stands in a row is one: the decoder writes rows by it, the extension reads them. So is which columns
# a stream may have.
OBJS         = $(patsubst %.cpp,%.o,$(wildcard extension/*.cpp)) extension/value.o extension/stream.o
DATA         = $(wildcard sql/$(EXTENSION)--*--*.sql)
# The install script is these files, in this order.
INSTALL_SQL  = $(patsubst %,sql/install/%.sql,schema tables definitions batches copying sources consequences data_definition requests \
                 freshness verification proving twins indexes publishing deliveries content streams views explain decoder grants)
DATA_built   = sql/$(EXTENSION)--$(EXTVERSION).sql
REGRESS      = $(sort $(patsubst test/sql/%.sql,%,$(wildcard test/sql/*.sql)))
REGRESS_OPTS = --inputdir=test --outputdir=tmp_check --load-extension=pgtap --load-extension=$(EXTENSION)
EXTRA_CLEAN  = tmp_check
NO_INSTALLCHECK = 1
.DEFAULT_GOAL := all

# These need no server headers yet; they fetch them. KEEP=1 leaves the demo's servers and sidecar running, LOG=slot has it
# go without Kafka, as it does by itself where Java and Maven cannot be had; then without OpenSearch, too.
.PHONY: test demo
test:
	scripts/install-dependencies.sh test
	scripts/test.sh
demo:
	scripts/install-dependencies.sh demo
	$(if $(filter slot,$(LOG)),,scripts/install-dependencies.sh kafka || echo "Going on without them.")
	demo/run.sh

include server.mk

extension/value.o extension/stream.o: extension/%.o: decoder/%.cpp
	$(COMPILE.cc) -o $@ $<
$(DATA_built): $(INSTALL_SQL)
	awk 'FNR == 1 && NR > 1 { print "" } 1' $^ > $@
$(OBJS): $(wildcard extension/*.hpp decoder/*.hpp)

DECODER_GOALS = $(addprefix decoder/,all install uninstall clean)
.PHONY: $(DECODER_GOALS) installcheck regress isolation sidecar check-world
$(DECODER_GOALS): decoder/%:
	$(MAKE) -C decoder $*
all: decoder/all
install: decoder/install
uninstall: decoder/uninstall
clean: decoder/clean

# A throwaway cluster of the installed server, or the one that PGHOST and PGPORT name. A server that knows the list of
# allowed output plugins has to be told of ours.
PLUGINS    = $(if $(shell grep output_plugin_libraries $(datadir)/postgresql.conf.sample),-o output_plugin_libraries=$(EXTENSION)_decoder)
IN_CLUSTER = $(if $(PGHOST)$(PGPORT),,pg_virtualenv -v $(MAJORVERSION) -o wal_level=logical -o max_prepared_transactions=10 $(PLUGINS))
installcheck:
	$(IN_CLUSTER) $(MAKE) regress isolation
regress:
	mkdir -p tmp_check
	$(pg_regress_installcheck) $(REGRESS_OPTS) $(REGRESS)
# Transactions interleaved step by step, in a database that has what the steps share.
ISOLATION_DB = anabranch_isolation
isolation:
	mkdir -p tmp_check/isolation
	dropdb --if-exists $(ISOLATION_DB) && createdb $(ISOLATION_DB)
	psql -Xq -v ON_ERROR_STOP=1 -f test/isolation/setup.sql $(ISOLATION_DB)
	export PGISOLATIONTIMEOUT=60; $(pg_isolation_regress_installcheck) --use-existing --dbname=$(ISOLATION_DB) --bindir=$(bindir) \
	  --inputdir=test/isolation --outputdir=tmp_check/isolation \
	  $(sort $(patsubst test/isolation/specs/%.spec,%,$(wildcard test/isolation/specs/*.spec)))

sidecar:
	cmake -S . -B build $(if $(shell command -v ninja),-G Ninja)
	cmake --build build $(if $(TARGET),--target $(TARGET))
check-world: installcheck sidecar
	ctest --test-dir build --output-on-failure
