.PHONY: setup run dev test check package bench screenshots

setup:        ## install what is missing to build and test
	@scripts/setup.sh test

run:          ## build for production, start, print address and account
	@scripts/run.sh

dev:          ## build for development, start, rebuild on every change
	@scripts/dev.sh

test:         ## everything that must hold: checks, Rust tests, browser tests
	@scripts/test.sh

check:        ## format, lints, documentation, types and dependencies only
	@scripts/test.sh check

package:      ## build for production and pack it: Debian package, archive, image files, SBOM, checksums
	@scripts/package.sh

bench:        ## measure the server, then the page
	@scripts/bench.sh

screenshots:  ## pictures of the page into SCREENSHOTS_DIR
	@scripts/screenshots.sh
