// Package admission tests a towpath relay that admits only the nodes of a real Headscale server, with stock tailscaled.
package admission
