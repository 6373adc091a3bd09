//go:build tools

// Package headscale pins the version of Headscale that the admission tests run against. Its dependencies differ from
// those of test/interop, so that it has a module of its own.
package headscale

import _ "github.com/juanfont/headscale/cmd/headscale"
