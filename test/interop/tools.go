//go:build tools

package interop

import (
	_ "tailscale.com/cmd/derper"
	_ "tailscale.com/cmd/derpprobe"
	_ "tailscale.com/cmd/tailscale"
	_ "tailscale.com/cmd/tailscaled"
	_ "tailscale.com/tstest/integration/testcontrol"
)
