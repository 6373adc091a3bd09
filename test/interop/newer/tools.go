//go:build tools

// Package newer pins upstream's newest derper, which asks for a newer Go than the rest of test/interop.
package newer

import _ "tailscale.com/cmd/derper"
